//! Reads objects and programs back, to prove the seal instead of believing in it.

use std::path::Path;

use object::{
    FileKind, LittleEndian, Object as _, ObjectSection as _, ObjectSymbol as _, SymbolFlags, elf,
    read::{
        archive::ArchiveFile,
        elf::{ElfFile64, Sym as _},
    },
};

use crate::BuildError;

/// Undefined symbols that a sealed engine may have besides the C++ runtime's: the libc and libm
/// functions it calls. Whatever could change the process for others (`setenv`, `setlocale`,
/// `signal`, `fork`, `exit`, …) is not among them.
const ALLOWED: &str = include_str!("allowed_symbols.txt");

/// How many offenders a message names.
const SHOWN: usize = 20;

/// What an object or program says of its symbols.
#[derive(Debug, Default)]
pub struct Symbols {
    /// Defined and visible to other objects.
    pub global: Vec<String>,
    /// Those of them that are variables.
    pub data: Vec<String>,
    /// Needed from elsewhere.
    pub undefined: Vec<String>,
    /// STB_GNU_UNIQUE: one per process, whatever RTLD_LOCAL says.
    pub unique: Vec<String>,
    /// Number of section groups (COMDAT).
    pub groups: usize,
}

/// Reads the symbol table of a relocatable object.
pub fn symbols(path: &Path) -> Result<Symbols, BuildError> {
    let data = read(path)?;
    let file = parse(path, &data)?;
    let mut symbols = Symbols {
        groups: groups(&file),
        ..Symbols::default()
    };
    for symbol in file.symbols() {
        let name = symbol.name().unwrap_or_default().to_owned();
        let SymbolFlags::Elf { st_info, .. } = symbol.flags() else {
            continue;
        };
        if st_info.st_bind() == elf::STB_LOCAL || name.is_empty() {
            continue;
        }
        if symbol.is_undefined() {
            symbols.undefined.push(name);
            continue;
        }
        if st_info.st_bind() == elf::STB_GNU_UNIQUE {
            symbols.unique.push(name.clone());
        }
        if matches!(st_info.st_type(), elf::STT_OBJECT | elf::STT_TLS) {
            symbols.data.push(name.clone());
        }
        symbols.global.push(name);
    }
    symbols.global.sort();
    symbols.undefined.sort();
    Ok(symbols)
}

/// Makes symbols of a relocatable object, compiled with `-fvisibility=hidden`, such that a shared library
/// may export them. (objcopy of GNU binutils cannot.)
pub(crate) fn unhide(path: &Path, exported: impl Fn(&str) -> bool) -> Result<(), BuildError> {
    let mut data = read(path)?;
    let mut places = Vec::new();
    {
        let file = parse(path, &data)?;
        let table = file.elf_symbol_table();
        let section = file.elf_section_table().section(table.section());
        let start = section.map_or(0, |section| section.sh_offset.get(LittleEndian));
        for (index, symbol) in table.enumerate() {
            let name = symbol.name(LittleEndian, table.strings());
            let name = String::from_utf8_lossy(name.unwrap_or_default()).into_owned();
            if symbol.st_bind() != elf::STB_LOCAL && exported(&name) {
                let entry = u64::try_from(index.0 * size_of::<elf::Sym64<LittleEndian>>());
                places.push(start + entry.unwrap_or(0) + OTHER);
            }
        }
    }
    for place in places {
        let byte = usize::try_from(place)
            .ok()
            .and_then(|place| data.get_mut(place));
        if let Some(byte) = byte {
            *byte = (*byte & !VISIBILITY) | elf::STV_DEFAULT.0;
        }
    }
    fs_err::write(path, data).map_err(BuildError::io("Could not write", path))
}

/// Where `st_other` is in an entry of the symbol table, and the bits of it that are the visibility.
const OTHER: u64 = 5;
const VISIBILITY: u8 = 3;

/// What a linked program or shared library shows to the loader.
#[derive(Debug, Default)]
pub struct Linked {
    /// Defined dynamic symbols.
    pub exported: Vec<String>,
    /// The libraries it asks for.
    pub needed: Vec<String>,
}

