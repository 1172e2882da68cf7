//! Pictures from text with stable-diffusion.cpp, sealed.
//!
//! ```
//! use trifold_diffusion::{Model, Seed};
//!
//! let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/picture/trifold-picture.gguf");
//! let mut model = Model::load(path)?;
//!
//! let mut options = model.default_options("a red circle on a blue background");
//! options.steps = 12;
//! options.seed = Seed::Fixed(1);
//!
//! let pictures = model.generate(&options)?;
//! let [red, green, blue] = pictures[0].pixel(64, 64).unwrap();
//! assert!(red > 150 && green < 100 && blue < 100);
//!
//! let folder = tempfile::tempdir()?;
//! pictures[0].save_png(folder.path().join("circle.png"))?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`Model`] loads one file, or a model in parts ([`ModelOptions`]), and draws.
//! - [`GenerateOptions`] say what and how. All of them are checked before the engine sees them:
//!   nothing is rounded, replaced or left out silently.
//! - [`Model::generate_with`] reports [`Progress`] and can be stopped from another thread.
//! - [`Picture`] is RGB, becomes PNG, and knows its [`Parameters`]; [`read_png`] reads them back.
//! - [`DiffusionError`] has a [`hint`](DiffusionError::hint).
//!
//! The engine logs to `tracing`; nothing is printed. Models are independent of each other: several
//! can draw at once, on threads of their own.

mod engine_thread;
mod error;
mod ffi;
mod generate;
mod memory;
mod model;
mod names;
mod options;
mod parameters;
mod picture;
mod preset;
mod traits;

pub use error::{DiffusionError, Failure};
pub use generate::Progress;
pub use model::Model;
pub use names::{Sampler, Scheduler};
pub use options::{GenerateOptions, InitPicture, ModelOptions, Part, Seed};
pub use parameters::Parameters;
pub use picture::{Picture, StoredPicture, read_png};
pub use trifold_backend::{BackendError, Device, DeviceOptions, DeviceRequest};
pub use trifold_diffusion_sys::VocabulariesError;
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
    &trifold_diffusion_sys::HOST
}

/// The version of stable-diffusion.cpp, as it says itself.
///
/// ```
/// assert!(!trifold_diffusion::version()?.is_empty());
/// # Ok::<_, trifold_diffusion::DiffusionError>(())
/// ```
pub fn version() -> Result<String, DiffusionError> {
    Ok(ffi::version()?)
}

/// The version of the ggml that the engine computes with.
///
/// ```
/// assert!(trifold_diffusion::ggml_version()?.starts_with("0."));
/// # Ok::<_, trifold_diffusion::DiffusionError>(())
/// ```
pub fn ggml_version() -> Result<String, DiffusionError> {
    Ok(ffi::ggml_version()?)
}

/// What the engine's kernels use of this CPU, one feature a line, as in `AVX2 = 1`.
///
/// ```
/// assert!(trifold_diffusion::system_info()?.lines().any(|line| line == "SSSE3 = 1"));
/// # Ok::<_, trifold_diffusion::DiffusionError>(())
/// ```
pub fn system_info() -> Result<String, DiffusionError> {
    let text = ffi::system_info()?;
    let features = text.lines().flat_map(|line| line.split('|')).map(str::trim);
    let lines: Vec<&str> = features.filter(|feature| feature.contains('=')).collect();
    Ok(lines.join("\n"))
}

/// The CPU level of the kernels in use, such as `x86-64-v3`: the best that this CPU can run, or what the
/// environment variable `TRIFOLD_CPU_LEVEL` names.
///
/// ```
/// assert!(trifold_diffusion::cpu_level()?.starts_with("x86-64-v"));
/// # Ok::<_, trifold_diffusion::DiffusionError>(())
/// ```
pub fn cpu_level() -> Result<&'static str, DiffusionError> {
    Ok(ffi::cpu_level()?)
}
