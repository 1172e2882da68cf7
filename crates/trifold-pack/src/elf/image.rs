//! Headers, segments, sections and the dynamic section.

use object::elf;

use crate::{
    Data, PackError,
    fields::{Fields, Names, index},
    format::{self, Format},
    limits,
};

/// An opened ELF file: its headers and its dynamic section.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) data: Data,
    pub(crate) kind: u16,
    pub(crate) entry: u64,
    pub(crate) segments: Vec<Segment>,
    pub(crate) sections: Vec<Section>,
    /// Tag and value.
    pub(crate) dynamic: Vec<(i64, u64)>,
    /// The strings that the dynamic section names.
    pub(crate) strings: Vec<u8>,
}

/// A program header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) file_size: u64,
    pub(crate) memory_size: u64,
}

/// A section header.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) address: u64,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) link: u32,
}

impl Section {
    pub(crate) fn is_code(&self) -> bool {
        self.kind != elf::SHT_NOBITS.0 && self.flags & elf::SHF_EXECINSTR.0 != 0
    }
}

const HEADER: u64 = 64;
const SEGMENT: u64 = 56;
const SECTION: u64 = 64;

impl Image {
    /// Reads the headers.
    pub(crate) fn open(data: &Data) -> Result<Self, PackError> {
        let head = data.head(index(HEADER))?;
        match format::of(&head) {
            Format::Elf => {}
            other => return Err(other.unsupported(data.place())),
        }
        if data.len() < HEADER {
            return Err(data.damaged(format!(
                "no header (expected {HEADER} bytes, found {})",
                data.len()
            )));
        }
        let fields = Fields(&head);
        let (u16, u64) = (
            |at| fields.u16(at).unwrap_or_default(),
            |at| fields.u64(at).unwrap_or_default(),
        );
        let first = first_section(data, u64(40), u16(58))?;
        let sections = sections(data, u64(40), u16(58), (u16(60), u16(62)), first)?;
        let segments = segments(data, u64(32), u16(54), u16(56), first)?;
        let mut image = Self {
            data: data.clone(),
            kind: u16(16),
            entry: u64(24),
            segments,
            sections,
            dynamic: Vec::new(),
            strings: Vec::new(),
        };
        image.dynamic = image.read_dynamic()?;
        image.strings = image.read_strings()?;
        Ok(image)
    }

    /// The value of a dynamic entry.
    pub(crate) fn value(&self, tag: elf::DynamicTag) -> Option<u64> {
        let entry = self.dynamic.iter().find(|(found, _)| *found == tag.0)?;
        Some(entry.1)
    }

    /// The texts of all dynamic entries of a kind.
    pub(crate) fn texts(&self, tag: elf::DynamicTag) -> Result<Vec<String>, PackError> {
        let mut names = self.names(16 * self.dynamic.len(), "the names in the dynamic section");
        let mut texts = Vec::new();
        for (_, value) in self.dynamic.iter().filter(|(found, _)| *found == tag.0) {
            texts.extend(names.at(*value)?);
        }
        Ok(texts)
    }

    /// The dynamic strings, for a table of so many bytes that names them.
    pub(crate) fn names(&self, table: usize, what: &'static str) -> Names<'_> {
        Names::new(&self.data, &self.strings, table, what)
    }

    /// Where in the file an address is loaded from, and how many bytes follow in the same segment.
    pub(crate) fn offset(&self, address: u64) -> Option<(u64, u64)> {
        self.segments
            .iter()
            .filter(|segment| segment.kind == elf::PT_LOAD.0)
            .find_map(|segment| {
                let inside = address.checked_sub(segment.address)?;
                let rest = segment
                    .file_size
                    .checked_sub(inside)
                    .filter(|rest| *rest > 0)?;
                Some((segment.offset.checked_add(inside)?, rest))
            })
    }

    /// The bytes at an address.
    pub(crate) fn at(&self, address: u64, count: u64, what: &str) -> Result<Vec<u8>, PackError> {
        let Some((offset, rest)) = self.offset(address) else {
            return Err(self.data.damaged(format!(
                "{what} at {address:#x}, which is not loaded from the file"
            )));
        };
        if count > rest {
            return Err(self.data.damaged(format!(
                "{what} ends after its segment (expected {count} bytes, found {rest})"
            )));
        }
        self.data.read(offset, count, limits::TABLE_BYTES, what)
    }

    /// As many of the bytes at an address as there are, up to a count.
    pub(crate) fn up_to(&self, address: u64, count: u64) -> Option<Vec<u8>> {
        let (_, rest) = self.offset(address)?;
        self.at(address, count.min(rest), "data").ok()
    }

    /// The bytes of a section.
    pub(crate) fn section(&self, section: &Section) -> Result<Vec<u8>, PackError> {
        if section.kind == elf::SHT_NOBITS.0 {
            return Ok(Vec::new());
        }
        self.data.read(
            section.offset,
            section.size,
            limits::TABLE_BYTES,
            &format!("section {}", section.name),
        )
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    pub(crate) fn is_object(&self) -> bool {
        self.kind == elf::ET_REL.0
    }

    pub(crate) fn segment(&self, kind: elf::ProgramType) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.kind == kind.0)
    }