/// Reads the dynamic section of a program or shared library.
pub fn linked(path: &Path) -> Result<Linked, BuildError> {
    let data = read(path)?;
    let file = parse(path, &data)?;
    let exported = file
        .dynamic_symbols()
        .filter(|symbol| !symbol.is_undefined())
        .filter_map(|symbol| symbol.name().ok().map(str::to_owned))
        .collect();
    let bad = |error: object::Error| damaged(path, &error);
    let endian = file.endian();
    let sections = file.elf_section_table();
    let mut needed = Vec::new();
    if let Some((entries, link)) = sections.dynamic(endian, data.as_slice()).map_err(bad)? {
        let strings = sections
            .strings(endian, data.as_slice(), link)
            .map_err(bad)?;
        for entry in entries {
            if entry.d_tag.get(endian) == elf::DT_NEEDED {
                let offset = u32::try_from(entry.d_val.get(endian)).unwrap_or(u32::MAX);
                let name = strings.get(offset).unwrap_or_default();
                needed.push(String::from_utf8_lossy(name).into_owned());
            }
        }
    }
    Ok(Linked { exported, needed })
}

/// A dynamic symbol with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionedSymbol {
    /// Its name.
    pub name: String,
    /// Its version, such as `GLIBC_2.28`; empty if it has none.
    pub version: String,
    /// Whether it is asked for, not defined.
    pub undefined: bool,
    /// Whether it may be missing.
    pub weak: bool,
    /// Whether it is data and no function.
    pub data: bool,
    /// How many bytes of data it is; 0 for functions.
    pub size: u64,
}

/// Reads the dynamic symbols of a program or shared library; it works on stripped files.
pub fn versioned_symbols(path: &Path) -> Result<Vec<VersionedSymbol>, BuildError> {
    let data = read(path)?;
    let file = parse(path, &data)?;
    let bad = |error: object::Error| damaged(path, &error);
    let endian = file.endian();
    let sections = file.elf_section_table();
    let versions = sections.versions(endian, data.as_slice()).map_err(bad)?;
    let mut symbols = Vec::new();
    for symbol in file.dynamic_symbols() {
        let SymbolFlags::Elf { st_info, .. } = symbol.flags() else {
            continue;
        };
        let version = match &versions {
            Some(table) => {
                let index = table.version_index(endian, symbol.index()).index();
                table.version(index).map_err(bad)?
            }
            None => None,
        };
        let data = matches!(st_info.st_type(), elf::STT_OBJECT | elf::STT_TLS);
        symbols.push(VersionedSymbol {
            name: symbol.name().unwrap_or_default().to_owned(),
            version: version.map_or_else(String::new, |version| {
                String::from_utf8_lossy(version.name()).into_owned()
            }),
            undefined: symbol.is_undefined(),
            weak: st_info.st_bind() == elf::STB_WEAK,
            data,
            size: if data { symbol.size() } else { 0 },
        });
    }
    Ok(symbols)
}

/// How a program or shared library was linked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Hardening {
    /// Relocated data is made read-only.
    pub relro: bool,
    /// All symbols are bound at load.
    pub bind_now: bool,
    /// The stack may hold code.
    pub executable_stack: bool,
    /// It brings folders for the loader to look in.
    pub search_path: bool,
    /// Code is changed when it is loaded.
    pub text_relocations: bool,
    /// It has a symbol table or debug information besides what the loader needs.
    pub symbol_table: bool,
}

