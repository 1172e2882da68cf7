//! What can be asked of a context and of a generation, and which values make sense.

use std::{fmt::Display, num::NonZeroUsize, ops::RangeInclusive};

use trifold_runtime::threads;

use crate::{CancelToken, LlamaError, Model, ResponseFormat, Special, Token};

/// How to make a [`Context`](crate::Context).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextOptions {
    /// Tokens of prompt and answer together; 0 for as many as the model was trained on, and at most 16
    /// times as many. The engine rounds up to a multiple of 256. Memory grows with it.
    pub n_ctx: u32,
    /// Tokens of a prompt that are processed at a time, at least 1 (2048). More is faster and takes
    /// more memory.
    pub n_batch: u32,
    /// Threads to compute with, 1 to 512. By default what other running calls leave of the process's
    /// [budget](trifold_runtime::threads::budget), its physical cores, taken anew for every call; but no
    /// more than one, and one for every 32 MiB of weights, because more would make a small model slower.
    pub threads: Option<NonZeroUsize>,
}

impl Default for ContextOptions {
    fn default() -> Self {
        Self {
            n_ctx: 0,
            n_batch: 2048,
            threads: None,
        }
    }
}

impl ContextOptions {
    pub(crate) fn check(&self, model: &Model) -> Result<(), LlamaError> {
        check_context(self.n_ctx, model)?;
        check("n_batch", self.n_batch, &(1..=MAX_CONTEXT))?;
        check_threads(self.threads)
    }
}

/// The engine counts positions with 32 bits and rounds up.
const MAX_CONTEXT: u32 = 1 << 30;

/// Far beyond what it has learned a model writes nonsense, and a slip of the finger would take all
/// memory there is.
pub(crate) fn check_context(n_ctx: u32, model: &Model) -> Result<(), LlamaError> {
    let most = model
        .n_ctx_train()
        .max(256)
        .saturating_mul(16)
        .min(MAX_CONTEXT);
    check("n_ctx", n_ctx, &(0..=most))
}

pub(crate) fn check_threads(threads: Option<NonZeroUsize>) -> Result<(), LlamaError> {
    threads.map_or(Ok(()), |threads| {
        check("threads", threads.get(), &(1..=threads::MAX))
    })
}

/// How to generate.
///
/// ```
/// use trifold_llama::{GenerateOptions, SamplingOptions};
///
/// let options = GenerateOptions {
///     max_tokens: Some(100),
///     stop: vec!["\n\n".to_owned()],
///     sampling: SamplingOptions { temperature: 0.2, ..SamplingOptions::default() },
///     ..GenerateOptions::default()
/// };
/// ```
#[derive(Clone, Debug, Default)]
pub struct GenerateOptions {
    /// The most tokens to generate; without a limit until the model ends or the context is full.
    pub max_tokens: Option<u32>,
    /// Generation ends before any of these strings. They may not be empty nor longer than 4096 bytes.
    pub stop: Vec<String>,
    /// The form that the answer must have; any text by default. Not together with a
    /// [grammar](SamplingOptions::grammar), which says the same in another way.
    pub response_format: ResponseFormat,
    /// How tokens are chosen.
    pub sampling: SamplingOptions,
    /// Whether to give the log probability of each token, and of this many of the most probable
    /// alternatives, at most the size of the vocabulary.
    pub logprobs: Option<u32>,
    /// What text like `<|im_end|>` in the prompt means. It is [`Special::Parse`] for a chat.
    pub special: Special,
    /// Whether the prompt begins with the model's `bos`; by default as the model wants it.
    pub add_bos: Option<bool>,
    /// Ends generation from another thread, also while the prompt is processed.
    pub cancel: Option<CancelToken>,
}

const MAX_STOP_BYTES: usize = 4096;

impl GenerateOptions {
    pub(crate) fn check(&self, model: &Model) -> Result<(), LlamaError> {
        for stop in &self.stop {
            if !(1..=MAX_STOP_BYTES).contains(&stop.len()) {
                let expected = format!("strings of 1 to {MAX_STOP_BYTES} bytes");
                return Err(invalid(
                    "stop",
                    expected,
                    format_args!("{} bytes", stop.len()),
                ));
            }
        }
        if self.sampling.grammar.is_some() && self.response_format != ResponseFormat::Text {
            return Err(invalid("response_format", "none beside a grammar", "both"));
        }
        if let Some(count) = self.logprobs {
            check("logprobs", count, &(0..=model.n_vocab()))?;
        }
        self.sampling.check(model)
    }
}

