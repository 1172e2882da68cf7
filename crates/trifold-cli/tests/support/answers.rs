//! What the engines answer with their demo models where nothing is left to chance: to be compared between CPUs and
//! devices, which round differently.

use std::path::Path;

use serde_json::Value;

use super::{Run, SAME_TO_THE_EYE, model_file, psnr, trifold};

/// One answer of each engine.
pub(crate) struct Answers {
    /// The ids of the tokens of a story.
    pub(crate) story: Vec<Value>,
    /// What a recording says.
    pub(crate) transcript: String,
    /// The parts of the transcript with their probabilities.
    pub(crate) segments: Value,
    /// The pixels of a picture, 8 bits a channel.
    pub(crate) picture: Vec<u8>,
}

impl Answers {
    /// Runs the program three times, `on` what it is to be tried on.
    pub(crate) fn given(on: impl Fn(Run) -> Run) -> Self {
        let run = |arguments: &[&str]| {
            let outcome = on(trifold(arguments).args(["--quiet", "--threads", "1"])).run();
            assert_eq!(outcome.code, Some(0), "{outcome}");
            outcome
        };
        let mut told = run(&STORY).json();
        let story = told["tokens"].as_array_mut().unwrap();
        let ids = story.iter_mut().map(|token| token["id"].take());

        let sample = model_file("speech/samples/story-about-a-dog.wav");
        let sample = sample.to_str().unwrap();
        let mut heard = run(&["transcribe", sample, "--language", "en", "--json"]).json();

        let folder = tempfile::tempdir().unwrap();
        let picture = folder.path().join("house.png");
        let place = picture.to_str().unwrap();
        run(&[&DRAW[..], &["-o", place]].concat());
        Self {
            story: ids.collect(),
            transcript: heard["text"].as_str().unwrap().to_owned(),
            segments: heard["segments"].take(),
            picture: pixels(&picture),
        }
    }

    /// Fails unless these are the known answers, all but for rounding those of `expected`.
    pub(crate) fn assert_like(&self, expected: &Self, place: &str) {
        assert!(expected.story.len() > 20, "{:?}", expected.story);
        assert_eq!(self.story, expected.story, "{place}");
        let transcript = "Tell me a story about a little dog.";
        assert_eq!(self.transcript, transcript, "{place}");
        let psnr = psnr(&self.picture, &expected.picture);
        assert!(
            psnr > SAME_TO_THE_EYE,
            "{place}: the picture differs by {psnr} dB"
        );
    }
}

/// With this beginning no two tokens are nearly as likely as each other: there rounding would decide.
pub(crate) const STORY: [&str; 7] = [
    "generate",
    "Tell me a story about a little dog.",
    "--temperature",
    "0",
    "--max-tokens",
    "24",
    "--json",
];

const DRAW: [&str; 10] = [
    "draw", "a house", "--seed", "5", "--steps", "2", "--width", "64", "--height", "64",
];

fn pixels(picture: &Path) -> Vec<u8> {
    trifold_diffusion::read_png(picture).unwrap().rgb8
}
