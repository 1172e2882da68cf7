/* How fast stable-diffusion.cpp computes: milliseconds for one step of the sampler, and for a whole picture; the
 * medians of three rounds, or of -r ROUNDS.
 *
 *     draw [-p PLUGIN] [-t THREADS] [-c CYCLES] [-w WIDTH] [-s STEPS] [-r ROUNDS] MODEL
 *
 * Pictures are as high as wide: 512 pixels, or -w. MODEL has its tiny autoencoder inside. With -c the model is
 * opened, used and closed so many times, and the GPU's free memory is printed before and after.
 *
 * The same file is compiled twice: against upstream's own headers and a static build of stable-diffusion.cpp, and
 * (-DTRIFOLD) against libtrifold-diffusion.so, which loads the plugin. */
#ifdef TRIFOLD
#include <trifold-diffusion.h>
#else
#include <stable-diffusion.h>
#endif

#include "speed.h"

struct options {
    const char * model;
    int threads;
    int width;
    int steps;
    int rounds;
};

/* When the last step ended, and how long each took, in all rounds that count. */
struct steps {
    int wanted;
    double ended;
    double * took;
    size_t count;
};

/* Called before the first step, and after each. */
static void on_progress(int step, int steps, float time, void * data) {
    (void) time;
    struct steps * seen = data;
    /* What is loaded or decoded has its own progress. */
    if (steps != seen->wanted) {
        return;
    }
    const double at = now();
    if (step > 1) {
        seen->took[seen->count++] = (at - seen->ended) * 1e3;
    }
    seen->ended = at;
}

static sd_ctx_t * open_model(const struct options * options) {
    sd_ctx_params_t params;
    sd_ctx_params_init(&params);
    params.model_path = params.taesd_path = options->model;
    if (options->threads > 0) {
        params.n_threads = options->threads;
    }
    sd_ctx_t * context = new_sd_ctx(&params);
    if (context == NULL) {
        fail("Could not load", options->model);
    }
    return context;
}

static sd_image_t * draw(sd_ctx_t * context, const struct options * options) {
    sd_img_gen_params_t wanted;
    sd_img_gen_params_init(&wanted);
    wanted.prompt = "a house and a tree";
    wanted.width = wanted.height = options->width;
    wanted.seed = 5;
    wanted.sample_params.sample_steps = options->steps;
    sd_image_t * image = generate_image(context, &wanted);
    if (image == NULL || image->data == NULL) {
        fail("Could not draw with", options->model);
    }
    return image;
}

static uint64_t digest_of_picture(const sd_image_t * image) {
    return digest(0, image->data, (size_t) image->width * image->height * image->channel);
}

static void measure(const struct options * options) {
    sd_ctx_t * context = open_model(options);
    const size_t rounds = (size_t) options->rounds;
    double * call = allocate(rounds + 1, sizeof *call);
    struct steps seen = {options->steps, 0, allocate((rounds + 1) * (size_t) options->steps, sizeof(double)), 0};
    sd_set_progress_callback(on_progress, &seen);
    uint64_t output = 0;
    /* The first round is not counted: memory is taken. */
    for (size_t round = 0; round <= rounds; round++) {
        if (round == 1) {
            ready();
            seen.count = 0;
        }
        const double started = now();
        sd_image_t * image = draw(context, options);
        call[round] = (now() - started) * 1e3;
        output = digest_of_picture(image);
        free_sd_images(image, 1);
    }
    if (seen.count == 0) {
        fail("Saw no step of", options->model);
    }
    printf("{\"step\": %.3f, \"call\": %.3f, \"output\": \"%016llx\"}\n", median(seen.took, seen.count),
           median(call + 1, rounds), (unsigned long long) output);
    free(seen.took);
    free(call);
    free_sd_ctx(context);
}

static void use(const void * given) {
    const struct options * options = given;
    sd_ctx_t * context = open_model(options);
    free_sd_images(draw(context, options), 1);
    free_sd_ctx(context);
}

int main(int count, char ** arguments) {
    struct options options = {NULL, 0, 512, 8, 3};
    const char * plugin = NULL;
    int cycles = 0;
    struct command command = {count, arguments, 1};
    const char * value;
    for (char letter; (letter = option(&command, &value)) != 0;) {
        switch (letter) {
            case 'p': plugin = value; break;
            case 't': options.threads = atoi(value); break;
            case 'c': cycles = atoi(value); break;
            case 'w': options.width = atoi(value); break;
            case 's': options.steps = atoi(value); break;
            case 'r': options.rounds = atoi(value); break;
            default:  command.at = command.count + 1;
        }
    }
    if (command.at + 1 != count || options.width < 1 || options.steps < 1 || options.rounds < 1) {
        fputs("usage: draw [-p PLUGIN] [-t THREADS] [-c CYCLES] [-w WIDTH] [-s STEPS] [-r ROUNDS] MODEL\n", stderr);
        return 2;
    }
    options.model = arguments[command.at];
#ifdef TRIFOLD
    if (trifold_diffusion_open(NULL) != 0) {
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
