# What meshkeep could leave on a host, as sorted text, to be compared before and after. Sourced, never run.
# shellcheck shell=bash

host_state() {
    {
        ip -o link 2>/dev/null | awk -F ': ' '$2 ~ /^mk/ { sub(/@.*/, "", $2); print "network link " $2 }'
        nft list tables 2>/dev/null | grep -i meshkeep || true
        ip netns list 2>/dev/null | awk '/meshkeep|^mk/ { print "network namespace " $1 }'
        awk '/erofs|meshkeep/ { print "mount " $2 }' /proc/self/mounts
        losetup -l -n -O NAME,BACK-FILE 2>/dev/null | awk '/erofs|meshkeep/ { print "loop device " $1 " " $2 }'
        find /sys/fs/cgroup -type d -name '*meshkeep*' -printf 'cgroup %p\n' 2>/dev/null
        local file
        for file in /proc/[0-9]*/exe; do
            case $(readlink "$file" 2>/dev/null) in
                */meshkeep | */meshkeep\ \(deleted\)) echo "process $(tr '\0' ' ' <"${file%exe}cmdline" 2>/dev/null)" ;;
                # A supervisor is executed through a mount of its own, and has no path.
                *) tr '\0' ' ' 2>/dev/null <"${file%exe}cmdline" | grep -x 'meshkeep runtime-child ' | sed 's/^/process /' || true ;;
            esac
        done
        local setting
        for setting in net/ipv4/ip_forward net/ipv4/conf/{all,default}/{forwarding,rp_filter,route_localnet} kernel/core_pattern; do
            echo "setting $setting = $(cat "/proc/sys/$setting" 2>/dev/null)"
        done
        find /run -maxdepth 1 -name '*meshkeep*' -printf 'directory %p\n' 2>/dev/null
    } | sort -u
}

cgroup_kind() {
    if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
        echo v2
    elif [[ -d /sys/fs/cgroup/unified ]]; then
        echo "v1 (hybrid)"
    else
        echo v1
    fi
}
