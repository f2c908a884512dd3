# The demo's proofs. Each ends the demo when it fails. Sourced by scripts/demo.
# shellcheck shell=bash disable=SC2154

prove_environment() {
    local log name expected
    wait_for 20 log_says "serving on port" || die "the service did not say that it serves"
    log=$("$bin" session logs "$session" weather)
    indent '| ' <<<"$log"
    for name in "${!values[@]}"; do
        expected=$(printf %s "${values[$name]}" | sha256sum | cut -d' ' -f1)
        grep -q "$name sha256 $expected\$" <<<"$log" || die "$name is not in the service's log with the SHA-256 of what was saved"
    done
    proven "the service has each of the ${#values[@]} values byte for byte: the SHA-256 sums are those of what was saved"
    ! grep -qaF -f <(needles "${values[@]}" "$registry_password") <<<"$log" || die "a value is in the log"
    grep -q 'printed by mistake: WEATHER_API_KEY=' <<<"$log" || die "the line with the value is missing from the log"
    proven "the value that the service printed by mistake is not in its log"
    ! grep -qi 'password\|acme-robot' <<<"$log" || die "something of the pull secret is in the service's environment"
    proven "nothing of the pull secret is in its environment"
}

log_says() { "$bin" session logs "$session" weather | grep -q "$1"; }

# The image's layers are on this machine by now; that must not help.
prove_refusal() {
    local service other reason
    service=$(manifest | sed -e 's|name: weather$|name: weather-uninvited|' -e '/pull_secret/d' |
        "$bin" service create --file /dev/stdin --json | jq -r .id)
    other=$("$bin" session launch uninvited-room --json | jq -r .id)
    wait_for 60 session_is "$other" degraded || { show_workloads "$other"; die "the launch was not refused"; }
    show_workloads "$other"
    reason=$("$bin" session show "$other" --json | jq -r '.workloads[] | select(.service_name == "weather-uninvited") | "\(.state) \(.reason.code)"')
    [[ $reason == failed* ]] || die "the service without a pull secret is $reason"
    wait_for 30 workload_is "$other" weather ready ||
        { show_workloads "$other"; die "the service with the pull secret should run beside it"; }
    proven "refused (${reason#failed }), although the layers are on this machine already; the service with the pull secret runs beside it"
    "$bin" session terminate "$other" >/dev/null
    "$bin" service delete "$service" >/dev/null
}

workload_is() {
    [[ $("$bin" session show "$1" --json | jq -r --arg name "$2" '.workloads[] | select(.service_name == $name) | .state') == "$3" ]]
}

prove_traces() {
    local texts found pid
    texts=$(needles "${values[@]}" "$registry_password")
    say "looking for $(wc -l <<<"$texts") forms of the values: each line raw, base64, base64url, hexadecimal, URL- and JSON-escaped"

    # A search that finds nothing proves nothing until it is seen to find something.
    find "$data" -type f -print0 | files_with weather-api-credentials | grep -q . || die "the search does not reach into $data"
    printf 'x%sx' "$(base64 -w 0 <<<"..${values[WEATHER_API_KEY]}..")" | grep -qaF -f <(printf '%s\n' "$texts") ||
        die "the search does not recognise a value"

    found=$({ find "$demo" "$data.root-key" -type f -print0; changed_files; } | files_with "$texts" | sort -u)
    [[ -z $found ]] || { indent <<<"$found"; die "these files hold a value"; }
    say "searched: $(find "$demo" -type f | wc -l) files of the demo, $(changed_files | tr -dc '\0' | wc -c) files of this machine that changed since it began"
    proven "no file holds a value, nor the registry's password"

    found=$(processes_with "$texts" cmdline)
    [[ -z $found ]] || die "the arguments of these processes show a value: $found"
    found=$(processes_with "$texts" environ)
    [[ -n $found ]] || die "the search for environments does not find the service's own"
    for pid in $found; do
        is_contained "$pid" || die "process $pid ($(cat "/proc/$pid/comm")) has a value in its environment and is no container's"
        inside_files "$pid" | files_with "$texts" | grep . && die "these files within the container hold a value"
    done
    proven "no process has a value in its arguments; only the service's own $(wc -w <<<"$found" | tr -d ' ') processes have them in their environment"
    found=$(processes_with "$(needles "$registry_password")" environ)
    [[ -z $found ]] || die "the registry's password is in the environment of process $found"
}

# Every regular file outside the kernel's file systems that was written since the demo began.
changed_files() {
    find / /tmp /run /dev/shm /var -xdev \( -path /proc -o -path /sys -o -path "$demo" \) -prune -o \
        -type f -newer "$demo/started" -print0 2>/dev/null
}

# Files within a container, on each of its own small file systems.
inside_files() {
    local root=/proc/$1/root
    find "$root/" "$root/tmp/" "$root/run/" "$root/etc/" "$root/dev/shm/" -xdev -type f -size -4096k -print0 2>/dev/null || true
}
