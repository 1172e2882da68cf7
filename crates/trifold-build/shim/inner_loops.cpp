#define TRIFOLD_INNER_LOOPS
#include "inner_loops.h"

#ifdef TRIFOLD_GEMM
void trifold_simd_gemm(float * c, const float * a, const float * b, int m, int k, int n) {
    simd_gemm(c, a, b, m, k, n);
}
#endif

void trifold_vec_add_f32(int n, float * z, const float * x, const float * y) {
    ggml_vec_add_f32(n, z, x, y);
}

void trifold_vec_mad_f16(int n, ggml_fp16_t * y, const ggml_fp16_t * x, float v) {
    ggml_vec_mad_f16(n, y, x, v);
}

void trifold_vec_mad_f32(int n, float * y, const float * x, float v) {
    ggml_vec_mad_f32(n, y, x, v);
}

void trifold_vec_max_f32(int n, float * s, const float * x) {
    ggml_vec_max_f32(n, s, x);
}

void trifold_vec_scale_f16(int n, ggml_fp16_t * y, float v) {
    ggml_vec_scale_f16(n, y, v);
}

void trifold_vec_scale_f32(int n, float * y, float v) {
    ggml_vec_scale_f32(n, y, v);
}
