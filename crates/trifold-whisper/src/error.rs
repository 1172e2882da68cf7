use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use trifold_backend::BackendError;
use trifold_formats::FormatError;
use trifold_runtime::EngineError;

use crate::transcript::clock;

/// Why something about speech failed.
///
/// The message names the file, option or sample, what was expected and what was found;
/// [`hint`](Self::hint) says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WhisperError {
    /// The contents of an audio file could not be decoded at all.
    #[error("Failed to decode audio file: {}", path.display())]
    AudioDecode {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },

    /// The audio file is empty, or has no audio in it.
    #[error("Expected audio in: {} (found: {found})", path.display())]
    AudioMissing {
        /// The file.
        path: PathBuf,
        /// What is there instead.
        found: String,
    },

    /// The audio file could not be opened or read.
    #[error("Failed to read audio file: {}", path.display())]
    AudioRead {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },

    /// The audio is longer than the engine's numbers reach.
    #[error("Expected at most {} of audio (found: {} or more)", clock(*max), clock(*found))]
    AudioTooLong {
        /// The length in question, or a lower bound of it.
        found: Duration,
        /// The longest that this model takes.
        max: Duration,
    },

    /// The audio file is sound, but of a kind that is not supported.
    #[error("Unsupported audio file: {} ({what}: expected {expected}, found {found})", path.display())]
    AudioUnsupported {
        /// The file.
        path: PathBuf,
        /// What of it, for example `codec`.
        what: &'static str,
        /// What is supported.
        expected: String,
        /// What the file has.
        found: String,
    },

    /// A [`CancelToken`](trifold_runtime::CancelToken) stopped the call.
    #[error("The call was cancelled")]
    Cancelled,

    /// The model computed something that is not a number.
    #[error("The speech model computed no numbers (found: {found})")]
    DamagedModel {
        /// What it computed.
        found: f32,
    },

    /// The device that was asked for is not there.
    #[error(transparent)]
    Device(#[from] BackendError),

    /// A call into the engine failed.
    #[error("Failed to {what}")]
    Engine {
        /// What was tried, for example `transcribe`.
        what: &'static str,
        /// The engine's words.
        #[source]
        source: EngineError,
    },

    /// The engine gave up, with an error code.
    #[error("Failed to {what}: whisper.cpp returned {code}{}", words_after(said))]
    EngineCode {
        /// What was tried, for example `transcribe`.
        what: &'static str,
        /// The engine's error code.
        code: i32,
        /// What it logged meanwhile.
        said: Vec<String>,
    },

    /// The engine refused a model that looked sound.
    #[error("Failed to load speech model: {}{}", path.display(), words_after(said))]
    LoadRefused {
        /// The file.
        path: PathBuf,
        /// What the engine logged.
        said: Vec<String>,
    },

    /// The model file was refused before the engine saw it.
    #[error(transparent)]
    Model(#[from] FormatError),

    /// The model file could not be read to its end.
    #[error("Failed to read speech model: {}", path.display())]
    ModelRead {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },

    /// There are no samples.
    #[error("Expected audio samples (found: none)")]
    NoSamples,

    /// An option has a value outside its range, or one that this model or audio cannot serve.
    #[error("Invalid option {option}: {value} (expected {expected})")]
    Option {
        /// The name of the field in [`Options`](crate::Options).
        option: &'static str,
        /// Its value.
        value: String,
        /// The values that it may have.
        expected: String,
    },

    /// A call before this one failed in the middle of the engine, which left the transcriber unusable.
    #[error(
        "The transcriber cannot be used any more: a call before this one failed inside whisper.cpp"
    )]
    Poisoned,

    /// A sample is not a number, or far outside −1 to 1.
    #[error(
        "Expected samples between -1 and 1 (found: {value} at index {index}, {})",
        clock(crate::audio::duration(*index))
    )]
    Sample {
        /// The first such sample.
        index: usize,
        /// Its value.
        value: f32,
    },
}

impl WhisperError {
    /// One sentence that says what to do, where there is something to do.
    ///
    /// ```
    /// let error = trifold_whisper::audio::load("no/such/speech.wav").unwrap_err();
    /// assert_eq!(error.to_string(), "Failed to read audio file: no/such/speech.wav");
    /// assert_eq!(error.hint().unwrap(), "Check the path: there is no such file.");
    /// ```
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Device(error) => return error.hint(),
            Self::AudioDecode { .. } | Self::AudioMissing { .. } => {
                "Check that the file plays; if it does, convert it: ffmpeg -i INPUT -ar 16000 -ac 1 speech.wav"
            }
            Self::AudioRead { source, .. } | Self::ModelRead { source, .. } => {
                match source.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                        "Check the path: there is no such file."
                    }
                    io::ErrorKind::PermissionDenied => {
                        "Check the permissions of the file and of the folders above it."
                    }
                    io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput => {
                        "Give the path of the file itself."
                    }
                    _ => {
                        "Check the disk, and that nothing else is writing to the file at the same time."
                    }
                }
            }
            Self::AudioTooLong { .. } => "Cut the recording into shorter parts.",
            Self::AudioUnsupported { .. } => {
                "Convert the file: ffmpeg -i INPUT -ar 16000 -ac 1 speech.wav"
            }
            Self::Cancelled | Self::NoSamples => return None,
            Self::DamagedModel { .. } | Self::LoadRefused { .. } => {
                "Download or copy the model again: its weights seem to be damaged."
            }
            Self::Engine { source, .. } => return source.hint(),
            Self::EngineCode { .. } => {
                "Try other options; if it goes on, this is a defect of whisper.cpp or of the model file."
            }
            Self::Model(error) => return error.hint(),
            Self::Option {
                option: "language", ..
            } => "Give a language that the model knows, or let it detect the language.",
            Self::Option { .. } => "Give a value in the range named above.",
            Self::Poisoned => {
                "Create a new transcriber from the same model: the model is unharmed."
            }
            Self::Sample { value, .. } if value.is_finite() => {
                "Scale the samples to -1 to 1; 16-bit samples are divided by 32768."
            }
            Self::Sample { .. } => {
                "Find out what wrote this audio: it contains values that are no numbers."
            }
        };
        Some(hint.to_owned())
    }

    /// Wraps an engine error with what was tried.
    pub(crate) fn engine(what: &'static str) -> impl FnOnce(EngineError) -> Self {
        move |source| Self::Engine { what, source }
    }
}

fn words_after(said: &[String]) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(" ({})", said.join("; "))
    }
}
