// Included first where ggml asks the kernel for AMX, and complains if there is none. Not every CPU of the level has
// it: here the CPU is asked first.
#pragma once

#include <cpuid.h>

struct ggml_backend_buffer_type * ggml_backend_amx_buffer_type(void);

inline struct ggml_backend_buffer_type * trifold_amx_buffer_type(void) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    // AMX-TILE and AMX-INT8
    const bool has = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d >> 24 & 3) == 3;
    return has ? ggml_backend_amx_buffer_type() : nullptr;
}

#define ggml_backend_amx_buffer_type trifold_amx_buffer_type
