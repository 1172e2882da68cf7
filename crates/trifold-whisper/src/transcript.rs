use std::fmt::Write as _;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// What was said, and when.
///
/// All times count from the beginning of the audio, whatever the [offset](crate::Options::offset), and
/// lie within it. In JSON they are seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Transcript {
    /// All of the text, in one line.
    pub text: String,
    /// The language that was given or detected.
    pub language: SpokenLanguage,
    /// The text in pieces, in the order of time.
    pub segments: Vec<Segment>,
    /// How long the audio is, all of it.
    #[serde(serialize_with = "as_seconds")]
    pub duration: Duration,
    /// How long it took.
    pub timings: Timings,
}

/// A language, and how it became known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpokenLanguage {
    /// The code, such as `en`.
    pub code: String,
    /// The English name, such as `english`.
    pub name: String,
    /// How probable it is, 0 to 1, if it was detected; 1 if the model knows no other.
    pub probability: Option<f32>,
}

/// A piece of text, from a word to some sentences.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Segment {
    /// When it begins.
    #[serde(serialize_with = "as_seconds")]
    pub start: Duration,
    /// When it ends; never before its start.
    #[serde(serialize_with = "as_seconds")]
    pub end: Duration,
    /// The text, without blanks around it.
    pub text: String,
    /// How probable it is that nobody speaks in the 30 s window in which it lies, 0 to 1.
    pub no_speech_probability: f32,
    /// The words; empty without [`Options::word_timestamps`](crate::Options::word_timestamps).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<Word>,
    /// The tokens, without those that stand for times and other special things.
    pub tokens: Vec<Token>,
}

/// A word, with the punctuation that belongs to it. In languages that are written without blanks it is
/// a character.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Word {
    /// When it begins: an estimate.
    #[serde(serialize_with = "as_seconds")]
    pub start: Duration,
    /// When it ends: an estimate, never before its start.
    #[serde(serialize_with = "as_seconds")]
    pub end: Duration,
    /// The text, without blanks around it.
    pub text: String,
    /// The mean of its tokens' probabilities, 0 to 1.
    pub probability: f32,
}

/// A token of the model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Token {
    /// Its number in the vocabulary.
    pub id: i32,
    /// Its text, often with a blank before it. Bytes that are no UTF-8 by themselves are shown as `�`.
    pub text: String,
    /// How probable the model took it to be, 0 to 1.
    pub probability: f32,
}

/// How long a transcription took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Timings {
    /// Reading, decoding and resampling the file; nothing where samples were given.
    #[serde(serialize_with = "as_maybe_seconds")]
    pub audio: Option<Duration>,
    /// Detecting the language; nothing where it was given.
    #[serde(serialize_with = "as_maybe_seconds")]
    pub detection: Option<Duration>,
    /// The engine's work on the transcript.
    #[serde(serialize_with = "as_seconds")]
    pub engine: Duration,
    /// All together.
    #[serde(serialize_with = "as_seconds")]
    pub total: Duration,
    /// How many times faster than the transcribed part of the audio plays.
    pub real_time_factor: f64,
    /// Threads that the engine used.
    pub threads: usize,
}

impl Transcript {
    /// The text alone, one line for each segment.
    ///
    /// ```
    /// # use trifold_whisper::{Model, Options};
    /// # const SPEECH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/speech");
    /// let mut transcriber = Model::load(format!("{SPEECH}/trifold-speech.bin"))?.transcriber()?;
    /// let transcript = transcriber
    ///     .transcribe_file(format!("{SPEECH}/samples/two-sentences.wav"), &Options::default())?;
    /// assert_eq!(
    ///     transcript.to_text(),
    ///     "Tell me a story about a hungry duck.\nPlay the next song, please.\n"
    /// );
    /// # Ok::<_, trifold_whisper::WhisperError>(())
    /// ```
    pub fn to_text(&self) -> String {
        self.segments.iter().fold(String::new(), |text, segment| {
            text + &one_line(&segment.text) + "\n"
        })
    }

    /// Subtitles in SubRip's format (`.srt`): numbered, times as `00:00:00,200`.
    pub fn to_srt(&self) -> String {
        let mut srt = String::new();
        for (index, segment) in self.segments.iter().enumerate() {
            let (start, end) = cue_times(segment);
            let (start, end) = (timestamp(start, ','), timestamp(end, ','));
            // Writing to a String does not fail.
            let _ = write!(
                srt,
                "{}\n{start} --> {end}\n{}\n\n",
                index + 1,
                one_line(&segment.text)
            );
        }
        srt
    }

    /// Subtitles in WebVTT's format (`.vtt`): times as `00:00:00.200`, `&`, `<` and `>` escaped.
    pub fn to_vtt(&self) -> String {
        let mut vtt = String::from("WEBVTT\n\n");
        for segment in &self.segments {
            let (start, end) = cue_times(segment);
            let (start, end) = (timestamp(start, '.'), timestamp(end, '.'));
            let text = one_line(&segment.text)
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;");
            let _ = write!(vtt, "{start} --> {end}\n{text}\n\n");
        }
        vtt
    }

    /// Everything, as indented JSON. Times are in seconds.
    #[expect(
        clippy::missing_panics_doc,
        reason = "text, numbers and lists always become JSON"
    )]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("text, numbers and lists become JSON")
    }
}

/// Text for formats that know it by lines: an empty line would end it.
fn one_line(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('\0', "\u{fffd}")
}

/// Start and end in milliseconds. Players ignore cues that take no time.
fn cue_times(segment: &Segment) -> (u128, u128) {
    let start = milliseconds(segment.start);
    (start, milliseconds(segment.end).max(start + 1))
}

/// Rounded, so that 0.29999 s are not 299 ms.
fn milliseconds(time: Duration) -> u128 {
    (time.as_nanos() + 500_000) / 1_000_000
}

/// Hours have two digits, or as many as they need.
fn timestamp(milliseconds: u128, point: char) -> String {
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}")
}

/// A time for messages, as in subtitles.
pub(crate) fn clock(time: Duration) -> String {
    timestamp(milliseconds(time), '.')
}

#[expect(
    clippy::cast_precision_loss,
    reason = "there are 285,000 years before it shows"
)]
fn seconds(time: Duration) -> f64 {
    // By way of milliseconds: 0.2, not 0.200000001.
    (milliseconds(time) as f64) / 1000.0
}

pub(crate) fn as_seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(seconds(*time))
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn as_maybe_seconds<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    time.map(seconds).serialize(to)
}
