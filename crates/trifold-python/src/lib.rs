//! What trifold's Python extensions share.
//!
//! An extension is a thin layer: it turns Python's values into those of a safe crate and back. The
//! Python package around it (`python/`) has the API that users see. Here is what every engine needs:
//!
//! - [`Worker`]: the one thread that owns an engine's object, [`Job`]s for it, and waiting for them with
//!   the GIL released, with Ctrl-C, a time limit and [`CancelToken`] heeded;
//! - [`Failure`]: an error, on its way to an exception class of the Python package;
//! - [`logging`]: the way of `tracing` events to Python's `logging`;
//! - [`model_path`]: model names to files.

mod cancel;
mod failure;
pub mod logging;
mod options;
mod package;
mod worker;

pub use cancel::CancelToken;
pub use failure::{Failure, engine_failure};
pub use options::{Options, argument, seconds};
pub use package::{Package, check_interpreter, model_path};
pub use worker::{Job, Limits, Scope, Step, Worker, shut_down};
