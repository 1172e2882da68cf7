use std::io;
use std::path::{Path, PathBuf};

use crate::{Advice, Words};

/// Why a model file was refused.
///
/// Every variant names the file. Those about the contents also name the offset in bytes from the
/// start of the file, the field that lies there, what was expected and what was found.
/// [`hint`](Self::hint) says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The file has no bytes.
    #[error("Expected a model file at: {} (found: an empty file)", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },

    /// A field has a value that no valid file has, or that contradicts another field.
    #[error(
        "Damaged model file: {} (offset {offset}, {field}: expected {expected}, found {found})",
        path.display()
    )]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where the field lies, in bytes from the start of the file.
        offset: u64,
        /// The field's name.
        field: String,
        /// The values that would have been accepted.
        expected: String,
        /// The value in the file.
        found: String,
    },

    /// The header of a safetensors file is not the JSON that it must be.
    #[error(
        "Damaged model file: {} (offset {offset}, safetensors header: expected JSON that lists the tensors)",
        path.display()
    )]
    Json {
        /// The file.
        path: PathBuf,
        /// Where parsing stopped, in bytes from the start of the file.
        offset: u64,
        /// What the JSON parser says.
        #[source]
        source: serde_json::Error,
    },

    /// A metadata key or a tensor that the engine needs is not in the file.
    #[error("Incomplete model file: {} (expected {expected}, found none)", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What is missing, for example `metadata key "general.architecture"`.
        expected: String,
    },

    /// The path leads to something that is not a regular file.
    #[error("Expected a model file at: {} (found: {found})", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there, for example `a directory`.
        found: &'static str,
    },

    /// The file could not be opened.
    #[error("Failed to open model file: {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },

    /// The file could not be read, or it shrank while it was read.
    #[error("Failed to read model file: {} (offset {offset}, {field})", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Where reading failed, in bytes from the start of the file.
        offset: u64,
        /// What was being read.
        field: String,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },

    /// The file ends before its contents do.
    #[error(
        "Truncated model file: {} (offset {offset}, {field}: expected {expected} bytes, found {found})",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Where the field begins, in bytes from the start of the file.
        offset: u64,
        /// The field that is cut off.
        field: String,
        /// The field's size in bytes; for a list, the least that its entries need.
        expected: u64,
        /// How many bytes the file has from the offset on.
        found: u64,
    },

    /// The file is of no format that this crate reads.
    #[error(
        "Expected a GGUF, safetensors or whisper model file at: {} (found: {found})",
        path.display()
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What the first bytes look like.
        found: String,
        /// What to do about it.
        advice: &'static str,
    },

    /// The file is sound, but its format, version or contents are not supported.
    #[error(
        "Unsupported model file: {} (offset {offset}, {field}: expected {expected}, found {found})",
        path.display()
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Where the field lies, in bytes from the start of the file.
        offset: u64,
        /// The field's name.
        field: String,
        /// What is supported.
        expected: String,
        /// What the file has.
        found: String,
        /// What to do about it.
        advice: &'static str,
    },

    /// The file is a model, but not for this engine.
    #[error("Expected {expected} at: {} (found: {found})", path.display())]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// The kind of model that was asked for.
        expected: &'static str,
        /// The kind of model that the file is.
        found: String,
        /// What to do about it.
        advice: Advice,
    },
}

impl FormatError {
    /// One sentence that says what to do, where there is something to do; in terms of the Rust crates.
    ///
    /// ```
    /// use trifold_formats::ModelFile;
    ///
    /// let error = ModelFile::open("no/such/model.gguf").unwrap_err();
    /// assert_eq!(error.to_string(), "Failed to open model file: no/such/model.gguf");
    /// assert_eq!(error.hint().unwrap(), "Check the path: there is no such file.");
    /// ```
    pub fn hint(&self) -> Option<String> {
        self.hint_in(&Words::RUST)
    }

    /// [`hint`](Self::hint) in the words of a front end.
    ///
    /// ```
    /// use trifold_formats::{Words, check_text_model};
    ///
    /// let words = Words { speech: "the button Transcribe", ..Words::RUST };
    /// let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models");
    /// let error = check_text_model(format!("{models}/speech/trifold-speech.bin")).unwrap_err();
    /// let hint = error.hint_in(&words).unwrap();
    /// assert_eq!(hint, "This is a speech model: use the button Transcribe.");
    /// ```
    pub fn hint_in(&self, words: &Words) -> Option<String> {
        let hint = match self {
            Self::Empty { .. } | Self::Truncated { .. } => {
                "Download or copy the file again: it is incomplete."
            }
            Self::Invalid { .. } | Self::Json { .. } | Self::Missing { .. } => {
                "Download the file again, or convert the model again: its header is damaged or was written wrongly."
            }
            Self::NotAFile { .. } => "Give the path of the model file itself.",
            Self::Open { source, .. } => match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    "Check the path: there is no such file."
                }
                io::ErrorKind::PermissionDenied => {
                    "Check the permissions of the file and of the folders above it."
                }
                _ => return None,
            },
            Self::Read { .. } => {
                "Check the disk, and that nothing else is writing to the file at the same time."
            }
            Self::UnknownFormat { advice, .. } | Self::Unsupported { advice, .. } => advice,
            Self::WrongKind { advice, .. } => return Some(advice.sentence(words).into_owned()),
        };
        Some(hint.to_owned())
    }

    /// The path of the file that was refused.
    pub fn path(&self) -> &Path {
        match self {
            Self::Empty { path }
            | Self::Invalid { path, .. }
            | Self::Json { path, .. }
            | Self::Missing { path, .. }
            | Self::NotAFile { path, .. }
            | Self::Open { path, .. }
            | Self::Read { path, .. }
            | Self::Truncated { path, .. }
            | Self::UnknownFormat { path, .. }
            | Self::Unsupported { path, .. }
            | Self::WrongKind { path, .. } => path,
        }
    }
}
