//! Speech recognition with whisper.cpp, sealed.
//!
//! ```
//! use trifold_whisper::{Model, Options};
//!
//! # const SPEECH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/speech");
//! let model = Model::load(format!("{SPEECH}/trifold-speech.bin"))?;
//! let mut transcriber = model.transcriber()?;
//! let transcript =
//!     transcriber.transcribe_file(format!("{SPEECH}/samples/kitchen-light.wav"), &Options::default())?;
//! assert_eq!(transcript.text, "Turn on the kitchen light.");
//! print!("{}", transcript.to_srt());
//! # Ok::<_, trifold_whisper::WhisperError>(())
//! ```
//!
//! - [`Model`] is a loaded model. Clones share it, and any number of threads can use it at once.
//! - [`Transcriber`] has the working memory for one transcription at a time; a model can have many.
//! - [`Options`] say how: language, translation, word times, decoding.
//! - [`Hooks`] watch: progress, segments as they are found, cancellation.
//! - [`Transcript`] is the result, also as SRT, VTT and JSON.
//! - [`audio`] decodes and resamples files.
//!
//! Bad input, a damaged model and a failure inside the engine are a [`WhisperError`]; none of them
//! ends the process.

pub mod audio;
mod error;
mod ffi;
mod hooks;
mod model;
mod options;
mod timing;
mod trace;
mod transcribe;
mod transcript;
mod words;

pub use error::WhisperError;
pub use hooks::Hooks;
pub use model::{Model, ModelInfo};
pub use options::{Decoding, Language, Options};
pub use transcribe::{MAX_SAMPLE, Transcriber};
pub use transcript::{Segment, SpokenLanguage, Timings, Token, Transcript, Word};
pub use trifold_backend::{BackendError, Device, DeviceOptions, DeviceRequest};
pub use trifold_formats::WhisperHparams;
pub use trifold_runtime::{CancelToken, EngineError};

/// All devices of this engine, after a search for backend plugins.
///
/// # Errors
/// [`BackendError`] if the engine itself cannot run; what is wrong with plugins is in the list of those that
/// were refused.
pub fn devices(search: &trifold_backend::Search) -> Result<trifold_backend::Devices, BackendError> {
    trifold_backend::devices(host(), search)
}

/// This engine, as a backend loader sees it.
pub fn host() -> &'static trifold_runtime::Host {
    &trifold_whisper_sys::HOST
}
pub use trifold_whisper_sys::GGML_MODE;

/// The version of whisper.cpp, such as `1.8.3`.
///
/// # Errors
/// [`WhisperError::Engine`] if this CPU cannot run the engine.
pub fn whisper_version() -> Result<String, WhisperError> {
    ffi::whisper_version().map_err(WhisperError::engine("ask for the version"))
}

/// The version of the ggml inside, such as `0.26.0`.
///
/// # Errors
/// As [`whisper_version`].
pub fn ggml_version() -> Result<String, WhisperError> {
    ffi::ggml_version().map_err(WhisperError::engine("ask for the version"))
}

/// What the engine uses of this CPU, in its own words.
///
/// ```
/// assert!(trifold_whisper::system_info()?.contains("SSSE3 = 1"));
/// # Ok::<_, trifold_whisper::WhisperError>(())
/// ```
///
/// # Errors
/// As [`whisper_version`].
pub fn system_info() -> Result<&'static str, WhisperError> {
    ffi::system_info().map_err(WhisperError::engine("ask for the CPU"))
}

/// The CPU level of the kernels in use, such as `x86-64-v3`: the best that this CPU can run, or what the
/// environment variable `TRIFOLD_CPU_LEVEL` names.
///
/// ```
/// assert!(trifold_whisper::cpu_level()?.starts_with("x86-64-v"));
/// # Ok::<_, trifold_whisper::WhisperError>(())
/// ```
///
/// # Errors
/// As [`whisper_version`].
pub fn cpu_level() -> Result<&'static str, WhisperError> {
    ffi::cpu_level().map_err(WhisperError::engine("choose the kernels"))
}
