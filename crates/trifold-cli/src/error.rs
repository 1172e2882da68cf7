use std::{io, path::PathBuf};

use trifold_backend::BackendError;
use trifold_diffusion::DiffusionError;
use trifold_formats::{FormatError, Words};
use trifold_hub::HubError;
use trifold_llama::LlamaError;
use trifold_runtime::EngineError;
use trifold_whisper::WhisperError;

/// What the program calls the ways to use a model.
const WORDS: Words = Words {
    inspect: "`trifold inspect`",
    picture: "`trifold draw`",
    speech: "`trifold transcribe`",
    text: "`trifold generate` or `trifold chat`",
};

/// Whatever ends a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Device(#[from] BackendError),
    #[error(transparent)]
    Hub(#[from] HubError),
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error(transparent)]
    Llama(#[from] LlamaError),
    #[error(transparent)]
    Whisper(#[from] WhisperError),
    #[error(transparent)]
    Diffusion(#[from] DiffusionError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("{what}: {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("Expected a JSON Schema {place}")]
    Schema {
        /// Such as `in: FILE`.
        place: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("Could not write to standard output")]
    Stdout(#[source] io::Error),
    #[error("{message}")]
    Input { message: String, hint: String },
    /// Something that must hold does not: a defect of this build.
    #[error("{message}")]
    Check { message: String },
    #[error("Interrupted")]
    Interrupted,
}

impl CliError {
    pub(crate) fn io(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }

    pub(crate) fn input(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Input {
            message: message.into(),
            hint: hint.into(),
        }
    }

    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Device(error) => error.hint(),
            Self::Hub(error) => error.hint(),
            Self::Format(error)
            | Self::Llama(LlamaError::Format(error))
            | Self::Whisper(WhisperError::Model(error))
            | Self::Diffusion(DiffusionError::Format(error)) => error.hint_in(&WORDS),
            Self::Llama(LlamaError::Schema { .. }) => {
                Some("Leave out what it names, or say it otherwise: not all of JSON Schema is known here.".into())
            }
            Self::Llama(error) => error.hint(),
            Self::Whisper(error) => error.hint(),
            Self::Diffusion(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            Self::Io { source, .. } | Self::Stdout(source) => Some(match source.kind() {
                io::ErrorKind::StorageFull => "Free some space, or write to another disk".into(),
                io::ErrorKind::FileTooLarge => {
                    "write to another disk, or raise the limit on the size of files".into()
                }
                io::ErrorKind::PermissionDenied => {
                    "Choose a place that you may read and write".into()
                }
                io::ErrorKind::NotFound => "See that the folder is there".into(),
                _ => return None,
            }),
            Self::Input { hint, .. } => Some(hint.clone()),
            Self::Schema { .. } => Some("Check its quotes, commas and braces.".into()),
            Self::Check { .. } => Some("Run `trifold doctor` and report what it prints".into()),
            Self::Interrupted => None,
        }
    }
}
