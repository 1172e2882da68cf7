// Included before ops.cpp, which is compiled small: the loops in which its attention spends its time come
// from inner_loops.cpp instead, which is compiled for speed and for each CPU level.
#pragma once

#include <cfloat>
#include <cmath>

#if __has_include("simd-gemm.h")
#include "simd-gemm.h"
#define TRIFOLD_GEMM 1
#endif
#include "vec.h"

// As the functions of ggml whose names they take.
#ifdef TRIFOLD_GEMM
void trifold_simd_gemm(float * c, const float * a, const float * b, int m, int k, int n);
#endif
void trifold_vec_add_f32(int n, float * z, const float * x, const float * y);
void trifold_vec_mad_f16(int n, ggml_fp16_t * y, const ggml_fp16_t * x, float v);
void trifold_vec_mad_f32(int n, float * y, const float * x, float v);
void trifold_vec_max_f32(int n, float * s, const float * x);
void trifold_vec_scale_f16(int n, ggml_fp16_t * y, float v);
void trifold_vec_scale_f32(int n, float * y, float v);

#ifndef TRIFOLD_INNER_LOOPS
#define simd_gemm trifold_simd_gemm
#define ggml_vec_add_f32 trifold_vec_add_f32
#define ggml_vec_mad_f16 trifold_vec_mad_f16
#define ggml_vec_mad_f32 trifold_vec_mad_f32
#define ggml_vec_max_f32 trifold_vec_max_f32
#define ggml_vec_scale_f16 trifold_vec_scale_f16
#define ggml_vec_scale_f32 trifold_vec_scale_f32
#endif
