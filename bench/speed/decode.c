/* How fast llama.cpp computes: prompts of 512 tokens and 128 single tokens, in tokens a second, the medians of
 * five rounds. The options -n, -m and -r give other numbers.
 *
 *     decode [-p PLUGIN] [-t THREADS] [-g LAYERS] [-c CYCLES] [-n PROMPT] [-m TOKENS] [-r ROUNDS] MODEL
 *
 * With -g so many layers are on the GPU, without it all. With -c the model is opened, used and closed so many
 * times, and the GPU's free memory is printed before and after.
 *
 * The same file is compiled twice: against upstream's own headers and a static build of llama.cpp, with CUDA
 * inside or for this CPU, and (-DTRIFOLD) against libtrifold-llama.so, which loads the plugin, or chooses the
 * kernels of its best CPU level. */
#include "median.h"

#ifdef TRIFOLD
#include <trifold-llama.h>
#else
#include <ggml-backend.h>
#include <llama.h>
#endif

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

/* Tokens are below this, so that models with other vocabularies get the same. */
enum { VOCABULARY = 2000 };

static void decode(struct llama_context * context, llama_token * tokens, int count) {
    if (llama_decode(context, llama_batch_get_one(tokens, count)) != 0) {
        fputs("llama_decode failed\n", stderr);
        exit(1);
    }
}

static void * allocate(int count, size_t size) {
    void * memory = calloc((size_t) count, size);
    if (memory == NULL) {
        fputs("Out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

struct options {
    const char * model;
    int threads;
    int layers;
    int prompt;
    int tokens;
    int rounds;
};

static struct llama_context * open_model(const struct options * options, struct llama_model ** model) {
    struct llama_model_params model_params = llama_model_default_params();
    model_params.n_gpu_layers = options->layers;
    *model = llama_model_load_from_file(options->model, model_params);
    if (*model == NULL) {
        fprintf(stderr, "Could not load: %s\n", options->model);
        exit(1);
    }
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = (uint32_t) (options->prompt + options->tokens + 64);
    params.n_batch = (uint32_t) options->prompt;
    params.n_ubatch = (uint32_t) options->prompt;
    if (options->threads > 0) {
        params.n_threads = options->threads;
        params.n_threads_batch = options->threads;
    }
    struct llama_context * context = llama_init_from_model(*model, params);
    if (context == NULL) {
        fputs("Could not make a context\n", stderr);
        exit(1);
    }
    return context;
}

static void close_model(struct llama_context * context, struct llama_model * model) {
    llama_free(context);
    llama_model_free(model);
}

static llama_token * make_prompt(const struct options * options) {
    llama_token * tokens = allocate(options->prompt, sizeof *tokens);
    for (int i = 0; i < options->prompt; i++) {
        tokens[i] = 3 + (i * 7919) % (VOCABULARY - 3);
    }
    return tokens;
}

static void measure(const struct options * options) {
    struct llama_model * model;
    struct llama_context * context = open_model(options, &model);
    llama_token * tokens = make_prompt(options);
    double * prompt = allocate(options->rounds + 1, sizeof *prompt);
    double * single = allocate(options->rounds + 1, sizeof *single);
    /* The first round is not counted: memory is taken, graphs are captured. */
    for (int round = 0; round <= options->rounds; round++) {
        llama_memory_clear(llama_get_memory(context), true);
        double started = now();
        decode(context, tokens, options->prompt);
        llama_synchronize(context);
        prompt[round] = options->prompt / (now() - started);
        started = now();
        for (int i = 0; i < options->tokens; i++) {
            decode(context, &tokens[i % options->prompt], 1);
            llama_synchronize(context);
        }
        single[round] = options->tokens / (now() - started);
    }
    const size_t rounds = (size_t) options->rounds;
    printf("{\"prompt\": %.2f, \"decode\": %.2f}\n", median(prompt + 1, rounds), median(single + 1, rounds));
    free(single);
    free(prompt);
    free(tokens);
    close_model(context, model);
}

static size_t free_memory(void) {
    size_t available = 0, total;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        if (strncmp(ggml_backend_dev_name(device), "CUDA", 4) == 0) {
            ggml_backend_dev_memory(device, &available, &total);
        }
    }
    return available;
}

static void cycle(const struct options * options, int cycles) {
    size_t before = 0;
    llama_token * tokens = make_prompt(options);
    for (int i = 0; i < cycles; i++) {
        struct llama_model * model;
        struct llama_context * context = open_model(options, &model);
        decode(context, tokens, options->prompt < 8 ? options->prompt : 8);
        llama_synchronize(context);
        close_model(context, model);
        /* The first one starts CUDA, which keeps some memory for the process. */
        if (i == 0) {
            before = free_memory();
        }
    }
    free(tokens);
    printf("{\"cycles\": %d, \"free_after_first\": %zu, \"free_after_last\": %zu}\n", cycles, before, free_memory());
}

int main(int count, char ** arguments) {
    struct options options = {NULL, 0, 999, 512, 128, 5};
    const char * plugin = NULL;
    int cycles = 0;
    for (int option; (option = getopt(count, arguments, "p:t:g:c:n:m:r:")) != -1;) {
        switch (option) {
            case 'p': plugin = optarg; break;
            case 't': options.threads = atoi(optarg); break;
            case 'g': options.layers = atoi(optarg); break;
            case 'c': cycles = atoi(optarg); break;
            case 'n': options.prompt = atoi(optarg); break;
            case 'm': options.tokens = atoi(optarg); break;
            case 'r': options.rounds = atoi(optarg); break;
            default:  return 2;
        }
    }
    if (optind + 1 != count || options.prompt < 1 || options.tokens < 1 || options.rounds < 1) {
        fputs("usage: decode [-p PLUGIN] [-t THREADS] [-g LAYERS] [-c CYCLES] [-n PROMPT] [-m TOKENS] [-r ROUNDS] "
              "MODEL\n",
              stderr);
        return 2;
    }
    options.model = arguments[optind];
#ifdef TRIFOLD
    if (trifold_llama_open(NULL) != 0) {
        fputs("This CPU is not supported\n", stderr);
        return 1;
    }
#endif
    if (plugin != NULL && ggml_backend_load(plugin) == NULL) {
        fprintf(stderr, "Could not load: %s\n", plugin);
        return 1;
    }
    if (cycles > 0) {
        cycle(&options, cycles);
    } else {
        measure(&options);
    }
    return 0;
}
