//! The only calls into the engine: thin owners of its objects, safe to use from the outside.
//!
//! What is promised here and relied on by every `SAFETY` comment: a handle's pointer came from the
//! engine and is freed once, on drop; whoever needs another object (a context its model, a sampler
//! its vocabulary) holds it; and what is not `Sync` is behind `&mut`.
#![allow(unsafe_code)] // the guarded calls are `unsafe fn`

mod batch;
mod chat;
mod context;
mod model;
mod sampler;

use std::{
    ffi::{CStr, c_char},
    sync::{Mutex, OnceLock, PoisonError},
};

use trifold_llama_sys as sys;
use trifold_runtime::EngineError;

pub(crate) use batch::Batch;
pub(crate) use chat::{ChatHandle, schema_to_grammar};
pub(crate) use context::{ContextHandle, ContextParams, Decoded};
pub(crate) use model::{LoadParams, Loaded, ModelHandle, VocabType};
pub(crate) use sampler::{Candidate, SamplerHandle, Stage};

/// What upstream wants called once before anything else. It cannot be undone and need not be.
fn start() -> Result<(), EngineError> {
    static STARTED: OnceLock<Result<(), EngineError>> = OnceLock::new();
    // SAFETY: no arguments; `OnceLock` keeps every other thread out until it is done.
    STARTED
        .get_or_init(|| unsafe { sys::llama_backend_init() })
        .clone()
}

pub(crate) fn llama_version() -> Result<String, EngineError> {
    // SAFETY: no arguments; gives a constant.
    unsafe { sys::llama_version().map(|text| owned(text).unwrap_or_default()) }
}

pub(crate) fn ggml_version() -> Result<String, EngineError> {
    // SAFETY: no arguments; gives a constant.
    unsafe { sys::ggml_version().map(|text| owned(text).unwrap_or_default()) }
}

pub(crate) fn ggml_commit() -> Result<String, EngineError> {
    // SAFETY: no arguments; gives a constant.
    unsafe { sys::ggml_commit().map(|text| owned(text).unwrap_or_default()) }
}

pub(crate) fn system_info() -> Result<String, EngineError> {
    // The engine writes it into one static string.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: no arguments; nobody else changes the string before it is copied.
    unsafe { sys::llama_print_system_info().map(|text| owned(text).unwrap_or_default()) }
}

/// The CPU level of the kernels in use.
pub(crate) fn cpu_level() -> Result<&'static str, EngineError> {
    Ok(sys::ENGINE.cpu()?.level)
}

/// Copies a C string; `None` for null.
///
/// # Safety
/// `text` must be null or point to a string that ends with a NUL.
unsafe fn owned(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not null, and the caller's promise.
    Some(
        unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned(),
    )
}

/// Calls a function that fills a buffer and returns the length it needs or used, until it fits.
///
/// `call` returns the number of bytes written, or minus the number needed.
fn filled<T: Copy + Default>(
    first_guess: usize,
    mut call: impl FnMut(*mut T, i32) -> Result<i32, EngineError>,
) -> Result<Option<Vec<T>>, EngineError> {
    let mut buffer = vec![T::default(); first_guess.max(1)];
    loop {
        let length = i32::try_from(buffer.len()).unwrap_or(i32::MAX);
        let used = call(buffer.as_mut_ptr(), length)?;
        if let Ok(used) = usize::try_from(used) {
            buffer.truncate(used);
            return Ok(Some(buffer));
        }
        let needed = used.unsigned_abs() as usize;
        // It asks for more than there can be, or for no more than it had.
        if used == i32::MIN || needed <= buffer.len() {
            return Ok(None);
        }
        buffer.resize(needed, T::default());
    }
}
