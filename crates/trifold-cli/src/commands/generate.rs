//! `trifold generate`: goes on with a text.

use std::path::PathBuf;

use serde::Serialize;
use trifold_llama::{
    ChatMessage, FinishReason, GeneratedToken, Generation, Model, Timings, TokenLogprob, ToolCall,
    Usage,
};

use crate::{
    commands::{
        input, model,
        sampling::{GenerationArgs, SamplingArgs, explain},
    },
    error::CliError,
    ui::Ui,
};

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The text to go on with; `-`, or nothing, for standard input.
    #[arg(conflicts_with = "file")]
    prompt: Option<String>,

    /// Read the prompt from this file. The end of its last line is not part of the prompt.
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,

    /// A GGUF file, or `demo:story`.
    #[arg(long, short, value_name = "MODEL", default_value = "demo:story")]
    model: String,

    /// With --json: the log probability of each token, and this many alternatives.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    logprobs: Option<u32>,

    #[command(flatten)]
    generation: GenerationArgs,

    #[command(flatten)]
    sampling: SamplingArgs,
}

const EXAMPLES: &str = r#"Examples:
  trifold generate "Once upon a time"
  trifold generate --temperature 0 --max-tokens 50 --file notes.txt
  trifold generate --model model.gguf --stop $'\n' "The capital of France is"
  trifold generate --grammar 'root ::= "yes" | "no"' "Is the sky blue? Answer: "
  trifold generate --json-schema animal.json "The dog Max as JSON: "
  echo "Once upon a time" | trifold generate --seed 7 --json --logprobs 3"#;

const ON_OVERFLOW: &str = "Shorten the prompt, or make more room with --context.";

pub(crate) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    if args.logprobs.is_some() && !ui.json() {
        return Err(CliError::input(
            "Option --logprobs has nowhere to show its numbers",
            "Add --json.",
        ));
    }
    let prompt = prompt(args, ui)?;
    let sampling = args.sampling.options()?;
    let response_format = args.sampling.response_format()?;
    let model = model::text(&args.model, ui)?;
    let mut context = model
        .context(&args.generation.context())
        .map_err(|error| explain(error, ON_OVERFLOW))?;
    let mut options = args.generation.options(sampling);
    options.logprobs = args.logprobs;
    options.response_format = response_format;

    let spinner = ui.spinner("Reading the prompt");
    let generation = context.generate(&prompt, &options);
    spinner.finish_and_clear();
    let generation = generation.map_err(|error| explain(error, ON_OVERFLOW))?;
    let answer = stream(generation, ui)?;

    if ui.json() {
        ui.print_json(&Document {
            model: &args.model,
            answer: answer.report(&model, true),
        })?;
    } else {
        ui.note(&answer.summary());
    }
    answer.require_uncancelled()
}

/// The prompt, wherever it comes from. An empty one means something to the library only where the
/// model marks the beginning of a text; to a user it is a slip.
fn prompt(args: &Args, ui: &Ui) -> Result<String, CliError> {
    let prompt = match (&args.file, args.prompt.as_deref()) {
        (Some(path), _) => input::file(path)?,
        (None, None | Some("-")) => input::stdin("the text to go on with", ui)?,
        (None, Some(prompt)) => prompt.to_owned(),
    };
    if prompt.is_empty() {
        return Err(CliError::input(
            "Expected a prompt (found: an empty one)",
            "Give a text to go on with: trifold generate \"Once upon a time\"",
        ));
    }
    Ok(prompt)
}

/// A finished generation.
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) finish_reason: FinishReason,
    tool_calls: Vec<ToolCall>,
    tokens: Vec<GeneratedToken>,
    usage: Usage,
    timings: Timings,
    seed: u32,
}

/// Runs a generation to its end; shows the text as it comes, unless all of it will come as JSON.
pub(crate) fn stream(mut generation: Generation<'_>, ui: &Ui) -> Result<Answer, CliError> {
    let mut text = String::new();
    let mut tokens = Vec::new();
    let show = |text: &str| if ui.json() { Ok(()) } else { ui.print(text) };
    let end_line = |text: &str| {
        if text.ends_with('\n') {
            Ok(())
        } else {
            show("\n")
        }
    };
    for piece in &mut generation {
        let piece = piece.or_else(|error| end_line(&text).and(Err(explain(error, ON_OVERFLOW))))?;
        show(&piece.text)?;
        text.push_str(&piece.text);
        tokens.extend(piece.tokens);
    }
    let calls = generation.tool_calls();
    if !text.is_empty() || calls.is_empty() {
        end_line(&text)?;
    }
    for call in calls {
        show(&format!("{}({})\n", call.name, call.arguments_json))?;
    }
    Ok(Answer {
        text,
        tool_calls: generation.tool_calls().to_vec(),
        // Without an error it has ended for a reason.
        finish_reason: generation
            .finish_reason()
            .cloned()
            .unwrap_or(FinishReason::Cancelled),
        tokens,
        usage: generation.usage(),
        timings: generation.timings(),
        seed: generation.seed(),
    })
}

