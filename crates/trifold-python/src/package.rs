//! The Python package around an extension.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use pyo3::{
    exceptions::{PyImportError, PyRuntimeError},
    ffi,
    prelude::*,
};

use crate::{Failure, logging};

/// The Python package that this extension belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// Its import name, such as `trifold_llama`; also the name of its logger.
    pub name: &'static str,
}

static PACKAGE: OnceLock<Package> = OnceLock::new();

impl Package {
    /// Makes this the package of the extension, and its logger the place where events go. Called once,
    /// when the extension is initialised.
    pub fn install(self) {
        // Imported again after its removal from `sys.modules`: the same package.
        let _ = PACKAGE.set(self);
        logging::install();
    }

    pub(crate) fn current() -> PyResult<Self> {
        PACKAGE
            .get()
            .copied()
            .ok_or_else(|| PyRuntimeError::new_err("The extension was not initialised"))
    }

    /// A class of the package's `_errors` module.
    pub(crate) fn error_class<'py>(
        self,
        py: Python<'py>,
        name: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        py.import(format!("{}._errors", self.name))?.getattr(name)
    }
}

/// Refuses sub-interpreters: the extension's classes and its logger are those of the main one. PyO3 leaves
/// that to Python, which asks for it from 3.12 on, and only of interpreters with their own GIL.
///
/// # Errors
/// `ImportError`.
#[expect(unsafe_code, reason = "PyO3 has no safe function for it")]
pub fn check_interpreter(_: Python<'_>) -> PyResult<()> {
    // SAFETY: this thread is attached to an interpreter, as `Python` shows; so there is a current one.
    let id = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    if id == 0 {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "This package cannot be imported in a sub-interpreter\nhint: Use threads or processes instead.",
    ))
}

/// The file of a model: of a path, or of a name such as `demo:story`.
///
/// The demo models are not inside the extensions, but in a package of their own, whose folder is
/// `demo_models` if it is installed.
///
/// # Errors
/// A [`Failure`] of the class `ModelNotFoundError`, `ModelError` or `OptionError`.
pub fn model_path(name: &Path, demo_models: Option<&Path>) -> Result<PathBuf, Failure> {
    let source =
        trifold_hub::Source::parse(name.as_os_str()).map_err(|error| hub_failure(&error))?;
    match demo_models {
        Some(folder) => trifold_hub::resolve_demo_in(&source, folder),
        None => trifold_hub::resolve(&source),
    }
    .map_err(|error| hub_failure(&error))
}

fn hub_failure(error: &trifold_hub::HubError) -> Failure {
    use trifold_hub::HubError as E;
    let class = match error {
        E::NotFound { .. } | E::BrokenLink { .. } => "ModelNotFoundError",
        E::EmptyName | E::UnknownDemo { .. } | E::HuggingFaceName { .. } => "OptionError",
        _ => "ModelError",
    };
    Failure::of(class, error, error.hint())
}
