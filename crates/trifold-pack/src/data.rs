use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use sha2::{Digest as _, Sha256};

use crate::PackError;

/// How much is read at once where a file is read through.
const CHUNK: usize = 1 << 20;

/// Bytes of a file, of a part of it, or in memory, read in pieces: never all at once.
#[derive(Clone, Debug)]
pub struct Data {
    source: Source,
    start: u64,
    len: u64,
    place: Arc<str>,
}

#[derive(Clone, Debug)]
enum Source {
    File(Arc<File>),
    Memory(Arc<[u8]>),
}

impl Data {
    /// A file. Pipes and devices are refused: they have no end, or wait for somebody.
    pub fn open(path: &Path) -> Result<Self, PackError> {
        let kind = fs_err::metadata(path).map_err(PackError::io("Could not open", path))?;
        if !kind.is_file() {
            return Err(PackError::Unsupported {
                place: path.display().to_string(),
                expected: "a regular file",
                found: if kind.is_dir() {
                    "a folder".into()
                } else {
                    "a pipe, socket or device".into()
                },
            });
        }
        let (file, _) = fs_err::File::open(path)
            .map_err(PackError::io("Could not open", path))?
            .into_parts();
        Self::from_file(file, path.display().to_string())
            .map_err(PackError::io("Could not read", path))
    }

    /// An open file, and what messages call it.
    pub fn from_file(file: File, place: impl Into<String>) -> io::Result<Self> {
        Ok(Self {
            len: file.metadata()?.len(),
            source: Source::File(Arc::new(file)),
            start: 0,
            place: place.into().into(),
        })
    }

    /// Bytes in memory, and what messages call them.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>, place: impl Into<String>) -> Self {
        let bytes = bytes.into();
        Self {
            len: bytes.len() as u64,
            source: Source::Memory(bytes),
            start: 0,
            place: place.into().into(),
        }
    }

    /// A part, under a name of its own. It ends where this ends.
    #[must_use]
    pub fn part(&self, start: u64, len: u64, place: impl Into<String>) -> Self {
        let start = start.min(self.len);
        Self {
            source: self.source.clone(),
            start: self.start + start,
            len: len.min(self.len - start),
            place: place.into().into(),
        }
    }

    /// What messages call it.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The number of bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes of a range, which must be there and not above `limit`.
    pub fn read(
        &self,
        offset: u64,
        count: u64,
        limit: u64,
        what: &str,
    ) -> Result<Vec<u8>, PackError> {
        let there = self.len.saturating_sub(offset);
        if count > there {
            return Err(self.damaged(format!(
                "{what} ends after the file (expected {count} bytes at {offset:#x}, found {there})"
            )));
        }
        if count > limit {
            return Err(PackError::Limit {
                place: self.place().into(),
                what: what.into(),
                limit,
                found: count,
            });
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut bytes = vec![0; count];
        self.fill(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// At most `count` bytes from the start; fewer where it ends.
    pub fn head(&self, count: usize) -> Result<Vec<u8>, PackError> {
        let count = usize::try_from(self.len).unwrap_or(usize::MAX).min(count);
        let mut bytes = vec![0; count];
        self.fill(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Gives the bytes of a range piece by piece, each with its offset.
    pub(crate) fn each(
        &self,
        offset: u64,
        count: u64,
        mut take: impl FnMut(u64, &[u8]),
    ) -> Result<(), PackError> {
        let end = offset.saturating_add(count).min(self.len);
        let mut at = offset.min(end);
        let mut bytes = vec![0; CHUNK];
        while at < end {
            let count = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            self.fill(at, &mut bytes[..count])?;
            take(at, &bytes[..count]);
            at += count as u64;
        }
        Ok(())
    }

    /// The SHA-256 of all bytes, in hexadecimal.
    pub fn sha256(&self) -> Result<String, PackError> {
        let mut hash = Sha256::new();
        self.each(0, self.len, |_, bytes| hash.update(bytes))?;
        Ok(hex(&hash.finalize()))
    }

    pub(crate) fn damaged(&self, what: impl Into<String>) -> PackError {
        PackError::Elf {
            place: self.place().into(),
            what: what.into(),
        }
    }

    fn fill(&self, offset: u64, bytes: &mut [u8]) -> Result<(), PackError> {
        match &self.source {
            Source::File(file) => file
                .read_exact_at(bytes, self.start + offset)
                .map_err(PackError::io("Could not read", self.place())),
            Source::Memory(memory) => {
                // `read`, `head` and `each` have compared with `len`.
                let start = usize::try_from(self.start + offset).unwrap_or(usize::MAX);
                let found = memory
                    .get(start..)
                    .and_then(|rest| rest.get(..bytes.len()))
                    .ok_or_else(|| self.damaged("a range ends after the file"))?;
                bytes.copy_from_slice(found);
                Ok(())
            }
        }
    }
}

/// For the readers that want a stream.
pub(crate) struct Stream {
    data: Data,
    position: u64,
}

impl Stream {
    pub(crate) fn new(data: &Data) -> Self {
        Self {
            data: data.clone(),
            position: 0,
        }
    }
}

impl io::Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let there = self.data.len.saturating_sub(self.position);
        let count = usize::try_from(there)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        self.data
            .fill(self.position, &mut buffer[..count])
            .map_err(io::Error::other)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl io::Seek for Stream {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let position = match to {
            io::SeekFrom::Start(position) => Some(position),
            io::SeekFrom::End(step) => self.data.len.checked_add_signed(step),
            io::SeekFrom::Current(step) => self.position.checked_add_signed(step),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