impl Answer {
    /// One line about it.
    fn summary(&self) -> String {
        let tokens = self.usage.completion_tokens;
        let tokens = format!("{tokens} token{}", if tokens == 1 { "" } else { "s" });
        let speed = self.timings.decode_tokens_per_second();
        let speed = speed.map_or(String::new(), |speed| format!(" · {speed:.0} tokens/s"));
        let reason = match &self.finish_reason {
            FinishReason::Cancelled => "stopped".to_owned(),
            FinishReason::ContextFull => "the context is full".to_owned(),
            FinishReason::Length => "--max-tokens reached".to_owned(),
            FinishReason::StopString(stop) => format!("stopped before {stop:?}"),
            FinishReason::ToolCalls => "the model calls tools".to_owned(),
            _ => "the model ended the text".to_owned(),
        };
        format!(
            "\x1b[2m[{tokens}{speed} · {reason} · seed {}]\x1b[0m",
            self.seed
        )
    }

    pub(crate) fn report<'a>(&'a self, model: &Model, with_tokens: bool) -> Report<'a> {
        let timings = &self.timings;
        let special = |token: &GeneratedToken| {
            // Tokens without text of their own are told by their names.
            if token.bytes.is_empty() {
                model.token_to_piece(token.token, true).unwrap_or_default()
            } else {
                token.bytes.clone()
            }
        };
        let stop_string = match &self.finish_reason {
            FinishReason::StopString(stop) => Some(stop.as_str()),
            _ => None,
        };
        Report {
            text: &self.text,
            tool_calls: &self.tool_calls,
            finish_reason: finish_reason(&self.finish_reason),
            stop_string,
            usage: self.usage,
            timings: TimingsReport {
                prompt_seconds: timings.prompt.as_secs_f64(),
                generation_seconds: timings.decode.as_secs_f64(),
                prompt_tokens_per_second: timings.prompt_tokens_per_second(),
                generation_tokens_per_second: timings.decode_tokens_per_second(),
            },
            seed: self.seed,
            tokens: with_tokens.then(|| {
                self.tokens
                    .iter()
                    .map(|token| TokenReport::new(token, special(token)))
                    .collect()
            }),
        }
    }

    /// The answer as a message of the conversation.
    pub(crate) fn to_message(&self) -> ChatMessage {
        let mut message = ChatMessage::assistant(&*self.text);
        if !self.tool_calls.is_empty() {
            let calls = serde_json::json!(self.tool_calls);
            message.extra.insert("tool_calls".to_owned(), calls);
        }
        message
    }

    pub(crate) fn require_uncancelled(&self) -> Result<(), CliError> {
        match self.finish_reason {
            FinishReason::Cancelled => Err(CliError::Interrupted),
            _ => Ok(()),
        }
    }
}

fn finish_reason(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::Cancelled => "cancelled",
        FinishReason::ContextFull => "context_full",
        FinishReason::Length => "length",
        FinishReason::StopString(_) => "stop_string",
        FinishReason::ToolCalls => "tool_calls",
        _ => "stop_token",
    }
}

#[derive(Serialize)]
struct Document<'a> {
    model: &'a str,
    #[serde(flatten)]
    answer: Report<'a>,
}

/// A generation as JSON.
#[derive(Serialize)]
pub(crate) struct Report<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tool_calls: &'a [ToolCall],
    finish_reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_string: Option<&'a str>,
    usage: Usage,
    timings: TimingsReport,
    seed: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Vec<TokenReport>>,
}

#[derive(Serialize)]
struct TimingsReport {
    prompt_seconds: f64,
    generation_seconds: f64,
    prompt_tokens_per_second: Option<f64>,
    generation_tokens_per_second: Option<f64>,
}

#[derive(Serialize)]
struct TokenReport {
    id: i32,
    #[serde(flatten)]
    text: TokenText,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprob: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top: Option<Vec<Self>>,
}

impl TokenReport {
    fn new(token: &GeneratedToken, bytes: Vec<u8>) -> Self {
        let alternative = |other: &TokenLogprob| Self {
            id: other.token.0,
            text: TokenText::new(other.bytes.clone()),
            logprob: Some(other.logprob),
            top: None,
        };
        let logprobs = token.logprobs.as_ref();
        Self {
            id: token.token.0,
            text: TokenText::new(bytes),
            logprob: logprobs.map(|logprobs| logprobs.logprob),
            top: logprobs.map(|logprobs| logprobs.top.iter().map(alternative).collect()),
        }
    }
}

/// A token's text, and its bytes where they are no text, such as half a character.
#[derive(Serialize)]
struct TokenText {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<Vec<u8>>,
}

impl TokenText {
    fn new(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self { text, bytes: None },
            Err(error) => Self {
                text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
                bytes: Some(error.into_bytes()),
            },
        }
    }
}
