// Included before ggml-cpu.c, whose threads wait for each other by spinning on _mm_pause().
//
// On a core that the thread waited for would need, spinning costs a factor of ten and more. Here a thread that
// has waited for 200,000 clock cycles (50 to 100 µs) sleeps for a moment, and so on. sched_yield instead would give
// the core away for a time slice, 3 ms and more, if another program has work for it.
#pragma once

#include <immintrin.h>
#include <time.h>
#include <x86intrin.h>

static inline void trifold_relax(void) {
    enum { SPIN = 200000, BREAK = 1000 };
    static __thread unsigned long long began, last;
    _mm_pause();
    unsigned long long now = __rdtsc();
    // A pause takes 200 cycles at most: after a break this is another wait.
    if (now - last > BREAK) {
        began = now;
    } else if (now - began > SPIN) {
        const struct timespec a_moment = {.tv_nsec = 50000};
        nanosleep(&a_moment, NULL);
        // So that a run of short waits, taken for one, costs no more than twice its time.
        began = now = __rdtsc();
    }
    last = now;
}

#define _mm_pause() trifold_relax()
