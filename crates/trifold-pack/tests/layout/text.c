/* Goes on with a story, greedily, through llama.cpp's own API. */
#include <trifold-llama.h>

#include <stdio.h>
#include <string.h>

static size_t logged = 0;

static void on_log(int32_t level, const char * text, size_t length) {
    (void) level;
    (void) text;
    logged += length;
}

int text(const char * path) {
    if (trifold_llama_open(on_log) != 0) {
        return 1;
    }
    struct llama_model * model = llama_model_load_from_file(path, llama_model_default_params());
    if (model == NULL) {
        return 2;
    }
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = 256;
    params.n_threads = params.n_threads_batch = 1;
    struct llama_context * context = llama_init_from_model(model, params);
    const struct llama_vocab * vocab = llama_model_get_vocab(model);
    const char * prompt = "Once upon a time";
    llama_token tokens[64];
    int count = llama_tokenize(vocab, prompt, (int32_t) strlen(prompt), tokens, 64, true, false);
    struct llama_batch batch = llama_batch_get_one(tokens, count);
    for (int step = 0; step < 8; step++) {
        if (llama_decode(context, batch) != 0) {
            return 3;
        }
        const float * logits = llama_get_logits_ith(context, -1);
        llama_token best = 0;
        for (llama_token token = 1; token < llama_vocab_n_tokens(vocab); token++) {
            best = logits[token] > logits[best] ? token : best;
        }
        char piece[64];
        const int length = llama_token_to_piece(vocab, best, piece, sizeof(piece), 0, false);
        printf("%.*s", length, piece);
        tokens[0] = best;
        batch = llama_batch_get_one(tokens, 1);
    }
    printf("\nggml %s\n", ggml_version());
    llama_free(context);
    llama_model_free(model);
    return logged > 0 ? 0 : 4;
}
