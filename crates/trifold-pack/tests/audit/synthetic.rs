//! ELF files put together by hand, for what no compiler writes.

/// A section: number 1 and following, in the order of a list.
#[derive(Clone, Default)]
pub(crate) struct Section {
    /// Where its name is in the names of sections, which come last.
    pub(crate) name: u32,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    /// The number of the section that it goes with.
    pub(crate) link: u32,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) const SYMTAB: u32 = 2;
pub(crate) const STRTAB: u32 = 3;
pub(crate) const PROGBITS: u32 = 1;
/// That it is loaded, and code.
pub(crate) const CODE: u64 = 2 | 4;

const HEADER: u64 = 64;
const SEGMENT: u64 = 56;
const SHARED: u16 = 3;
const OBJECT: u16 = 1;

fn header(kind: u16, segments: u16, sections: (u64, u64)) -> Vec<u8> {
    let (offset, count) = sections;
    // What does not fit stands in section 0.
    let number = |number: u64| u16::try_from(number).ok().filter(|number| *number < 0xff00);
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend(kind.to_le_bytes());
    bytes.extend(62u16.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(if segments > 0 { HEADER } else { 0 }.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes.extend(0u32.to_le_bytes());
    for field in [64, 56, segments, 64, number(count).unwrap_or(0)] {
        bytes.extend(u16::to_le_bytes(field));
    }
    let names = count.saturating_sub(1);
    bytes.extend(number(names).unwrap_or(0xffff).to_le_bytes());
    bytes
}

/// A relocatable object; the last section has the names of all.
pub(crate) fn object(sections: &[Section]) -> Vec<u8> {
    with_sections(OBJECT, sections)
}

/// A shared library without segments; sections lie at the addresses that are their places in the file.
pub(crate) fn library(sections: &[Section]) -> Vec<u8> {
    with_sections(SHARED, sections)
}

fn with_sections(kind: u16, sections: &[Section]) -> Vec<u8> {
    let count = sections.len() as u64 + 1;
    let contents: u64 = sections
        .iter()
        .map(|section| section.bytes.len() as u64)
        .sum();
    let mut bytes = header(kind, 0, (HEADER + contents, count));
    for section in sections {
        bytes.extend(&section.bytes);
    }
    let mut offset = HEADER;
    let names = u32::try_from(count - 1).unwrap();
    let first = (u64::from(names) >= 0xff00).then_some((count, names));
    let (size, link) = first.unwrap_or_default();
    for field in [[0; 2], [0; 2], [0; 2], [0; 2]] {
        bytes.extend(field.iter().flat_map(|value: &u32| value.to_le_bytes()));
    }
    bytes.extend(size.to_le_bytes());
    bytes.extend(link.to_le_bytes());
    bytes.resize(bytes.len() + 20, 0);
    for section in sections {
        let size = section.bytes.len() as u64;
        bytes.extend(section.name.to_le_bytes());
        bytes.extend(section.kind.to_le_bytes());
        for field in [section.flags, offset, offset, size] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(section.link.to_le_bytes());
        bytes.resize(bytes.len() + 20, 0);
        offset += size;
    }
    bytes
}

/// A function of a section, by numbers.
pub(crate) fn symbol(name: u32, section: u16, size: u64) -> Vec<u8> {
    let mut bytes = name.to_le_bytes().to_vec();
    bytes.extend([0x12, 0]);
    bytes.extend(section.to_le_bytes());
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes
}

/// A shared library of one segment, all of it code, with entries of the dynamic section. What these point
/// to is at [`CONTENTS`].
pub(crate) fn segment(dynamic: &[(u64, u64)], contents: &[u8]) -> Vec<u8> {
    let mut bytes = header(SHARED, 2, (0, 0));
    let table: Vec<u8> = dynamic
        .iter()
        .flat_map(|(tag, value)| [tag.to_le_bytes(), value.to_le_bytes()])
        .flatten()
        .collect();
    let end = CONTENTS + contents.len() as u64;
    let all = end + table.len() as u64;
    for (kind, offset, size) in [(1u32, 0, all), (2, end, table.len() as u64)] {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(5u32.to_le_bytes());
        for field in [offset, offset, offset, size, size, 1] {
            bytes.extend(field.to_le_bytes());
        }
    }
    bytes.resize(usize::try_from(CONTENTS).unwrap(), 0);
    bytes.extend(contents);
    bytes.extend(table);
    bytes
}

/// Where the contents of a [`segment`] are, in the file and in memory.
pub(crate) const CONTENTS: u64 = HEADER + 2 * SEGMENT;
