//! Reads a plugin's note from its file, without loading it: a bounded reader of the few parts of an ELF file
//! that are needed.
//!
//! The form of the note is documented where it is written, in `trifold_build::plugin::note`.

use std::{
    ffi::OsString,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use crate::BackendError;

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its name, such as `cuda13`.
    pub name: String,
    /// What its devices are asked for by, such as `cuda`.
    pub kind: String,
    /// Its own version.
    pub version: String,
    /// What people call it.
    pub title: String,
    /// The package that users install to have it.
    pub package: String,
    /// The engine whose ggml it is for; empty if it is the one of all engines.
    pub engine: String,
    /// What the CPU must have.
    pub cpu_features: Vec<String>,
    /// The fingerprint of its ggml.
    pub fingerprint: String,
}

const OWNER: &[u8] = b"Trifold\0";
const TYPE: u32 = 1;
const FORM: &str = "1";

/// More than any note needs: a fingerprint has 16 kB.
const MOST_BYTES: u64 = 1 << 20;
const MOST_SEGMENTS: u16 = 128;

const PT_NOTE: u32 = 4;
const ET_DYN: u16 = 3;
const EM_X86_64: u16 = 62;
const HEADER: usize = 64;
const SEGMENT: usize = 56;

/// Reads the note of a plugin.
///
/// # Errors
/// [`BackendError::NotAPlugin`] for another kind of file, [`BackendError::Damaged`] for a note that is cut off
/// or means nothing.
pub fn read(path: &Path) -> Result<Note, BackendError> {
    let io = |source| BackendError::io("Could not read", path, source);
    let mut file = File::open(path).map_err(io)?;
    let other = |found: &str| BackendError::NotAPlugin {
        path: path.to_owned(),
        found: found.to_owned(),
    };
    let damaged = |what: &str| BackendError::Damaged {
        path: path.to_owned(),
        what: what.to_owned(),
    };
    let head = bytes(&mut file, 0, HEADER).map_err(io)?;
    if !head.starts_with(b"\x7fELF") {
        return Err(other("no ELF file"));
    }
    match head.get(4..6) {
        Some([2, 1]) => {}
        Some([1, _]) => return Err(other("a 32-bit ELF file")),
        Some(_) => return Err(other("a big-endian ELF file")),
        None => return Err(damaged("it ends in its header")),
    }
    if head.len() < HEADER {
        return Err(damaged("it ends in its header"));
    }
    if u16_at(&head, 16) != Some(ET_DYN) {
        return Err(other("an ELF file that is no shared library"));
    }
    if u16_at(&head, 18) != Some(EM_X86_64) {
        return Err(other("an ELF file for another machine"));
    }
    if u16_at(&head, 54).map(usize::from) != Some(SEGMENT) {
        return Err(damaged("its program headers have another size"));
    }
    let table = segments(&mut file, &head).map_err(io)?;
    for segment in table.chunks_exact(SEGMENT) {
        if u32_at(segment, 0) != Some(PT_NOTE) {
            continue;
        }
        let offset = u64_at(segment, 8).unwrap_or(0);
        let size = u64_at(segment, 32).unwrap_or(0);
        let align = u64_at(segment, 48).unwrap_or(4);
        let length = usize::try_from(size.min(MOST_BYTES)).unwrap_or(0);
        let notes = bytes(&mut file, offset, length).map_err(io)?;
        match find(&notes, if align == 8 { 8 } else { 4 }) {
            Found::Note(text) => return parse(text).map_err(|what| damaged(&what)),
            Found::CutOff => return Err(damaged("its note is cut off")),
            Found::Nothing => {}
        }
    }
    Err(other("a shared library without a plugin's note"))
}

/// The program that loads a program, as its file says.
pub(crate) fn interpreter(program: &Path) -> Option<PathBuf> {
    const PT_INTERP: u32 = 3;
    let mut file = File::open(program).ok()?;
    let head = bytes(&mut file, 0, HEADER).ok()?;
    let table = segments(&mut file, &head).ok()?;
    let segment = table
        .chunks_exact(SEGMENT)
        .find(|segment| u32_at(segment, 0) == Some(PT_INTERP))?;
    let length = usize::try_from(u64_at(segment, 32)?.min(4096)).ok()?;
    let mut name = bytes(&mut file, u64_at(segment, 8)?, length).ok()?;
    name.truncate(name.iter().position(|byte| *byte == 0)?);
    Some(PathBuf::from(OsString::from_vec(name)))
}

