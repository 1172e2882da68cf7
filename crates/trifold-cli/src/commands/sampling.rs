//! Options that `generate` and `chat` share: how tokens are chosen, and what they are computed with.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use serde_json::Value;
use trifold_llama::{
    ContextOptions, Dry, GenerateOptions, LlamaError, Mirostat, ResponseFormat, SamplingOptions,
    Token, Xtc,
};

use crate::{commands::input, error::CliError, interrupt};

/// How tokens are chosen.
#[derive(clap::Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SamplingArgs {
    /// How much chance there is: 0 always takes the most probable token.
    #[arg(
        long,
        short,
        value_name = "T",
        default_value_t = 0.8,
        allow_negative_numbers = true
    )]
    temperature: f32,

    /// Choose among this many of the most probable tokens; 0 for all.
    #[arg(
        long,
        value_name = "K",
        default_value_t = 40,
        allow_negative_numbers = true
    )]
    top_k: u32,

    /// Choose among the most probable tokens that together have this probability; 1 for all.
    #[arg(
        long,
        value_name = "P",
        default_value_t = 0.95,
        allow_negative_numbers = true
    )]
    top_p: f32,

    /// Choose among tokens at least this fraction as probable as the best; 0 for all.
    #[arg(
        long,
        value_name = "P",
        default_value_t = 0.05,
        allow_negative_numbers = true
    )]
    min_p: f32,

    /// Choose among the tokens of typical surprise that together have this probability; 1 for all.
    #[arg(
        long,
        value_name = "P",
        default_value_t = 1.0,
        allow_negative_numbers = true
    )]
    typical_p: f32,

    /// Seed of the random choice: the same seed gives the same text [default: a new one each time].
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(..i64::from(u32::MAX)))]
    seed: Option<u32>,

    /// Make tokens that were there already less probable, by this factor; 1 for no penalty.
    #[arg(
        long,
        value_name = "X",
        default_value_t = 1.0,
        allow_negative_numbers = true
    )]
    repeat_penalty: f32,

    /// Take this from a token's logit for each time it was there.
    #[arg(
        long,
        value_name = "X",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    frequency_penalty: f32,

    /// Take this from a token's logit if it was there.
    #[arg(
        long,
        value_name = "X",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    presence_penalty: f32,

    /// How many of the last tokens the three penalties look at; 0 for none.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 64,
        allow_negative_numbers = true
    )]
    penalty_last_n: u32,

    /// DRY, against repeated phrases: its strength (0.8 is usual). Any --dry option turns it on.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    dry_multiplier: Option<f32>,

    /// DRY: how fast the penalty grows with the phrase [default with DRY: 1.75].
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    dry_base: Option<f32>,

    /// DRY: phrases of fewer tokens are free [default with DRY: 2].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    dry_allowed_length: Option<u32>,

    /// DRY: how many of the last tokens it looks at [default with DRY: 64].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    dry_last_n: Option<u32>,

    /// DRY: phrases do not reach across this text; may be repeated [default with DRY: a new line and
    /// : " *].
    #[arg(long, value_name = "TEXT")]
    dry_sequence_breakers: Vec<String>,

    /// XTC, which leaves out the most probable tokens: how often (0.5 is usual).
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    xtc_probability: Option<f32>,

    /// XTC: of the tokens at least this probable only the least is kept [default with XTC: 0.1].
    #[arg(
        long,
        value_name = "P",
        allow_negative_numbers = true,
        requires = "xtc_probability"
    )]
    xtc_threshold: Option<f32>,

    /// Mirostat 2, which holds the surprise at a level, in place of the --top, --min, --typical and
    /// --xtc options.
    #[arg(long, conflicts_with_all = ["top_k", "top_p", "min_p", "typical_p", "xtc_probability"])]
    mirostat: bool,

    /// Mirostat: the level, in bits [default with mirostat: 5].
    #[arg(
        long,
        value_name = "X",
        allow_negative_numbers = true,
        requires = "mirostat"
    )]
    mirostat_tau: Option<f32>,

    /// Mirostat: how fast it is brought back there [default with mirostat: 0.1].
    #[arg(
        long,
        value_name = "X",
        allow_negative_numbers = true,
        requires = "mirostat"
    )]
    mirostat_eta: Option<f32>,

    /// Add this to a token's logit; -inf rules it out. May be repeated.
    #[arg(long, value_name = "TOKEN_ID=BIAS", value_parser = logit_bias)]
    logit_bias: Vec<(Token, f32)>,

    /// The text must follow this grammar, in GBNF, llama.cpp's notation.
    #[arg(long, value_name = "GBNF", conflicts_with = "grammar_file")]
    grammar: Option<String>,

    /// The text must follow the grammar in this file.
    #[arg(long, value_name = "FILE")]
    grammar_file: Option<PathBuf>,

    /// The text must be JSON that fits this JSON Schema: a file, or the schema itself, which begins with
    /// {. The model is not told: say in the prompt what is wanted.
    #[arg(long, value_name = "FILE|JSON", conflicts_with_all = ["grammar", "grammar_file"])]
    json_schema: Option<PathBuf>,
}

