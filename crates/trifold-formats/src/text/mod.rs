//! What the text engine needs beyond a sound GGUF file.
//!
//! Its loader asserts, divides and allocates by metadata values. Each of those places has its check
//! here; the numbers are those of the engine's revision (see `engines.toml`). Keys that are missing are
//! left to the engine where it has a default or says so itself.

mod hparams;
mod matrices;
pub(crate) mod split;
mod vocab;

use std::collections::HashMap;
use std::fmt::Display;
use std::path::Path;

use crate::source::invalid;
use crate::{FormatError, Gguf, MetadataArray, MetadataEntry, MetadataValue, TensorInfo};

/// The engine maps the file into memory, where its tensors must lie on multiples of this.
const TENSOR_ALIGNMENT: u64 = 32;

/// Checks the parts of a model, the first of which has the metadata.
pub(crate) fn check(parts: &[(&Path, &Gguf)]) -> Result<(), FormatError> {
    let Some(&(path, gguf)) = parts.first() else {
        return Ok(());
    };
    let architecture = architecture(path, gguf)?;
    for (path, part) in parts {
        require_alignment(path, part)?;
    }
    let model = Model {
        path,
        gguf,
        architecture,
        tensors: collect_tensors(parts)?,
    };
    if model.tensors.is_empty() {
        return Err(model.missing("tensors"));
    }
    let hparams = hparams::check(&model)?;
    vocab::check(&model, &hparams)?;
    matrices::check(&model, &hparams)
}

/// A text model under check.
struct Model<'a> {
    path: &'a Path,
    gguf: &'a Gguf,
    architecture: &'a str,
    tensors: HashMap<&'a str, (&'a Path, &'a TensorInfo)>,
}

fn architecture<'a>(path: &Path, gguf: &'a Gguf) -> Result<&'a str, FormatError> {
    const KEY: &str = "general.architecture";
    match gguf.metadata.entry(KEY) {
        None => Err(FormatError::Missing {
            path: path.to_owned(),
            expected: format!("metadata key {KEY:?}"),
        }),
        Some(entry) => match entry.value.as_str() {
            Some(name) if !name.is_empty() => Ok(name),
            _ => Err(wrong_value(
                path,
                entry,
                "the name of an architecture, of type string",
            )),
        },
    }
}

fn require_alignment(path: &Path, gguf: &Gguf) -> Result<(), FormatError> {
    match gguf.metadata.entry("general.alignment") {
        Some(entry) if !gguf.alignment.is_multiple_of(TENSOR_ALIGNMENT) => Err(wrong_value(
            path,
            entry,
            format_args!("a multiple of {TENSOR_ALIGNMENT}"),
        )),
        _ => Ok(()),
    }
}

/// The tensors of all parts by name; a name may come in one part only.
fn collect_tensors<'a>(
    parts: &[(&'a Path, &'a Gguf)],
) -> Result<HashMap<&'a str, (&'a Path, &'a TensorInfo)>, FormatError> {
    let mut tensors = HashMap::new();
    for &(path, gguf) in parts {
        for tensor in &gguf.tensors {
            if let Some((other, _)) = tensors.insert(tensor.name.as_str(), (path, tensor)) {
                return Err(invalid(
                    path,
                    tensor.header_offset,
                    "name of a tensor",
                    "a name that is in no other part",
                    format_args!("{:?}, which is in {} too", tensor.name, other.display()),
                ));
            }
        }
    }
    Ok(tensors)
}

impl<'a> Model<'a> {
    /// The key of a value that belongs to the architecture.
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn entry(&self, key: &str) -> Option<&'a MetadataEntry> {
        self.gguf.metadata.entry(key)
    }

    /// The value of a key, which must be of type `u32` if it is there.
    fn u32(&self, key: &str) -> Result<Option<u32>, FormatError> {
        self.typed(key, "of type u32", |value| match *value {
            MetadataValue::U32(number) => Some(number),
            _ => None,
        })
    }

    fn f32(&self, key: &str) -> Result<Option<f32>, FormatError> {
        self.typed(key, "of type f32", |value| match *value {
            MetadataValue::F32(number) => Some(number),
            _ => None,
        })
    }

    fn bool(&self, key: &str) -> Result<Option<bool>, FormatError> {
        self.typed(key, "of type bool", MetadataValue::as_bool)
    }

    fn string(&self, key: &str) -> Result<Option<&'a str>, FormatError> {
        self.typed(key, "of type string", |value| value.as_str())
    }

    fn array(&self, key: &str) -> Result<Option<&'a MetadataArray>, FormatError> {
        self.typed(key, "of type array", |value| value.as_array())
    }

    fn typed<T>(
        &self,
        key: &str,
        expected: &str,
        take: impl Fn(&'a MetadataValue) -> Option<T>,
    ) -> Result<Option<T>, FormatError> {
        let Some(entry) = self.entry(key) else {
            return Ok(None);
        };
        match take(&entry.value) {
            Some(value) => Ok(Some(value)),
            None => Err(self.wrong(key, expected)),
        }
    }

    fn tensor(&self, name: &str) -> Option<(&'a Path, &'a TensorInfo)> {
        self.tensors.get(name).copied()
    }

    /// The error for a key that is there with a value that cannot be.
    fn wrong(&self, key: &str, expected: impl Display) -> FormatError {
        match self.entry(key) {
            Some(entry) => wrong_value(self.path, entry, expected),
            None => self.missing(&format!("metadata key {key:?}")),
        }
    }

    fn missing(&self, what: &str) -> FormatError {
        FormatError::Missing {
            path: self.path.to_owned(),
            expected: what.to_owned(),
        }
    }
}

fn wrong_value(path: &Path, entry: &MetadataEntry, expected: impl Display) -> FormatError {
    const SHOWN: usize = 60;
    let value = entry.value.to_string();
    let mut shown: String = value.chars().take(SHOWN).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    let found = match &entry.value {
        MetadataValue::String(_) => format!("{shown:?}"),
        MetadataValue::Array(_) => shown,
        other => format!("{shown} of type {}", other.type_name()),
    };
    invalid(
        path,
        entry.offset,
        format_args!("value of {:?}", entry.key),
        expected,
        found,
    )
}
