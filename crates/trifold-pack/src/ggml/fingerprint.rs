//! What a backend plugin says of its ggml: its note has the whole fingerprint.

use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use trifold_build::plugin::note::{OWNER, TYPE};

use crate::{PackError, data::hex, elf::Image};

/// What must be equal for a backend plugin and an engine to share memory, as the plugin's note has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Fingerprint {
    /// The SHA-256 of its text, in hexadecimal: equal fingerprints are equal texts.
    pub sha256: String,
    /// How many fields it has: sizes and offsets in structs, enumerators, definitions, types of functions.
    pub fields: usize,
}

/// A fingerprint and what it says.
pub(super) struct Told {
    pub(super) fingerprint: Fingerprint,
    text: String,
}

impl Told {
    /// Of a plugin; none of other files, and of plugins of a form that is not known.
    pub(super) fn by(image: &Image) -> Result<Option<Self>, PackError> {
        let Some(note) = image.note(OWNER, TYPE)? else {
            return Ok(None);
        };
        let note = String::from_utf8_lossy(&note);
        if !note.starts_with("trifold plugin\t1\n") {
            return Ok(None);
        }
        let text = text(&note).ok_or_else(|| {
            let what = "the note of a plugin (expected a fingerprint with its length)";
            image.data.damaged(what)
        })?;
        Ok(Some(Self {
            fingerprint: Fingerprint {
                sha256: hex(&Sha256::digest(text)),
                fields: text.lines().filter(|line| line.contains('\t')).count(),
            },
            text: text.to_owned(),
        }))
    }

    /// A value that stands on its own, such as `GGML_MAX_NAME`.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let of_name = |line: &'_ str| line.split_once('\t').is_some_and(|(key, _)| key == name);
        let line = self.text.lines().find(|line| of_name(line))?;
        line.split_once('\t').map(|(_, value)| value)
    }

    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.value(name)?.parse().ok()
    }
}

/// The fingerprint's text: it comes last, behind a line with its length in bytes.
fn text(note: &str) -> Option<&str> {
    let (_, rest) = note.split_once("\nfingerprint\t")?;
    let (length, text) = rest.split_once('\n')?;
    (length.parse() == Ok(text.len())).then_some(text)
}
