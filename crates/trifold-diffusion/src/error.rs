use std::{fmt, io, path::PathBuf};

use trifold_backend::BackendError;
use trifold_diffusion_sys::VocabulariesError;
use trifold_formats::FormatError;
use trifold_runtime::EngineError;

/// Why a picture could not be made, or a model not be loaded.
///
/// [`hint`](Self::hint) says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiffusionError {
    /// The [`CancelToken`](crate::CancelToken) stopped the call. The model can be used again.
    #[error("The generation was cancelled")]
    Cancelled,

    /// The device that was asked for is not there.
    #[error(transparent)]
    Device(#[from] BackendError),

    /// The fields of a picture were changed so that they do not fit together.
    #[error("Failed to encode a picture")]
    Encode(#[source] png::EncodingError),

    /// The engine could not be entered, or a call that needs no model failed.
    #[error(transparent)]
    Engine(#[from] EngineError),

    /// The model file was refused before the engine saw it.
    #[error(transparent)]
    Format(#[from] FormatError),

    /// The engine failed while it made a picture.
    #[error("Failed to generate a picture with: {}", model.display())]
    Generate {
        /// The model.
        model: PathBuf,
        /// What the engine says.
        #[source]
        source: Failure,
    },

    /// The engine did not take the model.
    #[error("Failed to load picture model: {}", model.display())]
    Load {
        /// The model.
        model: PathBuf,
        /// What the engine says.
        #[source]
        source: Failure,
    },

    /// The picture needs more memory than there is.
    #[error(
        "Not enough memory for a picture of {width}x{height} (expected at least {} MiB, found {} MiB)",
        needed.div_ceil(1 << 20),
        available >> 20
    )]
    Memory {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The least that the engine needs for it, in bytes.
        needed: u64,
        /// What this process can have, in bytes.
        available: u64,
    },

    /// No model file was named.
    #[error("Expected a model file (found: none)")]
    NoModel,

    /// An option has a value outside its range, or one that this model cannot serve.
    #[error("Invalid option {option}: {value} (expected {expected})")]
    Option {
        /// Its name.
        option: &'static str,
        /// Its value.
        value: String,
        /// The values that it may have.
        expected: String,
    },

    /// The engine failed one of its checks while it used the model: it is in an unknown state.
    #[error("Picture model cannot be used any more: {} (a call before failed inside the engine)", model.display())]
    Poisoned {
        /// The model.
        model: PathBuf,
    },

    /// A picture could not be read back.
    #[error("Failed to read picture: {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: png::DecodingError,
    },

    /// A picture could not be written. Nothing lies under its name that did not lie there before.
    #[error("Failed to write picture: {}", path.display())]
    Save {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },

    /// The engine's thread could not be started.
    #[error("Failed to start a thread for the picture engine")]
    Thread(#[source] io::Error),

    /// A sampler or scheduler of this name does not exist.
    #[error("Unknown {what}: {name} (known: {})", known.join(", "))]
    UnknownName {
        /// `sampler` or `scheduler`.
        what: &'static str,
        /// The name that was given.
        name: String,
        /// The names that there are.
        known: Vec<&'static str>,
    },

    /// The model makes something else than pictures.
    #[error("Expected a picture model at: {} (found: a video model)", model.display())]
    WrongKind {
        /// The model.
        model: PathBuf,
    },
}

impl DiffusionError {
    /// One sentence that says what to do, where there is something to do.
    ///
    /// ```
    /// let error = "best".parse::<trifold_diffusion::Scheduler>().unwrap_err();
    /// assert!(error.hint().unwrap().contains("leave it out"));
    /// ```
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Device(error) => return error.hint(),
            Self::Engine(error) => return error.hint(),
            Self::Format(error) => return error.hint(),
            Self::Generate { source, .. } | Self::Load { source, .. } => return source.hint(),
            Self::Memory { .. } => "Ask for a smaller picture, or free some memory.",
            Self::NoModel => "Name a model file, or the file of a diffusion model among the parts.",
            Self::Poisoned { .. } => "Load the model again.",
            Self::Read { .. } => "Give the path of a PNG picture.",
            Self::Save { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "Create the folder first.",
                io::ErrorKind::PermissionDenied => "Choose a folder that you can write to.",
                io::ErrorKind::StorageFull => "Free some space on that disk, or choose another.",
                _ => return None,
            },
            Self::Thread(_) => "Stop other programs: this system has no threads or memory left.",
            Self::UnknownName { .. } => {
                "Use one of the known names, or leave it out for the model's default."
            }
            Self::WrongKind { .. } => "Give a text-to-picture model.",
            Self::Cancelled | Self::Encode(_) | Self::Option { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

impl DiffusionError {
    /// The kind of the I/O error that is the cause, if it is one.
    ///
    /// ```
    /// let error = trifold_diffusion::read_png("no/such/picture.png").unwrap_err();
    /// assert_eq!(error.io_error_kind(), Some(std::io::ErrorKind::NotFound));
    /// ```
    pub fn io_error_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Read {
                source: png::DecodingError::IoError(error),
                ..
            }
            | Self::Save { source: error, .. }
            | Self::Thread(error) => Some(error.kind()),
            _ => None,
        }
    }
}

/// What an engine says of its own failure.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// A call failed.
    Error(EngineError),
    /// A call came back with nothing; these are the last lines that the engine logged meanwhile,
    /// oldest first.
    Nothing(Vec<String>),
    /// A picture came out in another form than asked for.
    Size {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Bytes a pixel.
        channels: u32,
    },
    /// A tokenizer vocabulary that the model needs could not be had.
    Vocabularies(VocabulariesError),
}

impl Failure {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Error(error) => error.hint(),
            Self::Vocabularies(error) => error.hint(),
            Self::Nothing(_) | Self::Size { .. } => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::Vocabularies(error) => error.fmt(f),
            Self::Nothing(lines) if lines.is_empty() => f.write_str("The engine does not say why"),
            Self::Nothing(lines) => f.write_str(&lines.join("; ")),
            Self::Size {
                width,
                height,
                channels,
            } => {
                write!(
                    f,
                    "The engine made a picture of {width}x{height} with {channels} channels"
                )
            }
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Its message is this one's.
            Self::Error(error) => std::error::Error::source(error),
            Self::Vocabularies(error) => std::error::Error::source(error),
            Self::Nothing(_) | Self::Size { .. } => None,
        }
    }
}
