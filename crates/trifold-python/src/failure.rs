//! Errors on their way to Python.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

use pyo3::prelude::*;
use trifold_formats::{FormatError, Words};
use trifold_runtime::EngineError;

use crate::{call, package::Package};

/// What Python's packages call the ways to use a model.
const WORDS: Words = Words {
    inspect: "`trifold inspect` (pip install trifold)",
    picture: "`trifold_diffusion.Diffusion`",
    speech: "`trifold_whisper.Whisper`",
    text: "`trifold_llama.Llama`",
};

/// An error that becomes an exception: which class of the package's `_errors` module, what happened,
/// what to do, and with which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    class: &'static str,
    message: String,
    hint: Option<String>,
    path: Option<PathBuf>,
}

impl Failure {
    /// A failure in words of one's own.
    pub fn new(class: &'static str, message: impl Into<String>, hint: Option<String>) -> Self {
        Self {
            class,
            message: message.into(),
            hint,
            path: None,
        }
    }

    /// Names the file that it is about: the attribute `filename` of a class that is an `OSError`.
    #[must_use]
    pub fn at(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The name of its exception class.
    pub fn class(&self) -> &'static str {
        self.class
    }

    /// An error with its causes, as one message.
    pub fn of(class: &'static str, error: &dyn Error, hint: Option<String>) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        Self::new(class, message, hint)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        Python::attach(|py| {
            let path = failure.path.as_deref().map(Path::as_os_str);
            let exception = Package::current()
                .and_then(|package| package.error_class(py, failure.class))
                .and_then(|class| call(&class, (failure.message, failure.hint, path)));
            match exception {
                Ok(exception) => Self::from_value(exception),
                Err(error) => error,
            }
        })
    }
}

/// What a failed call into an engine is called in every package.
pub fn engine_failure(error: &EngineError) -> Failure {
    let class = match error {
        EngineError::OutOfMemory { .. } => "OutOfMemoryError",
        _ => "EngineError",
    };
    Failure::of(class, error, error.hint())
}

/// What a refused model file is called in every package: there is none, or it is not what it should be.
/// The hint names the package that can use it, if it is the model of another engine.
pub fn format_failure(error: &FormatError) -> Failure {
    let class = match error {
        FormatError::Open { source, .. } if is_missing(source) => "ModelNotFoundError",
        _ => "ModelError",
    };
    Failure::of(class, error, error.hint_in(&WORDS)).at(error.path())
}

/// Does an I/O error say that there is no such file?
pub fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
