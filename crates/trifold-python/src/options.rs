//! Keyword options: a dictionary, read key by key.

use std::time::Duration;

use pyo3::{
    conversion::FromPyObjectOwned,
    exceptions::{PyOverflowError, PyTypeError, PyValueError},
    prelude::*,
    types::{PyDict, PyString},
};

use crate::{CancelToken, Failure, Limits, call_method, package::Package};

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
    /// `TypeError` or `OptionError` that names the option, or what the value's own code raises.
    pub fn take<T: FromPyObjectOwned<'py>>(&mut self, name: &'static str) -> PyResult<Option<T>> {
        let Some(value) = self.value(name)? else {
            return Ok(None);
        };
        value
            .extract()
            .map(Some)
            .map_err(|error: T::Error| explain(&self.named(name), &value, error.into()))
    }

    /// An option that is one string or several.
    ///
    /// # Errors
    /// As [`Options::take`].
    pub fn strings(&mut self, name: &'static str) -> PyResult<Option<Vec<String>>> {
        let Some(value) = self.value(name)? else {
            return Ok(None);
        };
        let strings = match value.cast::<PyString>() {
            Ok(one) => one.extract().map(|one| vec![one]),
            Err(_) => value.extract(),
        };
        strings
            .map(Some)
            .map_err(|error| explain(&self.named(name), &value, error))
    }

    /// An option that is a mapping, of any type.
    ///
    /// # Errors
    /// As [`Options::take`].
    pub fn mapping<T: FromPyObjectOwned<'py>>(
        &mut self,
        name: &'static str,
    ) -> PyResult<Option<T>> {
        let Some(value) = self.value(name)? else {
            return Ok(None);
        };
        let copy = || {
            if !value.hasattr("keys")? {
                return Err(PyTypeError::new_err("expected a mapping"));
            }
            let dict = PyDict::new(value.py());
            call_method(&dict, "update", (&value,))?;
            dict.extract().map_err(Into::into)
        };
        copy()
            .map(Some)
            .map_err(|error| explain(&self.named(name), &value, error))
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
        Ok(Limits {
            timeout: timeout.map(|value| seconds("timeout", value)).transpose()?,
            cancel: self.token("cancel")?,
            since: None,
        })
    }

    /// A token of this package: the other engines have each their own, of the same name.
    fn token(&mut self, name: &'static str) -> PyResult<Option<trifold_runtime::CancelToken>> {
        let Some(value) = self.value(name)? else {
            return Ok(None);
        };
        if let Ok(token) = value.cast::<CancelToken>() {
            return Ok(Some(token.get().0.clone()));
        }
        let expected = format!("{}.CancelToken", Package::current()?.name);
        let found = value.get_type().fully_qualified_name()?;
        let hint = if type_name(&value) == "CancelToken" {
            format!("Each package has tokens of its own: make a {expected}() too, and cancel both.")
        } else {
            format!("Make one with {expected}().")
        };
        Err(PyTypeError::new_err(format!(
            "Wrong type for {} (expected: {expected}, found: {found})\nhint: {hint}",
            self.named(name)
        )))
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

    fn named(&self, name: &str) -> String {
        match self.prefix {
            "" => format!("option {name}"),
            prefix => format!("option {prefix}.{name}"),
        }
    }
}

/// An argument that is no option, converted as those are.
///
/// # Errors
/// As [`Options::take`].
pub fn argument<'py, T: FromPyObjectOwned<'py>>(
    name: &str,
    value: &Bound<'py, PyAny>,
) -> PyResult<T> {
    value
        .extract()
        .map_err(|error: T::Error| explain(name, value, error.into()))
}

/// What a conversion raises, with the name of what it was for.
fn explain(name: &str, value: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let py = value.py();
    if error.is_instance_of::<PyOverflowError>(py) {
        let message = format!("Value out of range for {name} (found: {})", found(value));
        return Failure::new("OptionError", message, None).into();
    }
    let reason = error.value(py);
    if error.is_instance_of::<PyTypeError>(py) {
        return PyTypeError::new_err(format!(
            "Wrong type for {name} (found: {}): {reason}",
            type_name(value)
        ));
    }
    if error.is_instance_of::<PyValueError>(py) {
        let message = format!("Wrong value for {name} (found: {}): {reason}", found(value));
        return Failure::new("OptionError", message, None).into();
    }
    error
}

/// A value as Python writes it, cut to a line.
fn found(value: &Bound<'_, PyAny>) -> String {
    const MOST: usize = 60;
    let Ok(text) = value.repr() else {
        return type_name(value);
    };
    let text = text.to_string_lossy();
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.into_owned(),
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
/// `OptionError` for a number that is negative, not finite or too large.
pub fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(|_| {
        let message = format!("Expected seconds, 0 or more, for option {name} (found: {value})");
        Failure::new("OptionError", message, None).into()
    })
}
