//! What is written down. `trifold-pack align` reads it.

use serde::Serialize;

/// Everything that one engine gave.
#[derive(Serialize)]
pub(crate) struct Answers {
    /// The engine.
    pub(crate) engine: &'static str,
    /// The version of the ggml inside, as it says itself.
    pub(crate) ggml_version: String,
    /// One for each model and input.
    pub(crate) cases: Vec<Case>,
}

/// What came out of one model for one input.
#[derive(Serialize)]
pub(crate) struct Case {
    /// What the model is.
    pub(crate) model: &'static str,
    /// Whether its weights are random, and what comes out has no meaning.
    pub(crate) random: bool,
    /// The SHA-256 of its file: answers of different models are not compared.
    pub(crate) sha256: String,
    /// The prompt, or the name of the recording.
    pub(crate) input: String,
    /// What came out.
    #[serde(flatten)]
    pub(crate) output: Output,
}

/// What came out.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Output {
    /// Of a language model.
    #[cfg(feature = "llama")]
    Text {
        /// At each position of the prompt: the natural logarithms of the probabilities of all tokens,
        /// which are the logits without the constant that has no meaning.
        logits: Vec<Vec<f32>>,
        /// How it goes on, always with the most probable token.
        tokens: Vec<i32>,
    },
    /// Of speech.
    #[cfg(feature = "whisper")]
    Transcript {
        /// The text.
        text: String,
        /// The tokens, with their probabilities.
        tokens: Vec<(i32, f32)>,
        /// The natural logarithms of the probabilities of all languages, by code.
        languages: Vec<f32>,
    },
    /// Of a picture model.
    #[cfg(feature = "diffusion")]
    Picture {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
        /// Rows from the top, three bytes a pixel.
        rgb8: Vec<u8>,
    },
}
