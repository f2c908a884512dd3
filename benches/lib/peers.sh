# runc and podman, in places of their own. Sourced, never run.
# shellcheck shell=bash disable=SC2154

make_bundle() {
    mkdir -p "$work/bundle/rootfs"
    cp "$work/small/root/first-line" "$work/bundle/rootfs/"
    (cd "$work/bundle" && runc spec)
    jq '.process.terminal = false | .process.args = ["/first-line"]' "$work/bundle/config.json" >"$work/bundle/config.new"
    mv "$work/bundle/config.new" "$work/bundle/config.json"
}

# One launch: milliseconds from the request to the line.
launch_runc() {
    local began line
    began=$(now_us)
    line=$(runc --root "$work/runc" run --bundle "$work/bundle" "bench-$1")
    milliseconds "$began" "${line#first-line }"
}

run_podman() {
    podman --root "$work/podman" --runroot "$work/podman-run" --tmpdir "$work/podman-tmp" --storage-driver overlay \
        --cgroup-manager cgroupfs --events-backend none "$@"
}

podman_signs_in() {
    printf '{"auths":{"%s":{"auth":"%s"}}}' "$registry" "$(printf '%s:%s' "$registry_user" "$registry_password" | base64 -w 0)" >"$work/auth.json"
}

# Without a network of its own, which it would need longer for; within this machine's bounds.
launch_podman() {
    local files began line
    files=$(ulimit -Hn)
    began=$(now_us)
    line=$(run_podman run --rm --network none --pull never --ulimit "nofile=$files:$files" --ulimit nproc=1000:1000 \
        "$registry/bench/small:1")
    milliseconds "$began" "${line#first-line }"
}

pull_podman() {
    local began
    run_podman rmi --all --force >/dev/null 2>&1 || true
    sync
    began=$(now_us)
    run_podman pull --quiet --tls-verify=false --authfile "$work/auth.json" "$registry/bench/large:1" >/dev/null
    milliseconds "$began" "$(now_us)"
}

remove_podman() {
    [[ -d $work/podman ]] || return 0
    run_podman rmi --all --force >/dev/null 2>&1 || true
    local mount
    awk -v dir="$work/" 'index($2, dir) == 1 { print $2 }' /proc/self/mounts | sort -r | while read -r mount; do umount "$mount" || true; done
}
