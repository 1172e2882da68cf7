//! Keyword options into those of the safe crate.

use pyo3::{prelude::*, types::PyDict};
use trifold_python::{Limits, Options, seconds};
use trifold_whisper::{Decoding, DeviceOptions, Language};

/// What takes no options but these.
pub(crate) fn only_limits(given: Option<&Bound<'_, PyDict>>) -> PyResult<Limits> {
    let mut options = Options::new(given);
    let limits = options.limits()?;
    options.finish()?;
    Ok(limits)
}

/// How a model is loaded.
pub(crate) fn load(given: Option<&Bound<'_, PyDict>>) -> PyResult<(DeviceOptions, Limits)> {
    let mut options = Options::new(given);
    let limits = options.limits()?;
    let devices = options.devices()?;
    options.finish()?;
    Ok((devices, limits))
}

/// How to detect a language: the number of threads, and the rest.
pub(crate) fn detect(given: Option<&Bound<'_, PyDict>>) -> PyResult<(Option<usize>, Limits)> {
    let mut options = Options::new(given);
    let limits = options.limits()?;
    let threads = options.take("threads")?;
    options.finish()?;
    Ok((threads, limits))
}

/// How to transcribe: the options of Python's `TranscribeOptions`.
pub(crate) fn transcribe(
    given: Option<&Bound<'_, PyDict>>,
) -> PyResult<(trifold_whisper::Options, Limits)> {
    let mut options = Options::new(given);
    let limits = options.limits()?;
    let language = options.take::<String>("language")?;
    let mut transcribe = trifold_whisper::Options {
        language: language.map_or(Language::Detect, |name| Language::from(name.as_str())),
        initial_prompt: options.take("initial_prompt")?,
        decoding: decoding(&mut options)?,
        max_segment_chars: options.take("max_segment_chars")?,
        threads: options.take("threads")?,
        ..trifold_whisper::Options::default()
    };
    options.set("translate", &mut transcribe.translate)?;
    options.set("word_timestamps", &mut transcribe.word_timestamps)?;
    options.set("temperature", &mut transcribe.temperature)?;
    options.set("temperature_step", &mut transcribe.temperature_step)?;
    options.set("entropy_threshold", &mut transcribe.entropy_threshold)?;
    options.set("logprob_threshold", &mut transcribe.logprob_threshold)?;
    options.set("no_speech_threshold", &mut transcribe.no_speech_threshold)?;
    options.set("single_segment", &mut transcribe.single_segment)?;
    options.set("suppress_blank", &mut transcribe.suppress_blank)?;
    options.set("suppress_non_speech", &mut transcribe.suppress_non_speech)?;
    if let Some(offset) = options.take("offset")? {
        transcribe.offset = seconds("offset", offset)?;
    }
    if let Some(duration) = options.take("duration")? {
        transcribe.duration = Some(seconds("duration", duration)?);
    }
    options.finish()?;
    Ok((transcribe, limits))
}

/// Beam search if it is given a size.
fn decoding(options: &mut Options<'_>) -> PyResult<Decoding> {
    let size = options.take("beam_size")?;
    let default = match Decoding::default() {
        Decoding::Greedy { best_of } | Decoding::Beam { best_of, .. } => best_of,
        _ => 1,
    };
    let best_of = options.take("best_of")?.unwrap_or(default);
    Ok(match size {
        Some(size) => Decoding::Beam { size, best_of },
        None => Decoding::Greedy { best_of },
    })
}
