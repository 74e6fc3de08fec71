/*
 * The machine's wall clock, for one test: preloaded into the programs under test, it adds the seconds
 * in the file OFFSET to every reading of the time of day. The file is mapped, so that the clock of a
 * running program is set by writing to it. The steady clock and the files' times are left alone.
 *
 * A worker has an environment of its own, in which nothing is preloaded. So the program that asks for
 * its own path is told that of a script, AGAIN, which preloads this and starts the program.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset;

__attribute__((constructor)) static void map_the_offset(void) {
    int file = open(OFFSET, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) offset = mapped;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    int of_the_wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    if (result == 0 && of_the_wall && offset) now->tv_sec += *offset;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &precise);
    if (result == 0) {
        now->tv_sec = precise.tv_sec;
        now->tv_usec = precise.tv_nsec / 1000;
    }
    return result;
}

time_t time(time_t *now) {
    struct timespec precise;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0) return (time_t)-1;
    if (now) *now = precise.tv_sec;
    return precise.tv_sec;
}

ssize_t readlink(const char *restrict path, char *restrict buffer, size_t size) {
    if (strcmp(path, "/proc/self/exe") == 0) {
        size_t length = strlen(AGAIN) < size ? strlen(AGAIN) : size;
        memcpy(buffer, AGAIN, length);
        return (ssize_t)length;
    }
    return syscall(SYS_readlinkat, AT_FDCWD, path, buffer, size);
}
