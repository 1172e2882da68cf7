use crate::{Data, PackError, limits};

/// Little-endian numbers at offsets; nothing where the bytes end.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn at(self, offset: usize) -> Fields<'a> {
        Fields(self.0.get(offset..).unwrap_or_default())
    }

    pub(crate) fn u8(self, offset: usize) -> Option<u8> {
        self.0.get(offset).copied()
    }

    pub(crate) fn u16(self, offset: usize) -> Option<u16> {
        self.array(offset).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(self, offset: usize) -> Option<u32> {
        self.array(offset).map(u32::from_le_bytes)
    }

    pub(crate) fn i32(self, offset: usize) -> Option<i32> {
        self.array(offset).map(i32::from_le_bytes)
    }

    pub(crate) fn u64(self, offset: usize) -> Option<u64> {
        self.array(offset).map(u64::from_le_bytes)
    }

    /// Text up to a NUL, which must be among so many bytes; what is not UTF-8 is replaced.
    pub(crate) fn text(self, offset: usize, most: usize) -> Option<String> {
        let rest = self.0.get(offset..)?;
        let end = rest.iter().take(most).position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&rest[..end]).into_owned())
    }

    fn array<const N: usize>(self, offset: usize) -> Option<[u8; N]> {
        self.0.get(offset..offset.checked_add(N)?)?.try_into().ok()
    }
}

/// The names of a table. Each is copied, and all entries may name the same bytes: so they are counted.
pub(crate) struct Names<'a> {
    data: &'a Data,
    strings: &'a [u8],
    what: &'static str,
    given: Total,
}

impl<'a> Names<'a> {
    /// For a table of so many bytes, whose names are in `strings`.
    pub(crate) fn new(data: &'a Data, strings: &'a [u8], table: usize, what: &'static str) -> Self {
        Self {
            data,
            strings,
            what,
            given: Total::of(strings.len() as u64 + table as u64),
        }
    }

    /// Text up to a NUL, none where there is none; what is not UTF-8 is replaced.
    pub(crate) fn at(&mut self, offset: u64) -> Result<Option<String>, PackError> {
        let Some(rest) = self.strings.get(index(offset)..) else {
            return Ok(None);
        };
        let there = &rest[..rest.len().min(limits::NAME_BYTES + 1)];
        let end = there.iter().position(|byte| *byte == 0);
        self.count(end.unwrap_or(there.len()))?;
        if end.is_none() && there.len() > limits::NAME_BYTES {
            return Err(PackError::Limit {
                place: self.data.place().into(),
                what: format!("one of {}", self.what),
                limit: limits::NAME_BYTES as u64,
                found: there.len() as u64,
            });
        }
        Ok(end.map(|end| String::from_utf8_lossy(&there[..end]).into_owned()))
    }

    /// Counts a copy of so many bytes.
    pub(crate) fn count(&mut self, bytes: usize) -> Result<(), PackError> {
        self.given.add(bytes, self.data.place(), self.what)
    }
}

/// How many bytes of names were copied from a table, and how many may be.
pub(crate) struct Total {
    bytes: u64,
    limit: u64,
}

impl Total {
    /// For a table of so many bytes, with its strings.
    pub(crate) fn of(table: u64) -> Self {
        let limit = table.saturating_mul(limits::NAMES_RATIO);
        Self {
            bytes: 0,
            limit: limit.clamp(limits::NAMES_FROM, limits::TABLE_BYTES),
        }
    }

    pub(crate) fn add(&mut self, bytes: usize, place: &str, what: &str) -> Result<(), PackError> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes <= self.limit {
            return Ok(());
        }
        Err(PackError::Limit {
            place: place.into(),
            what: format!("{what}, together,"),
            limit: self.limit,
            found: self.bytes,
        })
    }
}

pub(crate) fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
