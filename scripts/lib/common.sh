# What every script here shares: words on the screen, Debian packages, ports, waiting. Sourced, never run.
# shellcheck shell=bash

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
    bold='' green='' red='' plain=''
fi

step_number=0
step() { step_number=$((step_number + 1)); printf '\n%s%d. %s%s\n' "$bold" "$step_number" "$*" "$plain"; }
say() { printf '   %s\n' "$*"; }
proven() { printf '   %sproven%s  %s\n' "$green" "$plain" "$*"; }
die() { printf '\n%sfailed%s  %s\n' "$red" "$plain" "$*" >&2; exit 1; }
indent() { sed "s/^/      ${1:-}/"; }

# The packages of the list that this machine lacks, one per line.
missing_packages() {
    local package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "$package"
    done
}

# Installs what is missing. Lists are fetched only when apt does not know a package yet, or not where to get it.
# A package's own service is kept from starting: what is needed is started here, on loopback.
need_packages() {
    local -a missing
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]})) || { say "all Debian packages are there"; return 0; }
    [[ $EUID == 0 ]] || die "these Debian packages are missing, and only root can install them: ${missing[*]}"
    command -v apt-get >/dev/null || die "this script installs from Debian's packages, and there is no apt-get here. Needed: ${missing[*]}"
    say "installing from Debian: ${missing[*]}"
    local held=()
    if [[ -d /run/systemd/system && " ${missing[*]} " == *" docker-registry "* ]]; then
        held=(docker-registry.service)
        systemctl mask --runtime --quiet "${held[@]}"
    fi
    local log
    log=$(mktemp)
    if ! apt_install "${missing[@]}" >"$log" 2>&1; then
        if ! { apt-get -q update && apt_install "${missing[@]}"; } >>"$log" 2>&1; then
            tail -n 20 "$log" >&2
            rm -f "$log"
            die "apt-get could not install them (its last lines are above)"
        fi
    fi
    rm -f "$log"
    if ((${#held[@]})); then
        systemctl disable --quiet "${held[@]}" || true
        systemctl unmask --runtime --quiet "${held[@]}"
    fi
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$@"
}

# Path of a static busybox. Debian's package would replace the dynamic one that initramfs-tools uses, so it is unpacked
# into the given directory instead of installed.
static_busybox() {
    local into=$1 found
    found=$(command -v busybox || true)
    if [[ -n $found ]] && is_static "$found"; then
        realpath "$found"
        return
    fi
    if [[ ! -x $into/bin/busybox ]]; then
        mkdir -p "$into"
        (
            cd "$into"
            apt-get -q -o APT::Sandbox::User=root download busybox-static ||
                { apt-get -q update && apt-get -q -o APT::Sandbox::User=root download busybox-static; }
            dpkg-deb -x busybox-static_*.deb .
        ) >"$into/log" 2>&1 || die "could not fetch busybox-static (see $into/log)"
    fi
    echo "$into/bin/busybox"
}

# A dynamic program names its loader in the file's first pages.
is_static() { ! head -c 4096 "$1" | LC_ALL=C grep -qaF 'ld-linux'; }

need_rust() {
    command -v cargo >/dev/null || [[ ! -x $HOME/.cargo/bin/cargo ]] || PATH=$HOME/.cargo/bin:$PATH
    command -v cargo >/dev/null ||
        die "there is no cargo here. Install Rust from https://rustup.rs; rust-toolchain.toml names the version"
    (cd "$repo" && cargo --version >/dev/null) ||
        die "cargo does not run with the toolchain of rust-toolchain.toml; \`rustup toolchain install\` in $repo gets it"
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The first free port on loopback from the given one on.
free_port() {
    local port=$1
    while ! port_is_free "$port"; do port=$((port + 1)); done
    echo "$port"
}

# wait_for SECONDS COMMAND…: until the command succeeds.
wait_for() {
    local seconds=$1 end
    shift
    end=$((SECONDS + seconds))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || return 1
        sleep 0.1
    done
}

http_status() { curl -s -o /dev/null -m 10 -w '%{http_code}' "$@" || true; }

# Runs a server in the background, apart from this terminal: background NAME DIR COMMAND…; its pid and start time go
# to DIR/NAME.pid, so that later only this very process is ended, and its output to DIR/NAME.log.
background() {
    local name=$1 dir=$2
    shift 2
    setsid "$@" >>"$dir/$name.log" 2>&1 </dev/null &
    local pid=$!
    echo "$pid $(started_at "$pid")" >"$dir/$name.pid"
    disown "$pid" 2>/dev/null || true
}

# Clock ticks at which a process began: with its number, this names it once and for all.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

is_running() {
    local pid began
    [[ -s $1 ]] || return 1
    read -r pid began <"$1"
    [[ -n $began && $(started_at "$pid") == "$began" ]] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null
}

# Ends what background() started: SIGTERM, ten seconds, SIGKILL.
end_background() {
    local pid
    if is_running "$1"; then
        read -r pid _ <"$1"
        kill -TERM "$pid" 2>/dev/null || true
        wait_for 10 is_gone "$1" || kill -KILL "$pid" 2>/dev/null || true
        wait_for 5 is_gone "$1" || true
    fi
    rm -f "$1"
}

is_gone() { ! is_running "$1"; }
