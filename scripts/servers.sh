#!/usr/bin/env bash
# Finds what the build and the tests need besides Rust: a C compiler, make, the server programs of
# PostgreSQL and Redis, and what clients run on: a browser, Node.js, Python. Installs what is missing
# where it may (Debian and its relatives, as root or with sudo that asks no password), otherwise says
# what to install. Starts nothing: the tests start servers of their own, and fetch pinned packages of
# npm and PyPI into target/.
set -euo pipefail

have() { command -v "$1" >/dev/null 2>&1; }

have_postgres() {
    local initdb
    have initdb && have postgres && return
    for initdb in /usr/lib/postgresql/*/bin/initdb; do
        [ -x "$initdb" ] && return
    done
    return 1
}

# aws-lc and SQLite are compiled from C. Neither needs more than a compiler.
missing_packages() {
    { have cc && have make; } || echo build-essential
    have_postgres || echo postgresql
    have redis-server || echo redis-server
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
    for package in postgresql redis-server; do
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

install_packages() {
    echo "Installing $*" >&2
    as_root apt-get -q update >&2
    without_services as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q install --yes --no-install-recommends "$@" >&2
    disable_services "$@"
}

mapfile -t missing < <(missing_packages)
[ ${#missing[@]} = 0 ] && exit 0
may_install && install_packages "${missing[@]}"

mapfile -t missing < <(missing_packages)
[ ${#missing[@]} = 0 ] && exit 0
cat >&2 <<END
Missing: ${missing[*]}
Install them and try again. On Debian and Ubuntu:
    apt-get install --no-install-recommends ${missing[*]}
elsewhere: a C compiler with make, the PostgreSQL server (initdb, postgres, psql), redis-server,
    Chromium, Node.js with npm, Python 3 with venv.
END
exit 1
