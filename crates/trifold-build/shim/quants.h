// Included before ggml-quants.c, which is compiled small: its loops in which engines do spend time are not. They
// read rows of weights (embeddings, on one thread), and quantise the other side of products with k-quants.
#pragma once

#include "ggml-quants.h"

#define TRIFOLD_FAST(function) extern __typeof__(function) function __attribute__((optimize("O2")))

TRIFOLD_FAST(dequantize_row_q4_0);
TRIFOLD_FAST(dequantize_row_q4_1);
TRIFOLD_FAST(dequantize_row_q5_0);
TRIFOLD_FAST(dequantize_row_q5_1);
TRIFOLD_FAST(dequantize_row_q8_0);
TRIFOLD_FAST(dequantize_row_q2_K);
TRIFOLD_FAST(dequantize_row_q3_K);
TRIFOLD_FAST(dequantize_row_q4_K);
TRIFOLD_FAST(dequantize_row_q5_K);
TRIFOLD_FAST(dequantize_row_q6_K);
TRIFOLD_FAST(dequantize_row_iq4_nl);
TRIFOLD_FAST(dequantize_row_iq4_xs);
#ifdef QK_MXFP4
TRIFOLD_FAST(dequantize_row_mxfp4);
#endif
TRIFOLD_FAST(quantize_row_q8_K_ref);
