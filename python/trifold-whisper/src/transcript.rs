//! Transcripts on their way to Python's dataclasses, and back to be formatted.

use std::time::Duration;

use pyo3::{exceptions::PyValueError, prelude::*};
use trifold_whisper::{Segment, SpokenLanguage, Timings, Token, Transcript, Word};

/// `(start, end, text, probability)`
type WordFields = (f64, f64, String, f32);
/// `(id, text, probability)`
type TokenFields = (i32, String, f32);
/// `(start, end, text, no_speech_probability, words, tokens)`
pub(crate) type SegmentFields = (f64, f64, String, f32, Vec<WordFields>, Vec<TokenFields>);
/// `(code, name, probability)`
pub(crate) type LanguageFields = (String, String, Option<f32>);
/// `(audio, detection, engine, total, real_time_factor, threads)`
type TimingsFields = (Option<f64>, Option<f64>, f64, f64, f64, usize);
/// `(text, language, segments, duration, timings)`
pub(crate) type TranscriptFields = (
    String,
    LanguageFields,
    Vec<SegmentFields>,
    f64,
    TimingsFields,
);

pub(crate) fn fields(transcript: Transcript) -> TranscriptFields {
    let timings = transcript.timings;
    (
        transcript.text,
        language_fields(transcript.language),
        transcript
            .segments
            .into_iter()
            .map(segment_fields)
            .collect(),
        seconds(transcript.duration),
        (
            timings.audio.map(seconds),
            timings.detection.map(seconds),
            seconds(timings.engine),
            seconds(timings.total),
            timings.real_time_factor,
            timings.threads,
        ),
    )
}

pub(crate) fn language_fields(language: SpokenLanguage) -> LanguageFields {
    (language.code, language.name, language.probability)
}

pub(crate) fn segment_fields(segment: Segment) -> SegmentFields {
    let word = |word: Word| {
        let (start, end) = (seconds(word.start), seconds(word.end));
        (start, end, word.text, word.probability)
    };
    let token = |token: Token| (token.id, token.text, token.probability);
    (
        seconds(segment.start),
        seconds(segment.end),
        segment.text,
        segment.no_speech_probability,
        segment.words.into_iter().map(word).collect(),
        segment.tokens.into_iter().map(token).collect(),
    )
}

/// From nanoseconds, which is one rounding only: 3.72, not 3.7199999999999998.
#[expect(
    clippy::cast_precision_loss,
    reason = "there are 104 days before it shows"
)]
fn seconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e9
}

/// A transcript as text, one line for each segment.
#[pyfunction]
pub(crate) fn to_text(transcript: GivenTranscript) -> PyResult<String> {
    Ok(Transcript::try_from(transcript)?.to_text())
}

/// A transcript as SubRip.
#[pyfunction]
pub(crate) fn to_srt(transcript: GivenTranscript) -> PyResult<String> {
    Ok(Transcript::try_from(transcript)?.to_srt())
}

/// A transcript as WebVTT.
#[pyfunction]
pub(crate) fn to_vtt(transcript: GivenTranscript) -> PyResult<String> {
    Ok(Transcript::try_from(transcript)?.to_vtt())
}

/// A transcript as JSON.
#[pyfunction]
pub(crate) fn to_json(transcript: GivenTranscript) -> PyResult<String> {
    Ok(Transcript::try_from(transcript)?.to_json())
}

/// Python's `Transcript`, read attribute by attribute: it may have been made or changed there.
#[derive(FromPyObject)]
pub(crate) struct GivenTranscript {
    text: String,
    language: GivenLanguage,
    segments: Vec<GivenSegment>,
    duration: f64,
    timings: GivenTimings,
}

#[derive(FromPyObject)]
struct GivenLanguage {
    code: String,
    name: String,
    probability: Option<f32>,
}

#[derive(FromPyObject)]
struct GivenSegment {
    start: f64,
    end: f64,
    text: String,
    no_speech_probability: f32,
    words: Vec<GivenWord>,
    tokens: Vec<GivenToken>,
}

#[derive(FromPyObject)]
struct GivenWord {
    start: f64,
    end: f64,
    text: String,
    probability: f32,
}

#[derive(FromPyObject)]
struct GivenToken {
    id: i32,
    text: String,
    probability: f32,
}

#[derive(FromPyObject)]
struct GivenTimings {
    audio: Option<f64>,
    detection: Option<f64>,
    engine: f64,
    total: f64,
    real_time_factor: f64,
    threads: usize,
}

impl TryFrom<GivenTranscript> for Transcript {
    type Error = PyErr;

    fn try_from(given: GivenTranscript) -> PyResult<Self> {
        let timings = given.timings;
        Ok(Self {
            text: given.text,
            language: SpokenLanguage {
                code: given.language.code,
                name: given.language.name,
                probability: given.language.probability,
            },
            segments: given
                .segments
                .into_iter()
                .map(Segment::try_from)
                .collect::<PyResult<_>>()?,
            duration: time("duration", given.duration)?,
            timings: Timings {
                audio: timings
                    .audio
                    .map(|value| time("timings.audio", value))
                    .transpose()?,
                detection: timings
                    .detection
                    .map(|value| time("timings.detection", value))
                    .transpose()?,
                engine: time("timings.engine", timings.engine)?,
                total: time("timings.total", timings.total)?,
                real_time_factor: timings.real_time_factor,
                threads: timings.threads,
            },
        })
    }
}

impl TryFrom<GivenSegment> for Segment {
    type Error = PyErr;

    fn try_from(given: GivenSegment) -> PyResult<Self> {
        let word = |word: GivenWord| {
            Ok(Word {
                start: time("start", word.start)?,
                end: time("end", word.end)?,
                text: word.text,
                probability: word.probability,
            })
        };
        let token = |token: GivenToken| Token {
            id: token.id,
            text: token.text,
            probability: token.probability,
        };
        Ok(Self {
            start: time("start", given.start)?,
            end: time("end", given.end)?,
            text: given.text,
            no_speech_probability: given.no_speech_probability,
            words: given.words.into_iter().map(word).collect::<PyResult<_>>()?,
            tokens: given.tokens.into_iter().map(token).collect(),
        })
    }
}

fn time(name: &str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        PyValueError::new_err(format!(
            "Expected seconds, 0 or more, for {name} (found: {seconds})"
        ))
    })
}
