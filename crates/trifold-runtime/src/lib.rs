//! What every sealed engine needs around it, in one place:
//!
//! - [`Engine`] and [`guarded!`](guarded): calls into C++ that cannot end the process, made only
//!   after a look at the CPU; [`sealed_engine!`](sealed_engine) is the rest of a `-sys` crate;
//! - [`host`]: what a backend loader needs of an engine;
//! - [`log`]: what an engine says goes to `tracing`, and can be kept for an error message;
//! - [`cpu`]: which instructions the kernels need, and whether this CPU has them;
//! - [`process`]: what an engine could change for the rest of the process, and whether it did;
//! - [`threads`]: how many threads an engine should use, and one budget for all of them;
//! - [`c_api`]: the way in for a library that other languages call;
//! - [`CancelToken`]: stops a running call from another thread.
//!
//! Applications use `trifold-llama`, `trifold-whisper` and `trifold-diffusion`, which stand on this.

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("trifold does not support this system yet: Linux on x86-64 only for now");

pub mod c_api;
mod cancel;
pub mod cpu;
pub mod guard;
pub mod host;
pub mod install;
pub mod log;
pub mod process;
mod sealed;
pub mod threads;

pub use cancel::CancelToken;
pub use guard::{Engine, EngineError};
pub use host::Host;
