/* How fast llama.cpp computes: prompts of 512 tokens and single tokens, in tokens a second.
 *
 *     decode MODEL [PLUGIN]
 *
 * The same file is compiled twice: against upstream's own headers and a static build of llama.cpp with CUDA
 * inside, and (-DTRIFOLD) against libtrifold-llama.so, which loads the plugin. */
#ifdef TRIFOLD
#include <trifold-llama.h>
#else
#include <ggml-backend.h>
#include <llama.h>
#endif

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PROMPT = 512, TOKENS = 128, ROUNDS = 5 };

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

static void decode(struct llama_context * context, llama_token * tokens, int count) {
    if (llama_decode(context, llama_batch_get_one(tokens, count)) != 0) {
        fputs("llama_decode failed\n", stderr);
        exit(1);
    }
}

int main(int count, char ** arguments) {
    if (count < 2) {
        fputs("usage: decode MODEL [PLUGIN]\n", stderr);
        return 2;
    }
#ifdef TRIFOLD
    if (trifold_llama_open(NULL) != 0) {
        fputs("This CPU is not supported\n", stderr);
        return 1;
    }
#endif
    if (count > 2 && ggml_backend_load(arguments[2]) == NULL) {
        fprintf(stderr, "Could not load: %s\n", arguments[2]);
        return 1;
    }
    struct llama_model_params model_params = llama_model_default_params();
    model_params.n_gpu_layers = 999;
    struct llama_model * model = llama_model_load_from_file(arguments[1], model_params);
    if (model == NULL) {
        fprintf(stderr, "Could not load: %s\n", arguments[1]);
        return 1;
    }
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = PROMPT + TOKENS + 64;
    params.n_batch = PROMPT;
    params.n_ubatch = PROMPT;
    struct llama_context * context = llama_init_from_model(model, params);
    if (context == NULL) {
        fputs("Could not make a context\n", stderr);
        return 1;
    }

    const int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
    llama_token tokens[PROMPT];
    for (int i = 0; i < PROMPT; i++) {
        tokens[i] = 3 + (i * 7919) % (vocabulary - 3);
    }
    double prompt[ROUNDS + 1], single[ROUNDS + 1];
    /* The first round is not counted: memory is taken, graphs are captured. */
    for (int round = 0; round <= ROUNDS; round++) {
        llama_memory_clear(llama_get_memory(context), true);
        double started = now();
        decode(context, tokens, PROMPT);
        llama_synchronize(context);
        prompt[round] = PROMPT / (now() - started);
        started = now();
        for (int i = 0; i < TOKENS; i++) {
            decode(context, &tokens[i], 1);
            llama_synchronize(context);
        }
        single[round] = TOKENS / (now() - started);
    }
    printf("{\"prompt\": %.2f, \"decode\": %.2f}\n", median(prompt + 1, ROUNDS), median(single + 1, ROUNDS));
    llama_free(context);
    llama_model_free(model);
    return 0;
}