/// How the next token is chosen from what the model computed.
///
/// The steps are those of llama.cpp's own programs, in their order and with their defaults: logit
/// bias, penalties, DRY, top-k, typical-p, top-p, min-p, XTC, temperature, and then a random choice
/// with the seed. With [`mirostat`](Self::mirostat): logit bias, penalties, DRY, temperature, mirostat.
/// A grammar is applied before all of them, if the token that they choose does not fit it.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingOptions {
    /// How much chance there is in the choice: 0 takes the most probable token, 1 the model's own
    /// probabilities, more flattens them. 0, or 0.001 to 1000 (0.8).
    pub temperature: f32,
    /// Only this many of the most probable tokens; 0 for all (40).
    pub top_k: u32,
    /// Only the most probable tokens that together have this probability, 0 to 1; 1 for all (0.95).
    pub top_p: f32,
    /// Only tokens at least this fraction as probable as the most probable one, 0 to 1; 0 for all
    /// (0.05).
    pub min_p: f32,
    /// Only the tokens nearest to the expected surprise that together have this probability, 0 to 1; 1
    /// for all (1).
    pub typical_p: f32,
    /// How many of the last tokens, prompt included, the three penalties look at; 0 for none (64).
    pub penalty_last_n: u32,
    /// Logits of tokens that were there already are divided by this (or multiplied, when negative),
    /// 0.01 to 100; 1 for no penalty (1).
    pub repeat_penalty: f32,
    /// Subtracted from a token's logit for each time it was there, -100 to 100 (0).
    pub frequency_penalty: f32,
    /// Subtracted from a token's logit if it was there, -100 to 100 (0).
    pub presence_penalty: f32,
    /// A penalty for going on with a repetition of several tokens.
    pub dry: Option<Dry>,
    /// Sometimes leaves out the most probable tokens.
    pub xtc: Option<Xtc>,
    /// Holds the surprise at a level instead of top-k, typical-p, top-p, min-p and XTC.
    pub mirostat: Option<Mirostat>,
    /// Added to the logits of tokens; negative infinity rules a token out.
    pub logit_bias: Vec<(Token, f32)>,
    /// A grammar in GBNF, llama.cpp's notation, that the text must follow, from its rule `root`; at most
    /// 256 KiB.
    pub grammar: Option<String>,
    /// The seed of the random choice, less than 4294967295; by default a new one each time. The one that
    /// was used is told by [`Generation::seed`](crate::Generation::seed).
    pub seed: Option<u32>,
}

impl Default for SamplingOptions {
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            typical_p: 1.0,
            penalty_last_n: 64,
            repeat_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            dry: None,
            xtc: None,
            mirostat: None,
            logit_bias: Vec::new(),
            grammar: None,
            seed: None,
        }
    }
}

/// DRY ("don't repeat yourself"): a token that would go on with a repetition of `allowed_length`
/// tokens or more gets a penalty of `multiplier * base ^ (length - allowed_length)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dry {
    /// The strength, 0 to 1000 (0.8).
    pub multiplier: f32,
    /// How fast the penalty grows with the length, 1 to 100 (1.75).
    pub base: f32,
    /// Repetitions of fewer tokens are free, at least 1 (2).
    pub allowed_length: u32,
    /// How many of the last tokens, prompt included, are looked at (64).
    pub last_n: u32,
    /// Repetitions do not reach across these texts of 1 to 40 bytes (`"\n"`, `":"`, `"\""`, `"*"`).
    pub sequence_breakers: Vec<String>,
}

impl Default for Dry {
    fn default() -> Self {
        Self {
            multiplier: 0.8,
            base: 1.75,
            allowed_length: 2,
            last_n: 64,
            sequence_breakers: ["\n", ":", "\"", "*"].map(str::to_owned).to_vec(),
        }
    }
}

/// XTC ("exclude top choices"): with some probability, of all tokens at least as probable as the
/// threshold only the least probable is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Xtc {
    /// How often, 0 to 1 (0.5).
    pub probability: f32,
    /// The threshold, 0 to 0.5 (0.1).
    pub threshold: f32,
}

