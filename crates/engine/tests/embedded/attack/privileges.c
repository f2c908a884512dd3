/* Becoming more than the service is: capabilities, users, the program with the setuid bit. */
#include "attack.h"
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

static int writes(const char *path, const char *text) {
    int fd = open(path, O_WRONLY);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static void capabilities(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++) {
        if (prctl(PR_CAPBSET_READ, cap) == 1) printf("reached capability %d in the bounding set\n", cap);
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1) printf("reached ambient %d\n", cap);
        ATTEMPT("raising a capability", struct __user_cap_data_struct data[2] = {0};
                data[cap / 32].effective = data[cap / 32].permitted = data[cap / 32].inheritable = 1u << cap % 32;
                _exit(syscall(SYS_capset, &header, data) < 0));
        ATTEMPT("raising an inheritable one", struct __user_cap_data_struct data[2] = {0};
                data[cap / 32].inheritable = 1u << cap % 32; _exit(syscall(SYS_capset, &header, data) < 0));
    }
    struct __user_cap_data_struct data[2] = {0};
    if (syscall(SYS_capget, &header, data) < 0 || data[0].effective | data[0].permitted | data[0].inheritable |
                                                      data[1].effective | data[1].permitted | data[1].inheritable)
        printf("reached a capability\n");
}

static void confined(void) {
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) printf("reached no_new_privs being off\n");
    if (prctl(PR_GET_SECCOMP) != 2) printf("reached life without a filter\n");
    if (prctl(PR_GET_SECUREBITS) & 1 << 4) printf("reached keeping capabilities\n");
    ATTEMPT("no_new_privs taken back", _exit(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) < 0));
    ATTEMPT("the filter taken back", _exit(prctl(PR_SET_SECCOMP, 0, 0, 0, 0) < 0));
}

static void users(void) {
    if (geteuid() != 0) {
        ATTEMPT("user 0", _exit(setresuid(0, 0, 0) < 0));
        ATTEMPT("group 0", _exit(setresgid(0, 0, 0) < 0));
    } else {
        ATTEMPT("another user", _exit(setresuid(1, 1, 1) < 0));
        ATTEMPT("giving a file away", int fd = open("/tmp/given", O_CREAT | O_WRONLY, 0600); _exit(fchown(fd, 1, 1) < 0));
    }
    ATTEMPT("other groups", gid_t group = 33; _exit(setgroups(1, &group) < 0));
    ATTEMPT("an id beyond the range", _exit(setresuid(70000, 70000, 70000) < 0));
    ATTEMPT("a wider map of users", _exit(!writes("/proc/self/uid_map", "0 0 4294967295\n")));
    ATTEMPT("a wider map of groups", _exit(!writes("/proc/self/gid_map", "0 0 4294967295\n")));
    ATTEMPT("a lower oom score", _exit(!writes("/proc/self/oom_score_adj", "-1000")));
    ATTEMPT("a device node", _exit(mknod("/tmp/node", S_IFCHR | 0666, makedev(1, 1)) < 0));
}

/* Programs of the image that would make their caller root, or give it a capability. */
static void programs(void) {
    ATTEMPT("what a setuid program is", execl("/bin/setuid", "setuid", "identity", NULL); _exit(1));
    ATTEMPT("what a program with capabilities is", execl("/bin/capable", "capable", "identity", NULL); _exit(1));
}

void privileges(const char *self) {
    if (strcmp(self, "setuid") == 0 || strcmp(self, "capable") == 0) {
        /* Exits with 0 when it is more than its caller. */
        struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
        struct __user_cap_data_struct data[2] = {0};
        syscall(SYS_capget, &header, data);
        _exit(geteuid() == getuid() && getegid() == getgid() && !(data[0].effective | data[1].effective));
    }
    capabilities();
    confined();
    users();
    programs();
}
