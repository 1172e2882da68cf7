//! What is to be loaded: Python modules, wheels, shared libraries.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{ColoadError, python::Interpreter, wheel::Wheel};
use crate::format::{self, Format};

/// The file's beginning: all that is needed to say what it is.
const HEADER: u64 = 64;

/// Where an ELF file's header says whether it is a library.
const TYPE: usize = 16;

/// One of those that are loaded together.
#[derive(Debug)]
pub(super) struct Target {
    /// As in the report.
    pub(super) label: String,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Module(String),
    Wheel(Wheel),
    Library(PathBuf),
}

impl Target {
    fn parse(text: &str) -> Result<Self, ColoadError> {
        let path = Path::new(text);
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        if file_name.to_ascii_lowercase().ends_with(".whl") {
            let wheel = Wheel::open(path)?;
            return Ok(Self {
                label: wheel.label(),
                kind: Kind::Wheel(wheel),
            });
        }
        let is_library_name = file_name.ends_with(".so") || file_name.contains(".so.");
        if text.contains('/') || is_library_name {
            return Ok(Self {
                label: file_name.into_owned(),
                kind: Kind::Library(existing(path)?),
            });
        }
        if !is_module_name(text) {
            return Err(ColoadError::Name { name: text.into() });
        }
        Ok(Self {
            label: text.into(),
            kind: Kind::Module(text.into()),
        })
    }
}

/// Reads what the user named.
pub(super) fn parse(names: &[String], most: usize) -> Result<Vec<Target>, ColoadError> {
    if !(2..=most).contains(&names.len()) {
        return Err(ColoadError::Count {
            most,
            found: names.len(),
        });
    }
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            return Err(ColoadError::Twice { name: name.clone() });
        }
    }
    let mut targets = names
        .iter()
        .map(|name| Target::parse(name))
        .collect::<Result<Vec<_>, _>>()?;
    // Two files of one name, in two folders.
    let labels: Vec<_> = targets.iter().map(|target| target.label.clone()).collect();
    for (target, name) in targets.iter_mut().zip(names) {
        if labels
            .iter()
            .filter(|label| **label == target.label)
            .count()
            > 1
        {
            target.label.clone_from(name);
        }
    }
    Ok(targets)
}

/// Checks that the interpreter can load these: a library for another machine fails in the loader
/// with a message that names neither machine.
pub(super) fn check(targets: &[Target], python: &Interpreter) -> Result<(), ColoadError> {
    for target in targets {
        match &target.kind {
            Kind::Library(path) => check_library(path)?,
            Kind::Wheel(wheel) => wheel.check(python)?,
            Kind::Module(_) => {}
        }
    }
    Ok(())
}

fn existing(path: &Path) -> Result<PathBuf, ColoadError> {
    let absolute = std::path::absolute(path).map_err(ColoadError::io("Could not look up", path))?;
    match fs_err::metadata(&absolute) {
        Ok(data) if data.is_file() => Ok(absolute),
        Ok(_) => Err(ColoadError::Name {
            name: format!("{} (found: no regular file)", path.display()),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ColoadError::NotFound {
            path: path.to_owned(),
        }),
        Err(error) => Err(ColoadError::io("Could not look up", path)(error)),
    }
}

fn check_library(path: &Path) -> Result<(), ColoadError> {
    let mut header = Vec::new();
    fs_err::File::open(path)
        .and_then(|file| file.take(HEADER).read_to_end(&mut header))
        .map_err(ColoadError::io("Could not read", path))?;
    match other_than_a_library(&header) {
        None => Ok(()),
        Some(found) => Err(ColoadError::NotALibrary {
            path: path.to_owned(),
            found,
        }),
    }
}

fn other_than_a_library(header: &[u8]) -> Option<String> {
    let found = match format::of(header) {
        Format::Elf => match header.get(TYPE..TYPE + 2) {
            Some([3, 0]) => return None,
            Some([1, 0]) => "an object that is not linked",
            Some([2, 0]) => "a program",
            _ => "a damaged ELF file",
        },
        Format::Foreign(what) => return Some(what),
        Format::Archive => "a static archive",
        Format::Zip => "a zip file",
        Format::Other if header.is_empty() => "an empty file",
        Format::Other => {
            let beginning = header[..header.len().min(8)].escape_ascii();
            return Some(format!("it begins with \"{beginning}\""));
        }
    };
    Some(found.into())
}

/// As in `import a.b`.
pub(super) fn is_module_name(name: &str) -> bool {
    name.split('.').all(|part| {
        let mut characters = part.chars();
        characters
            .next()
            .is_some_and(|first| first == '_' || first.is_alphabetic())
            && characters.all(|character| character == '_' || character.is_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_file_is() {
        let mut header = vec![0; 64];
        header[..6].copy_from_slice(b"\x7fELF\x02\x01");
        header[TYPE] = 3;
        header[18] = 62;
        assert_eq!(other_than_a_library(&header), None);
        for (at, value, expected) in [
            (4, 1, "a 32-bit little-endian ELF file for x86-64"),
            (18, 183, "a 64-bit little-endian ELF file for AArch64"),
            (TYPE, 1, "an object that is not linked"),
            (TYPE, 2, "a program"),
            (TYPE, 9, "a damaged ELF file"),
            (0, b'x', "it begins with \"xELF\\x02\\x01\\x00\\x00\""),
        ] {
            let mut changed = header.clone();
            changed[at] = value;
            assert_eq!(other_than_a_library(&changed).as_deref(), Some(expected));
        }
        assert_eq!(other_than_a_library(b"").as_deref(), Some("an empty file"));
    }

    #[test]
    fn names_of_modules() {
        for name in ["numpy", "_pywhispercpp", "a.b_c.d1", "größe"] {
            assert!(is_module_name(name), "{name}");
        }
        for name in ["", ".", "a.", "1a", "a b", "a-b", "-c", "a..b"] {
            assert!(!is_module_name(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_header(bytes in proptest::collection::vec(any::<u8>(), 0..80), elf in any::<bool>()) {
            let mut bytes = bytes;
            if elf && bytes.len() > 4 {
                bytes[..4].copy_from_slice(b"\x7fELF");
            }
            other_than_a_library(&bytes);
        }
    }
}
