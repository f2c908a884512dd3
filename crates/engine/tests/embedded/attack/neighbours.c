/* Others: their processes, their loopback, their abstract sockets, their memory and messages. */
#include "attack.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <mqueue.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>

/* `abstract:NAME` or `ADDRESS:PORT`. */
static int connects(char *where) {
    char *colon = strrchr(where, ':');
    *colon++ = 0;
    if (strcmp(where, "abstract") == 0) {
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(colon);
        memcpy(to.sun_path + 1, colon, strlen(colon));
        return connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&to, length) == 0;
    }
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(colon))};
    inet_pton(AF_INET, where, &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {.tv_usec = 400000};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return connect(fd, (void *)&to, sizeof to) == 0;
}

static void processes(void) {
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        int pid = atoi(entry->d_name);
        if (pid > 0 && pid != getpid() && pid != 1) printf("reached process %d\n", pid);
    }
    if (getppid() > 1 || getpgid(0) == 0) printf("reached a process group outside\n");
    for (int pid = 100; pid < 40000; pid++)
        if (kill(pid, 0) == 0 || errno == EPERM) printf("reached process %d of others\n", pid);
    ATTEMPT("tracing another", for (int pid = 100; pid < 5000; pid++) if (ptrace(PTRACE_ATTACH, pid, 0, 0) == 0) _exit(0);
            _exit(1));
}

static void memory(void) {
    for (int id = 0; id < 64; id++) {
        struct shmid_ds data;
        if (shmctl(id, IPC_STAT, &data) == 0 || errno == EACCES) printf("reached a segment of others\n");
    }
    if (shmget(0x6d6b, 0, 0) >= 0) printf("reached the segment 0x6d6b\n");
    if (mq_open("/meshkeep-canary", O_RDONLY) != (mqd_t)-1) printf("reached a queue\n");
    if (access("/dev/shm/meshkeep-canary", F_OK) == 0) printf("reached shared memory\n");
}

void neighbours(int count, char **addresses) {
    processes();
    memory();
    for (int i = 0; i < count; i++) {
        char *name = strdup(addresses[i]);
        if (connects(name)) printf("reached %s\n", addresses[i]);
    }
}

/* The other side: holds all of it until it is killed, and shows that it can be reached from within. */
void holds(int count, char **addresses) {
    for (int i = 0; i < count; i++) {
        char *where = strdup(addresses[i]), *colon = strrchr(where, ':');
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
        int abstract = strncmp(where, "abstract", 8) == 0;
        int fd = socket(abstract ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
        *colon++ = 0;
        memcpy(un.sun_path + 1, colon, strlen(colon));
        inet_pton(AF_INET, where, &in.sin_addr);
        int bound = abstract ? bind(fd, (void *)&un, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(colon))
                             : bind(fd, (void *)&in, sizeof in);
        if (bound < 0 || listen(fd, 16) < 0) printf("broken %s\n", addresses[i]);
    }
    shmget(0x6d6b, 4096, IPC_CREAT | 0666);
    mq_open("/meshkeep-canary", O_CREAT | O_RDWR, 0666, NULL);
    close(open("/dev/shm/meshkeep-canary", O_CREAT | O_WRONLY, 0666));
    neighbours(count, addresses);
    puts("up");
    fflush(stdout);
    pause();
}
