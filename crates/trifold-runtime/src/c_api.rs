//! The way into a sealed engine from C: what a shared library of one engine has besides the engine's own API.

#![allow(unsafe_code)] // calls a function of whoever opens the library

use std::{ffi::c_char, sync::OnceLock};

use crate::{Engine, guard::LogFn};

static LOG: OnceLock<LogFn> = OnceLock::new();

/// Makes an engine ready, with its log connected to `log`. 0, or -1 if this CPU cannot run it, which is
/// logged.
#[doc(hidden)] // for the `sealed_engine!` macro
pub fn open(engine: &Engine, log: Option<LogFn>) -> i32 {
    if let Some(log) = log {
        // A second one is not taken: the engine may be running.
        let _ = LOG.set(log);
    }
    let Err(error) = engine.ready() else { return 0 };
    let mut text = error.to_string();
    if let Some(hint) = error.hint() {
        text = format!("{text}\nhint: {hint}");
    }
    text.push('\n');
    // SAFETY: the text lives until after the call.
    let taken = unsafe { pass_on(4, text.as_ptr().cast(), text.len()) };
    if !taken {
        tracing::error!("{text}");
    }
    -1
}

/// Hands a piece of log text to C, if C wants it.
///
/// # Safety
/// `text` must point to `length` readable bytes.
pub(crate) unsafe fn pass_on(level: i32, text: *const c_char, length: usize) -> bool {
    let Some(log) = LOG.get() else { return false };
    // SAFETY: the caller's promise, and that of who gave us the function: it takes any level and text.
    unsafe { log(level, text, length) };
    true
}
