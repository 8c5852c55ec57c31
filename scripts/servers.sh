#!/usr/bin/env bash
# Finds what the build and the tests need besides Rust: a C compiler, make, the server programs of
# PostgreSQL, Redis and PgBouncer, and what clients run on: a browser, Node.js, Python. Installs what is
# missing where it may (Debian and its relatives, as root or with sudo that asks no password), otherwise
# says what to install. Starts nothing: the tests start servers of their own, and fetch pinned packages
# of npm and PyPI into target/.
#
# PgBouncer must be 1.21 or newer. Debian 12 has an older one: there it is built from the sources of
# the next Debian, into target/servers, and nothing of it is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

have() { command -v "$1" >/dev/null 2>&1; }

have_postgres() {
    local initdb
    have initdb && have postgres && return
    for initdb in /usr/lib/postgresql/*/bin/initdb; do
        [ -x "$initdb" ] && return
    done
    return 1
}

# Where programs are built that the system has too old.
servers=${CARGO_TARGET_DIR:-target}/servers
readonly servers
# The release of Debian whose sources hold a PgBouncer that is new enough.
readonly newer=trixie

is_new_pgbouncer() {
    [ -x "$1" ] && "$1" --version | awk '/^PgBouncer/ { split($2, v, "."); ok = v[1] > 1 || v[2] >= 21 } END { exit !ok }'
}

have_pgbouncer() {
    local program
    for program in "$servers/bin/pgbouncer" "$(command -v pgbouncer || true)" /usr/sbin/pgbouncer; do
        is_new_pgbouncer "$program" && return
    done
    return 1
}

# Whether the system's own packages hold one that is new enough.
offers_pgbouncer() {
    local version
    version=$(apt-cache policy pgbouncer | awk '/Candidate:/ { print $2 }')
    dpkg --compare-versions "${version:-0}" ge 1.21
}

# Lists this machine's own package sources, for the sources of the newer release.
newer_sources() {
    local codename file
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    [ -n "$codename" ] || return 1
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$file" ] && sed -n "s/^deb \\(.*\\) $codename\\b/deb-src \\1 $newer/p" "$file" >>"$1/newer.list"
    done
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] && grep -q "^Suites:.*\\b$codename\\b" "$file" &&
            sed "s/^Types:.*/Types: deb-src/; /^Suites:/s/\\b$codename\\b/$newer/g" "$file" >>"$1/newer.sources" &&
            echo >>"$1/newer.sources"
    done
    [ -s "$1/newer.list" ] || [ -s "$1/newer.sources" ]
}

# Downloads the sources through apt, which checks their signatures, without touching its own lists.
download_pgbouncer() {
    local options
    mkdir -p "$1/parts" "$1/lists/partial" "$1/cache/archives/partial"
    newer_sources "$1/parts" || return 1
    options=(-q -o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$1/parts"
        -o "Dir::State::lists=$1/lists" -o "Dir::Cache=$1/cache" -o "APT::Sandbox::User=$(id -un)")
    apt-get "${options[@]}" update >&2
    (cd "$1" && apt-get "${options[@]}" source --download-only pgbouncer >&2)
}

build_pgbouncer() {
    local work
    work=$(mktemp -d)
    echo "Building PgBouncer from the sources of Debian $newer" >&2
    if download_pgbouncer "$work" && mkdir "$work/source" &&
        tar -xf "$work"/pgbouncer_*.orig.tar.gz --strip-components 1 -C "$work/source" &&
        (cd "$work/source" && ./configure --quiet --without-cares && make -s -j "$(nproc)" pgbouncer) >&2; then
        mkdir -p "$servers/bin"
        install -m 755 "$work/source/pgbouncer" "$servers/bin/pgbouncer"
    fi
    rm -rf "$work"
}

# aws-lc and SQLite are compiled from C. Neither needs more than a compiler.
missing_packages() {
    { have cc && have make; } || echo build-essential
    have_postgres || echo postgresql
    have redis-server || echo redis-server
    have_pgbouncer || echo pgbouncer
    have_browser || echo chromium
    have node || echo nodejs
    have npm || echo npm
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
}

have_browser() { have chromium || have chromium-browser || have google-chrome; }

# The package scripts ask this file whether they may start a service.
readonly policy=/usr/sbin/policy-rc.d

# Runs a command while package scripts may not start services.
without_services() {
    if [ -e "$policy" ]; then # someone else decides that here
        "$@"
        return
    fi
    as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
    trap 'as_root rm -f "$policy"' EXIT
    "$@"
    as_root rm -f "$policy"
    trap - EXIT
}

# Keeps freshly installed servers from starting with the machine.
disable_services() {
    local package
    [ -d /run/systemd/system ] || return 0
    for package in postgresql redis-server pgbouncer; do
        case " $* " in
        *" $package "*) as_root systemctl disable --quiet "$package" || true ;;
        esac
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_install() {
    have apt-get || return 1
    [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }
}

# Replaces a PgBouncer that would be too old by what building one needs.
install_missing() {
    local package packages=()
    as_root apt-get -q update >&2
    for package in "$@"; do
        if [ "$package" = pgbouncer ] && ! offers_pgbouncer; then
            packages+=(build-essential libevent-dev libssl-dev pkg-config)
        else
            packages+=("$package")
        fi
    done
    install_packages "${packages[@]}"
    have_pgbouncer || build_pgbouncer
}

install_packages() {
    echo "Installing $*" >&2
    without_services as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q install --yes --no-install-recommends "$@" >&2
    disable_services "$@"
}

mapfile -t missing < <(missing_packages)
[ ${#missing[@]} = 0 ] && exit 0
may_install && install_missing "${missing[@]}"

mapfile -t missing < <(missing_packages)
[ ${#missing[@]} = 0 ] && exit 0
cat >&2 <<END
Missing: ${missing[*]}
Install them and try again. On Debian and Ubuntu:
    apt-get install --no-install-recommends ${missing[*]}
elsewhere: a C compiler with make, the PostgreSQL server (initdb, postgres, psql), redis-server,
    PgBouncer 1.21 or newer, Chromium, Node.js with npm, Python 3 with venv.
END
exit 1