/// Reads how a program or shared library was linked.
pub fn hardening(path: &Path) -> Result<Hardening, BuildError> {
    let data = read(path)?;
    let file = parse(path, &data)?;
    let bad = |error: object::Error| damaged(path, &error);
    let endian = file.endian();
    let mut found = Hardening {
        // Without the mark the system decides, and may allow it.
        executable_stack: true,
        ..Hardening::default()
    };
    for segment in file.elf_program_headers() {
        match segment.p_type.get(endian) {
            elf::PT_GNU_RELRO => found.relro = true,
            elf::PT_GNU_STACK => {
                found.executable_stack = segment.p_flags.get(endian).contains(elf::PF_X);
            }
            _ => {}
        }
    }
    let sections = file.elf_section_table();
    if let Some((entries, _)) = sections.dynamic(endian, data.as_slice()).map_err(bad)? {
        for entry in entries {
            let value = entry.d_val.get(endian);
            match entry.d_tag.get(endian) {
                elf::DT_BIND_NOW => found.bind_now = true,
                elf::DT_FLAGS => found.bind_now |= value & elf::DF_BIND_NOW.0 != 0,
                elf::DT_FLAGS_1 => found.bind_now |= value & elf::DF_1_NOW.0 != 0,
                elf::DT_RPATH | elf::DT_RUNPATH => found.search_path = true,
                elf::DT_TEXTREL => found.text_relocations = true,
                _ => {}
            }
        }
    }
    found.symbol_table = file.sections().any(|section| {
        let name = section.name().unwrap_or_default();
        name == ".symtab" || name.starts_with(".debug_")
    });
    Ok(found)
}

/// Fails unless the object defines exactly `expected`, and asks for nothing that could leak.
pub fn check_sealed(engine: &str, path: &Path, expected: &[String]) -> Result<(), BuildError> {
    check_closed(engine, &symbols(path)?, expected, is_allowed)
}

/// Fails unless an object defines exactly `expected`, which is sorted, and needs what is `allowed`.
pub(crate) fn check_closed(
    title: &str,
    found: &Symbols,
    expected: &[String],
    allowed: impl Fn(&str) -> bool,
) -> Result<(), BuildError> {
    let foreign: Vec<String> = found
        .undefined
        .iter()
        .filter(|name| !allowed(name))
        .take(SHOWN)
        .cloned()
        .collect();
    let groups = match found.groups {
        0 => Vec::new(),
        groups => vec![groups.to_string()],
    };
    for (what, offenders) in [
        (
            "defines symbols that are not API",
            missing_from(&found.global, expected),
        ),
        (
            "does not define API symbols",
            missing_from(expected, &found.global),
        ),
        ("has STB_GNU_UNIQUE symbols", found.unique.clone()),
        ("has section groups", groups),
        ("needs symbols that are not on the list", foreign),
    ] {
        if !offenders.is_empty() {
            return Err(BuildError::Seal {
                engine: title.into(),
                what: format!("{what}: {}", offenders.join(", ")),
            });
        }
    }
    Ok(())
}

/// Whether a sealed engine may need this symbol from outside.
pub fn is_allowed(name: &str) -> bool {
    ALLOWED
        .lines()
        .filter(|line| !line.starts_with('#'))
        .any(|line| line == name)
        || is_cpp_runtime(name)
}

/// The C++ runtime (libstdc++ and libgcc), less its ways to change the process.
fn is_cpp_runtime(name: &str) -> bool {
    // std::set_terminate, std::locale::global, std::cout and its kin.
    const DENIED: [&str; 6] = [
        "_ZSt13set_terminate",
        "_ZNSt6locale6global",
        "_ZSt4cout",
        "_ZSt4cerr",
        "_ZSt4clog",
        "_ZSt3cin",
    ];
    const C_NAMES: [&str; 5] = [
        "__cxa_",
        "_Unwind_",
        "__gxx_personality_v0",
        "__once_proxy",
        "__dynamic_cast",
    ];
    // operator new and delete.
    const OPERATORS: [&str; 4] = ["_Znw", "_Zna", "_Zdl", "_Zda"];
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    if starts(&DENIED) {
        return false;
    }
    if starts(&C_NAMES) || starts(&OPERATORS) {
        return true;
    }
    // Mangled names: vtable, VTT, typeinfo and guard prefixes, a nested name's `N` and its `K` for
    // const; then `S` for what is in std, or one of the runtime's own namespaces.
    let Some(rest) = name.strip_prefix("_Z") else {
        return false;
    };
    let rest = ["TV", "TT", "TI", "TS", "GV"]
        .iter()
        .find_map(|kind| rest.strip_prefix(kind))
        .unwrap_or(rest);
    if rest.len() == 1 {
        return true; // typeinfo of a built-in type
    }
    let rest = rest.strip_prefix('N').unwrap_or(rest);
    let rest = rest.strip_prefix('K').unwrap_or(rest);
    ["S", "9__gnu_cxx", "10__cxxabiv1"]
        .iter()
        .any(|namespace| rest.starts_with(namespace))
}