impl SamplingArgs {
    pub(crate) fn options(&self) -> Result<SamplingOptions, CliError> {
        let mut logit_bias = self.logit_bias.clone();
        logit_bias.sort_by_key(|(token, _)| *token);
        Ok(SamplingOptions {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            typical_p: self.typical_p,
            penalty_last_n: self.penalty_last_n,
            repeat_penalty: self.repeat_penalty,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            dry: self.dry(),
            xtc: self.xtc(),
            mirostat: self.mirostat(),
            logit_bias,
            grammar: match &self.grammar_file {
                Some(path) => Some(input::file(path)?),
                None => self.grammar.clone(),
            },
            seed: self.seed,
        })
    }

    /// The form that the text must have.
    pub(crate) fn response_format(&self) -> Result<ResponseFormat, CliError> {
        self.json_schema
            .as_deref()
            .map_or(Ok(ResponseFormat::Text), |given| {
                read_schema(given).map(ResponseFormat::JsonSchema)
            })
    }

    fn dry(&self) -> Option<Dry> {
        let breakers = &self.dry_sequence_breakers;
        let wanted = self.dry_multiplier.is_some()
            || self.dry_base.is_some()
            || self.dry_allowed_length.is_some()
            || self.dry_last_n.is_some()
            || !breakers.is_empty();
        let usual = Dry::default();
        wanted.then(|| Dry {
            multiplier: self.dry_multiplier.unwrap_or(usual.multiplier),
            base: self.dry_base.unwrap_or(usual.base),
            allowed_length: self.dry_allowed_length.unwrap_or(usual.allowed_length),
            last_n: self.dry_last_n.unwrap_or(usual.last_n),
            sequence_breakers: if breakers.is_empty() {
                usual.sequence_breakers
            } else {
                breakers.clone()
            },
        })
    }

    fn xtc(&self) -> Option<Xtc> {
        let threshold = self.xtc_threshold.unwrap_or(Xtc::default().threshold);
        self.xtc_probability.map(|probability| Xtc {
            probability,
            threshold,
        })
    }

    fn mirostat(&self) -> Option<Mirostat> {
        let usual = Mirostat::default();
        self.mirostat.then(|| Mirostat {
            tau: self.mirostat_tau.unwrap_or(usual.tau),
            eta: self.mirostat_eta.unwrap_or(usual.eta),
        })
    }
}

