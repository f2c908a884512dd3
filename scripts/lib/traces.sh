# Looks for values where they must not be. Sourced, never run. Values and what is searched for stay in this shell's
# memory and in pipes: never a file, an argument or an environment.
# shellcheck shell=bash

# needles VALUE…: the forms in which a value would be recognised, one per line: each line of it that is not a mere
# heading, as it stands and in base64; the whole in hexadecimal, percent-encoded and as in JSON.
needles() {
    local value line
    for value in "$@"; do
        while IFS= read -r line; do
            if [[ ${#line} -ge 12 && $line != -----* ]]; then
                printf '%s\n' "$line"
                base64_needles "$line"
            fi
        done <<<"$value"
        printf %s "$value" | od -An -v -tx1 | tr -d ' \n'
        echo
        printf %s "$value" | jq -sRr '@uri, (tojson | .[1:-1])'
    done | sort -u
}

# Whatever precedes a text, its base64 is one of three, but for the characters at either end; in two alphabets, and in
# pieces, since base64 may be broken into lines.
base64_needles() {
    local before text from at length
    length=$(printf %s "$1" | wc -c)
    for before in 0 1 2; do
        text=$({ printf '%*s' "$before" ''; printf %s "$1"; } | base64 -w 0)
        from=$(((before * 8 + 5) / 6))
        text=${text:from:(before + length) / 3 * 4 - from}
        printf '%s\n' "$text"
        for ((at = 0; at + 20 <= ${#text}; at += 20)); do printf '%s\n' "${text:at:20}"; done
    done | sed 'p; y|+/|-_|'
}

# files_with NEEDLES: of the file names on stdin (NUL-separated), those that hold one of the needles. In batches, since
# the needles go through a pipe, which can be read once.
files_with() {
    local needles=$1 batch
    while mapfile -d '' -n 400 batch && ((${#batch[@]})); do
        grep -lsaF -f <(printf '%s\n' "$needles") -- "${batch[@]}" || true
    done
}

# processes_with NEEDLES environ|cmdline: numbers of the processes that show one of the needles there.
processes_with() {
    local needles=$1 what=$2
    printf '%s\0' /proc/[0-9]*/"$what" | files_with "$needles" | cut -d/ -f3
}

# Whether a process lives in another pid namespace than this shell, that is, in a container.
is_contained() { [[ $(readlink "/proc/$1/ns/pid") != "$(readlink /proc/self/ns/pid)" ]]; }
