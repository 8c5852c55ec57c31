#!/usr/bin/env bash
# PgBouncer 1.24.1 (Debian 13: 1.24.1-1+deb13u2) before PostgreSQL 15, in transaction mode.
#
# A client that connects with options='-c statement_timeout=5s' is refused ("unsupported startup parameter in options").
# The manual offers track_extra_parameters for more parameters. With statement_timeout named there the client is
# accepted, and the setting is dropped without a word: only parameters that PostgreSQL reports to clients are tracked,
# which statement_timeout is not. A statement that was to end after 5 s never does. IntervalStyle, which is reported,
# arrives. Seen:
#
#   track_extra_parameters                  client's options             what holds
#   (default)                               -c statement_timeout=5s      refused
#   IntervalStyle, statement_timeout        -c statement_timeout=5s      0
#   IntervalStyle, statement_timeout        -c IntervalStyle=iso_8601    iso_8601
#
# Ends with 0 when this is still so. Needs PostgreSQL and PgBouncer; installs or builds them where it may.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/servers.sh
pgbouncer=${CARGO_TARGET_DIR:-$PWD/target}/servers/bin/pgbouncer
[ -x "$pgbouncer" ] || pgbouncer=$(command -v pgbouncer || echo /usr/sbin/pgbouncer)
postgres=$(dirname "$(find /usr/lib/postgresql -name initdb | sort -V | tail -n 1)")
work=$(mktemp -d)
chmod 755 "$work"

# Neither server runs as root.
as=()
if [ "$(id -u)" = 0 ]; then
    chown nobody "$work"
    as=(setpriv --reuid nobody --regid nogroup --clear-groups)
fi

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

end() {
    local pid
    for pid in $(cat "$work"/*.pid 2>/dev/null); do kill -QUIT "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap end EXIT

wait_for() {
    for _ in $(seq 100); do
        "$postgres/psql" -h 127.0.0.1 -p "$1" -U tester -Atc 'select 1' postgres >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "nothing answers at port $1" >&2
    return 1
}

server=$(free_port)
"${as[@]}" "$postgres/initdb" -A trust -U tester --no-sync -D "$work/data" >/dev/null
"${as[@]}" "$postgres/postgres" -D "$work/data" -c port="$server" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= >/dev/null 2>&1 &
echo $! >"$work/postgres.pid"
wait_for "$server"
echo '"tester" ""' >"$work/users.txt"

# Starts a PgBouncer with one more setting; sets $port.
bouncer() {
    port=$(free_port)
    printf '%s\n' '[databases]' "* = host=127.0.0.1 port=$server" '[pgbouncer]' 'listen_addr = 127.0.0.1' \
        "listen_port = $port" 'unix_socket_dir =' 'auth_type = trust' "auth_file = $work/users.txt" \
        'pool_mode = transaction' "$1" >"$work/$port.ini"
    "${as[@]}" "$pgbouncer" "$work/$port.ini" >/dev/null 2>&1 &
    echo $! >"$work/$port.pid"
    wait_for "$port"
}

# What holds for a client that asked for a setting.
ask() {
    PGOPTIONS="-c $1" "$postgres/psql" -h 127.0.0.1 -p "$port" -U tester -Atc "show ${1%=*}" postgres 2>&1 || true
}

expect() {
    echo "$3: $1"
    case $1 in
    *"$2"*) ;;
    *) echo "changed: expected $2" >&2 && exit 1 ;;
    esac
}

# Seen with one pair of versions; another pair may well do something else, so that is told.
same() {
    echo "$1 $3"
    case $3 in
    "$2" | "$2".*) ;;
    *) echo "not what this was seen with: $1 $3 instead of $2" >&2 ;;
    esac
}

same PgBouncer 1.24.1 "$("$pgbouncer" --version | awk 'NR == 1 { print $2 }')"
same PostgreSQL 15 "$("$postgres/postgres" --version | awk '{ print $3 }')"
bouncer ''
expect "$(ask statement_timeout=5s)" 'unsupported startup parameter in options' 'not tracked'
bouncer 'track_extra_parameters = IntervalStyle, statement_timeout'
found=$(ask statement_timeout=5s)
expect "[$found]" '[0]' 'tracked, not reported'
expect "[$(ask IntervalStyle=iso_8601)]" '[iso_8601]' 'tracked and reported'
