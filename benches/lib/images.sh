# The images of the benchmarks. Sourced, never run.
# shellcheck shell=bash disable=SC2154

# small_image DIR: one static program.
small_image() {
    local dir=$1
    mkdir -p "$dir/root"
    gcc -O2 -static -o "$dir/root/first-line" benches/first-line.c
    pack_layer "$dir/root" "$dir/0.tar.gz"
    write_config "$dir"
}

# large_image DIR: the program, and four layers of this machine's own files, each filled up with random bytes to 25 MB.
large_image() {
    local dir=$1 layer size missing
    small_image "$dir"
    find /usr/bin /usr/lib /usr/share -xdev -type f -size -2048k -printf '%s %p\n' 2>/dev/null | sort -k2 |
        awk -v dir="$dir" '{ layer = int(sum / 48e6) + 1; if (layer > 4) next; sum += $1; sub(/^[0-9]+ \//, ""); print > (dir "/files." layer) }'
    for layer in 1 2 3 4; do
        mkdir "$dir/tree"
        [[ ! -e $dir/files.$layer ]] || tar -C / -cf - -T "$dir/files.$layer" | tar -C "$dir/tree" -xf -
        [[ $layer != 4 ]] || cp "$dir/root/first-line" "$dir/tree/"
        pack_layer "$dir/tree" "$dir/$layer.tar.gz"
        size=$(stat -c %s "$dir/$layer.tar.gz")
        missing=$((25000000 - size))
        if ((missing > 0)); then
            head -c "$missing" /dev/urandom >"$dir/tree/random"
            pack_layer "$dir/tree" "$dir/$layer.tar.gz"
        fi
        rm -rf "$dir/tree"
    done
    rm -f "$dir/0.tar.gz" "$dir/0.tar.gz.diff"
    write_config "$dir"
}

pack_layer() {
    local tree=$1 out=$2
    chmod 0755 "$tree"
    tar --numeric-owner --owner=0 --group=0 --sort=name --mtime=@0 -C "$tree" -cf "$out.tar" .
    sha256sum "$out.tar" | cut -d' ' -f1 >"$out.diff"
    gzip -6nc "$out.tar" >"$out"
    rm -f "$out.tar"
}

write_config() {
    local dir=$1 architecture=amd64 diffs
    [[ $(uname -m) == x86_64 ]] || architecture=arm64
    diffs=$(for file in "$dir"/*.tar.gz.diff; do printf '"sha256:%s"\n' "$(cat "$file")"; done | paste -sd,)
    printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/first-line"]},"rootfs":{"type":"layers","diff_ids":[%s]}}' \
        "$architecture" "$diffs" >"$dir/config.json"
}
