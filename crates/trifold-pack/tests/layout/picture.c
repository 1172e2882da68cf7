/* Draws something red through stable-diffusion.cpp's own API. */
#include <trifold-diffusion.h>

#include <stdio.h>

int picture(const char * path) {
    if (trifold_diffusion_open(NULL) != 0) {
        return 1;
    }
    sd_ctx_params_t params;
    sd_ctx_params_init(&params);
    params.model_path = params.taesd_path = path;
    params.n_threads = 1;
    sd_ctx_t * context = new_sd_ctx(&params);
    if (context == NULL) {
        return 2;
    }
    sd_img_gen_params_t wanted;
    sd_img_gen_params_init(&wanted);
    wanted.prompt = "a red circle";
    wanted.width = wanted.height = 64;
    wanted.seed = 1;
    wanted.sample_params.sample_steps = 8;
    sd_image_t * image = generate_image(context, &wanted);
    if (image == NULL || image->data == NULL) {
        return 3;
    }
    unsigned long sums[3] = {0, 0, 0};
    const size_t pixels = (size_t) image->width * image->height;
    for (size_t at = 0; at < pixels * 3; at++) {
        sums[at % 3] += image->data[at];
    }
    printf("%ux%u, %s\n", image->width, image->height, sums[0] > sums[1] && sums[0] > sums[2] ? "red" : "not red");
    free_sd_images(image, 1);
    free_sd_ctx(context);
    return 0;
}
