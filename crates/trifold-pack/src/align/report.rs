//! What was found.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::PackError;

/// The result of [`align`](super::align). Nothing in it depends on the time; what plugins do depends on the machine.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(title = "Align")]
#[non_exhaustive]
pub struct Report {
    /// Of the JSON form; a change that is not an addition raises it.
    pub schema: u32,
    /// The engines, with the ggml that each ships.
    pub engines: Vec<Engine>,
    /// How far those ggmls are apart in memory, for each pair.
    pub distances: Vec<Distance>,
    /// How large differences may be.
    pub tolerances: Tolerances,
    /// For each ggml that was tried, what it does to the engines.
    pub candidates: Vec<Candidate>,
    /// For each plugin that was asked about, which engines it serves.
    pub plugins: Vec<Served>,
}

impl Report {
    /// Whether there is a ggml that all engines can share.
    pub fn all_may_share(&self) -> bool {
        self.candidates
            .iter()
            .any(|candidate| candidate.group.len() == self.engines.len())
    }

    /// Whether every plugin serves all engines that it was tried with, by one of the candidates.
    pub fn all_serve(&self) -> bool {
        self.plugins.iter().all(Served::serves)
    }
}

/// An engine at its revision.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Engine {
    /// Its name in `engines.toml`.
    pub name: String,
    /// The upstream project's name.
    pub title: String,
    /// Its version.
    pub version: String,
    /// The version of the ggml that it ships.
    pub ggml_version: String,
    /// The commit of that ggml, as far as it is known; else what identifies the source.
    pub ggml_commit: String,
    /// Whether `engines.toml` says that no other ggml will do.
    pub pinned: bool,
}

/// How far two ggmls are apart.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Distance {
    /// The engines that ship them.
    pub engines: [String; 2],
    /// What is not equal; if nothing, they can share a plugin as they are.
    pub differences: Vec<Difference>,
}

/// A field of the fingerprint that differs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Difference {
    /// What it is, such as `enum ggml_op: GGML_OP_SUM`.
    pub field: String,
    /// Its value in the first, or in the candidate.
    pub expected: String,
    /// Its value in the other.
    pub found: String,
}

/// How large differences between two builds of an engine may be.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Tolerances {
    /// Of models that were trained: what people would notice.
    pub trained: Limits,
    /// Of models with random weights. They magnify differences, for nothing taught them to be robust, and what
    /// they write has no meaning. Their logits have a spread of about 4, so that a wrong kernel gives
    /// differences above 5.
    pub random: Limits,
}

/// How large differences may be.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// The largest difference of logits, of tokens and of languages. At 0.1 a probability changes by a tenth
    /// of itself.
    pub logits_max: f64,
    /// The mean difference of logits.
    pub logits_mean: f64,
    /// The largest difference of a transcribed token's probabilities.
    pub probability_max: f64,
    /// Whether the same text must be written.
    pub same_text: bool,
    /// The least peak signal-to-noise ratio of pictures, in dB. Above 40 nobody sees a difference.
    pub psnr_min: f64,
}

impl Default for Tolerances {
    fn default() -> Self {
        Self {
            trained: Limits {
                logits_max: 0.2,
                logits_mean: 0.1,
                probability_max: 0.01,
                same_text: true,
                psnr_min: 40.0,
            },
            random: Limits {
                logits_max: 2.0,
                logits_mean: 0.5,
                probability_max: 0.2,
                same_text: false,
                psnr_min: 30.0,
            },
        }
    }
}

impl Tolerances {
    /// Those of a model.
    pub fn of(&self, random: bool) -> &Limits {
        if random { &self.random } else { &self.trained }
    }
}

impl Tolerances {
    /// Reads a TOML file with a table `trained`, a table `random`, or both.
    ///
    /// # Errors
    /// [`PackError::Io`], [`PackError::Config`].
    pub fn read(path: &Path) -> Result<Self, PackError> {
        let text = fs_err::read_to_string(path).map_err(PackError::io("Could not read", path))?;
        toml::from_str(&text).map_err(|error| PackError::Config {
            path: path.into(),
            source: Box::new(error),
        })
    }
}

/// A ggml that engines were compiled against.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Candidate {
    /// The engine that ships it.
    pub engine: String,
    /// Its version.
    pub ggml_version: String,
    /// One for each engine.
    pub attempts: Vec<Attempt>,
    /// The engines that may share a backend plugin made for this ggml.
    pub group: Vec<String>,
}

/// One engine, compiled against a candidate.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Attempt {
    /// The engine.
    pub engine: String,
    /// Whether the candidate is the ggml that it ships.
    pub own: bool,
    /// What differs between the candidate's fingerprint and that of the ggml that it ships.
    pub differences: Vec<Difference>,
    /// What the compiler said; nothing if it was not tried.
    pub compiled: Option<Compiled>,
    /// Why there are no cases, if there are none.
    pub problem: Option<String>,
    /// The answers compared, for each model and input.
    pub cases: Vec<Case>,
    /// Whether it may use this ggml.
    pub verdict: Verdict,
}

/// What the compiler said of an engine's own files.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Compiled {
    /// How many files were looked at.
    pub files: usize,
    /// What does not compile.
    pub errors: Vec<Diagnostic>,
    /// Calls of ggml's functions that are deprecated.
    pub deprecations: Vec<Diagnostic>,
    /// Headers of the ggml that the engine ships that it includes all the same, below that ggml's folder:
    /// what they say of structs is not the candidate's.
    pub own_headers: Vec<String>,
}

