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
#ifdef TRIFOLD
#include <trifold-llama.h>
#else
#include <llama.h>
#endif

#include "speed.h"

#include <stdbool.h>

/* Tokens are below this, so that models with other vocabularies get the same. */
enum { VOCABULARY = 2000 };

struct options {
    const char * model;
    int threads;
    int layers;
    int prompt;
    int tokens;
    int rounds;
};

static void decode(struct llama_context * context, llama_token * tokens, int count) {
    if (llama_decode(context, llama_batch_get_one(tokens, count)) != 0) {
        fputs("llama_decode failed\n", stderr);
        exit(1);
    }
}

static struct llama_context * open_model(const struct options * options, struct llama_model ** model) {
    struct llama_model_params model_params = llama_model_default_params();
    model_params.n_gpu_layers = options->layers;
    *model = llama_model_load_from_file(options->model, model_params);
    if (*model == NULL) {
        fail("Could not load", options->model);
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
        fail("Could not make a context of", options->model);
    }
    return context;
}

static void close_model(struct llama_context * context, struct llama_model * model) {
    llama_free(context);
    llama_model_free(model);
}

static llama_token * make_prompt(const struct options * options) {
    llama_token * tokens = allocate((size_t) options->prompt, sizeof *tokens);
    for (int i = 0; i < options->prompt; i++) {
        tokens[i] = 3 + (i * 7919) % (VOCABULARY - 3);
    }
    return tokens;
}

static uint64_t digest_of_logits(struct llama_context * context, const struct llama_model * model) {
    const size_t count = (size_t) llama_vocab_n_tokens(llama_model_get_vocab(model));
    return digest(0, llama_get_logits_ith(context, -1), count * sizeof(float));
}

static void measure(const struct options * options) {
    struct llama_model * model;
    struct llama_context * context = open_model(options, &model);
    llama_token * tokens = make_prompt(options);
    const size_t rounds = (size_t) options->rounds;
    double * prompt = allocate(rounds + 1, sizeof *prompt);
    double * single = allocate(rounds + 1, sizeof *single);
    /* The first round is not counted: memory is taken, graphs are captured. */
    for (size_t round = 0; round <= rounds; round++) {
        if (round == 1) {
            ready();
        }
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
    printf("{\"prompt\": %.2f, \"decode\": %.2f, \"output\": \"%016llx\"}\n", median(prompt + 1, rounds),
           median(single + 1, rounds), (unsigned long long) digest_of_logits(context, model));
    free(single);
    free(prompt);
    free(tokens);
    close_model(context, model);
}

static void use(const void * given) {
    const struct options * options = given;
    struct llama_model * model;
    struct llama_context * context = open_model(options, &model);
    llama_token * tokens = make_prompt(options);
    decode(context, tokens, options->prompt < 8 ? options->prompt : 8);
    llama_synchronize(context);
    free(tokens);
    close_model(context, model);
}

int main(int count, char ** arguments) {
    struct options options = {NULL, 0, 999, 512, 128, 5};
    const char * plugin = NULL;
    int cycles = 0;
    struct command command = {count, arguments, 1};
    const char * value;
    for (char letter; (letter = option(&command, &value)) != 0;) {
        switch (letter) {
            case 'p': plugin = value; break;
            case 't': options.threads = atoi(value); break;
            case 'g': options.layers = atoi(value); break;
            case 'c': cycles = atoi(value); break;
            case 'n': options.prompt = atoi(value); break;
            case 'm': options.tokens = atoi(value); break;
            case 'r': options.rounds = atoi(value); break;
            default:  command.at = command.count + 1;
        }
    }
    if (command.at + 1 != count || options.prompt < 1 || options.tokens < 1 || options.rounds < 1) {
        fputs("usage: decode [-p PLUGIN] [-t THREADS] [-g LAYERS] [-c CYCLES] [-n PROMPT] [-m TOKENS] [-r ROUNDS] "
              "MODEL\n",
              stderr);
        return 2;
    }
    options.model = arguments[command.at];
#ifdef TRIFOLD
    if (trifold_llama_open(NULL) != 0) {
        fputs("This CPU is not supported\n", stderr);
        return 1;
    }
#endif
    load_plugin(plugin);
    if (cycles > 0) {
        cycle(cycles, use, &options);
    } else {
        measure(&options);
    }
    return 0;
}
