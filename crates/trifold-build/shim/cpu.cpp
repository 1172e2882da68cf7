// The kernels of an engine: which CPU level they are for, and what stands for those that it has not.
#include "guard.hpp"

// Of the object with the choice of kernels, which the seal writes (src/seal/levels.rs).
extern "C" uint32_t ggml_trifold_cpu_level(int32_t level);

// Says which CPU levels there are kernels for, one bit each; chooses one unless `level` is negative. To be
// called before anything else.
extern "C" __attribute__((visibility("default"))) uint32_t TRIFOLD_NAME(cpu_level)(int32_t level) {
    return ggml_trifold_cpu_level(level);
}

extern "C" [[noreturn]] void ggml_abort(const char * file, int line, const char * format, ...);

// Stands for the kernels of operations that the engine puts into no graph (src/seal/unused.rs).
extern "C" [[noreturn]] void ggml_trifold_unused(void) {
    ggml_abort(__FILE__, __LINE__, "an operation in a graph that no function of the engine makes");
}
