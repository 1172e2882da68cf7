//! Errors of the safe crate on their way to exceptions of `trifold_llama`.

use trifold_llama::LlamaError;
use trifold_python::{Failure, engine_failure};

pub(crate) fn failure(error: &LlamaError) -> Failure {
    use LlamaError as E;
    let class = match error {
        E::Cancelled => "CancelledError",
        E::ChatTemplate { .. } | E::NoChatTemplate => "ChatTemplateError",
        E::ContextOverflow { .. } => "ContextOverflowError",
        E::Engine(error) => return engine_failure(error),
        E::EmptyText
        | E::Grammar { .. }
        | E::GrammarDeadEnd { .. }
        | E::InvalidOption { .. }
        | E::NoToken
        | E::Schema { .. }
        | E::TextTooLong { .. }
        | E::UnknownToken { .. } => "OptionError",
        E::Format(_) | E::Load { .. } | E::Unsupported { .. } => "ModelError",
        E::Poisoned { .. } => "PoisonedError",
        _ => "EngineError",
    };
    Failure::of(class, error, error.hint())
}
