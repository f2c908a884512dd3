//! Which system calls a container may make: a list of what programs need, everything else fails with EPERM.
//!
//! Left out is what needs a capability that no workload has (mounting, modules, clocks, tracing of the kernel), what
//! makes namespaces, and what reaches far into the kernel for few users (io_uring, userfaultfd, keyrings, bpf,
//! perf_event_open, rare families of sockets). Only calls of this machine's own architecture are let through. Names that
//! an old libseccomp does not know are skipped by libcontainer.

use serde_json::{Value, json};

/// Flags of `clone` that make a namespace.
const NAMESPACE_FLAGS: u64 = 0x7E02_0000;

/// Execution domains that change nothing but how addresses are laid out, and the question which one is set.
const PERSONALITIES: [u64; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF];

/// Families of sockets: within the container, IPv4, IPv6, and the question which addresses there are. Every other one is
/// a door into a part of the kernel that few programs use (ciphers, hypervisors, buses).
const FAMILIES: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// By what they are for.
const ALLOWED: [&str; 8] = [
    // Files and directories.
    "access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 \
     fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock \
     fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr \
     inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl lchown lgetxattr link linkat listxattr \
     llistxattr lremovexattr lseek lsetxattr lstat mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open \
     openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv \
     removexattr rename renameat renameat2 rmdir sendfile setxattr splice stat statfs statx symlink symlinkat sync \
     sync_file_range syncfs getxattrat listxattrat removexattrat setxattrat tee truncate umask unlink unlinkat utime utimensat utimes vmsplice write writev",
    // Waiting.
    "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd \
     eventfd2 io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit pause poll ppoll pselect6 \
     restart_syscall select signalfd signalfd4 timerfd_create timerfd_gettime timerfd_settime",
    // Memory.
    "brk cachestat get_mempolicy madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 \
     mlockall mmap mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect \
     process_mrelease remap_file_pages",
    // Processes and threads.
    "alarm arch_prctl capget capset execve execveat exit exit_group fork futex futex_requeue futex_wait futex_waitv \
     futex_wake get_robust_list get_thread_area getcpu getitimer getpgid getpgrp getpid getppid getpriority \
     getrlimit getrusage getsid gettid ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset \
     landlock_restrict_self modify_ldt pidfd_open pidfd_send_signal prctl prlimit64 ptrace process_vm_readv \
     process_vm_writev rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend \
     rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity \
     sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr \
     sched_setparam sched_setscheduler sched_yield seccomp set_robust_list set_thread_area set_tid_address \
     setitimer setpgid setpriority setrlimit setsid sigaltstack tgkill time times tkill vfork wait4 waitid",
    // Users, within the workload's own range.
    "getegid geteuid getgid getgroups getresgid getresuid getuid setfsgid setfsuid setgid setgroups setregid \
     setresgid setresuid setreuid setuid",
    // Networks.
    "accept accept4 bind connect getpeername getsockname getsockopt listen pipe pipe2 recvfrom recvmmsg recvmsg \
     sendmmsg sendmsg sendto setsockopt shutdown",
    // System V and POSIX messages.
    "mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd semctl \
     semget semop semtimedop shmat shmctl shmdt shmget",
    // Time and the system.
    "adjtimex clock_adjtime clock_getres clock_gettime clock_nanosleep getrandom gettimeofday nanosleep sysinfo \
     timer_create timer_delete timer_getoverrun timer_gettime timer_settime uname",
];

/// The profile, as `config.json` holds it.
pub(super) fn profile() -> Value {
    let allow = "SCMP_ACT_ALLOW";
    let first = |op: &str, value: u64, mask: u64| json!([{ "index": 0, "op": op, "value": value, "valueTwo": mask }]);
    let allowed: Vec<&str> = ALLOWED.iter().flat_map(|names| names.split_whitespace()).collect();
    let mut rules = vec![
        json!({ "names": allowed, "action": allow }),
        // libcontainer 0.7 takes the second value for the mask; the specification says the first. A test tries the filter.
        json!({ "names": ["clone"], "action": allow, "args": first("SCMP_CMP_MASKED_EQ", 0, NAMESPACE_FLAGS) }),
        // Its flags lie in memory, where a filter cannot look: libraries fall back to `clone`.
        json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOSYS }),
        json!({ "names": ["socketpair"], "action": allow, "args": first("SCMP_CMP_EQ", libc::AF_UNIX as u64, 0) }),
    ];
    rules.extend(
        FAMILIES.map(
            |family| json!({ "names": ["socket"], "action": allow, "args": first("SCMP_CMP_EQ", family as u64, 0) }),
        ),
    );
    rules.extend(
        PERSONALITIES.map(
            |persona| json!({ "names": ["personality"], "action": allow, "args": first("SCMP_CMP_EQ", persona, 0) }),
        ),
    );
    json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": libc::EPERM, "syscalls": rules })
}
