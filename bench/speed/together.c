/* All three engines at once, in one process, on one GPU: what the other programs do, each on a thread of its own.
 *
 *     together -- DECODE'S ARGUMENTS -- TRANSCRIBE'S ARGUMENTS -- DRAW'S ARGUMENTS
 *
 * Each prints what it prints alone. They begin to measure together, when all three have loaded their models and
 * done one round.
 *
 * Compiled with the others (-DTRIFOLD -DTOGETHER), the main functions of which have other names: -Dmain=run_decode
 * and so on. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENGINES = 3 };

int run_decode(int count, char ** arguments);
int run_transcribe(int count, char ** arguments);
int run_draw(int count, char ** arguments);

struct engine {
    int (*run)(int count, char ** arguments);
    char ** arguments;
    int count;
};

static pthread_barrier_t all_are_ready;

void ready(void) {
    pthread_barrier_wait(&all_are_ready);
}

static void * run(void * given) {
    const struct engine * engine = given;
    const int status = engine->run(engine->count, engine->arguments);
    if (status != 0) {
        /* The others would wait for it. */
        exit(status);
    }
    return NULL;
}

int main(int count, char ** arguments) {
    struct engine engines[ENGINES] = {{.run = run_decode}, {.run = run_transcribe}, {.run = run_draw}};
    int found = 0;
    for (int i = 1; i < count && found <= ENGINES; i++) {
        if (strcmp(arguments[i], "--") == 0) {
            /* It stands for the program's name. */
            if (found++ < ENGINES) {
                engines[found - 1].arguments = &arguments[i];
            }
        }
        if (found >= 1 && found <= ENGINES) {
            engines[found - 1].count++;
        }
    }
    if (found != ENGINES) {
        fputs("usage: together -- DECODE'S ARGUMENTS -- TRANSCRIBE'S ARGUMENTS -- DRAW'S ARGUMENTS\n", stderr);
        return 2;
    }
    pthread_barrier_init(&all_are_ready, NULL, ENGINES);
    pthread_t threads[ENGINES];
    for (int i = 0; i < ENGINES; i++) {
        if (pthread_create(&threads[i], NULL, run, &engines[i]) != 0) {
            fputs("Could not start a thread\n", stderr);
            return 1;
        }
    }
    for (int i = 0; i < ENGINES; i++) {
        pthread_join(threads[i], NULL);
    }
    return 0;
}
