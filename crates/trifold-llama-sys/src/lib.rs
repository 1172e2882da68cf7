//! Sealed llama.cpp with mtmd: bindings and guarded calls.
