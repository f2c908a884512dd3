/* What the attacks share: each is tried in a process of its own, and says when it got through. */
#ifndef ATTACK_H
#define ATTACK_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs BODY in a child, which exits with 0 when the attack got through. */
#define ATTEMPT(name, body)                        \
    do {                                           \
        fflush(stdout);                            \
        pid_t child = fork();                      \
        if (child == 0) {                          \
            body;                                  \
            _exit(1);                              \
        }                                          \
        int status = 0;                            \
        if (child < 0 || waitpid(child, &status, 0) < 0) \
            printf("broken %s\n", name);           \
        else if (WIFEXITED(status) && WEXITSTATUS(status) == 0) \
            printf("reached %s\n", name);          \
    } while (0)

void calls(void);
void privileges(const char *self);
void files(void);
void limits(void);
void neighbours(int count, char **addresses);
void holds(int count, char **addresses);

#endif
