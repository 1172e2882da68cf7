//! Sealed llama.cpp with mtmd: bindings and guarded calls.
//!
//! [`raw`] are the C functions as they are, generated from `llama.h`, `mtmd.h` and
//! `mtmd-helper.h`; all their symbols carry the prefix `trifold_llama_`. A C++ exception that
//! leaves a raw function ends the process: call the function of the same name in this crate's root
//! instead, which returns it as an [`EngineError`].
//!
//! Use the `trifold-llama` crate for a safe API.
#![allow(unsafe_code)] // bindings

pub use trifold_runtime::EngineError;

#[allow(warnings, clippy::all, clippy::pedantic)] // generated from C headers
#[rustfmt::skip] // as bindgen writes it
mod bindings;
#[allow(unused_imports, clippy::wildcard_imports)] // generated for whatever the bindings name
#[rustfmt::skip]
mod guarded;

/// The C functions and types, unguarded.
pub mod raw {
    pub use super::bindings::*;
}
pub use guarded::*;

trifold_runtime::sealed_engine! {
    "llama.cpp",
    cpu_level: trifold_llama_cpu_level,
    start: trifold_llama_start,
    terminate_handler: trifold_llama_terminate_handler,
    host: trifold_llama_host,
    open: trifold_llama_open,
}