/// Something that the compiler said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The file, and the line in it: `whisper/src/whisper.cpp:12`.
    pub place: String,
    /// The compiler's words.
    pub message: String,
}

/// Answers of the same model to the same input.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Case {
    /// The model.
    pub model: String,
    /// Whether its weights are random.
    pub random: bool,
    /// The prompt, or the recording.
    pub input: String,
    /// How far the answers are apart.
    pub measure: Measure,
    /// Whether that is within the tolerances.
    pub within: bool,
}

/// How far two answers are apart.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Measure {
    /// Of a language model.
    Text {
        /// How many positions were compared, each with the logits of all tokens.
        positions: usize,
        /// The largest difference of two logits, as natural logarithms of probabilities.
        max: f64,
        /// The mean difference.
        mean: f64,
        /// Tokens that it went on with.
        tokens: usize,
        /// How many of those are equal, from the first on.
        equal_tokens: usize,
    },
    /// Of speech.
    Transcript {
        /// Tokens of the transcript with its own ggml.
        tokens: usize,
        /// How many of those are equal, from the first on.
        equal_tokens: usize,
        /// The largest difference of an equal token's probabilities.
        max: f64,
        /// The mean difference.
        mean: f64,
        /// The largest difference of two languages' logits, as natural logarithms of probabilities.
        languages_max: f64,
        /// The mean difference.
        languages_mean: f64,
        /// The text with its own ggml.
        expected: String,
        /// The text with the candidate.
        found: String,
    },
    /// Of pictures.
    Picture {
        /// The peak signal-to-noise ratio in dB; nothing if the pictures are equal.
        psnr: Option<f64>,
        /// The largest difference of a channel, of 255.
        max: u8,
    },
}

/// Whether an engine may use a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Verdict {
    /// Every number is the same.
    Equal,
    /// All differences are within the tolerances.
    Within,
    /// Some difference is too large.
    Beyond,
    /// It does not compile, or cannot be sealed.
    DoesNotCompile,
    /// It compiles and does not work.
    DoesNotRun,
    /// `engines.toml` says that it needs its own ggml: not tried.
    Pinned,
}

impl Verdict {
    /// Whether it may share a plugin with others.
    pub fn may_share(self) -> bool {
        matches!(self, Self::Equal | Self::Within)
    }

    pub(super) fn of(cases: &[Case]) -> Self {
        if cases.iter().all(|case| case.measure.is_equal()) {
            Self::Equal
        } else if cases.iter().all(|case| case.within) {
            Self::Within
        } else {
            Self::Beyond
        }
    }
}

/// A plugin, and the engines that it is made for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Served {
    /// Its file.
    pub path: PathBuf,
    /// Its name, such as `cuda13`.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Its own version.
    pub version: String,
    /// The engine whose own ggml it is made for; none if it is made for a ggml that engines share.
    pub engine: Option<String>,
    /// One for each of these engines, and each candidate that the engine compiles with.
    pub fits: Vec<Fit>,
}

impl Served {
    /// Whether there is a ggml with which it serves all engines: that of a candidate, or the engine's own.
    pub fn serves(&self) -> bool {
        let with = |candidate: &Option<String>| {
            let mut fits = self.fits.iter().filter(|fit| fit.candidate == *candidate);
            fits.all(|fit| fit.fitness.serves())
        };
        self.fits.iter().any(|fit| with(&fit.candidate))
    }
}

/// A plugin, and one engine.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Fit {
    /// The engine.
    pub engine: String,
    /// The engine whose ggml it was built with; none if that is its own.
    pub candidate: Option<String>,
    /// The version of that ggml.
    pub ggml_version: String,
    /// What differs between its fingerprint and the plugin's.
    pub differences: Vec<Difference>,
    /// Why there are no cases, if there are none.
    pub problem: Option<String>,
    /// The answers of the CPU and of the plugin's first device, for each model and input.
    pub cases: Vec<Case>,
    /// Whether the plugin serves it.
    pub fitness: Fitness,
}

/// Whether a plugin serves an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fitness {
    /// Every number is the CPU's.
    Equal,
    /// All differences from the CPU are within the tolerances.
    Within,
    /// Some difference is too large.
    Beyond,
    /// It fits and loads, but finds nothing here to compute on.
    NoDevice,
    /// It is for another ggml.
    OtherGgml,
    /// It does not load, or the engine does not run on it.
    DoesNotRun,
}

impl Fitness {
    /// Whether nothing was found that keeps the engine from using it.
    pub fn serves(self) -> bool {
        matches!(self, Self::Equal | Self::Within | Self::NoDevice)
    }

    pub(super) fn of(cases: &[Case]) -> Self {
        match Verdict::of(cases) {
            Verdict::Equal => Self::Equal,
            Verdict::Within => Self::Within,
            _ => Self::Beyond,
        }
    }
}

impl Measure {
    /// Whether there is no difference at all.
    pub fn is_equal(&self) -> bool {
        match self {
            Self::Text {
                max,
                tokens,
                equal_tokens,
                ..
            } => *max == 0.0 && tokens == equal_tokens,
            Self::Transcript {
                max,
                languages_max,
                expected,
                found,
                tokens,
                equal_tokens,
                ..
            } => {
                *max == 0.0 && *languages_max == 0.0 && expected == found && tokens == equal_tokens
            }
            Self::Picture { psnr, .. } => psnr.is_none(),
        }
    }
}
