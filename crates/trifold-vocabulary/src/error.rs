use std::io;

/// Why a vocabulary could not be unpacked.
///
/// [`hint`](Self::hint) says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VocabularyError {
    /// The index has a value that it cannot have.
    #[error("Damaged index of packed vocabularies: {field} (expected {expected}, found {found})")]
    Index {
        /// What has this value.
        field: String,
        /// The values that it may have.
        expected: String,
        /// Its value.
        found: String,
    },

    /// A vocabulary is not what the index says, or its stream not what its form needs.
    #[error("Damaged vocabulary: {name} ({field}: expected {expected}, found {found})")]
    Invalid {
        /// The vocabulary.
        name: String,
        /// What has this value.
        field: &'static str,
        /// The values that it may have.
        expected: String,
        /// Its value.
        found: String,
    },

    /// The index is not the JSON that it must be.
    #[error("Damaged index of packed vocabularies: expected JSON that lists them")]
    Json(#[source] serde_json::Error),

    /// The bytes are something else.
    #[error("Expected packed vocabularies (found: {found})")]
    Kind {
        /// What they are, or how they start.
        found: String,
    },

    /// A stream is not the xz file that it must be.
    #[error("Damaged vocabulary: {name} (expected an xz stream of {size} bytes)")]
    Stream {
        /// The vocabulary.
        name: String,
        /// The size that the stream should have, in bytes.
        size: usize,
        /// What the decoder says.
        #[source]
        source: io::Error,
    },

    /// There is no vocabulary of this name.
    #[error("Unknown vocabulary: {name} (known: {})", known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
}

impl VocabularyError {
    /// One sentence on what to do about it, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Kind { .. } => "Give a file that trifold has packed, of the same version.",
            Self::Index { .. } | Self::Invalid { .. } | Self::Json(_) | Self::Stream { .. } => {
                "Replace the file: it was changed since it was packed."
            }
            Self::Unknown { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// What a stream should be and is not; becomes [`VocabularyError::Invalid`] where the name is known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) field: &'static str,
    pub(crate) expected: String,
    pub(crate) found: String,
}

impl Fault {
    pub(crate) fn new(
        field: &'static str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self {
            field,
            expected: expected.into(),
            found: found.into(),
        }
    }

    pub(crate) fn of(self, name: &str) -> VocabularyError {
        VocabularyError::Invalid {
            name: name.to_owned(),
            field: self.field,
            expected: self.expected,
            found: self.found,
        }
    }
}

/// The start of some bytes, for a message.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(16)];
    format!("{:?}", String::from_utf8_lossy(start))
}
