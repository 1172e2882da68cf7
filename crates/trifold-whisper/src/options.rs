use std::fmt::Display;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

use trifold_runtime::threads;

use crate::{ModelInfo, WhisperError, audio};

/// How to transcribe. Every field has a default; name those that differ:
///
/// ```
/// use trifold_whisper::{Language, Options};
///
/// let options = Options { language: Language::from("en"), word_timestamps: true, ..Options::default() };
/// assert!(!options.translate);
/// ```
///
/// Values are checked when a transcription begins; one outside its range is a
/// [`WhisperError::Option`] that names the field, the value and the range.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches that have nothing to do with each other"
)]
pub struct Options {
    /// The language that is spoken. Default: [`Language::Detect`].
    pub language: Language,
    /// Whether to write down an English translation instead of what was said. It takes a multilingual
    /// model that was trained for it. Default: no.
    pub translate: bool,
    /// Whether to find the times of words and tokens. They are estimates, from the model's own times, the
    /// lengths of the words and where the recording is loud. Default: no.
    pub word_timestamps: bool,
    /// Text that the model takes for what was said before: names and spellings, or the end of the
    /// part before. At most 2048 bytes, and half of the model's context in tokens, less one (223 for
    /// all of OpenAI's). Default: none.
    pub initial_prompt: Option<String>,
    /// How the next token is chosen. Default: greedily, the best of five where sampling is needed.
    pub decoding: Decoding,
    /// The temperature of the first attempt, 0 or from 0.01 to 1. At 0 the likeliest token is taken, and
    /// results are reproducible. Default: 0.
    pub temperature: f32,
    /// What is added to the temperature when an attempt fails: 0 for no further attempts, or from 0.05
    /// to 1. Attempts end with temperature 1. Default: 0.2.
    pub temperature_step: f32,
    /// An attempt fails if the entropy of its last 32 tokens is below this, because it repeats itself;
    /// 0 to 10. Default: 2.4.
    pub entropy_threshold: f32,
    /// An attempt fails if the mean of its tokens' log probabilities is below this; -100 to 0.
    /// Default: -1.
    pub logprob_threshold: f32,
    /// Where the probability that nobody speaks is above this, and the attempt fails by its log
    /// probabilities, there is taken to be no speech; 0 to 1. Default: 0.6.
    pub no_speech_threshold: f32,
    /// The most characters that a segment may have; longer ones are split between words, so that only a
    /// segment of one word can be longer. At least 1. Default: as the model has it.
    pub max_segment_chars: Option<usize>,
    /// Whether to make one segment of every 30 s window, for short utterances. Default: no.
    pub single_segment: bool,
    /// Whether a transcript must not begin with a blank. Default: yes.
    pub suppress_blank: bool,
    /// Whether to leave out tokens that are no speech, such as musical notes and brackets.
    /// Default: no.
    pub suppress_non_speech: bool,
    /// How much of the beginning to skip; less than the audio's length. Times in the result count from
    /// the beginning of the audio all the same. Default: nothing.
    pub offset: Duration,
    /// How much to transcribe from the offset on; more than 0. Default: all.
    pub duration: Option<Duration>,
    /// Threads to use, 1 to 512. Default: what other running calls of this process left of its
    /// [budget](trifold_runtime::threads::budget).
    pub threads: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            language: Language::Detect,
            translate: false,
            word_timestamps: false,
            initial_prompt: None,
            decoding: Decoding::default(),
            temperature: 0.0,
            temperature_step: 0.2,
            entropy_threshold: 2.4,
            logprob_threshold: -1.0,
            no_speech_threshold: 0.6,
            max_segment_chars: None,
            single_segment: false,
            suppress_blank: true,
            suppress_non_speech: false,
            offset: Duration::ZERO,
            duration: None,
            threads: None,
        }
    }
}

/// The language that is spoken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// Let the model detect it, in the first 30 s. A model that knows only English detects English.
    #[default]
    Detect,
    /// This one: its code, such as `en`, or its English name, such as `german`, in any case.
    Given(String),
}

impl From<&str> for Language {
    /// `auto` stands for detection.
    ///
    /// ```
    /// use trifold_whisper::Language;
    ///
    /// assert_eq!(Language::from("de"), Language::Given("de".to_owned()));
    /// assert_eq!(Language::from("auto"), Language::Detect);
    /// ```
    fn from(text: &str) -> Self {
        if text.eq_ignore_ascii_case("auto") {
            Self::Detect
        } else {
            Self::Given(text.to_owned())
        }
    }
}

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decoding {
    /// The likeliest token at temperature 0; above, so many attempts are sampled, and the best wins.
    Greedy {
        /// Attempts at temperatures above 0, 1 to 8.
        best_of: usize,
    },
    /// So many transcripts are followed at once: slower, sometimes better.
    Beam {
        /// Transcripts at temperature 0, 1 to 8.
        size: usize,
        /// Attempts at temperatures above 0, 1 to 8.
        best_of: usize,
    },
}