/// Whether an object has code that runs before `main`.
pub(crate) fn has_initialisers(path: &Path) -> Result<bool, BuildError> {
    let data = read(path)?;
    let file = parse(path, &data)?;
    Ok(file.sections().any(|section| {
        let name = section.name().unwrap_or_default();
        section.size() > 0 && (name.starts_with(".init_array") || name.starts_with(".ctors"))
    }))
}

/// What a file is that somebody wants sealed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A relocatable object for this target.
    Object,
    /// A static archive of such objects.
    Archive,
    /// One of the two, without machine code: that is for the linker's compiler plugin to make.
    Lto,
    /// Something else.
    Other(String),
}

/// Looks what a file is; of an archive, at every member.
pub(crate) fn input(path: &Path) -> Result<Input, BuildError> {
    let data = read(path)?;
    let other = |what: &str| Ok(Input::Other(what.to_owned()));
    if data.is_empty() {
        return other("an empty file");
    }
    if data.starts_with(b"!<thin>\n") {
        return other("a thin archive, which names files elsewhere");
    }
    if !data.starts_with(b"!<arch>\n") {
        return match FileKind::parse(data.as_slice()) {
            Ok(_) => Ok(object_kind(&data)),
            Err(_) => other("neither an object nor an archive"),
        };
    }
    let damaged = |error: object::Error| Input::Other(format!("a damaged archive: {error}"));
    let archive = match ArchiveFile::parse(data.as_slice()) {
        Ok(archive) => archive,
        Err(error) => return Ok(damaged(error)),
    };
    for member in archive.members() {
        let read = member.and_then(|member| {
            let name = String::from_utf8_lossy(member.name()).into_owned();
            Ok((name, member.data(data.as_slice())?))
        });
        let (name, content) = match read {
            Ok(read) => read,
            Err(error) => return Ok(damaged(error)),
        };
        match object_kind(content) {
            Input::Object => {}
            Input::Other(found) => return Ok(Input::Other(format!("{found} as member {name}"))),
            other => return Ok(other),
        }
    }
    Ok(Input::Archive)
}

fn object_kind(data: &[u8]) -> Input {
    let other = |what: &str| Input::Other(what.to_owned());
    match FileKind::parse(data) {
        Ok(FileKind::Elf64) => {}
        Ok(FileKind::Elf32) => return other("a 32-bit ELF file"),
        Ok(kind) => return Input::Other(format!("a file of kind {kind:?}")),
        Err(_) => return other("no object"),
    }
    let Ok(file) = ElfFile64::<LittleEndian>::parse(data) else {
        return other("a damaged or big-endian ELF file");
    };
    let endian = file.endian();
    if file.elf_header().e_machine.get(endian) != elf::EM_X86_64 {
        return other("an ELF file for another machine");
    }
    if file.elf_header().e_type.get(endian) != elf::ET_REL {
        return other("a linked program or shared library");
    }
    if file
        .symbols()
        .any(|symbol| symbol.name() == Ok("__gnu_lto_slim"))
    {
        return Input::Lto;
    }
    Input::Object
}

fn groups(file: &ElfFile64<'_, LittleEndian>) -> usize {
    let endian = file.endian();
    file.elf_section_table()
        .iter()
        .filter(|section| section.sh_type.get(endian) == elf::SHT_GROUP)
        .count()
}

fn missing_from(wanted: &[String], there: &[String]) -> Vec<String> {
    wanted
        .iter()
        .filter(|name| there.binary_search(name).is_err())
        .take(SHOWN)
        .cloned()
        .collect()
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    fs_err::read(path).map_err(BuildError::io("Could not read", path))
}

fn parse<'a>(path: &Path, data: &'a [u8]) -> Result<ElfFile64<'a, LittleEndian>, BuildError> {
    ElfFile64::parse(data).map_err(|error| damaged(path, &error))
}

fn damaged(path: &Path, error: &object::Error) -> BuildError {
    BuildError::config(format!(
        "Expected an ELF file at: {} ({error})",
        path.display()
    ))
}
