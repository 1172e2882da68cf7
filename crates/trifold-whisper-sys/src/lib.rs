//! Sealed whisper.cpp: bindings and guarded calls.
//!
//! [`raw`] are the C functions as they are, generated from `whisper.h`;
//! all their symbols carry the prefix `trifold_whisper_`. A C++ exception that
//! leaves a raw function ends the process: call the function of the same name in this crate's root
//! instead, which returns it as an [`EngineError`].
//!
//! Use the `trifold-whisper` crate for a safe API.
#![allow(unsafe_code)] // bindings

use std::ffi::c_void;

pub use trifold_runtime::EngineError;
use trifold_runtime::guard::LogFn;

#[allow(warnings, clippy::all, clippy::pedantic)] // generated from C headers
#[rustfmt::skip] // as bindgen writes it
mod bindings;
mod cancel;
#[allow(unused_imports, clippy::wildcard_imports)] // generated for whatever the bindings name
#[rustfmt::skip]
mod guarded;

/// The C functions and types, unguarded.
pub mod raw {
    pub use super::bindings::*;
}
pub use cancel::cancellable;
pub use guarded::*;

/// The signature of the shim's `cancelled_fn`.
type CancelledFn = extern "C" fn(*mut c_void) -> bool;

trifold_runtime::sealed_engine! {
    "whisper.cpp",
    cpu_level: trifold_whisper_cpu_level,
    start: |log| {
        unsafe extern "C" {
            fn trifold_whisper_start(log: LogFn, cancelled: CancelledFn);
        }
        // SAFETY: a function of the sealed object, with this signature; it keeps the pointers, which are
        // to functions and so live forever.
        unsafe { trifold_whisper_start(log, cancel::is_cancelled) }
    },
    terminate_handler: trifold_whisper_terminate_handler,
    host: trifold_whisper_host,
    open: trifold_whisper_open,
}
