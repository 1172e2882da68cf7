/* How fast whisper.cpp computes: milliseconds for the encoder (one window of 30 s), for one token of the decoder,
 * for choosing all tokens, and for the whole call; the medians of five rounds, or of -r ROUNDS.
 *
 *     transcribe [-p PLUGIN] [-t THREADS] [-c CYCLES] [-m TOKENS] [-r ROUNDS] MODEL RECORDING
 *
 * Without -m as many tokens as the model has to say. With it at most so many, all text and no times, which is for
 * random models: then every build computes the same. RECORDING is 16-bit PCM, mono, 16 kHz, at most 30 s.
 *
 * With -c the model is opened, used and closed so many times, and the GPU's free memory is printed before and
 * after.
 *
 * The same file is compiled twice: against upstream's own headers and a static build of whisper.cpp, and
 * (-DTRIFOLD) against libtrifold-whisper.so, which loads the plugin. */
#ifdef TRIFOLD
#include <trifold-whisper.h>
#else
#include <whisper.h>
#endif

#include "speed.h"

#include <stdbool.h>

/* Of RIFF, as programs write it that add nothing of their own. */
enum { HEADER = 44 };

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

static struct whisper_context * open_model(const struct options * options) {
    struct whisper_context * context =
        whisper_init_from_file_with_params(options->model, whisper_context_default_params());
    if (context == NULL) {
        fail("Could not load", options->model);
    }
    return context;
}

static void transcribe(struct whisper_context * context, const struct options * options, const float * samples,
                       int count) {
    if (whisper_full(context, parameters(options), samples, count) != 0) {
        fail("Could not transcribe", options->recording);
    }
}

static uint64_t digest_of_text(struct whisper_context * context) {
    uint64_t hash = 0;
    for (int i = 0; i < whisper_full_n_segments(context); i++) {
        const char * text = whisper_full_get_segment_text(context, i);
        hash = digest(hash, text, strlen(text));
    }
    return hash;
}

static void measure(const struct options * options) {
    int count;
    float * samples = read_recording(options->recording, &count);
    struct whisper_context * context = open_model(options);
    const size_t rounds = (size_t) options->rounds;
    double * encode = allocate(rounds + 1, sizeof *encode), * decode = allocate(rounds + 1, sizeof *decode);
    double * sample = allocate(rounds + 1, sizeof *sample), * call = allocate(rounds + 1, sizeof *call);
    /* The first round is not counted: memory is taken. */
    for (size_t round = 0; round <= rounds; round++) {
        if (round == 1) {
            ready();
        }
        whisper_reset_timings(context);
        const double started = now();
        transcribe(context, options, samples, count);
        call[round] = (now() - started) * 1e3;
        /* Made anew by each call; upstream has no function to free it, and so it stays. */
        const struct whisper_timings * timings = whisper_get_timings(context);
        encode[round] = timings->encode_ms;
        decode[round] = timings->decode_ms;
        sample[round] = timings->sample_ms;
    }
    printf("{\"encode\": %.3f, \"decode\": %.4f, \"sample\": %.4f, \"call\": %.3f, \"output\": \"%016llx\"}\n",
           median(encode + 1, rounds), median(decode + 1, rounds), median(sample + 1, rounds),
           median(call + 1, rounds), (unsigned long long) digest_of_text(context));
    free(call);
    free(sample);
    free(decode);
    free(encode);
    free(samples);
    whisper_free(context);
}

static void use(const void * given) {
    const struct options * options = given;
    int count;
    float * samples = read_recording(options->recording, &count);
    struct whisper_context * context = open_model(options);
    transcribe(context, options, samples, count);
    whisper_free(context);
    free(samples);
}

int main(int count, char ** arguments) {
    struct options options = {NULL, NULL, 0, 0, 5};
    const char * plugin = NULL;
    int cycles = 0;
    struct command command = {count, arguments, 1};
    const char * value;
    for (char letter; (letter = option(&command, &value)) != 0;) {
        switch (letter) {
            case 'p': plugin = value; break;
            case 't': options.threads = atoi(value); break;
            case 'c': cycles = atoi(value); break;
            case 'm': options.tokens = atoi(value); break;
            case 'r': options.rounds = atoi(value); break;
            default:  command.at = command.count + 1;
        }
    }
    if (command.at + 2 != count || options.rounds < 1) {
        fputs("usage: transcribe [-p PLUGIN] [-t THREADS] [-c CYCLES] [-m TOKENS] [-r ROUNDS] MODEL RECORDING\n",
              stderr);
        return 2;
    }
    options.model = arguments[command.at];
    options.recording = arguments[command.at + 1];
#ifdef TRIFOLD
    if (trifold_whisper_open(NULL) != 0) {
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
