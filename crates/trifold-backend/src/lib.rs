//! Finds, checks and loads backend plugins, and selects devices.
//!
//! An engine has a CPU inside. Other devices come with *plugins*: shared libraries that
//! `trifold-pack plugin` makes of ggml's backends, and that packages such as `trifold-cuda13` bring. Each has
//! its own copy of ggml; it and the engine share memory, so nothing of a plugin runs before these checks:
//!
//! 1. [search]: full paths only, and never the working directory;
//! 2. the file and its folder belong to root or the user, not everybody can write there, and its SHA-256 is what its
//!    package states;
//! 3. [note]: it is a plugin for this machine, and the [fingerprint] of its ggml is the engine's, field by field;
//! 4. the CPU has what it needs;
//! 5. another process has tried it, and neither crashed nor hung.
//!
//! Then it is loaded, once for each engine and for good. Its log goes where the engine's goes, and a check that
//! fails in it is an [`EngineError`](trifold_runtime::EngineError) of the engine's call.
//!
//! ```
//! use trifold_backend::{DeviceRequest, Search, select};
//!
//! # fn main() -> Result<(), trifold_backend::BackendError> {
//! // Nothing to be found there: what is asked for is an error, what is left open is the CPU.
//! let search = Search::only(Vec::<&str>::new());
//! let request: DeviceRequest = "cuda".parse()?;
//! let error = select(&trifold_whisper_sys::HOST, &request, &search).unwrap_err();
//! assert_eq!(error.to_string(), "Device not found: cuda:0 (there are: cpu)");
//! assert!(select(&trifold_whisper_sys::HOST, &DeviceRequest::Auto, &search)?.is_empty());
//! # Ok(())
//! # }
//! ```

mod device;
mod error;
pub mod fingerprint;
mod hello;
mod load;
pub mod note;
mod probe;
mod remote;
mod request;
pub mod search;
mod select;
mod trust;

pub use device::{Device, Plugin};
pub use error::{BackendError, Refusal};
pub use note::Note;
pub use remote::serve;
pub use request::{DeviceName, DeviceRequest, Place};
pub use search::{Packaged, Search};
pub use select::{DeviceOptions, Devices, devices, select};
