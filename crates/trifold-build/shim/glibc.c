// What newer glibcs have and older ones lack, for extensions that must run on an older one
// (src/glibc.rs). Everything is hidden: a program around the extension keeps its glibc's own.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define OURS __attribute__((visibility("hidden")))

// glibc 2.33: the stat family became functions of their own; before, there was one with a version of
// the structure. 1 is that of x86-64.
struct stat;
struct stat64;
int __xstat(int version, const char * path, struct stat * out);
int __lxstat(int version, const char * path, struct stat * out);
int __fxstat(int version, int file, struct stat * out);
int __fxstatat(int version, int folder, const char * path, struct stat * out, int flags);
int __xstat64(int version, const char * path, struct stat64 * out);
int __lxstat64(int version, const char * path, struct stat64 * out);
int __fxstat64(int version, int file, struct stat64 * out);
int __fxstatat64(int version, int folder, const char * path, struct stat64 * out, int flags);

OURS int stat(const char * path, struct stat * out) { return __xstat(1, path, out); }
OURS int lstat(const char * path, struct stat * out) { return __lxstat(1, path, out); }
OURS int fstat(int file, struct stat * out) { return __fxstat(1, file, out); }
OURS int fstatat(int folder, const char * path, struct stat * out, int flags) {
    return __fxstatat(1, folder, path, out, flags);
}
OURS int stat64(const char * path, struct stat64 * out) { return __xstat64(1, path, out); }
OURS int lstat64(const char * path, struct stat64 * out) { return __lxstat64(1, path, out); }
OURS int fstat64(int file, struct stat64 * out) { return __fxstat64(1, file, out); }
OURS int fstatat64(int folder, const char * path, struct stat64 * out, int flags) {
    return __fxstatat64(1, folder, path, out, flags);
}

// glibc 2.32. libstdc++ leaves out atomic operations while it is 1; 0 is always right.
OURS char __libc_single_threaded = 0;

// glibc 2.30.
OURS pid_t gettid(void) { return (pid_t) syscall(SYS_gettid); }

// glibc 2.29.
OURS int getcpu(unsigned * cpu, unsigned * node) { return (int) syscall(SYS_getcpu, cpu, node, NULL); }

// glibc 2.30: waiting by another clock than that of the condition variable. The time that is left is
// the same by either clock.
OURS int pthread_cond_clockwait(pthread_cond_t * condition, pthread_mutex_t * mutex, clockid_t clock,
                           const struct timespec * until) {
    struct timespec theirs, ours;
    if (clock == CLOCK_REALTIME) {
        return pthread_cond_timedwait(condition, mutex, until);
    }
    if (clock_gettime(clock, &theirs) != 0 || clock_gettime(CLOCK_REALTIME, &ours) != 0) {
        return EINVAL;
    }
    ours.tv_sec += until->tv_sec - theirs.tv_sec;
    ours.tv_nsec += until->tv_nsec - theirs.tv_nsec;
    if (ours.tv_nsec < 0) {
        ours.tv_nsec += 1000000000;
        ours.tv_sec -= 1;
    } else if (ours.tv_nsec >= 1000000000) {
        ours.tv_nsec -= 1000000000;
        ours.tv_sec += 1;
    }
    return pthread_cond_timedwait(condition, mutex, &ours);
}

// glibc 2.25 and 2.36: randomness from the kernel, for std::random_device. Fails as the kernel's own
// call does: an old kernel has none.
OURS int getentropy(void * out, size_t size) {
    if (size > 256) {
        errno = EIO;
        return -1;
    }
    unsigned char * rest = out;
    while (size > 0) {
        long got = syscall(SYS_getrandom, rest, size, 0);
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            return -1;
        }
        rest += got;
        size -= (size_t) got;
    }
    return 0;
}

OURS uint32_t arc4random(void) {
    uint32_t number;
    if (getentropy(&number, sizeof number) != 0) {
        __builtin_trap(); // as glibc: there is no way to say that it failed
    }
    return number;
}

// glibc 2.38, for machines whose headers ask for C23's versions.
OURS long __isoc23_strtol(const char * text, char ** end, int base) {
    extern long strtol(const char *, char **, int);
    return strtol(text, end, base);
}
OURS unsigned long __isoc23_strtoul(const char * text, char ** end, int base) {
    extern unsigned long strtoul(const char *, char **, int);
    return strtoul(text, end, base);
}
OURS long long __isoc23_strtoll(const char * text, char ** end, int base) {
    extern long long strtoll(const char *, char **, int);
    return strtoll(text, end, base);
}
OURS unsigned long long __isoc23_strtoull(const char * text, char ** end, int base) {
    extern unsigned long long strtoull(const char *, char **, int);
    return strtoull(text, end, base);
}
OURS int __isoc23_sscanf(const char * text, const char * format, ...) {
    extern int __isoc99_vsscanf(const char *, const char *, va_list);
    va_list rest;
    va_start(rest, format);
    const int found = __isoc99_vsscanf(text, format, rest);
    va_end(rest);
    return found;
}
