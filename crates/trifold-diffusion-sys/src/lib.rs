//! Sealed stable-diffusion.cpp: bindings and guarded calls.
//!
//! [`raw`] are the C functions as they are, generated from `stable-diffusion.h`;
//! all their symbols carry the prefix `trifold_diffusion_`. A C++ exception that
//! leaves a raw function ends the process: call the function of the same name in this crate's root
//! instead, which returns it as an [`EngineError`].
//!
//! Use the `trifold-diffusion` crate for a safe API.
#![allow(unsafe_code)] // bindings

use std::ffi::c_char;

pub use trifold_runtime::EngineError;
use trifold_runtime::guard::LogFn;

#[allow(warnings, clippy::all, clippy::pedantic)] // generated from C headers
#[rustfmt::skip]
mod bindings;
#[allow(unused_imports, clippy::wildcard_imports)] // generated for whatever the bindings name
#[rustfmt::skip]
mod guarded;
pub mod env;
mod vocabulary;
#[cfg(any(test, not(feature = "vocabularies")))]
mod vocabulary_file;
mod watch;

/// The C functions and types, unguarded.
pub mod raw {
    pub use super::bindings::*;
}
pub use guarded::*;
pub use vocabulary::{VOCABULARIES_SECTION, VocabulariesError, noting_vocabularies};
pub use watch::{Watch, watch};

/// The signature of the shim's `unpack_fn`.
type UnpackFn = unsafe extern "C" fn(name: *const c_char, out: *mut u8, capacity: usize) -> usize;

trifold_runtime::sealed_engine! {
    "stable-diffusion.cpp",
    cpu_level: trifold_diffusion_cpu_level,
    start: |log| {
        unsafe extern "C" {
            fn trifold_diffusion_start(log: LogFn, unpack: UnpackFn, hooks: *const watch::Hooks);
        }
        // SAFETY: a function of the sealed object, with this signature; it keeps the pointers, which
        // are to functions and to a static and so live forever.
        unsafe { trifold_diffusion_start(log, vocabulary::unpack, &raw const watch::HOOKS) }
    },
    terminate_handler: trifold_diffusion_terminate_handler,
    host: trifold_diffusion_host,
    open: trifold_diffusion_open,
}
