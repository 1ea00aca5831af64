#!/bin/sh
# Sees to what `make` cannot build: Python, Rust and the Debian packages of the tests. Installs what it can (as root, with
# apt), and otherwise says in one message what is missing and how to get it.
set -eu

fail() {
    printf 'bartizan: %s\n' "$1" >&2
    exit 1
}

# Installs Debian packages, or explains which to ask for.
debian() {
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        fail "$1; as root: apt-get install $2"
    fi
    log=$(mktemp)
    # shellcheck disable=SC2086  a list of packages
    if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $2; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        fail "$1, and apt could not install: $2 (its last words are above)"
    fi
    rm -f "$log"
}

python() {
    command -v "$1" >/dev/null 2>&1 || debian "there is no $1" "python3 python3-venv"
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$1 is $("$1" -V 2>&1); Bartizan needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..."
    "$1" -c 'import ensurepip, venv' 2>/dev/null || debian "$1 has no venv module" "python3-venv"
}

cargo() {
    command -v cargo >/dev/null 2>&1 ||
        fail "there is no cargo; Bartizan needs Rust 1.90 or newer, which rustup installs: rustup toolchain install stable"
    version=$(command cargo --version | cut -d ' ' -f 2)
    [ "$(printf '%s\n1.90.0\n' "$version" | sort -V | head -n 1)" = 1.90.0 ] ||
        fail "cargo is $version; Bartizan needs Rust 1.90 or newer: rustup update stable"
    command -v cc >/dev/null 2>&1 || debian "there is no C compiler, which the crate ring needs" "gcc libc6-dev"
}

# program:package, for every program that a test starts.
packages() {
    missing=
    for pair in nginx:nginx-light haproxy:haproxy wrk:wrk h2load:nghttp2-client chromium:chromium openssl:openssl curl:curl \
        setpriv:util-linux ss:iproute2 nats-server:nats-server; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
    done
    # Debian keeps the server's programs out of the path, one directory for each version.
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
    # Peers that are no programs.
    for pair in libmodsecurity.so.3:libmodsecurity3 libpcre2-8.so.0:libpcre2-8-0; do
        PATH=$PATH:/usr/sbin:/sbin ldconfig -p | grep -q "${pair%%:*}" || missing="$missing ${pair#*:}"
    done
    [ -z "$missing" ] || debian "the tests need programs that are not here" "$missing"
    command -v go >/dev/null 2>&1 ||
        printf 'bartizan: there is no go; tests that build their peer with it are skipped\n' >&2
}

case "$1" in
    python) python "$2" ;;
    cargo) cargo ;;
    packages) packages ;;
    *) fail "tools/require.sh knows python, cargo and packages, not $1" ;;
esac
