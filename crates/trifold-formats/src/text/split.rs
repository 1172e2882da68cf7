//! Models that are split into several files.

use std::path::{Path, PathBuf};

use super::wrong_value;
use crate::{Advice, FormatError, Gguf, MetadataValue, ModelFile};

const NUMBER: &str = "split.no";
const COUNT: &str = "split.count";
const TENSORS: &str = "split.tensors.count";

/// Opens the parts beside the first one; none if the model is not split.
pub(crate) fn open_parts(path: &Path, first: &Gguf) -> Result<Vec<ModelFile>, FormatError> {
    let count = number(path, first, COUNT)?.unwrap_or(0);
    if count <= 1 {
        return Ok(Vec::new());
    }
    let Some(index) = number(path, first, NUMBER)? else {
        return Err(missing(path, NUMBER));
    };
    if index != 0 {
        return Err(FormatError::WrongKind {
            path: path.to_owned(),
            expected: "the first part of a split model",
            found: format!("part {} of {count}", u32::from(index) + 1),
            advice: Advice::Fixed(
                "Give the part whose name ends with -00001-of-…: the others are found from there.",
            ),
        });
    }
    let mut parts = Vec::new();
    for i in 1..count {
        let part = ModelFile::open(part_path(path, first, i, count)?)?;
        let gguf = part.text_gguf()?;
        match number(part.path(), gguf, NUMBER)? {
            None => return Err(missing(part.path(), NUMBER)),
            Some(index) if index == i => parts.push(part),
            Some(_) => return Err(wrong(part.path(), gguf, NUMBER, &i.to_string())),
        }
    }
    let tensors = first.tensors.len()
        + parts
            .iter()
            .filter_map(ModelFile::gguf)
            .map(tensor_count)
            .sum::<usize>();
    match first.metadata.get(TENSORS) {
        None => Err(missing(path, TENSORS)),
        Some(MetadataValue::I32(expected)) if usize::try_from(*expected) == Ok(tensors) => {
            Ok(parts)
        }
        Some(_) => Err(wrong(
            path,
            first,
            TENSORS,
            &format!("{tensors}, as the parts have, of type i32"),
        )),
    }
}

fn tensor_count(gguf: &Gguf) -> usize {
    gguf.tensors.len()
}

/// The engine reads these numbers as `u16`, in the later parts without a check.
fn number(path: &Path, gguf: &Gguf, key: &str) -> Result<Option<u16>, FormatError> {
    match gguf.metadata.get(key) {
        None => Ok(None),
        Some(&MetadataValue::U16(number)) => Ok(Some(number)),
        Some(_) => Err(wrong(path, gguf, key, "of type u16")),
    }
}

/// The path of part `i`, counted from 0, of which the engine and we derive the same name.
fn part_path(path: &Path, first: &Gguf, i: u16, count: u16) -> Result<PathBuf, FormatError> {
    let ending = |i: u16| format!("-{:05}-of-{count:05}.gguf", u32::from(i) + 1);
    let stem = path
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(|name| name.strip_suffix(&ending(0)));
    stem.map(|stem| path.with_file_name(format!("{stem}{}", ending(i))))
        .ok_or_else(|| {
            let expected = format!("1, or a file name that ends with {}", ending(0));
            wrong(path, first, COUNT, &expected)
        })
}

fn wrong(path: &Path, gguf: &Gguf, key: &str, expected: &str) -> FormatError {
    match gguf.metadata.entry(key) {
        Some(entry) => wrong_value(path, entry, expected),
        None => missing(path, key),
    }
}

fn missing(path: &Path, key: &str) -> FormatError {
    FormatError::Missing {
        path: path.to_owned(),
        expected: format!("metadata key {key:?}"),
    }
}
