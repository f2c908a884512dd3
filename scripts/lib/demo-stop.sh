# Ends the demo and removes all that it made, from any half-way state. Sourced by scripts/demo.
# shellcheck shell=bash disable=SC2154

stop_demo() {
    [[ -e $demo ]] || { say "There is no demo in $demo."; return 0; }
    [[ -O $demo && ! -L $demo ]] || die "$demo is not a directory of yours"
    end_workloads
    end_background "$demo/server.pid"
    end_background "$demo/registry.pid"
    local left
    left=$(leftovers)
    [[ -z $left ]] || { indent <<<"$left" >&2; die "the above is left; the state is kept in $demo"; }
    rm -rf --one-file-system "$demo"
}

# Workloads outlive their server on purpose, so a server that is gone is started again to end them.
end_workloads() {
    [[ -s $demo/binary && -s $demo/environment && -s $demo/server.settings ]] || return 0
    local bin
    bin=$(cat "$demo/binary")
    [[ -x $bin ]] || { say "the program $bin is gone; workloads cannot be ended in an orderly way"; return 0; }
    # shellcheck source=/dev/null
    . "$demo/environment"
    if ! { { is_running "$demo/server.pid" || run_server; } && "$bin" session terminate --all >/dev/null; }; then
        say "the server could not end its sessions; whether something is left of them is checked below"
    fi
}

# What should be gone: processes that have the data directory in their arguments, and mounts below it.
leftovers() {
    local file pid
    for file in /proc/[0-9]*/cmdline; do
        pid=${file//[!0-9]/}
        [[ $pid == "$$" || $pid == "$BASHPID" ]] || ! grep -qsaF "$data" "$file" || echo "process $pid: $(tr '\0' ' ' <"$file")"
    done
    awk -v dir="$demo/" 'index($2, dir) == 1 { print "mount " $2 }' /proc/self/mounts
}
