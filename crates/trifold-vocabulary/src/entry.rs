use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What the index says of one vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: usize,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
    /// What its stream holds.
    pub form: Form,
    /// The size of the stream in bytes, before it was compressed.
    pub stream: usize,
    /// Where the stream starts, in bytes from the end of the index.
    pub offset: usize,
    /// The size of the stream in bytes, compressed.
    pub packed: usize,
}

/// What a stream holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Form {
    /// The vocabulary as it is.
    Xz,
    /// The tokens of `{"token":id, …}`.
    Tokens {
        /// Whether a space follows each colon and comma.
        spaced: bool,
    },
    /// Which merges, of those that can be derived from tokens.
    Merges {
        /// The vocabulary that has the tokens.
        of: String,
        /// The order of the derived merges.
        order: Order,
        /// Whether they are written with the escapes of JSON.
        escaped: bool,
    },
}

/// The order of the merges that make the same token; the tokens themselves go by their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Order {
    /// By the id of the left part, then of the right one.
    Ids,
    /// The longest left part first.
    Longest,
}

/// The SHA-256 of a vocabulary, as an [`Entry`] has it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
