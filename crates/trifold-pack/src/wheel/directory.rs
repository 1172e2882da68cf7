//! Opens wheels. The list of entries at the end is compared with its limits before anything of it is read.

use std::io::BufReader;

use zip::ZipArchive;

use crate::{
    Data, PackError,
    data::Stream,
    fields::{Fields, index},
    limits,
};

pub(crate) type Archive = ZipArchive<BufReader<Stream>>;

/// The end of the list, and its size without the comment.
const END: &[u8] = b"PK\x05\x06";
const END_SIZE: u64 = 22;

/// The most that a comment may have.
const COMMENT: u64 = 0xffff;

/// The same with larger numbers, and what says where it is.
const LARGE_END: &[u8] = b"PK\x06\x06";
const LARGE_END_SIZE: u64 = 56;
const LOCATOR: &[u8] = b"PK\x06\x07";
const LOCATOR_SIZE: u64 = 20;

/// An entry of the list, and the least that one has.
const ENTRY: &[u8] = b"PK\x01\x02";
const ENTRY_SIZE: u64 = 46;

/// Opens a wheel whose list of entries is within the limits.
pub(crate) fn open(data: &Data) -> Result<Archive, PackError> {
    let list = List::find(data)?;
    list.check(data)?;
    ZipArchive::new(BufReader::new(Stream::new(data)))
        .map_err(|error| damaged(data, error.to_string()))
}

pub(super) fn damaged(data: &Data, what: impl Into<String>) -> PackError {
    PackError::Archive {
        kind: "wheel",
        place: data.place().into(),
        what: what.into(),
    }
}

/// What the end of a wheel says of the list of entries before it.
struct List {
    entries: u64,
    bytes: u64,
    /// Where it begins, counted from the first entry.
    start: u64,
    /// Where it ends.
    end: u64,
}

impl List {
    fn find(data: &Data) -> Result<Self, PackError> {
        let size = data.len().min(END_SIZE + COMMENT);
        let from = data.len() - size;
        let tail = data.read(
            from,
            size,
            END_SIZE + COMMENT,
            "the end of the list of entries",
        )?;
        let ends_inside = |place: &usize| {
            let comment = Fields(&tail).at(*place).u16(20);
            comment
                .is_some_and(|comment| place + index(END_SIZE) + usize::from(comment) <= tail.len())
        };
        let place = (0..tail.len().saturating_sub(END.len() - 1))
            .rev()
            .filter(|place| tail[*place..].starts_with(END))
            .find(ends_inside)
            .ok_or_else(|| damaged(data, "no end of a zip archive"))?;
        let end = from + place as u64;
        let fields = Fields(&tail).at(place);
        let (u16, u32) = (
            |at| u64::from(fields.u16(at).unwrap_or_default()),
            |at| u64::from(fields.u32(at).unwrap_or_default()),
        );
        let large = u16(10) == 0xffff || u32(12) == 0xffff_ffff || u32(16) == 0xffff_ffff;
        if large && let Some(list) = Self::find_large(data, end)? {
            return Ok(list);
        }
        if u16(4) != 0 || u16(6) != 0 || u16(8) != u16(10) {
            return Err(damaged(data, "it is one of several parts"));
        }
        Ok(Self {
            entries: u16(10),
            bytes: u32(12),
            start: u32(16),
            end,
        })
    }

    /// Before the end of a large list is one with larger numbers; none if nothing says where.
    fn find_large(data: &Data, end: u64) -> Result<Option<Self>, PackError> {
        let Some(place) = end.checked_sub(LOCATOR_SIZE) else {
            return Ok(None);
        };
        let what = "the end of the list of entries";
        let locator = data.read(place, LOCATOR_SIZE, LOCATOR_SIZE, what)?;
        if !locator.starts_with(LOCATOR) {
            return Ok(None);
        }
        let wrong = || {
            damaged(
                data,
                "the large end of the list of entries is not where it must be",
            )
        };
        // As Python's `zipfile` wants it: right before.
        let end = place.checked_sub(LARGE_END_SIZE).ok_or_else(wrong)?;
        let bytes = data.read(end, LARGE_END_SIZE, LARGE_END_SIZE, what)?;
        let (fields, locator) = (Fields(&bytes), Fields(&locator));
        let is_there = bytes.starts_with(LARGE_END)
            && fields.u64(4) == Some(LARGE_END_SIZE - 12)
            && locator.u64(8) == Some(end);
        let is_whole = fields.u32(16) == Some(0)
            && fields.u32(20) == Some(0)
            && locator.u32(4) == Some(0)
            && locator.u32(16).is_some_and(|parts| parts <= 1)
            && fields.u64(24) == fields.u64(32);
        if !is_there || !is_whole {
            return Err(wrong());
        }
        let u64 = |at| fields.u64(at).unwrap_or_default();
        Ok(Some(Self {
            entries: u64(32),
            bytes: u64(40),
            start: u64(48),
            end,
        }))
    }

    /// It must be within the limits, and end where it is said to. If it did not, other readers would look
    /// for another list, and see other files.
    fn check(&self, data: &Data) -> Result<(), PackError> {
        let limit = |what: &str, limit: u64, found: u64| {
            if found <= limit {
                return Ok(());
            }
            Err(PackError::Limit {
                place: data.place().into(),
                what: what.into(),
                limit,
                found,
            })
        };
        limit(
            "the number of entries",
            limits::WHEEL_ENTRIES as u64,
            self.entries,
        )?;
        limit(
            "the list of entries",
            limits::WHEEL_DIRECTORY_BYTES,
            self.bytes,
        )?;
        let start = self.end.checked_sub(self.bytes);
        let Some(start) = start.filter(|start| self.start <= *start) else {
            return Err(damaged(
                data,
                "the list of entries does not end where it is said to",
            ));
        };
        if self.entries == 0 {
            return Ok(());
        }
        if self.bytes < self.entries * ENTRY_SIZE {
            let expected = self.entries * ENTRY_SIZE;
            return Err(damaged(
                data,
                format!(
                    "the list of entries (expected {expected} bytes at least, found {})",
                    self.bytes
                ),
            ));
        }
        let first = data.read(start, ENTRY_SIZE, ENTRY_SIZE, "the first entry")?;
        if !first.starts_with(ENTRY) {
            return Err(damaged(data, "no list of entries where it is said to be"));
        }
        Ok(())
    }
}
