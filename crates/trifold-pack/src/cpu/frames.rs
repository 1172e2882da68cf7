//! Where functions begin and end in stripped files: the unwind tables, which exceptions need.

use object::elf;

use crate::{
    elf::Image,
    fields::{Fields, index},
    limits,
};

/// Letters that say what frame descriptions have; `zPLRSB` are all that there are.
const AUGMENTATION: usize = 16;

/// The ranges of functions, by address; none where the tables are damaged from there on. Of more than
/// [`limits::FUNCTIONS`] one more.
pub(crate) fn functions(image: &Image) -> Vec<(u64, u64)> {
    let Some((address, bytes)) = table(image) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut at = 0;
    while found.len() <= limits::FUNCTIONS {
        let entry = Fields(&bytes).at(at);
        let Some(length) = entry
            .u32(0)
            .filter(|length| *length > 0 && *length < u32::MAX)
        else {
            break;
        };
        if let Some(range) = frame(&bytes, address, at) {
            found.push(range);
        }
        at = at.saturating_add(4).saturating_add(index(length.into()));
    }
    found
}

fn table(image: &Image) -> Option<(u64, Vec<u8>)> {
    if let Some(section) = image.named(".eh_frame").filter(|section| section.size > 0) {
        return Some((section.address, image.section(section).ok()?));
    }
    let header = image.segment(elf::PT_GNU_EH_FRAME)?;
    let bytes = image.up_to(header.address, 8)?;
    let fields = Fields(&bytes);
    // Linkers write the pointer relative to itself, in four bytes.
    let pointer = (fields.u8(1)? == 0x1b).then(|| fields.i32(4))??;
    let address = header
        .address
        .checked_add(4)?
        .checked_add_signed(pointer.into())?;
    Some((address, image.up_to(address, limits::TABLE_BYTES)?))
}

/// A frame description: where its function begins and ends.
fn frame(bytes: &[u8], address: u64, at: usize) -> Option<(u64, u64)> {
    let entry = Fields(bytes).at(at);
    let back = index(entry.u32(4)?.into());
    if back == 0 {
        return None; // what frame descriptions have in common
    }
    let common = at.checked_add(4)?.checked_sub(back)?;
    let place = address.checked_add((at as u64).checked_add(8)?)?;
    let (start, size) = match encoding(Fields(bytes).at(common))? {
        0x1b => (
            place.checked_add_signed(entry.i32(8)?.into())?,
            entry.u32(12)?.into(),
        ),
        0x03 => (entry.u32(8)?.into(), entry.u32(12)?.into()),
        0x00 | 0x04 => (entry.u64(8)?, entry.u64(16)?),
        0x10 | 0x1c => (
            place.checked_add_signed(entry.u64(8)?.cast_signed())?,
            entry.u64(16)?,
        ),
        _ => return None,
    };
    (size > 0).then_some((start, start.checked_add(size)?))
}

/// How addresses are written in the descriptions that share this head.
fn encoding(common: Fields<'_>) -> Option<u8> {
    let augmentation = common.text(9, AUGMENTATION)?;
    let mut at = 9 + augmentation.len() + 1;
    if !augmentation.starts_with('z') {
        return Some(0);
    }
    let skip = |at: &mut usize| {
        for _ in 0..10 {
            let byte = common.u8(*at)?;
            *at += 1;
            if byte & 0x80 == 0 {
                return Some(());
            }
        }
        None
    };
    // Alignment of code, of data, the return register, the length of what follows.
    for _ in 0..4 {
        skip(&mut at)?;
    }
    for letter in augmentation.chars().skip(1) {
        match letter {
            'R' => return common.u8(at),
            'L' => at += 1,
            'P' => {
                at += 1 + match common.u8(at)? & 0x0f {
                    0x00 | 0x04 | 0x0c => 8,
                    0x02 | 0x0a => 2,
                    0x03 | 0x0b => 4,
                    _ => return None,
                };
            }
            'S' | 'B' => {}
            _ => return None,
        }
    }
    Some(0)
}
