//! What trifold's Python extensions share.
//!
//! An extension is a thin layer: it turns Python's values into those of a safe crate and back. The
//! Python package around it (`python/`) has the API that users see. Here is what every engine needs:
//!
//! - [`Worker`]: the one thread that owns an engine's object, [`Job`]s for it, and waiting for them with
//!   the GIL released, with Ctrl-C, a time limit and [`CancelToken`] heeded; a [`Stream`] is a job that is
//!   taken step by step;
//! - [`call()`], [`call_method`], [`import`]: Python code, wherever it may run while the interpreter ends;
//! - [`set_up`]: what an extension does when it is imported;
//! - [`Failure`]: an error, on its way to an exception class of the Python package;
//! - [`logging`]: the way of `tracing` events to Python's `logging`;
//! - [`model_path`]: model names to files;
//! - [`devices`]: what can be computed on.

mod call;
mod cancel;
mod device;
mod end;
mod failure;
mod hub;
mod job;
pub mod logging;
mod options;
mod package;
mod stream;
mod worker;

pub use call::{call, call_method, import};
pub use cancel::CancelToken;
pub use device::{DeviceRow, device_failure, devices};
pub use failure::{Failure, engine_failure, format_failure, is_missing};
pub use hub::model_path;
pub use job::{Job, Scope, Step};
pub use options::{Options, argument, seconds};
pub use package::set_up;
pub use stream::Stream;
pub use trifold_hub::ModelKind;
pub use worker::{Limits, Worker, tell};
