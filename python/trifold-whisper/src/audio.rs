//! Audio from files and from Python's arrays.

use std::path::PathBuf;

use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::{
    exceptions::PyTypeError,
    prelude::*,
    types::{PyDict, PyString},
};
use trifold_python::{Failure, Limits, Options, Scope, Worker, import};
use trifold_whisper::{CancelToken, Hooks, audio};

use crate::{failure::failure, options::only_limits};

/// The longest audio that is decoded, in seconds.
pub(crate) const MAX_DURATION: f64 = audio::MAX_DURATION.as_secs_f64();

/// What is transcribed.
pub(crate) enum Source {
    File(PathBuf),
    Samples(Vec<f32>),
}

impl Source {
    /// Of a path, or an array of float32, contiguous and aligned: the Python side sees to that. The
    /// samples are copied, because Python may change them while the engine works.
    pub(crate) fn new(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        // Asked first: looking for an array imports numpy.
        if value.is_instance_of::<PyString>() {
            return value.extract().map(Self::File);
        }
        let samples: PyReadonlyArray1<'_, f32> = value.extract()?;
        Ok(Self::Samples(samples.as_slice()?.to_vec()))
    }

    /// The samples, of a file decoded.
    pub(crate) fn into_samples(self, cancel: &CancelToken) -> Result<Vec<f32>, Failure> {
        match self {
            Self::File(path) => load(path, cancel),
            Self::Samples(samples) => Ok(samples),
        }
    }
}

fn load(path: PathBuf, cancel: &CancelToken) -> Result<Vec<f32>, Failure> {
    audio::load_with(path, &Hooks::new().cancelled_by(cancel)).map_err(|error| failure(&error))
}

/// Decodes an audio file.
#[pyfunction]
pub(crate) fn load_audio<'py>(
    py: Python<'py>,
    path: PathBuf,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyArray1<f32>>> {
    let limits = only_limits(options)?;
    // A worker that has nothing to do afterwards: what it brings is Ctrl-C and the time limit.
    let (_, samples) = Worker::start(
        py,
        "audio file",
        &limits,
        move |scope: &Scope<()>| Ok(((), load(path, &scope.cancel)?)),
        |_, ()| Ok(()),
    )?;
    // Making an array would import it.
    import(py, c"numpy")?;
    Ok(PyArray1::from_vec(py, samples))
}

/// Resamples to the rate of the model.
#[pyfunction]
pub(crate) fn resample<'py>(
    py: Python<'py>,
    samples: &Bound<'py, PyArray1<f32>>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyArray1<f32>>> {
    let mut options = Options::new(options);
    let rate: u32 = options
        .take("rate")?
        .ok_or_else(|| PyTypeError::new_err("Expected a number for option rate (found: None)"))?;
    options.finish()?;
    let samples = samples.try_readonly()?.as_slice()?.to_vec();
    // As in `load_audio`.
    let (_, resampled) = Worker::start(
        py,
        "audio",
        &Limits::default(),
        move |_: &Scope<()>| {
            let resampled = audio::resample(&samples, rate);
            Ok(((), resampled.map_err(|error| failure(&error))?))
        },
        |_, ()| Ok(()),
    )?;
    Ok(PyArray1::from_vec(py, resampled))
}
