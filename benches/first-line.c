// The benchmark's service: writes one line with the time at which it writes it, and exits; or stays, with an argument.
// Static, so that nothing but the engine's own work lies between the request and the line.
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static void leave(int signal) {
    (void)signal;
    _exit(0);
}

int main(int count, char **arguments) {
    (void)arguments;
    struct timespec now;
    char line[64];
    clock_gettime(CLOCK_REALTIME, &now);
    int length = snprintf(line, sizeof line, "first-line %lld\n", (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    if (write(1, line, (size_t)length) != length) return 1;
    if (count > 1) {
        signal(SIGTERM, leave);
        for (;;) pause();
    }
    return 0;
}
