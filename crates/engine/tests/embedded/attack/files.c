/* What lies about in the container: descriptors, /proc, devices, the root. */
#include "attack.h"
#include <dirent.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static void descriptors(void) {
    for (int fd = 3; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0) printf("reached descriptor %d\n", fd);
    for (int fd = 0; fd < 3; fd++) {
        struct stat data;
        if (fstat(fd, &data) < 0 || S_ISDIR(data.st_mode)) printf("reached a directory at %d\n", fd);
        ATTEMPT("something beside a standard stream", _exit(openat(fd, "..", O_PATH) < 0));
    }
}

static void readable(const char *path) {
    char byte;
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    if (fd >= 0 && read(fd, &byte, 1) > 0) printf("reached reading %s\n", path);
    if (fd >= 0) close(fd);
}

static void writable(const char *path) {
    int fd = open(path, O_WRONLY | O_NONBLOCK);
    if (fd >= 0) {
        printf("reached writing %s\n", path);
        close(fd);
    }
}

static void proc(void) {
    static const char *const secret[] = {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts",
        "/proc/sched_debug", "/proc/latency_stats", "/proc/kmsg", "/proc/kpagecount", "/proc/kpageflags",
        "/proc/vmallocinfo", "/proc/slabinfo", "/proc/1/mem", "/dev/mem", "/dev/kmsg", "/dev/port", "/dev/sda",
        "/sys/kernel/notes", "/sys/fs/cgroup/cgroup.procs"};
    static const char *const fixed[] = {"/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/hostname", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/shmmax", "/proc/sys/fs/binfmt_misc/register",
        "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/ping_group_range", "/proc/sys/vm/overcommit_memory",
        "/proc/bus/pci/00/00.0", "/proc/irq/0/smp_affinity", "/proc/fs/ext4", "/proc/scsi/scsi", "/proc/acpi/wakeup",
        "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/bin/attack", "/sys/power/state"};
    for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
        if (strcmp(secret[i], "/proc/1/mem") != 0) readable(secret[i]);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) writable(fixed[i]);
    ATTEMPT("the root of the supervisor", _exit(chdir("/proc/1/root/../bundle") < 0));
    ATTEMPT("a file in the root", _exit(open("/new", O_CREAT | O_WRONLY, 0600) < 0));
    ATTEMPT("a file in /sys", _exit(open("/sys/new", O_CREAT | O_WRONLY, 0600) < 0));
    ATTEMPT("a way up", for (int i = 0; i < 64; i++) if (chdir("..") < 0) _exit(1);
            _exit(access("bundle", F_OK) < 0 && access("layers", F_OK) < 0));
    readable("/zero");
    readable("/block");
}

/* Where the container is among the cgroups of the host. */
static void cgroups(void) {
    char line[4096];
    FILE *file = fopen("/proc/self/cgroup", "r");
    while (file && fgets(line, sizeof line, file)) {
        char *path = strrchr(line, ':');
        if (!path || strcmp(path, ":/\n") != 0) printf("reached %s", line);
    }
}

/* Exactly these, and nothing else under /dev. */
static void devices(void) {
    static const struct { const char *name; unsigned major, minor; } known[] = {
        {"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
    static const char *const other[] = {".", "..", "core", "fd", "stdin", "stdout", "stderr", "ptmx", "pts", "shm", "mqueue"};
    DIR *dir = opendir("/dev");
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        int expected = 0;
        for (size_t i = 0; i < sizeof other / sizeof *other; i++) expected |= strcmp(entry->d_name, other[i]) == 0;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) expected |= strcmp(entry->d_name, known[i].name) == 0;
        if (!expected) printf("reached /dev/%s\n", entry->d_name);
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char path[32];
        struct stat data;
        snprintf(path, sizeof path, "/dev/%s", known[i].name);
        if (lstat(path, &data) < 0 || !S_ISCHR(data.st_mode) || data.st_rdev != makedev(known[i].major, known[i].minor))
            printf("reached another %s\n", path);
    }
    ATTEMPT("a terminal of the host", _exit(open("/dev/tty", O_RDWR) < 0));
    ATTEMPT("typing for somebody", char byte = 'x'; _exit(ioctl(0, TIOCSTI, &byte) < 0));
}

void files(void) {
    descriptors();
    proc();
    cgroups();
    devices();
}