    /// Compares a number of things with its limit.
    pub(crate) fn bound(&self, what: &str, limit: usize, found: usize) -> Result<(), PackError> {
        if found <= limit {
            return Ok(());
        }
        Err(PackError::Limit {
            place: self.data.place().into(),
            what: what.into(),
            limit: limit as u64,
            found: found as u64,
        })
    }

    fn read_dynamic(&self) -> Result<Vec<(i64, u64)>, PackError> {
        let Some(segment) = self.segment(elf::PT_DYNAMIC) else {
            return Ok(Vec::new());
        };
        let bytes = self.data.read(
            segment.offset,
            segment.file_size,
            16 * limits::DYNAMIC_ENTRIES as u64,
            "the dynamic section",
        )?;
        Ok(bytes
            .chunks_exact(16)
            .map(Fields)
            .map_while(|entry| Some((entry.u64(0)?.cast_signed(), entry.u64(8)?)))
            .take_while(|(tag, _)| *tag != elf::DT_NULL.0)
            .collect())
    }

    fn read_strings(&self) -> Result<Vec<u8>, PackError> {
        match (self.value(elf::DT_STRTAB), self.value(elf::DT_STRSZ)) {
            (Some(address), Some(size)) => self.at(address, size, "the dynamic strings"),
            _ => Ok(Vec::new()),
        }
    }
}

/// Section 0, which holds what does not fit into the header.
fn first_section(data: &Data, offset: u64, entry: u16) -> Result<Option<[u64; 3]>, PackError> {
    if offset == 0 {
        return Ok(None);
    }
    if u64::from(entry) != SECTION {
        return Err(data.damaged(format!(
            "the size of a section header (expected {SECTION}, found {entry})"
        )));
    }
    let bytes = data.read(offset, SECTION, SECTION, "the first section header")?;
    let fields = Fields(&bytes);
    Ok(Some([
        fields.u64(32).unwrap_or_default(),
        fields.u32(40).unwrap_or_default().into(),
        fields.u32(44).unwrap_or_default().into(),
    ]))
}

fn segments(
    data: &Data,
    offset: u64,
    entry: u16,
    count: u16,
    first: Option<[u64; 3]>,
) -> Result<Vec<Segment>, PackError> {
    let count = match (count, first) {
        (0xffff, Some([_, _, info])) => info,
        _ => count.into(),
    };
    if offset == 0 || count == 0 {
        return Ok(Vec::new());
    }
    if u64::from(entry) != SEGMENT {
        return Err(data.damaged(format!(
            "the size of a program header (expected {SEGMENT}, found {entry})"
        )));
    }
    let bytes = data.read(
        offset,
        SEGMENT * count,
        SEGMENT * limits::SEGMENTS,
        "the program headers",
    )?;
    Ok(bytes
        .chunks_exact(index(SEGMENT))
        .map(Fields)
        .filter_map(|fields| {
            Some(Segment {
                kind: fields.u32(0)?,
                flags: fields.u32(4)?,
                offset: fields.u64(8)?,
                address: fields.u64(16)?,
                file_size: fields.u64(32)?,
                memory_size: fields.u64(40)?,
            })
        })
        .collect())
}

fn sections(
    data: &Data,
    offset: u64,
    entry: u16,
    (count, names): (u16, u16),
    first: Option<[u64; 3]>,
) -> Result<Vec<Section>, PackError> {
    let Some([more, link, _]) = first else {
        return Ok(Vec::new());
    };
    debug_assert_eq!(u64::from(entry), SECTION);
    let count = if count == 0 { more } else { count.into() };
    let names = if names == 0xffff { link } else { names.into() };
    let bytes = data.read(
        offset,
        SECTION.saturating_mul(count),
        SECTION * limits::SECTIONS,
        "the section headers",
    )?;
    let mut sections = Vec::new();
    let mut name_offsets = Vec::new();
    for fields in bytes.chunks_exact(index(SECTION)).map(Fields) {
        let (u32, u64) = (
            |at| fields.u32(at).unwrap_or_default(),
            |at| fields.u64(at).unwrap_or_default(),
        );
        name_offsets.push(u32(0));
        sections.push(Section {
            name: String::new(),
            kind: u32(4),
            flags: u64(8),
            address: u64(16),
            offset: u64(24),
            size: u64(32),
            link: u32(40),
        });
    }
    for section in &sections {
        let in_file = section.kind != elf::SHT_NOBITS.0 && section.kind != elf::SHT_NULL.0;
        let end = section.offset.checked_add(section.size);
        if in_file && end.is_none_or(|end| end > data.len()) {
            return Err(data.damaged(format!(
                "a section ends after the file (expected {} bytes at {:#x}, found {})",
                section.size,
                section.offset,
                data.len().saturating_sub(section.offset)
            )));
        }
    }
    if let Some(table) = sections.get(index(names)).cloned() {
        let what = "the names of sections";
        let size = if table.kind == elf::SHT_NOBITS.0 {
            0
        } else {
            table.size
        };
        let strings = data.read(table.offset, size, limits::TABLE_BYTES, what)?;
        let mut names = Names::new(data, &strings, bytes.len(), what);
        for (section, offset) in sections.iter_mut().zip(name_offsets) {
            section.name = names.at(offset.into())?.unwrap_or_default();
        }
    }
    Ok(sections)
}
