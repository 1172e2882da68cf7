//! The Python package around an extension.

use std::{ffi::CString, sync::OnceLock};

use pyo3::{
    exceptions::{PyImportError, PyRuntimeError},
    ffi,
    prelude::*,
};

use crate::{CancelToken, end, import, logging};

/// Sets up the extension module of a package: where its exceptions and its logger are, that its engine is
/// stopped before the interpreter ends, and its version.
///
/// # Errors
/// `ImportError` in a sub-interpreter.
pub fn set_up(
    module: &Bound<'_, PyModule>,
    package: &'static str,
    version: &'static str,
) -> PyResult<()> {
    let py = module.py();
    check_interpreter(py)?;
    // Imported again after its removal from `sys.modules`: the same package.
    let _ = PACKAGE.set(Package { name: package });
    logging::install();
    py.import("atexit")?
        .call_method1("register", (wrap_pyfunction!(shut_down, module)?,))?;
    // The class is the same in every extension; a user finds it in the package.
    py.get_type::<CancelToken>()
        .setattr("__module__", package)?;
    module.add("__version__", version)
}

/// Stops every running call: no engine may compute while the process takes itself apart.
#[pyfunction]
fn shut_down(py: Python<'_>) {
    end::shut_down(py);
}

/// The Python package that this extension belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Package {
    /// Its import name, such as `trifold_llama`; also the name of its logger.
    pub(crate) name: &'static str,
}

static PACKAGE: OnceLock<Package> = OnceLock::new();

impl Package {
    pub(crate) fn current() -> PyResult<Self> {
        PACKAGE
            .get()
            .copied()
            .ok_or_else(|| PyRuntimeError::new_err("The extension was not initialised"))
    }

    /// A module of the package's.
    pub(crate) fn module<'py>(self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        import(py, &CString::new(format!("{}.{name}", self.name))?)
    }

    /// A class of the package's `_errors` module.
    pub(crate) fn error_class<'py>(
        self,
        py: Python<'py>,
        name: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.module(py, "_errors")?.getattr(name)
    }
}

/// Refuses sub-interpreters: the extension's classes and its logger are those of the main one. PyO3 leaves
/// that to Python, which asks for it from 3.12 on, and only of interpreters with their own GIL.
#[expect(unsafe_code, reason = "PyO3 has no safe function for it")]
fn check_interpreter(_: Python<'_>) -> PyResult<()> {
    // SAFETY: this thread is attached to an interpreter, as `Python` shows; so there is a current one.
    let id = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    if id == 0 {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "This package cannot be imported in a sub-interpreter\nhint: Use threads or processes instead.",
    ))
}
