//! Keyword options: a dictionary, read key by key.

use std::{num::NonZeroUsize, time::Duration};

use pyo3::{
    conversion::FromPyObjectOwned,
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::{PyDict, PyString},
};

use crate::{CancelToken, Failure, Limits};

/// The keyword arguments of a call, on their way into an options struct of a safe crate.
///
/// Each option is read where it is used, and [`Options::finish`] refuses what nobody asked for, so that
/// the list of names is written once: in the code that reads them.
pub struct Options<'py> {
    given: Option<Bound<'py, PyDict>>,
    known: Vec<&'static str>,
    prefix: &'static str,
}

impl<'py> Options<'py> {
    /// Reads from these; none is as good as empty.
    pub fn new(given: Option<&Bound<'py, PyDict>>) -> Self {
        Self {
            given: given.cloned(),
            known: Vec::new(),
            prefix: "",
        }
    }

    /// The value of an option, if it was given and is not `None`.
    ///
    /// # Errors
    /// `TypeError` that names the option, or what the conversion raises (`OverflowError` becomes
    /// `ValueError`).
    pub fn take<T: FromPyObjectOwned<'py>>(&mut self, name: &'static str) -> PyResult<Option<T>> {
        let Some(value) = self.value(name)? else {
            return Ok(None);
        };
        value
            .extract()
            .map(Some)
            .map_err(|error| self.explain(name, &value, &Into::into(error)))
    }

    /// Puts the value of an option where it belongs, if it was given.
    ///
    /// # Errors
    /// As [`Options::take`].
    pub fn set<T: FromPyObjectOwned<'py>>(
        &mut self,
        name: &'static str,
        place: &mut T,
    ) -> PyResult<()> {
        if let Some(value) = self.take(name)? {
            *place = value;
        }
        Ok(())
    }

    /// An option that is a group of options: `True` for their defaults, or a mapping.
    ///
    /// # Errors
    /// `TypeError` if it is neither.
    pub fn group(&mut self, name: &'static str) -> PyResult<Option<Options<'py>>> {
        let Some(value) = self.value(name)? else {
            return Ok(None);
        };
        if let Ok(yes) = value.extract::<bool>() {
            return Ok(yes.then(|| Options {
                prefix: name,
                ..Options::new(None)
            }));
        }
        let group = value.cast::<PyDict>().map_err(|_| {
            PyTypeError::new_err(format!(
                "Expected True, False or a dict for option {name} (found: {})",
                type_name(&value)
            ))
        })?;
        Ok(Some(Options {
            prefix: name,
            ..Options::new(Some(group))
        }))
    }

    /// What every long call takes: `timeout` in seconds, and `cancel`.
    ///
    /// # Errors
    /// As [`Options::take`] and [`seconds`].
    pub fn limits(&mut self) -> PyResult<Limits> {
        let timeout = self.take::<f64>("timeout")?;
        let cancel = self.take::<Py<CancelToken>>("cancel")?;
        Ok(Limits {
            timeout: timeout.map(|value| seconds("timeout", value)).transpose()?,
            cancel: cancel.map(|token| token.get().0.clone()),
        })
    }

    /// The option `threads`, 1 or more.
    ///
    /// # Errors
    /// As [`Options::take`], and a [`Failure`] of the class `OptionError` for 0.
    pub fn threads(&mut self) -> PyResult<Option<NonZeroUsize>> {
        self.take::<usize>("threads")?
            .map(|count| {
                NonZeroUsize::new(count).ok_or_else(|| {
                    let message = "Expected 1 or more for option threads (found: 0)";
                    Failure::new("OptionError", message, None).into()
                })
            })
            .transpose()
    }

    /// Refuses options that were given and that nobody has asked for.
    ///
    /// # Errors
    /// `TypeError` with the names that would have been accepted.
    pub fn finish(self) -> PyResult<()> {
        let Some(given) = &self.given else {
            return Ok(());
        };
        for key in given.keys() {
            let name = key.cast::<PyString>()?.to_string_lossy().into_owned();
            if !self.known.contains(&name.as_str()) {
                let of = if self.prefix.is_empty() {
                    String::new()
                } else {
                    format!("{}.", self.prefix)
                };
                return Err(PyTypeError::new_err(format!(
                    "Unknown option: {of}{name}\nhint: The options are {}.",
                    self.known.join(", ")
                )));
            }
        }
        Ok(())
    }

    fn value(&mut self, name: &'static str) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.known.push(name);
        let value = match &self.given {
            Some(given) => given.get_item(name)?,
            None => None,
        };
        Ok(value.filter(|value| !value.is_none()))
    }

    fn explain(&self, name: &str, value: &Bound<'_, PyAny>, error: &PyErr) -> PyErr {
        let py = value.py();
        let of = if self.prefix.is_empty() {
            String::new()
        } else {
            format!("{}.", self.prefix)
        };
        let reason = error.value(py);
        if error.is_instance_of::<PyTypeError>(py) {
            return PyTypeError::new_err(format!(
                "Wrong type for option {of}{name} (found: {}): {reason}",
                type_name(value)
            ));
        }
        let found = value.repr().map_or_else(
            |_| type_name(value),
            |text| text.to_string_lossy().into_owned(),
        );
        PyValueError::new_err(format!(
            "Wrong value for option {of}{name} (found: {found}): {reason}"
        ))
    }
}

fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(
        |_| "?".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// A duration given in seconds.
///
/// # Errors
/// `ValueError` for a number that is negative, not finite or too large.
pub fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(|_| {
        PyValueError::new_err(format!(
            "Expected seconds, 0 or more, for option {name} (found: {value})"
        ))
    })
}
