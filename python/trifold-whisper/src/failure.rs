//! Errors of the safe crate on their way to exceptions of `trifold_whisper`.

use trifold_python::{Failure, device_failure, format_failure, is_missing};
use trifold_whisper::{EngineError, WhisperError};

pub(crate) fn failure(error: &WhisperError) -> Failure {
    use WhisperError as E;
    let class = match error {
        E::AudioRead { path, source } if is_missing(source) => {
            return Failure::of("AudioNotFoundError", error, error.hint()).at(path);
        }
        E::AudioDecode { .. }
        | E::AudioMissing { .. }
        | E::AudioRead { .. }
        | E::AudioTooLong { .. }
        | E::AudioUnsupported { .. }
        | E::NoSamples
        | E::Sample { .. } => "AudioError",
        E::Cancelled => "CancelledError",
        E::Device(error) => return device_failure(error),
        E::DamagedModel { .. } | E::LoadRefused { .. } | E::ModelRead { .. } => "ModelError",
        E::Model(error) => return format_failure(error),
        E::Engine {
            source: EngineError::OutOfMemory { .. },
            ..
        } => "OutOfMemoryError",
        E::Option {
            option,
            value,
            expected,
        } => {
            let error = E::Option {
                option: option_name(option),
                value: in_python(value),
                expected: in_python(expected),
            };
            return Failure::of("OptionError", &error, error.hint());
        }
        E::Poisoned => {
            // The safe crate speaks of transcribers, which Python does not see.
            let message = "This speech model cannot be used any more: a call before this one failed inside whisper.cpp";
            let hint = "Load it again, or take a share() of it: the model itself is unharmed.";
            return Failure::new("PoisonedError", message, Some(hint.into()));
        }
        _ => "EngineError",
    };
    Failure::of(class, error, error.hint())
}

/// The name of an option in Python.
fn option_name(option: &'static str) -> &'static str {
    match option {
        "decoding.best_of" => "best_of",
        "decoding.size" => "beam_size",
        other => other,
    }
}

/// Rust's words for Python's.
fn in_python(text: &str) -> String {
    match text.split_once(|c: char| !c.is_ascii_alphabetic()) {
        Some(("true", _)) => text.replacen("true", "True", 1),
        Some(("false", _)) => text.replacen("false", "False", 1),
        None if text == "true" => "True".to_owned(),
        None if text == "false" => "False".to_owned(),
        _ => text.to_owned(),
    }
}
