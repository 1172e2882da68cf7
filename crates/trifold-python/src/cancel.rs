//! The token that stops a call.

use pyo3::{exceptions::PyTypeError, prelude::*};

/// Stops running calls from anywhere: another thread, a signal handler, a callback.
///
/// Hand one to a call as `cancel=`; a token can stop several calls, and cannot be reset.
#[pyclass(frozen)]
#[derive(Clone, Debug, Default)]
pub struct CancelToken(pub trifold_runtime::CancelToken);

#[pymethods]
impl CancelToken {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Asks every call that was given this token to stop.
    fn cancel(&self) {
        self.0.cancel();
    }

    /// A token that is cancelled with this one, and can be cancelled alone.
    fn child(&self) -> Self {
        Self(self.0.child())
    }

    /// Whether `cancel()` was called.
    #[getter]
    fn cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Refuses pickling and copying: the copy would be a token of its own, which stops nothing.
    fn __reduce__(_: &Bound<'_, Self>) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "Cannot pickle or copy a CancelToken: it stops calls of this process\nhint: Share the token itself, or take its child().",
        ))
    }

    fn __repr__(&self) -> String {
        let cancelled = if self.cancelled() { "True" } else { "False" };
        format!("<CancelToken cancelled={cancelled}>")
    }
}
