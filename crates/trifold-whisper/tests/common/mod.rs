//! What the tests share: the demo model and its samples.
#![allow(dead_code, unreachable_pub)] // each test file uses a part

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use serde::Deserialize;
use trifold_whisper::{Language, Model, Options, Transcript};

pub const SPEECH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/speech");
pub const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// What the kitchen-light sample says, of which there are many copies in many formats.
pub const KITCHEN_LIGHT: &str = "Turn on the kitchen light.";

#[derive(Deserialize)]
pub struct Expected {
    pub text: String,
    pub segments: Vec<ExpectedSegment>,
}

#[derive(Deserialize)]
pub struct ExpectedSegment {
    pub start: f64,
    pub end: f64,
    pub text: String,
}

pub fn model_path() -> PathBuf {
    PathBuf::from(SPEECH).join("trifold-speech.bin")
}

pub fn sample(name: &str) -> PathBuf {
    PathBuf::from(SPEECH).join("samples").join(name)
}

/// The demo model, loaded once.
pub fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| Model::load(model_path()).unwrap())
}

/// One thread, so that tests that run at once do not wait for each other's.
pub fn options() -> Options {
    Options {
        language: Language::from("en"),
        threads: Some(1),
        ..Options::default()
    }
}

/// The samples and what they say.
pub fn truth() -> BTreeMap<String, Expected> {
    let json = fs_err::read_to_string(sample("transcripts.json")).unwrap();
    let truth: BTreeMap<String, Expected> = serde_json::from_str(&json).unwrap();
    assert!(truth.len() >= 4);
    truth
}

/// Compares texts exactly, and times to 0.1 s.
pub fn assert_matches(transcript: &Transcript, expected: &Expected, what: &str) {
    assert_eq!(transcript.text, expected.text, "{what}");
    let texts: Vec<&str> = transcript
        .segments
        .iter()
        .map(|segment| segment.text.as_str())
        .collect();
    let wanted: Vec<&str> = expected
        .segments
        .iter()
        .map(|segment| segment.text.as_str())
        .collect();
    assert_eq!(texts, wanted, "{what}");
    for (segment, wanted) in transcript.segments.iter().zip(&expected.segments) {
        assert_close(segment.start, wanted.start, what);
        assert_close(segment.end, wanted.end, what);
    }
}

pub fn assert_close(time: Duration, wanted: f64, what: &str) {
    let time = time.as_secs_f64();
    assert!(
        (time - wanted).abs() <= 0.1,
        "{what}: expected {wanted} s, found {time} s"
    );
}
