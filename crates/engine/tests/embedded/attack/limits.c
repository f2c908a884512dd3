/* Limits that are raised, core dumps, and signals to others. */
#include "attack.h"
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void raised(const char *name, int which) {
    struct rlimit limit;
    if (getrlimit(which, &limit) < 0 || limit.rlim_max == RLIM_INFINITY) {
        printf("reached no limit of %s\n", name);
        return;
    }
    limit.rlim_max++;
    limit.rlim_cur = limit.rlim_max;
    ATTEMPT(name, _exit(setrlimit(which, &limit) < 0));
}

/* A program of the service's own may be as dumpable as it likes. */
static void dumped(int signal) {
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_DUMPABLE, 1);
        chdir("/tmp");
        raise(signal);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFSIGNALED(status)) printf("broken signal %d\n", signal);
    if (WCOREDUMP(status)) printf("reached a core dump\n");
    ATTEMPT("a core file", struct rlimit core; _exit(access("/tmp/core", F_OK) < 0 || getrlimit(RLIMIT_CORE, &core) < 0));
}

void limits(void) {
    raised("cores", RLIMIT_CORE);
    raised("open files", RLIMIT_NOFILE);
    ATTEMPT("real time", struct sched_param { int priority; } param = {1}; extern int sched_setscheduler(pid_t, int, void *);
            _exit(sched_setscheduler(0, 1, &param) < 0));
    ATTEMPT("a better place in the queue", _exit(setpriority(PRIO_PROCESS, 0, -5) < 0));
    dumped(SIGSEGV);
    dumped(SIGABRT);
}