/// A JSON Schema, or what is in the file that has it.
fn read_schema(given: &Path) -> Result<Value, CliError> {
    let inline = given
        .to_str()
        .filter(|text| text.trim_start().starts_with('{'));
    let (text, place) = match inline {
        Some(text) => (text.to_owned(), "for option --json-schema".to_owned()),
        None => (input::file(given)?, format!("in: {}", given.display())),
    };
    match serde_json::from_str(&text) {
        Ok(schema @ (Value::Object(_) | Value::Bool(_))) => Ok(schema),
        Ok(_) => Err(CliError::input(
            format!("Expected a JSON Schema {place} (found: JSON of another type)"),
            "A schema is an object, such as {\"type\": \"object\"}.",
        )),
        Err(source) => Err(CliError::Schema { place, source }),
    }
}

fn logit_bias(text: &str) -> Result<(Token, f32), String> {
    let (token, bias) = text
        .split_once('=')
        .ok_or("expected TOKEN_ID=BIAS, such as 15=-inf")?;
    let token = token
        .trim()
        .parse()
        .map_err(|_| format!("expected a token's number: {token}"))?;
    let bias = bias
        .trim()
        .parse()
        .map_err(|_| format!("expected a number or -inf: {bias}"))?;
    Ok((Token(token), bias))
}

/// How long the text may be, and what it is computed with.
#[derive(clap::Args)]
#[command(next_help_heading = "Generation")]
pub(crate) struct GenerationArgs {
    /// The most tokens to generate [default: until the model ends or the context is full].
    #[arg(long, short = 'n', value_name = "N", allow_negative_numbers = true)]
    max_tokens: Option<u32>,

    /// End before this text; may be repeated. For a new line write $'\n' in the shell.
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,

    /// Tokens of prompt and answer together [default: as many as the model was trained on].
    #[arg(long, short, value_name = "N", allow_negative_numbers = true)]
    context: Option<u32>,

    /// Tokens of a prompt that are processed at a time.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 2048,
        allow_negative_numbers = true
    )]
    batch: u32,

    /// Threads to compute with [default: as many as help, at most one a core].
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = threads)]
    threads: Option<NonZeroUsize>,
}

/// A number of threads that the engines can start.
pub(crate) fn threads(text: &str) -> Result<NonZeroUsize, String> {
    const MAX: usize = trifold_runtime::threads::MAX;
    text.parse()
        .ok()
        .filter(|threads: &NonZeroUsize| threads.get() <= MAX)
        .ok_or_else(|| format!("expected a number from 1 to {MAX}"))
}

impl GenerationArgs {
    pub(crate) fn context(&self) -> ContextOptions {
        ContextOptions {
            n_ctx: self.context.unwrap_or(0),
            n_batch: self.batch,
            threads: self.threads,
        }
    }

    /// Options for one generation, which Ctrl-C ends.
    pub(crate) fn options(&self, sampling: SamplingOptions) -> GenerateOptions {
        GenerateOptions {
            max_tokens: self.max_tokens,
            stop: self.stop.clone(),
            sampling,
            cancel: Some(interrupt::token()),
            ..GenerateOptions::default()
        }
    }
}

/// The library's error in the words of the command line: `--top-p` for `top_p`, and what to do with
/// the options that there are here.
pub(crate) fn explain(error: LlamaError, on_overflow: &str) -> CliError {
    match error {
        LlamaError::Cancelled => CliError::Interrupted,
        LlamaError::InvalidOption {
            option,
            expected,
            found,
        } => {
            let option = match option {
                "n_ctx" => "context".to_owned(),
                "n_batch" => "batch".to_owned(),
                "response_format" => "json-schema".to_owned(),
                option => option.replace(['_', '.'], "-"),
            };
            CliError::input(
                format!("Expected {expected} for option --{option} (found: {found})"),
                "`--help` tells what each option means.",
            )
        }
        error @ LlamaError::UnknownToken { .. } => CliError::input(
            error.to_string(),
            "Give --logit-bias a token of this model; `trifold inspect --json` lists them.",
        ),
        error @ LlamaError::ContextOverflow { .. } => {
            CliError::input(error.to_string(), on_overflow)
        }
        error => error.into(),
    }
}
