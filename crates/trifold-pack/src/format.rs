//! What a file is, by its first bytes.

use crate::{PackError, fields::Fields};

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// 64-bit little-endian ELF for x86-64.
    Elf,
    /// A static archive.
    Archive,
    /// A zip file, as wheels are.
    Zip,
    /// Native code of another kind, and what it is.
    Foreign(String),
    /// No native code.
    Other,
}

/// The file format, from its first 64 bytes.
pub(crate) fn of(head: &[u8]) -> Format {
    let foreign = |what: &str| Format::Foreign(what.to_owned());
    match head {
        [0x7f, b'E', b'L', b'F', ..] => elf(head),
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', b'\n', ..] => Format::Archive,
        [b'!', b'<', b't', b'h', b'i', b'n', b'>', b'\n', ..] => {
            foreign("a thin archive, whose members lie elsewhere")
        }
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Format::Zip,
        [0xcf, 0xfa, 0xed, 0xfe, ..] | [0xfe, 0xed, 0xfa, 0xcf, ..] => {
            foreign("a 64-bit Mach-O file")
        }
        [0xce, 0xfa, 0xed, 0xfe, ..] | [0xfe, 0xed, 0xfa, 0xce, ..] => {
            foreign("a 32-bit Mach-O file")
        }
        // Java's class files begin alike, with a version above 44 where this has a count.
        [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, count, ..] if *count < 40 => {
            foreign("a universal Mach-O file")
        }
        [b'M', b'Z', ..] if head.len() >= 64 => foreign("a PE file (Windows)"),
        _ => Format::Other,
    }
}

/// The same of a member of a static archive: objects of other systems and compilers have no mark of their own.
pub(crate) fn of_member(head: &[u8]) -> Format {
    let what = match head {
        [b'B', b'C', 0xc0, 0xde, ..] | [0xde, 0xc0, 0x17, 0x0b, ..] => {
            "an object of LLVM's bitcode"
        }
        [0, b'a', b's', b'm', ..] => "a WebAssembly object",
        [0x64, 0x86, ..] => "a COFF object for x86-64 (Windows)",
        [0x4c, 0x01, ..] => "a COFF object for x86 (Windows)",
        [0x64, 0xaa, ..] => "a COFF object for AArch64 (Windows)",
        [0, 0, 0xff, 0xff, ..] => "an import or an object of LTO (Windows)",
        _ => match of(head) {
            Format::Archive => "a static archive inside of another",
            format => return format,
        },
    };
    Format::Foreign(what.into())
}

fn elf(head: &[u8]) -> Format {
    let class = match head.get(4) {
        Some(1) => "32-bit",
        Some(2) => "64-bit",
        _ => return Format::Foreign("an ELF file of an unknown class".into()),
    };
    let big = match head.get(5) {
        Some(1) => false,
        Some(2) => true,
        _ => return Format::Foreign("an ELF file of an unknown byte order".into()),
    };
    let machine = Fields(head).u16(18);
    let machine = machine.map(|machine| if big { machine.swap_bytes() } else { machine });
    let machine = match machine {
        Some(62) => "x86-64".to_owned(),
        Some(3) => "x86".to_owned(),
        Some(40) => "ARM".to_owned(),
        Some(183) => "AArch64".to_owned(),
        Some(243) => "RISC-V".to_owned(),
        Some(21) => "PowerPC".to_owned(),
        Some(22) => "S/390".to_owned(),
        Some(number) => format!("machine {number}"),
        None => return Format::Elf, // cut off: the reader says so
    };
    let order = if big { "big-endian" } else { "little-endian" };
    if (class, order, machine.as_str()) == ("64-bit", "little-endian", "x86-64") {
        return Format::Elf;
    }
    Format::Foreign(format!("a {class} {order} ELF file for {machine}"))
}

impl Format {
    pub(crate) fn unsupported(&self, place: &str) -> PackError {
        PackError::Unsupported {
            place: place.into(),
            expected: "an ELF file for x86-64, a static archive, a wheel or a folder",
            found: match self {
                Self::Elf => "an ELF file".into(),
                Self::Archive => "a static archive".into(),
                Self::Zip => "a zip file".into(),
                Self::Foreign(what) => what.clone(),
                Self::Other => "a file of another kind".into(),
            },
        }
    }
}
