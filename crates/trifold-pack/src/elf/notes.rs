//! Notes: what files say of themselves to whom they tell it, in segments of their own.

use object::elf;

use super::Image;
use crate::{
    PackError,
    fields::{Fields, index},
};

/// How much of a segment of notes is read.
const NOTES: u64 = 1 << 18;

impl Image {
    /// The contents of the first note with this owner and type.
    pub(crate) fn note(&self, owner: &str, kind: u32) -> Result<Option<Vec<u8>>, PackError> {
        let notes = |segment: &&super::image::Segment| segment.kind == elf::PT_NOTE.0;
        for segment in self.segments.iter().filter(notes) {
            let size = segment.file_size.min(NOTES);
            let bytes = self.data.read(segment.offset, size, NOTES, "the notes")?;
            if let Some(note) = find(&bytes, owner, kind) {
                return Ok(Some(note.to_vec()));
            }
        }
        Ok(None)
    }
}

fn find<'a>(notes: &'a [u8], owner: &str, kind: u32) -> Option<&'a [u8]> {
    let mut at = 0usize;
    loop {
        let fields = Fields(notes).at(at);
        let (name, size) = (index(fields.u32(0)?.into()), index(fields.u32(4)?.into()));
        let start = at
            .checked_add(12)?
            .checked_add(name.checked_next_multiple_of(4)?)?;
        let end = start.checked_add(size)?;
        let contents = notes.get(start..end)?;
        if fields.u32(8) == Some(kind) && fields.text(12, name).as_deref() == Some(owner) {
            return Some(contents);
        }
        at = end.checked_next_multiple_of(4)?;
    }
}
