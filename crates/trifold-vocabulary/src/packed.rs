use std::collections::HashSet;

use crate::{
    Entry, Form, MAGIC, MAX_SIZE, VocabularyError,
    entry::sha256,
    error::{Fault, excerpt},
    merges, tokens, xz,
};

/// Far above any real index: twelve entries make 3 kB.
const MAX_INDEX: usize = 1 << 20;

/// Packed vocabularies, to be unpacked one at a time.
#[derive(Clone, Debug)]
pub struct Packed<'a> {
    index: Vec<Entry>,
    streams: &'a [u8],
}

impl<'a> Packed<'a> {
    /// Reads the index, and checks every size and place in it.
    ///
    /// ```
    /// let error = trifold_vocabulary::Packed::parse(b"RIFF, this is").unwrap_err();
    /// assert_eq!(error.to_string(), r#"Expected packed vocabularies (found: "RIFF, this is")"#);
    /// ```
    pub fn parse(bytes: &'a [u8]) -> Result<Self, VocabularyError> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            let found = match bytes {
                [] => "nothing".into(),
                _ => excerpt(bytes),
            };
            return Err(VocabularyError::Kind { found });
        };
        let (length, rest) = rest
            .split_first_chunk::<4>()
            .ok_or_else(|| fault("length", "4 bytes", format!("{} bytes", rest.len())))?;
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let most = rest.len().min(MAX_INDEX);
        let (index, streams) = rest
            .split_at_checked(length)
            .filter(|_| length <= most)
            .ok_or_else(|| fault("length", format!("at most {most}"), length.to_string()))?;
        let index: Vec<Entry> = serde_json::from_slice(index).map_err(VocabularyError::Json)?;
        let mut names = HashSet::new();
        for entry in &index {
            check(entry, streams)?;
            if !names.insert(&entry.name) {
                return Err(fault(
                    "name",
                    "each one once",
                    format!("{:?} twice", entry.name),
                ));
            }
        }
        Ok(Self { index, streams })
    }

    /// The names of the vocabularies.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.index.iter().map(|entry| entry.name.as_str())
    }

    /// The index.
    pub fn entries(&self) -> &[Entry] {
        &self.index
    }

    /// The vocabulary of this name: the very bytes that were packed, at most [`MAX_SIZE`] of them.
    pub fn unpack(&self, name: &str) -> Result<Vec<u8>, VocabularyError> {
        let entry = self.entry(name)?;
        let bytes = self.apply_form(entry)?;
        let damaged = |field, expected, found| Err(Fault::new(field, expected, found).of(name));
        if bytes.len() != entry.size {
            let sizes = [entry.size, bytes.len()].map(|size| format!("{size} bytes"));
            let [expected, found] = sizes;
            return damaged("size", expected, found);
        }
        let found = sha256(&bytes);
        if found != entry.sha256 {
            return damaged("SHA-256", entry.sha256.clone(), found);
        }
        Ok(bytes)
    }

    fn apply_form(&self, entry: &Entry) -> Result<Vec<u8>, VocabularyError> {
        let stream = self.stream(entry)?;
        match &entry.form {
            Form::Xz => Ok(stream),
            Form::Tokens { spaced } => tokens::join(&stream, *spaced, entry.size),
            Form::Merges { of, order, escaped } => {
                let source = self.entry(of)?;
                if !matches!(source.form, Form::Tokens { .. }) {
                    let found = format!("{:?}, which has none", source.name);
                    return Err(Fault::new("form", "merges of tokens", found).of(&entry.name));
                }
                let texts = self.stream(source)?;
                merges::Derived::new(&texts, *order, *escaped)
                    .and_then(|derived| derived.join(&stream, entry.size))
            }
        }
        .map_err(|fault| fault.of(&entry.name))
    }

    fn entry(&self, name: &str) -> Result<&Entry, VocabularyError> {
        let found = self.index.iter().find(|entry| entry.name == name);
        found.ok_or_else(|| VocabularyError::Unknown {
            name: name.to_owned(),
            known: self.names().map(str::to_owned).collect(),
        })
    }

    fn stream(&self, entry: &Entry) -> Result<Vec<u8>, VocabularyError> {
        // `check` has seen that it lies inside.
        let packed = &self.streams[entry.offset..][..entry.packed];
        xz::unpack(packed, entry.stream).map_err(|source| VocabularyError::Stream {
            name: entry.name.clone(),
            size: entry.stream,
            source,
        })
    }
}

fn check(entry: &Entry, streams: &[u8]) -> Result<(), VocabularyError> {
    for (what, size) in [("size", entry.size), ("stream", entry.stream)] {
        if size > MAX_SIZE {
            let field = format!("{what} of {}", entry.name);
            return Err(fault(
                field,
                format!("at most {MAX_SIZE}"),
                size.to_string(),
            ));
        }
    }
    let end = entry.offset.checked_add(entry.packed);
    if end.is_none_or(|end| end > streams.len()) {
        return Err(fault(
            format!("place of {}", entry.name),
            format!("inside {} bytes", streams.len()),
            format!("{} bytes at {}", entry.packed, entry.offset),
        ));
    }
    Ok(())
}

fn fault(
    field: impl Into<String>,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> VocabularyError {
    VocabularyError::Index {
        field: field.into(),
        expected: expected.into(),
        found: found.into(),
    }
}
