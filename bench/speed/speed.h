/* What the programs of this folder have in common. Include it after the engine's header. */
#pragma once

#include <ggml-backend.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Between loading and measuring. In together.c, where it waits until all have come so far. */
#ifdef TOGETHER
void ready(void);
#else
static inline void ready(void) {}
#endif

static inline void fail(const char * what, const char * path) {
    fprintf(stderr, "%s: %s\n", what, path);
    exit(1);
}

static inline void * allocate(size_t count, size_t size) {
    void * memory = calloc(count, size);
    if (memory == NULL) {
        fputs("Out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

/* A command line: options, each with a value, then files. (getopt has one state for all threads.) */
struct command {
    int count;
    char ** words;
    int at;
};

/* The next option's letter, or 0 after the last; '?' for something else. */
static inline char option(struct command * command, const char ** value) {
    const char * word = command->at < command->count ? command->words[command->at] : "";
    if (word[0] != '-') {
        return 0;
    }
    if (strlen(word) != 2 || command->at + 1 == command->count) {
        return '?';
    }
    *value = command->words[command->at + 1];
    command->at += 2;
    return word[1];
}

/* Seconds. */
static inline double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + (double) time.tv_nsec * 1e-9;
}

static inline int compare(const void * one, const void * other) {
    const double a = *(const double *) one, b = *(const double *) other;
    return (a > b) - (a < b);
}

static inline double median(double * values, size_t count) {
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

/* What an engine gave, as a number to compare: FNV-1a, which begins with 0 here. */
static inline uint64_t digest(uint64_t hash, const void * bytes, size_t count) {
    hash ^= UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ ((const unsigned char *) bytes)[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* Brings an engine a backend; one that has it inside needs none. */
static inline void load_plugin(const char * path) {
    if (path != NULL && ggml_backend_load(path) == NULL) {
        fail("Could not load", path);
    }
}

/* Of all devices but the CPU, in bytes. */
static inline size_t free_memory(void) {
    size_t sum = 0;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        if (strcmp(ggml_backend_dev_name(device), "CPU") != 0) {
            size_t available, total;
            ggml_backend_dev_memory(device, &available, &total);
            sum += available;
        }
    }
    return sum;
}

/* Opens, uses and closes a model so many times, and says how much memory was free before and after. */
static inline void cycle(int cycles, void (*use)(const void * options), const void * options) {
    size_t before = 0;
    for (int i = 0; i < cycles; i++) {
        use(options);
        /* The first one starts the backend, which keeps some memory for the process. */
        if (i == 0) {
            before = free_memory();
        }
    }
    printf("{\"cycles\": %d, \"free_after_first\": %zu, \"free_after_last\": %zu}\n", cycles, before, free_memory());
}
