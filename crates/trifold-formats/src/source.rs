use std::fmt::Display;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::FormatError;

/// Fields are a few bytes and tensor headers of whisper files lie between megabytes of data, so a
/// large buffer would mostly read data that is skipped.
const BUFFER_BYTES: usize = 16 << 10;

/// Above this size a field's memory grows with what was really read, not with what was announced.
const EAGER_BYTES: usize = 64 << 10;

/// A reader that knows where it is, how much is left, and whom to blame.
pub(crate) struct Source<R> {
    reader: BufReader<R>,
    path: PathBuf,
    position: u64,
    len: u64,
}

impl<R: Read + Seek> Source<R> {
    pub(crate) fn new(mut reader: R, len: u64, path: &Path) -> Result<Self, FormatError> {
        reader
            .seek(SeekFrom::Start(0))
            .map_err(|source| FormatError::Read {
                path: path.to_owned(),
                offset: 0,
                field: "start of the file".to_owned(),
                source,
            })?;
        Ok(Self {
            reader: BufReader::with_capacity(BUFFER_BYTES, reader),
            path: path.to_owned(),
            position: 0,
            len,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn remaining(&self) -> u64 {
        self.len - self.position
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(
        &mut self,
        field: impl Display,
    ) -> Result<[u8; N], FormatError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, field)?;
        Ok(bytes)
    }

    pub(crate) fn u32(&mut self, field: impl Display) -> Result<u32, FormatError> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(crate) fn i32(&mut self, field: impl Display) -> Result<i32, FormatError> {
        self.array(field).map(i32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, field: impl Display) -> Result<u64, FormatError> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// The next `count` bytes, appended to `out`. The caller has compared `count` with its limit.
    pub(crate) fn append(
        &mut self,
        count: u64,
        out: &mut Vec<u8>,
        field: impl Display,
    ) -> Result<(), FormatError> {
        self.require(count, &field)?;
        let offset = self.position;
        let start = out.len();
        match usize::try_from(count) {
            Ok(small) if small <= EAGER_BYTES => {
                out.resize(start + small, 0);
                self.fill(&mut out[start..], field)
            }
            _ => match self.reader.by_ref().take(count).read_to_end(out) {
                Ok(read) if read as u64 == count => {
                    self.position += count;
                    Ok(())
                }
                Ok(_) => Err(self.read_error(offset, field, io::ErrorKind::UnexpectedEof.into())),
                Err(source) => Err(self.read_error(offset, field, source)),
            },
        }
    }

    /// Passes over the next `count` bytes, which must be there.
    pub(crate) fn skip(&mut self, count: u64, field: impl Display) -> Result<(), FormatError> {
        self.require(count, &field)?;
        let result = match i64::try_from(count) {
            Ok(step) => self.reader.seek_relative(step),
            Err(_) => self
                .reader
                .seek(SeekFrom::Start(self.position + count))
                .map(|_| ()),
        };
        result.map_err(|source| self.read_error(self.position, field, source))?;
        self.position += count;
        Ok(())
    }

    pub(crate) fn rewind(&mut self) -> Result<(), FormatError> {
        self.reader
            .rewind()
            .map_err(|source| self.read_error(0, "start of the file", source))?;
        self.position = 0;
        Ok(())
    }

    /// Errs unless the file has `count` more bytes.
    pub(crate) fn require(&self, count: u64, field: impl Display) -> Result<(), FormatError> {
        if count <= self.remaining() {
            return Ok(());
        }
        Err(FormatError::Truncated {
            path: self.path.clone(),
            offset: self.position,
            field: field.to_string(),
            expected: count,
            found: self.remaining(),
        })
    }

    /// The error for a field at `offset`.
    pub(crate) fn invalid(
        &self,
        offset: u64,
        field: impl Display,
        expected: impl Display,
        found: impl Display,
    ) -> FormatError {
        invalid(&self.path, offset, field, expected, found)
    }

    fn fill(&mut self, out: &mut [u8], field: impl Display) -> Result<(), FormatError> {
        let count = out.len() as u64;
        self.require(count, &field)?;
        self.reader
            .read_exact(out)
            .map_err(|source| self.read_error(self.position, field, source))?;
        self.position += count;
        Ok(())
    }

    fn read_error(&self, offset: u64, field: impl Display, source: io::Error) -> FormatError {
        FormatError::Read {
            path: self.path.clone(),
            offset,
            field: field.to_string(),
            source,
        }
    }
}

/// The error for a field at `offset`.
pub(crate) fn invalid(
    path: &Path,
    offset: u64,
    field: impl Display,
    expected: impl Display,
    found: impl Display,
) -> FormatError {
    FormatError::Invalid {
        path: path.to_owned(),
        offset,
        field: field.to_string(),
        expected: expected.to_string(),
        found: found.to_string(),
    }
}

/// Bytes for a message: as text where they are text, shortened.
pub(crate) fn show_bytes(bytes: &[u8]) -> String {
    const SHOWN: usize = 32;
    let dots = if bytes.len() > SHOWN { "…" } else { "" };
    format!(
        "{} bytes \"{}\"{dots}",
        bytes.len(),
        bytes[..bytes.len().min(SHOWN)].escape_ascii()
    )
}

/// A name or key as text: not empty, UTF-8, no control characters.
///
/// The engines treat names as C strings, so that a NUL would make two different names equal.
pub(crate) fn name_from(bytes: Vec<u8>) -> Result<String, (&'static str, String)> {
    const EXPECTED: &str = "printable UTF-8 text";
    match String::from_utf8(bytes) {
        Ok(name) if name.is_empty() => Err((EXPECTED, "an empty string".to_owned())),
        Ok(name) if name.chars().any(char::is_control) => {
            Err((EXPECTED, show_bytes(name.as_bytes())))
        }
        Ok(name) => Ok(name),
        Err(error) => Err((EXPECTED, show_bytes(error.as_bytes()))),
    }
}
