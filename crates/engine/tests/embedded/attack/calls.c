/* System calls that no service may make. The arguments are such that even root on the host changes nothing with them: a
   call that gets as far as looking at its arguments got through. Only EPERM is a refusal. */
#include "attack.h"
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define NOWHERE "/nowhere-at-all"

/* Newer than some headers. */
enum { OPEN_TREE = 428, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT, FSPICK, CLONE3 = 435, PIDFD_GETFD = 438, MOUNT_SETATTR = 442 };

#define CALL(...) ATTEMPT(#__VA_ARGS__, long got = syscall(__VA_ARGS__); _exit(got < 0 && (errno == EPERM || errno == ENOSYS)))

static void mounts(void) {
    CALL(SYS_mount, 0, 0, 0, 0, 0);
    CALL(SYS_umount2, NOWHERE, 0);
    CALL(SYS_pivot_root, NOWHERE, NOWHERE);
    CALL(SYS_chroot, NOWHERE);
    CALL(OPEN_TREE, -1, 0, -1);
    CALL(MOVE_MOUNT, -1, 0, -1, 0, -1);
    CALL(FSOPEN, 0, -1);
    CALL(FSCONFIG, -1, -1, 0, 0, 0);
    CALL(FSMOUNT, -1, -1, -1);
    CALL(FSPICK, -1, 0, -1);
    CALL(MOUNT_SETATTR, -1, 0, -1, 0, 0);
    CALL(SYS_swapon, 0, 0x7fffffff);
    CALL(SYS_swapoff, 0);
    CALL(SYS_quotactl, -1, 0, 0, 0);
    CALL(SYS_open_by_handle_at, -1, 0, 0);
    CALL(SYS_fanotify_init, 0x40000000, 0);
}

static void namespaces(void) {
    CALL(SYS_unshare, CLONE_NEWUSER);
    CALL(SYS_unshare, CLONE_NEWNS);
    CALL(SYS_unshare, CLONE_NEWNET);
    CALL(SYS_unshare, 0);
    CALL(SYS_setns, -1, 0);
    CALL(CLONE3, 0, 0);
    ATTEMPT("clone(CLONE_NEWUSER)", long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
            _exit(pid < 0));
    ATTEMPT("clone(CLONE_NEWNET)", long pid = syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0);
            _exit(pid < 0));
}

static void kernel(void) {
    CALL(SYS_bpf, -1, 0, 0);
    CALL(SYS_keyctl, 0, -3, 0);
    CALL(SYS_add_key, 0, 0, 0, 0, 0);
    CALL(SYS_request_key, 0, 0, 0, 0);
    CALL(SYS_io_uring_setup, 0, 0);
    CALL(SYS_io_uring_enter, -1, 0, 0, 0, 0, 0);
    CALL(SYS_io_uring_register, -1, 0, 0, 0);
    CALL(SYS_userfaultfd, 1 << 30);
    CALL(SYS_perf_event_open, 0, 0, -1, 0, 0);
    CALL(SYS_kexec_load, 0, 17, 0, 0);
    CALL(SYS_init_module, 0, 0, 0);
    CALL(SYS_finit_module, -1, 0, 0);
    CALL(SYS_delete_module, NOWHERE, 0);
    CALL(SYS_reboot, 0, 0, 0, 0);
    CALL(SYS_syslog, 10, 0, 0);
    CALL(SYS_acct, NOWHERE);
    CALL(SYS_clock_settime, 0, 0);
    CALL(SYS_settimeofday, 0, 0);
    CALL(SYS_sethostname, 0, 65);
    CALL(SYS_setdomainname, 0, 65);
    CALL(SYS_kcmp, -1, -1, 0, 0, 0);
    CALL(PIDFD_GETFD, -1, -1, 0);
    CALL(SYS_personality, 0x0400000);
    CALL(SYS_move_pages, -1, 0, 0, 0, 0, 0);
    CALL(SYS_mbind, 0, 0, 99, 0, 0, 0);
#ifdef __x86_64__
    CALL(SYS_iopl, 4);
    CALL(SYS_ioperm, 70000, 1, 1);
    /* The doors of other architectures: a filter that looks at numbers only would let these through. */
    ATTEMPT("int $0x80", long pid = 20; __asm__ volatile("int $0x80" : "+a"(pid)::"memory"); _exit(pid <= 0));
    ATTEMPT("x32", long pid = syscall(0x40000000 | SYS_getpid); _exit(pid <= 0));
#endif
}

static void sockets(void) {
    for (int family = 0; family < 64; family++) {
        char name[32];
        int pair[2];
        snprintf(name, sizeof name, "sockets of family %d", family);
        if (family != AF_UNIX && family != AF_INET && family != AF_INET6 && family != AF_NETLINK)
            ATTEMPT(name, _exit(socket(family, SOCK_STREAM, 0) < 0 && errno == EPERM));
        if (family != AF_UNIX) ATTEMPT(name, _exit(socketpair(family, SOCK_STREAM, 0, pair) < 0 && errno == EPERM));
    }
    ATTEMPT("AF_PACKET", _exit(socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EPERM));
    ATTEMPT("SOCK_RAW", _exit(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0 && errno == EPERM));
    ATTEMPT("a network device", struct ifreq lo = {.ifr_name = "lo"}; int fd = socket(AF_INET, SOCK_DGRAM, 0);
            _exit(ioctl(fd, SIOCGIFFLAGS, &lo) < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0));
    ATTEMPT("any device of the socket", int fd = socket(AF_INET, SOCK_STREAM, 0); int mark = 1;
            _exit(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0));
}

void calls(void) {
    mounts();
    namespaces();
    kernel();
    sockets();
}
