/* A dynamic loader as a hostile image brings one: whatever program of the host is started in the container, this runs
   first. It tries to open that program for writing. */
static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

void _start(void) {
    static const char ran[] = "loader ran\n", wrote[] = "reached the program\n";
    call(1, 1, (long)ran, sizeof ran - 1);
    long fd = call(2, (long)"/proc/self/exe", 1, 0);
    /* Busy is as good as open: it passes as soon as the program ends. */
    if (fd >= 0 || fd == -26) call(1, 1, (long)wrote, sizeof wrote - 1);
    call(231, 0, 0, 0);
}
