fn main() {
    print!("{}", lockstep_server::sdl());
}
