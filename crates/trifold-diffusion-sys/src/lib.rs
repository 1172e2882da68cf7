//! Sealed stable-diffusion.cpp: bindings and guarded calls.
