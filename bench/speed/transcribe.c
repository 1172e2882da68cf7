/* How fast whisper.cpp computes: milliseconds for the encoder (one window of 30 s), for one token of the decoder,
 * for choosing all tokens, and for the whole call; the medians of five rounds, or of -r ROUNDS.
 *
 *     transcribe [-t THREADS] [-m TOKENS] [-r ROUNDS] MODEL RECORDING
 *
 * Without -m as many tokens as the model has to say. With it at most so many, all text and no times, which is for
 * random models: then every build computes the same. RECORDING is 16-bit PCM, mono, 16 kHz, at most 30 s.
 *
 * The same file is compiled twice: against upstream's own headers and a static build of whisper.cpp, and
 * (-DTRIFOLD) against libtrifold-whisper.so. */
#include "median.h"

#ifdef TRIFOLD
#include <trifold-whisper.h>
#else
#include <whisper.h>
#endif

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

/* Of RIFF, as programs write it that add nothing of their own. */
enum { HEADER = 44 };

static void fail(const char * what, const char * path) {
    fprintf(stderr, "%s: %s\n", what, path);
    exit(1);
}

static void * allocate(size_t count, size_t size) {
    void * memory = calloc(count, size);
    if (memory == NULL) {
        fputs("Out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

static float * read_recording(const char * path, int * count) {
    FILE * file = fopen(path, "rb");
    if (file == NULL) {
        fail("Could not open", path);
    }
    unsigned char header[HEADER];
    if (fread(header, 1, HEADER, file) != HEADER || memcmp(header, "RIFF", 4) != 0 || memcmp(header + 36, "data", 4) != 0) {
        fail("Expected a WAV file with a header of 44 bytes at", path);
    }
    const int most = 30 * WHISPER_SAMPLE_RATE;
    int16_t * raw = allocate((size_t) most, sizeof *raw);
    *count = (int) fread(raw, sizeof *raw, (size_t) most, file);
    fclose(file);
    float * samples = allocate((size_t) most, sizeof *samples);
    for (int i = 0; i < *count; i++) {
        samples[i] = (float) raw[i] / 32768.0f;
    }
    free(raw);
    return samples;
}

struct options {
    const char * model;
    const char * recording;
    int threads;
    int tokens;
    int rounds;
};

static struct whisper_full_params parameters(const struct options * options) {
    struct whisper_full_params params = whisper_full_default_params(WHISPER_SAMPLING_GREEDY);
    params.language = "en";
    params.print_progress = false;
    /* The first attempt is the only one, whatever it gives. */
    params.temperature_inc = 0.0f;
    if (options->threads > 0) {
        params.n_threads = options->threads;
    }
    if (options->tokens > 0) {
        params.max_tokens = options->tokens;
        params.no_timestamps = true;
        params.single_segment = true;
    }
    return params;
}

static void measure(const struct options * options) {
    int count;
    float * samples = read_recording(options->recording, &count);
    struct whisper_context * context =
        whisper_init_from_file_with_params(options->model, whisper_context_default_params());
    if (context == NULL) {
        fail("Could not load", options->model);
    }
    const struct whisper_full_params params = parameters(options);
    const size_t rounds = (size_t) options->rounds;
    double * encode = allocate(rounds + 1, sizeof *encode), * decode = allocate(rounds + 1, sizeof *decode);
    double * sample = allocate(rounds + 1, sizeof *sample), * call = allocate(rounds + 1, sizeof *call);
    /* The first round is not counted: memory is taken. */
    for (size_t round = 0; round <= rounds; round++) {
        whisper_reset_timings(context);
        const double started = now();
        if (whisper_full(context, params, samples, count) != 0) {
            fail("Could not transcribe", options->recording);
        }
        call[round] = (now() - started) * 1e3;
        /* Made anew by each call; upstream has no function to free it, and so it stays. */
        const struct whisper_timings * timings = whisper_get_timings(context);
        encode[round] = timings->encode_ms;
        decode[round] = timings->decode_ms;
        sample[round] = timings->sample_ms;
    }
    printf("{\"encode\": %.3f, \"decode\": %.4f, \"sample\": %.4f, \"call\": %.3f}\n", median(encode + 1, rounds),
           median(decode + 1, rounds), median(sample + 1, rounds), median(call + 1, rounds));
    free(call);
    free(sample);
    free(decode);
    free(encode);
    free(samples);
    whisper_free(context);
}

int main(int count, char ** arguments) {
    struct options options = {NULL, NULL, 0, 0, 5};
    for (int option; (option = getopt(count, arguments, "t:m:r:")) != -1;) {
        switch (option) {
            case 't': options.threads = atoi(optarg); break;
            case 'm': options.tokens = atoi(optarg); break;
            case 'r': options.rounds = atoi(optarg); break;
            default:  return 2;
        }
    }
    if (optind + 2 != count || options.rounds < 1) {
        fputs("usage: transcribe [-t THREADS] [-m TOKENS] [-r ROUNDS] MODEL RECORDING\n", stderr);
        return 2;
    }
    options.model = arguments[optind];
    options.recording = arguments[optind + 1];
#ifdef TRIFOLD
    if (trifold_whisper_open(NULL) != 0) {
        fputs("This CPU is not supported\n", stderr);
        return 1;
    }
#endif
    measure(&options);
    return 0;
}
