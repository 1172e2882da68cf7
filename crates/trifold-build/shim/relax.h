// Included before ggml-cpu.c, whose threads wait for each other by spinning on _mm_pause().
//
// On a core that the thread waited for would need, spinning costs a factor of ten and more. Here a
// thread that has spun for some microseconds lets others run; with a core of its own it returns at once.
#pragma once

#include <immintrin.h>
#include <sched.h>

static inline void trifold_relax(void) {
    static __thread unsigned spins;
    _mm_pause();
    if ((++spins & 0xff) == 0) {
        sched_yield();
    }
}

#define _mm_pause() trifold_relax()
