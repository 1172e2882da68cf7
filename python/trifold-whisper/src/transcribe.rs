//! A running transcription.

use pyo3::{IntoPyObjectExt, prelude::*};
use trifold_python::{Failure, Scope, Stream};
use trifold_whisper::{Hooks, Options, Segment, Transcriber, Transcript};

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
pub(crate) struct Transcription(pub(crate) Stream<Event, Transcript>);

#[pymethods]
impl Transcription {
    /// The next segment, or the fraction done, or `None` at the end.
    fn next(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        Ok(match self.0.next(py)? {
            Some(Event::Percent(percent)) => Some((f64::from(percent) / 100.0).into_py_any(py)?),
            Some(Event::Segment(segment)) => Some(segment_fields(segment).into_py_any(py)?),
            None => None,
        })
    }

    /// The transcript; `None` before the end, and after an error.
    #[getter]
    fn end(&self) -> PyResult<Option<TranscriptFields>> {
        self.0.end(|transcript| fields(transcript.clone()))
    }

    /// Stops it.
    fn close(&self) {
        self.0.close();
    }
}
