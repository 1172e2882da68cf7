//! Errors of the safe crate on their way to exceptions of `trifold_llama`.

use trifold_llama::LlamaError;
use trifold_python::{Failure, device_failure, engine_failure, format_failure};

pub(crate) fn failure(error: &LlamaError) -> Failure {
    use LlamaError as E;
    let class = match error {
        E::Cancelled => "CancelledError",
        E::Device(error) => return device_failure(error),
        E::ChatTemplate { .. } | E::NoChatTemplate => "ChatTemplateError",
        E::ContextOverflow { .. } => "ContextOverflowError",
        E::Engine(error) => return engine_failure(error),
        E::Format(error) => return format_failure(error),
        E::EmptyText
        | E::Grammar { .. }
        | E::GrammarDeadEnd { .. }
        | E::InvalidOption { .. }
        | E::NoToken
        | E::Schema { .. }
        | E::TextTooLong { .. }
        | E::UnknownToken { .. } => "OptionError",
        E::Load { .. } | E::Unsupported { .. } => "ModelError",
        E::Poisoned { source } => {
            // The safe crate speaks of contexts, which Python does not see.
            let message = format!(
                "This text model cannot be used any more: a call before this one failed inside llama.cpp: {source}"
            );
            return Failure::new("PoisonedError", message, Some("Load it again.".into()));
        }
        _ => "EngineError",
    };
    let hint = match error {
        E::Schema { .. } => Some(
            "Leave out what it names, or say it otherwise: help(trifold_llama.JsonSchema) lists what is known."
                .to_owned(),
        ),
        _ => error.hint(),
    };
    Failure::of(class, error, hint)
}
