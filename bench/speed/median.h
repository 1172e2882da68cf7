/* What both programs measure by: a clock, and the median of a few rounds. */
#pragma once

#include <stdlib.h>
#include <time.h>

/* Seconds. */
static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + (double) time.tv_nsec * 1e-9;
}

static int compare(const void * one, const void * other) {
    const double a = *(const double *) one, b = *(const double *) other;
    return (a > b) - (a < b);
}

static double median(double * values, size_t count) {
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}