impl Default for Xtc {
    fn default() -> Self {
        Self {
            probability: 0.5,
            threshold: 0.1,
        }
    }
}

/// Mirostat 2: leaves out the tokens that are too surprising, so that the surprise stays near `tau`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mirostat {
    /// The surprise to hold, in bits, 0 to 100 (5).
    pub tau: f32,
    /// How fast it is brought back there, 0 to 1 (0.1).
    pub eta: f32,
}

impl Default for Mirostat {
    fn default() -> Self {
        Self { tau: 5.0, eta: 0.1 }
    }
}

const MAX_BREAKER_BYTES: usize = 40;

impl SamplingOptions {
    /// The most probable token each time: no chance, and so no filters.
    ///
    /// ```
    /// let options = trifold_llama::SamplingOptions::greedy();
    /// assert_eq!(options.temperature, 0.0);
    /// ```
    pub fn greedy() -> Self {
        Self {
            temperature: 0.0,
            ..Self::default()
        }
    }

    pub(crate) fn check(&self, model: &Model) -> Result<(), LlamaError> {
        let temperature = self.temperature;
        if temperature != 0.0 && !(0.001..=1000.0).contains(&temperature) {
            return Err(invalid("temperature", "0, or 0.001 to 1000", temperature));
        }
        check("top_k", self.top_k, &(0..=i32::MAX.unsigned_abs()))?;
        check("top_p", self.top_p, &(0.0..=1.0))?;
        check("min_p", self.min_p, &(0.0..=1.0))?;
        check("typical_p", self.typical_p, &(0.0..=1.0))?;
        check("repeat_penalty", self.repeat_penalty, &(0.01..=100.0))?;
        check(
            "frequency_penalty",
            self.frequency_penalty,
            &(-100.0..=100.0),
        )?;
        check("presence_penalty", self.presence_penalty, &(-100.0..=100.0))?;
        check("seed", self.seed.unwrap_or(0), &(0..=u32::MAX - 1))?;
        if let Some(dry) = &self.dry {
            dry.check()?;
        }
        if let Some(xtc) = self.xtc {
            check("xtc.probability", xtc.probability, &(0.0..=1.0))?;
            check("xtc.threshold", xtc.threshold, &(0.0..=0.5))?;
        }
        if let Some(mirostat) = self.mirostat {
            check("mirostat.tau", mirostat.tau, &(0.0..=100.0))?;
            check("mirostat.eta", mirostat.eta, &(0.0..=1.0))?;
            if self.xtc.is_some() {
                return Err(invalid("xtc", "no XTC together with mirostat", "both"));
            }
        }
        for &(token, bias) in &self.logit_bias {
            model.require_tokens(&[token])?;
            if bias.is_nan() || bias == f32::INFINITY {
                return Err(invalid(
                    "logit_bias",
                    "a number, or negative infinity",
                    bias,
                ));
            }
        }
        Ok(())
    }
}

impl Dry {
    fn check(&self) -> Result<(), LlamaError> {
        check("dry.multiplier", self.multiplier, &(0.0..=1000.0))?;
        check("dry.base", self.base, &(1.0..=100.0))?;
        check(
            "dry.allowed_length",
            self.allowed_length,
            &(1..=MAX_CONTEXT),
        )?;
        for breaker in &self.sequence_breakers {
            if !(1..=MAX_BREAKER_BYTES).contains(&breaker.len()) || breaker.contains('\0') {
                let expected = format!("texts of 1 to {MAX_BREAKER_BYTES} bytes without NUL");
                return Err(invalid(
                    "dry.sequence_breakers",
                    expected,
                    format_args!("{breaker:?}"),
                ));
            }
        }
        Ok(())
    }
}

fn check<T: PartialOrd + Display + Copy>(
    option: &'static str,
    value: T,
    range: &RangeInclusive<T>,
) -> Result<(), LlamaError> {
    // Not a number is in no range.
    if range.contains(&value) {
        return Ok(());
    }
    Err(invalid(
        option,
        format!("{} to {}", range.start(), range.end()),
        value,
    ))
}

pub(crate) fn invalid(
    option: &'static str,
    expected: impl Into<String>,
    found: impl Display,
) -> LlamaError {
    LlamaError::InvalidOption {
        option,
        expected: expected.into(),
        found: found.to_string(),
    }
}

/// JSON for an error message, which may be long.
pub(crate) fn excerpt(value: &serde_json::Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
