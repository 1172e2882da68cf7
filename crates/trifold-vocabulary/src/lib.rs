//! Packed tokenizer vocabularies: the format, unpacking, and, with the feature `pack`, packing.
//!
//! stable-diffusion.cpp carries 48 MB of tokenizer tables, and a picture needs one or two of them. They
//! are packed when the engine is built and unpacked one at a time, byte for byte, when it asks.
//!
//! ```
//! use trifold_vocabulary::{Form, Packed};
//!
//! let tokens: &[u8] = br#"{"a":0,"b":1,"ab":2}"#;
//! let bytes = trifold_vocabulary::pack(&[("toy_vocab_json", tokens)])?; // needs the feature `pack`
//!
//! let packed = Packed::parse(&bytes)?;
//! assert_eq!(packed.names().collect::<Vec<_>>(), ["toy_vocab_json"]);
//! assert_eq!(packed.entries()[0].form, Form::Tokens { spaced: false });
//! assert_eq!(packed.unpack("toy_vocab_json")?, tokens);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # The format
//!
//! 1. [`MAGIC`];
//! 2. the length of the index, a little-endian `u32`;
//! 3. the index: JSON, one [`Entry`] for each vocabulary;
//! 4. the streams, each an xz file.
//!
//! What a stream holds is told by the [`Form`] of its entry:
//!
//! - **xz**: the vocabulary as it is.
//! - **tokens**: the vocabulary is `{"token":id, …}` with ids that count from 0. The stream has the
//!   tokens, one on a line, with the escapes that they have in the file. The ids are implied.
//! - **merges**: the vocabulary lists the merges of a byte-pair encoding, one `left right` on a line.
//!   Nearly all of them follow from the tokens: a merge is a token cut in two such that both parts
//!   are tokens. The stream says which of the derived merges are taken, and in which order. Each of its
//!   lines is either `start count`, a run of derived merges, or `=` and a line that cannot be derived.
//!
//! The index has the size and the SHA-256 of each vocabulary: what comes out is what went in, or an
//! error.

mod entry;
mod error;
mod merges;
#[cfg(feature = "pack")]
mod pack;
mod packed;
mod tokens;
mod xz;

pub use entry::{Entry, Form, Order};
pub use error::VocabularyError;
#[cfg(feature = "pack")]
pub use pack::{PackError, RECIPE, pack};
pub use packed::Packed;

/// How packed vocabularies start. The number is raised when the format changes.
pub const MAGIC: &[u8] = b"trifold vocabularies 1\n";

/// The largest vocabulary, in bytes; no more than this is ever made of one, whatever an index says.
pub const MAX_SIZE: usize = 64 << 20;
