//! Errors on their way to Python.

use std::error::Error;

use pyo3::prelude::*;
use trifold_runtime::EngineError;

use crate::package::Package;

/// An error that becomes an exception: which class of the package's `_errors` module, what happened,
/// and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    class: &'static str,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure in words of one's own.
    pub fn new(class: &'static str, message: impl Into<String>, hint: Option<String>) -> Self {
        Self {
            class,
            message: message.into(),
            hint,
        }
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
            let exception = Package::current()
                .and_then(|package| package.error_class(py, failure.class))
                .and_then(|class| class.call1((failure.message, failure.hint)));
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
