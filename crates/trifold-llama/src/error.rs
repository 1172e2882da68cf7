//! The error of this crate.

use std::{error::Error, fmt, path::PathBuf};

use trifold_backend::BackendError;
use trifold_formats::FormatError;
use trifold_runtime::EngineError;

use crate::Token;

/// Why something that was asked of a text model failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LlamaError {
    /// [`CancelToken::cancel`](crate::CancelToken::cancel) was called. Generation does not give this
    /// error: it ends with [`FinishReason::Cancelled`](crate::FinishReason::Cancelled).
    #[error("Cancelled")]
    Cancelled,

    /// The model's chat template could not be read, or it refused these messages.
    #[error("Failed to apply the model's chat template{}", line.map_or(String::new(), |line| format!(" (line {line})")))]
    ChatTemplate {
        /// The line in the template, counted from 1.
        line: Option<usize>,
        /// What is wrong with it, or what it says about the messages.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },

    /// The engine could not make a context.
    #[error("Failed to make a context of {n_ctx} tokens")]
    Context {
        /// The size that was asked for.
        n_ctx: u32,
        /// The engine's words.
        #[source]
        source: EngineWords,
    },

    /// The text has more tokens than the context has room for. Nothing of it was processed.
    #[error(
        "{text} does not fit the context: expected at most {limit} tokens (found: {}{tokens})",
        if *at_least { "at least " } else { "" }
    )]
    ContextOverflow {
        /// Which text: `Prompt`, or `Text 3` of those to embed, counted from 1.
        text: String,
        /// How many tokens it has.
        tokens: usize,
        /// Whether that is a lower bound: a text that is far too long is not even cut into tokens.
        at_least: bool,
        /// How many tokens the context holds.
        limit: usize,
    },

    /// The engine could not process tokens.
    #[error("Failed to process tokens (status {status})")]
    Decode {
        /// What `llama_decode` returned.
        status: i32,
        /// The engine's words.
        #[source]
        source: EngineWords,
    },

    /// A device that was asked for is not there.
    #[error(transparent)]
    Device(#[from] BackendError),

    /// There is nothing to go on from: the text has no tokens, and the model begins no text with one
    /// of its own.
    #[error("Expected a text of at least one token (found: an empty one)")]
    EmptyText,

    /// A call into the engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),

    /// This generation failed, and gave that error out, before.
    #[error("This generation has failed before")]
    FailedBefore,

    /// The header of the model file is not sound, or it is no text model.
    #[error(transparent)]
    Format(#[from] FormatError),

    /// The grammar could not be read.
    #[error("Failed to read the grammar")]
    Grammar {
        /// The engine's words.
        #[source]
        source: EngineWords,
    },

    /// The grammar allows no token of this model where it has come to.
    #[error("The grammar allows none of the model's tokens after: {text:?}")]
    GrammarDeadEnd {
        /// The end of what was generated until there.
        text: String,
    },

    /// An option has a value that makes no sense.
    #[error("Expected {expected} for option {option} (found: {found})")]
    InvalidOption {
        /// The option's name.
        option: &'static str,
        /// The values that would have been accepted.
        expected: String,
        /// The value that was given.
        found: String,
    },

    /// The engine could not load the model.
    #[error("Failed to load model: {}", path.display())]
    Load {
        /// The model file.
        path: PathBuf,
        /// The engine's words.
        #[source]
        source: EngineWords,
    },

    /// The model has no chat template.
    #[error("Model has no chat template")]
    NoChatTemplate,

    /// The sampling options rule out every token.
    #[error("The sampling options leave no token to choose from")]
    NoToken,

    /// The model computed something that is not a number.
    #[error("The model computed values that are not numbers")]
    NotANumber,

    /// An earlier call left this object in an unknown state; it refuses further use.
    #[error("This context cannot be used any more: an earlier call failed an internal check")]
    Poisoned {
        /// How the earlier call failed.
        #[source]
        source: EngineError,
    },

    /// The engine does not know how to hold a text to this JSON schema.
    #[error("Failed to turn the JSON schema into a grammar")]
    Schema {
        /// The engine's words.
        #[source]
        source: EngineWords,
    },

    /// No thread could be started for a very long text or grammar, which needs a large stack.
    #[error("Failed to start a thread with a stack of {bytes} bytes")]
    Stack {
        /// The size of the stack in bytes.
        bytes: usize,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },

    /// The text is longer than the engine's tokenizer takes.
    #[error("Expected a text of less than 2^31 bytes (found: {bytes} bytes)")]
    TextTooLong {
        /// The text's length in bytes.
        bytes: usize,
    },

    /// The model has no such token.
    #[error("Expected a token from 0 to {} (found: {token})", n_vocab.saturating_sub(1))]
    UnknownToken {
        /// The token.
        token: Token,
        /// How many tokens the model has.
        n_vocab: u32,
    },

    /// This model cannot do that.
    #[error("Expected {expected} (found: {found})")]
    Unsupported {
        /// What kind of model is needed.
        expected: &'static str,
        /// What this model is.
        found: &'static str,
    },
}

impl LlamaError {
    /// One sentence on what to do about it, where there is something to do.
    ///
    /// ```
    /// let error = trifold_llama::Model::load("no/such/model.gguf").unwrap_err();
    /// assert_eq!(error.hint().unwrap(), "Check the path: there is no such file.");
    /// ```
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Device(error) => return error.hint(),
            Self::Format(error) => return error.hint(),
            Self::Engine(error) => return error.hint(),
            Self::Context { .. } => {
                "Ask for a smaller context (n_ctx), or free some memory.".to_owned()
            }
            Self::ContextOverflow { .. } => {
                "Shorten the text, or make a larger context (n_ctx).".to_owned()
            }
            Self::Load { .. } => {
                "Check that this version of llama.cpp knows the model's architecture, and that the file is complete."
                    .to_owned()
            }
            Self::NoChatTemplate => {
                "Use a model that is tuned for chat, or write the prompt yourself and generate from that.".to_owned()
            }
            Self::NoToken => "Loosen the logit bias and the filters of the sampler.".to_owned(),
            Self::NotANumber => {
                "The weights are probably damaged: download or convert the model again.".to_owned()
            }
            Self::Poisoned { .. } => "Make a new context; the model can be kept.".to_owned(),
            Self::GrammarDeadEnd { .. } => {
                "Check that the grammar's characters can be written with the model's tokens.".to_owned()
            }
            Self::EmptyText => "Give a text.".to_owned(),
            Self::Schema { .. } => {
                "Leave out what it names, or say it otherwise: ResponseFormat lists what is known of JSON Schema."
                    .to_owned()
            }
            Self::Cancelled
            | Self::ChatTemplate { .. }
            | Self::Decode { .. }
            | Self::FailedBefore
            | Self::Grammar { .. }
            | Self::InvalidOption { .. }
            | Self::Stack { .. }
            | Self::TextTooLong { .. }
            | Self::UnknownToken { .. }
            | Self::Unsupported { .. } => return None,
        })
    }
}

/// What the engine said on a failed call: its warnings and errors, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineWords(Vec<String>);

impl EngineWords {
    pub(crate) fn new(lines: Vec<String>) -> Self {
        Self(
            lines
                .into_iter()
                .filter(|line| !line.trim().is_empty())
                .collect(),
        )
    }

    /// The lines.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for EngineWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("llama.cpp gave no reason");
        }
        write!(f, "llama.cpp says: {}", self.0.join("; "))
    }
}

impl Error for EngineWords {}
