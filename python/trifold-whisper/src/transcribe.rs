//! A running transcription.

use std::sync::{Mutex, PoisonError, TryLockError};

use pyo3::{IntoPyObjectExt, exceptions::PyValueError, prelude::*};
use trifold_python::{Failure, Job, Scope, Step};
use trifold_whisper::{CancelToken, Hooks, Options, Segment, Transcriber, Transcript};

use crate::{
    audio::Source,
    failure::failure,
    transcript::{TranscriptFields, fields, segment_fields},
};

/// What a transcription tells while it runs.
pub(crate) enum Event {
    Percent(u8),
    Segment(Segment),
}

/// Runs on the worker's thread.
pub(crate) fn run(
    transcriber: &mut Transcriber,
    source: &Source,
    options: &Options,
    scope: &Scope<Event>,
) -> Result<Transcript, Failure> {
    let mut hooks = Hooks::new()
        .on_progress(|percent| scope.emit(Event::Percent(percent)))
        .on_segment(|segment| scope.emit(Event::Segment(segment.clone())))
        .cancelled_by(&scope.cancel);
    match source {
        Source::File(path) => transcriber.transcribe_file_with(path, options, &mut hooks),
        Source::Samples(samples) => transcriber.transcribe_with(samples, options, &mut hooks),
    }
    .map_err(|error| failure(&error))
}

/// A transcription that runs; an iterator of segments and fractions done.
#[pyclass(frozen, module = "trifold_whisper._native")]
pub(crate) struct Transcription {
    job: Mutex<State>,
    stop: CancelToken,
}

enum State {
    Running(Job<Event, Transcript>),
    Ended(Option<TranscriptFields>),
}

impl Transcription {
    pub(crate) fn new(job: Job<Event, Transcript>) -> Self {
        Self {
            stop: job.stopper(),
            job: Mutex::new(State::Running(job)),
        }
    }

    fn lock(&self) -> PyResult<std::sync::MutexGuard<'_, State>> {
        match self.job.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => Ok(PoisonError::into_inner(poisoned)),
            // As Python's own generators.
            Err(TryLockError::WouldBlock) => Err(PyValueError::new_err(
                "This stream is waited for by another thread already",
            )),
        }
    }
}

#[pymethods]
impl Transcription {
    /// The next segment, or the fraction done, or `None` at the end.
    fn next(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let mut state = self.lock()?;
        let State::Running(job) = &mut *state else {
            return Ok(None);
        };
        match job.step(py) {
            Ok(Step::Event(Event::Percent(percent))) => {
                (f64::from(percent) / 100.0).into_py_any(py).map(Some)
            }
            Ok(Step::Event(Event::Segment(segment))) => {
                segment_fields(segment).into_py_any(py).map(Some)
            }
            Ok(Step::Done(transcript)) => {
                *state = State::Ended(Some(fields(transcript)));
                Ok(None)
            }
            Err(error) => {
                *state = State::Ended(None);
                Err(error)
            }
        }
    }

    /// The transcript; `None` before the end, and after an error.
    #[getter]
    fn end(&self) -> PyResult<Option<TranscriptFields>> {
        Ok(match &*self.lock()? {
            State::Ended(end) => end.clone(),
            State::Running(_) => None,
        })
    }

    /// Stops it.
    fn close(&self) {
        self.stop.cancel();
        // If another thread waits for a segment, it gets its error from the stopped call.
        match self.job.try_lock() {
            Ok(mut state) => {
                if let State::Running(_) = &*state {
                    *state = State::Ended(None);
                }
            }
            Err(TryLockError::Poisoned(_) | TryLockError::WouldBlock) => {}
        }
    }
}
