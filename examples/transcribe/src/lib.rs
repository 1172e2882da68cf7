//! transcribe.cpp, sealed by trifold: a fourth engine, with a ggml of its own, beside the other three.
//!
//! The whole wrapper: `engines.toml` says what it is made of, `build.rs` has it compiled and sealed,
//! `cargo xtask bindings` writes the bindings, and this file is the safe API.

use std::{ffi::CStr, ffi::CString, path::Path, ptr};

pub use trifold_runtime::EngineError;

#[allow(warnings)] // generated from C headers
#[rustfmt::skip]
mod bindings;
#[allow(unused_imports)]
#[rustfmt::skip]
mod guarded;

trifold_runtime::sealed_engine! {
    "transcribe.cpp",
    cpu_level: trifold_transcribe_cpu_level,
    start: trifold_transcribe_start,
    terminate_handler: trifold_transcribe_terminate_handler,
}

/// Why a transcription failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine was stopped by an exception or one of its own checks.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine refused, in its own words.
    #[error("transcribe.cpp refused: {0}")]
    Refused(String),
}

/// A loaded model. It is freed when dropped.
pub struct Session(*mut bindings::transcribe_session);

// SAFETY: the engine binds a session to no thread; `&mut` keeps calls apart.
unsafe impl Send for Session {}

impl Session {
    /// Loads a model: whisper's `.bin`, or a GGUF of any family that the engine knows.
    pub fn open(path: &Path, threads: u16) -> Result<Self, Error> {
        let text = path.as_os_str().as_encoded_bytes();
        let path = CString::new(text).map_err(|_| Error::Refused("a NUL in the path".into()))?;
        let mut session = ptr::null_mut();
        // SAFETY: plain structs, which the engine fills in before they are read; all live through the call.
        let status = unsafe {
            let (mut model, mut run) = (std::mem::zeroed(), std::mem::zeroed());
            guarded::transcribe_model_load_params_init(&raw mut model)?;
            guarded::transcribe_session_params_init(&raw mut run)?;
            run.n_threads = threads.into();
            guarded::transcribe_open(
                path.as_ptr(),
                &raw const model,
                &raw const run,
                &raw mut session,
            )?
        };
        check(status)?;
        Ok(Self(session))
    }

    /// The text of mono samples at 16 kHz.
    pub fn transcribe(&mut self, samples: &[f32]) -> Result<String, Error> {
        let count = i32::try_from(samples.len()).map_err(|_| Error::Refused("too long".into()))?;
        // SAFETY: the session is alive, and nobody else is in it; `samples` has `count` of them.
        let text = unsafe {
            let mut run = std::mem::zeroed();
            guarded::transcribe_run_params_init(&raw mut run)?;
            check(guarded::transcribe_run(
                self.0,
                samples.as_ptr(),
                count,
                &raw const run,
            )?)?;
            CStr::from_ptr(guarded::transcribe_full_text(self.0)?)
        };
        Ok(text.to_string_lossy().into_owned())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: made by `open`, used by nobody any more. A failure leaks it.
        let _ = unsafe { guarded::transcribe_session_free(self.0) };
    }
}

fn check(status: bindings::transcribe_status) -> Result<(), Error> {
    if status == bindings::TRANSCRIBE_OK {
        return Ok(());
    }
    // SAFETY: takes any number, and gives a static text.
    let text = unsafe { CStr::from_ptr(guarded::transcribe_status_string(status as _)?) };
    Err(Error::Refused(text.to_string_lossy().into_owned()))
}
