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
use trifold_runtime::{Engine, guard::LogFn};

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

/// stable-diffusion.cpp: entered only after a look at the CPU.
pub static ENGINE: Engine = Engine::new(
    "stable-diffusion.cpp",
    env!("TRIFOLD_CPU_LEVEL"),
    env!("TRIFOLD_CPU_FEATURES"),
    start,
);

/// How many symbols the sealed object defines: the API and its guarded forms. The build has read the
/// object back and found these and no other.
pub const SEALED_SYMBOLS: &str = env!("TRIFOLD_SEALED_SYMBOLS");

/// `aligned` or `pinned`: which ggml the engine was compiled against.
pub const GGML_MODE: &str = env!("TRIFOLD_MODE");

/// The signature of the shim's `unpack_fn`.
type UnpackFn = unsafe extern "C" fn(name: *const c_char, out: *mut u8, capacity: usize) -> usize;

fn start() {
    unsafe extern "C" {
        fn trifold_diffusion_start(log: LogFn, unpack: UnpackFn, hooks: *const watch::Hooks);
    }
    // SAFETY: a function of the sealed object, with this signature; it keeps the pointers, which
    // are to functions and to a static and so live forever.
    unsafe { trifold_diffusion_start(on_log, vocabulary::unpack, &raw const watch::HOOKS) }
}

/// The address of the process's C++ terminate handler: ggml would install its own, the seal keeps it
/// from doing so. For [`trifold_runtime::process::Snapshot`].
pub fn terminate_handler() -> usize {
    unsafe extern "C" {
        fn trifold_diffusion_terminate_handler() -> usize;
    }
    // SAFETY: a function of the sealed object that reads a global and returns a pointer.
    unsafe { trifold_diffusion_terminate_handler() }
}

unsafe extern "C" fn on_log(level: i32, text: *const c_char, length: usize) {
    // SAFETY: the shim passes a text and its length.
    unsafe { trifold_runtime::guard::receive_log("stable-diffusion.cpp", level, text, length) }
}
