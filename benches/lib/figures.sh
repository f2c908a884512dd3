# Figures and the table that they make. Sourced, never run.
# shellcheck shell=bash

# Microseconds since 1970, without starting a process.
now_us() { printf %s "${EPOCHREALTIME//[!0-9]/}"; }

# milliseconds FROM TO, both in microseconds.
milliseconds() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f\n", (b - a) / 1000 }'; }

# stats < one figure per line: count, minimum, median, maximum.
stats() {
    sort -n | awk '{ v[NR] = $1 }
        END {
            if (!NR) { print "0 - - -"; exit }
            median = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
            printf "%d %.1f %.1f %.1f\n", NR, v[1], median, v[NR]
        }'
}

median_of() { stats <"$1" | cut -d' ' -f3; }

# ratio A B: medians of two files of figures.
ratio() { awk -v a="$(median_of "$1")" -v b="$(median_of "$2")" 'BEGIN { if (a > 0 && b > 0) printf "%.2f", a / b; else printf "-" }'; }

table_head() { printf '\n%-58s %5s %9s %9s %9s\n' "$1" runs min median max; }

# row WHAT FILE: one line of the table.
row() {
    local runs min median max
    read -r runs min median max < <(stats <"$2")
    printf '%-58s %5s %9s %9s %9s\n' "$1" "$runs" "$min" "$median" "$max"
}

# Proportional set size of processes, in KiB in all.
pss_kib() {
    local pid
    for pid in "$@"; do sed -n 's/^Pss: *\([0-9]*\) kB/\1/p' "/proc/$pid/smaps_rollup" 2>/dev/null; done | awk '{ s += $1 } END { print s + 0 }'
}

# A line of /proc/PID/status: status_kib VmHWM PID.
status_kib() { sed -n "s/^$1:\s*\([0-9]*\) kB/\1/p" "/proc/$2/status"; }