/// The program headers, which the file's header tells the place of.
fn segments(file: &mut File, head: &[u8]) -> std::io::Result<Vec<u8>> {
    let start = u64_at(head, 32).unwrap_or(0);
    let count = u16_at(head, 56).unwrap_or(0).min(MOST_SEGMENTS);
    bytes(file, start, usize::from(count) * SEGMENT)
}

/// As many bytes as there are, up to `length`.
fn bytes(file: &mut File, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    file.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

enum Found<'a> {
    Note(&'a [u8]),
    CutOff,
    Nothing,
}

/// Looks for our note among those of a segment.
fn find(mut notes: &[u8], align: usize) -> Found<'_> {
    while let (Some(owner), Some(size), Some(kind)) =
        (u32_at(notes, 0), u32_at(notes, 4), u32_at(notes, 8))
    {
        let owner_length = owner as usize;
        let size = size as usize;
        let Some(name) = notes.get(12..12 + owner_length.min(notes.len())) else {
            return Found::Nothing;
        };
        let ours = name == OWNER && kind == TYPE;
        let begin = (12 + owner_length).next_multiple_of(align);
        let Some(end) = begin.checked_add(size) else {
            return Found::Nothing;
        };
        match notes.get(begin..end) {
            Some(text) if ours => return Found::Note(text),
            None if ours => return Found::CutOff,
            _ => {}
        }
        let Some(rest) = notes.get(end.next_multiple_of(align)..) else {
            return Found::Nothing;
        };
        notes = rest;
    }
    Found::Nothing
}

/// Parses the text of a note; an error is what is wrong with it.
pub(crate) fn parse(text: &[u8]) -> Result<Note, String> {
    let text = std::str::from_utf8(text).map_err(|_| "its note is no text".to_owned())?;
    let mut rest = text;
    let mut line = |name: &str| -> Result<String, String> {
        let (line, after) = rest
            .split_once('\n')
            .ok_or_else(|| format!("its note ends before: {name}"))?;
        rest = after;
        match line.split_once('\t') {
            Some((found, value)) if found == name => Ok(value.to_owned()),
            _ => Err(format!("its note has no line at its place: {name}")),
        }
    };
    let form = line("trifold plugin")?;
    if form != FORM {
        return Err(format!(
            "form of its note: expected {FORM}, found {form}: it is for another version of trifold"
        ));
    }
    let name = line("name")?;
    let kind = line("kind")?;
    if !is_kind(&kind) {
        return Err(format!(
            "expected a kind such as cuda in its note, found {kind:?}"
        ));
    }
    let version = line("version")?;
    let title = line("title")?;
    let package = line("package")?;
    let engine = line("engine")?;
    let cpu = line("cpu")?;
    let length = line("fingerprint")?;
    if length.parse() != Ok(rest.len()) {
        return Err(format!(
            "its fingerprint is cut off: expected {length} bytes, found {}",
            rest.len()
        ));
    }
    Ok(Note {
        name,
        kind,
        version,
        title,
        package,
        engine,
        cpu_features: cpu
            .split(',')
            .filter(|feature| !feature.is_empty())
            .map(str::to_owned)
            .collect(),
        fingerprint: rest.to_owned(),
    })
}

/// Whether devices can be asked for by this: small letters and digits, and not what means something else.
fn is_kind(kind: &str) -> bool {
    let of_it = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    kind.starts_with(|c: char| c.is_ascii_lowercase())
        && kind.chars().all(of_it)
        && !["auto", "cpu"].contains(&kind)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Found, find, is_kind, parse};

    proptest! {
        #[test]
        fn no_bytes_are_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..200), align in prop::sample::select(vec![4_usize, 8])) {
            if let Found::Note(text) = find(&bytes, align) {
                prop_assert!(text.len() <= bytes.len());
            }
            // Random bytes are no note: it must end in so many bytes as it says.
            prop_assert!(parse(&bytes).is_err());
        }
    }

    #[test]
    fn kinds_can_be_asked_for() {
        for kind in ["cuda", "rpc", "cuda2"] {
            assert!(is_kind(kind), "{kind}");
        }
        for kind in ["", "cpu", "auto", "CUDA", "2d", "a-b", "a:0", "a,b"] {
            assert!(!is_kind(kind), "{kind}");
        }
    }

    #[test]
    fn a_length_beyond_everything_is_cut_off() {
        let mut note = Vec::new();
        note.extend(8_u32.to_le_bytes());
        note.extend(u32::MAX.to_le_bytes());
        note.extend(1_u32.to_le_bytes());
        note.extend(b"Trifold\0some");
        assert!(matches!(find(&note, 4), Found::CutOff));
    }
}
