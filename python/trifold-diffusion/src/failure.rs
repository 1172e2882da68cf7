//! Errors of the safe crate on their way to exceptions of `trifold_diffusion`.

use std::io;

use trifold_diffusion::{DiffusionError, EngineError, Failure as Words};
use trifold_python::{Failure, device_failure, engine_failure, format_failure};

pub(crate) fn failure(error: &DiffusionError) -> Failure {
    use DiffusionError as E;
    let class = match error {
        E::Cancelled => "CancelledError",
        E::Device(error) => return device_failure(error),
        E::Encode(_) | E::NoModel | E::Option { .. } | E::UnknownName { .. } => "OptionError",
        E::Engine(error) => return engine_failure(error),
        E::Format(error) => return format_failure(error),
        E::Generate { source, .. } | E::Load { source, .. } if is_out_of_memory(source) => {
            "OutOfMemoryError"
        }
        E::Load {
            source: Words::Error(_) | Words::Nothing(_),
            ..
        }
        | E::WrongKind { .. } => "ModelError",
        E::Memory { .. } => "OutOfMemoryError",
        E::Poisoned { .. } => "PoisonedError",
        E::Read { .. } | E::Save { .. } => match error.io_error_kind() {
            Some(io::ErrorKind::NotFound) => "PictureNotFoundError",
            // The decoder's word for a file that ends too early.
            None | Some(io::ErrorKind::UnexpectedEof) => "PictureError",
            Some(_) => "PictureFileError",
        },
        _ => "EngineError",
    };
    let failure = Failure::of(class, error, error.hint());
    match error {
        E::Read { path, .. } | E::Save { path, .. } => failure.at(path),
        _ => failure,
    }
}

fn is_out_of_memory(words: &Words) -> bool {
    matches!(words, Words::Error(EngineError::OutOfMemory { .. }))
}