impl Default for Decoding {
    fn default() -> Self {
        Self::Greedy { best_of: 5 }
    }
}

/// The engine's tokenizer takes time by the square of the length and stack by the length; all that
/// the model can use of a prompt is shorter.
pub(crate) const PROMPT_BYTES: usize = 2048;

impl Options {
    /// Checks what can be checked without the engine.
    pub(crate) fn check(&self, model: &ModelInfo) -> Result<(), WhisperError> {
        if self.translate && !model.multilingual {
            return Err(invalid(
                "translate",
                true,
                "false: this model knows only English",
            ));
        }
        if self.temperature != 0.0 {
            in_range(
                "temperature",
                self.temperature,
                0.01..=1.0,
                "0, or 0.01 to 1",
            )?;
        }
        if self.temperature_step != 0.0 {
            in_range(
                "temperature_step",
                self.temperature_step,
                0.05..=1.0,
                "0, or 0.05 to 1",
            )?;
        }
        in_range(
            "entropy_threshold",
            self.entropy_threshold,
            0.0..=10.0,
            "0 to 10",
        )?;
        in_range(
            "logprob_threshold",
            self.logprob_threshold,
            -100.0..=0.0,
            "-100 to 0",
        )?;
        in_range(
            "no_speech_threshold",
            self.no_speech_threshold,
            0.0..=1.0,
            "0 to 1",
        )?;
        let best_of = match self.decoding {
            Decoding::Greedy { best_of } => best_of,
            Decoding::Beam { size, best_of } => {
                in_range("decoding.size", size, 1..=8, "1 to 8")?;
                best_of
            }
        };
        in_range("decoding.best_of", best_of, 1..=8, "1 to 8")?;
        if let Some(count) = self.threads {
            in_range(
                "threads",
                count,
                1..=threads::MAX,
                format!("1 to {}", threads::MAX),
            )?;
        }
        if self.max_segment_chars == Some(0) {
            return Err(invalid("max_segment_chars", 0, "at least 1"));
        }
        if self.max_segment_chars.is_some() && self.single_segment {
            return Err(invalid(
                "single_segment",
                true,
                "false with max_segment_chars",
            ));
        }
        if let Some(prompt) = &self.initial_prompt {
            check_prompt(prompt)?;
        }
        Ok(())
    }

    /// The range of samples to transcribe, of so many.
    pub(crate) fn window(&self, samples: usize) -> Result<std::ops::Range<usize>, WhisperError> {
        let length = audio::duration(samples);
        let start = audio::samples_in(self.offset);
        if start >= samples {
            let expected = format!("less than the audio's length of {length:?}");
            return Err(invalid(
                "offset",
                format_args!("{:?}", self.offset),
                expected,
            ));
        }
        let Some(duration) = self.duration else {
            return Ok(start..samples);
        };
        let count = audio::samples_in(duration);
        if count == 0 {
            return Err(invalid(
                "duration",
                format_args!("{duration:?}"),
                "more than 0",
            ));
        }
        Ok(start..start.saturating_add(count).min(samples))
    }

    /// The explicit number of threads.
    pub(crate) fn explicit_threads(&self) -> Option<NonZeroUsize> {
        self.threads.and_then(NonZeroUsize::new)
    }
}

pub(crate) fn invalid(
    option: &'static str,
    value: impl Display,
    expected: impl Into<String>,
) -> WhisperError {
    WhisperError::Option {
        option,
        value: value.to_string(),
        expected: expected.into(),
    }
}

fn in_range<T: PartialOrd + Display>(
    option: &'static str,
    value: T,
    range: RangeInclusive<T>,
    expected: impl Into<String>,
) -> Result<(), WhisperError> {
    // No range contains NaN.
    if range.contains(&value) {
        Ok(())
    } else {
        Err(invalid(option, value, expected))
    }
}

fn check_prompt(prompt: &str) -> Result<(), WhisperError> {
    if prompt.len() > PROMPT_BYTES {
        let value = format!("{} bytes", prompt.len());
        return Err(invalid(
            "initial_prompt",
            value,
            format!("at most {PROMPT_BYTES} bytes"),
        ));
    }
    if prompt.contains('\0') {
        return Err(invalid(
            "initial_prompt",
            format_args!("{prompt:?}"),
            "a text without NUL",
        ));
    }
    Ok(())
}
