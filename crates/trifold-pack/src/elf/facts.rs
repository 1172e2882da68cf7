//! What is told of an ELF file.

use std::collections::BTreeSet;

use object::elf;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Binding, Export, Image, NeededVersion, Symbol};
use crate::{PackError, limits, owners};

/// What an ELF file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A Python extension module: it exports `PyInit_<module>`.
    Extension,
    /// Another shared library.
    Library,
    /// A relocatable object, such as a member of a static archive.
    Object,
    /// A program.
    Program,
}

/// What is known of an ELF file from its headers and symbols.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Facts {
    /// What it is for.
    pub kind: Kind,
    /// The name under which others ask for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soname: Option<String>,
    /// The libraries it asks for, in order.
    pub needed: Vec<String>,
    /// DT_RPATH and DT_RUNPATH: where the loader looks first.
    pub search_path: Vec<String>,
    /// The versions it needs of other libraries.
    pub needed_versions: Vec<NeededVersion>,
    /// What others can bind to, sorted.
    pub exports: Vec<Export>,
    /// How it was linked; none for objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardening: Option<Hardening>,
    /// Bytes in sections of debug information.
    pub debug_bytes: u64,
    /// Bytes in the static symbol table and its names.
    pub symbol_table_bytes: u64,
    /// Sections by size, largest first.
    pub sections: Vec<SectionSize>,
    /// The build id of the linker, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// The compilers that say their names in `.comment`.
    pub compilers: Vec<String>,
}

/// How a program or shared library was linked.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Hardening {
    /// Which of the relocated data is made read-only.
    pub relro: Relro,
    /// All symbols are bound at load.
    pub bind_now: bool,
    /// The stack holds no code.
    pub nx_stack: bool,
    /// It can be loaded at any address.
    pub pie: bool,
    /// Some function checks the stack before it returns.
    pub stack_protector: bool,
    /// Code is changed when it is loaded.
    pub text_relocations: bool,
    /// A segment may be written and run.
    pub writable_code: bool,
}

/// Which of the relocated data is made read-only after loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Relro {
    /// All of it.
    Full,
    /// Nothing.
    None,
    /// All but the table of functions that are bound late.
    Partial,
}

/// The size of a section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SectionSize {
    /// Its name.
    pub name: String,
    /// Bytes in the file.
    pub bytes: u64,
}

/// What a linker defines of its own accord.
const LINKER: [&str; 12] = [
    "_IO_stdin_used",
    "__bss_start",
    "__data_start",
    "__dso_handle",
    "_edata",
    "_end",
    "_fini",
    "_init",
    "_start",
    "data_start",
    "environ",
    "main",
];

impl Facts {
    pub(crate) fn of(
        image: &Image,
        dynamic: &[Symbol],
        symbols: &[Symbol],
    ) -> Result<Self, PackError> {
        let visible = if image.is_object() { symbols } else { dynamic };
        let mut exports: Vec<Export> = visible.iter().filter_map(export).collect();
        exports.sort();
        exports.dedup();
        let soname = image.texts(elf::DT_SONAME)?.into_iter().next();
        let search_path = search_path(image)?;
        let kind = kind(image, soname.is_some(), &exports);
        if kind == Kind::Program {
            let variables = variables(visible);
            // A program's copy of a library's variable has the library's version.
            exports.retain(|export| {
                export.version.is_none() || !variables.contains(export.name.as_str())
            });
        }
        let bytes = |want: &dyn Fn(&str) -> bool| {
            let sections = image.sections.iter();
            sections
                .filter(|section| want(&section.name) && section.kind != elf::SHT_NOBITS.0)
                .map(|section| section.size)
                .fold(0, u64::saturating_add)
        };
        Ok(Self {
            kind,
            soname,
            needed: image.texts(elf::DT_NEEDED)?,
            search_path,
            needed_versions: image.needed_versions(dynamic)?,
            exports,
            hardening: (!image.is_object()).then(|| hardening(image, dynamic, symbols)),
            debug_bytes: bytes(&|name| name.starts_with(".debug_") || name.starts_with(".zdebug_")),
            symbol_table_bytes: bytes(&|name| name == ".symtab" || name == ".strtab"),
            sections: sections(image),
            build_id: build_id(image),
            compilers: compilers(image),
        })
    }
}

fn search_path(image: &Image) -> Result<Vec<String>, PackError> {
    let mut texts = image.texts(elf::DT_RPATH)?;
    texts.extend(image.texts(elf::DT_RUNPATH)?);
    let folders = || texts.iter().flat_map(|text| text.split(':'));
    let what = "the number of folders to look for libraries in";
    image.bound(what, limits::DYNAMIC_ENTRIES, folders().count())?;
    Ok(folders().map(str::to_owned).collect())
}

fn export(symbol: &Symbol) -> Option<Export> {
    let shown = symbol.defined
        && symbol.visible
        && symbol.binding != Binding::Local
        && !symbol.bookkeeping
        && !symbol.name.is_empty();
    // Each version that a library defines is also an absolute symbol of its own name.
    let version = symbol.version.as_deref() == Some(symbol.name.as_str());
    if !shown || version || LINKER.contains(&symbol.name.as_str()) {
        return None;
    }
    Some(Export {
        name: symbol.name.clone(),
        version: symbol.version.clone(),
        binding: symbol.binding,
        owner: owners::owner(&symbol.name),
    })
}

/// The names of what is defined and no function.
fn variables(symbols: &[Symbol]) -> BTreeSet<&str> {
    let data = symbols
        .iter()
        .filter(|symbol| symbol.defined && !symbol.function);
    data.map(|symbol| symbol.name.as_str()).collect()
}

fn kind(image: &Image, soname: bool, exports: &[Export]) -> Kind {
    let flags = image.value(elf::DT_FLAGS_1).unwrap_or_default();
    let is_program = image.kind == elf::ET_EXEC.0
        || flags & elf::DF_1_PIE.0 != 0
        || (!soname && image.segment(elf::PT_INTERP).is_some());
    if image.is_object() {
        Kind::Object
    } else if is_program {
        Kind::Program
    } else if exports
        .iter()
        .any(|export| export.name.starts_with("PyInit_"))
    {
        Kind::Extension
    } else {
        Kind::Library
    }
}

fn hardening(image: &Image, dynamic: &[Symbol], symbols: &[Symbol]) -> Hardening {
    let has = |tag, bit: u64| image.value(tag).unwrap_or_default() & bit != 0;
    let bind_now = image.value(elf::DT_BIND_NOW).is_some()
        || has(elf::DT_FLAGS, elf::DF_BIND_NOW.0)
        || has(elf::DT_FLAGS_1, elf::DF_1_NOW.0);
    let executable = elf::PF_X.0;
    let writable = elf::PF_W.0;
    let mut all = dynamic.iter().chain(symbols);
    Hardening {
        relro: match (image.segment(elf::PT_GNU_RELRO), bind_now) {
            (None, _) => Relro::None,
            (Some(_), false) => Relro::Partial,
            (Some(_), true) => Relro::Full,
        },
        bind_now,
        // Without the mark the system decides, and may allow it.
        nx_stack: image
            .segment(elf::PT_GNU_STACK)
            .is_some_and(|stack| stack.flags & executable == 0),
        pie: image.kind == elf::ET_DYN.0,
        stack_protector: all.any(|symbol| symbol.name == "__stack_chk_fail"),
        text_relocations: image.value(elf::DT_TEXTREL).is_some()
            || has(elf::DT_FLAGS, elf::DF_TEXTREL.0),
        writable_code: image.segments.iter().any(|segment| {
            segment.kind == elf::PT_LOAD.0
                && segment.flags & executable != 0
                && segment.flags & writable != 0
        }),
    }
}

/// Added up by name (objects have one section for each function), largest first.
fn sections(image: &Image) -> Vec<SectionSize> {
    let mut sizes = std::collections::BTreeMap::<&str, u64>::new();
    for section in &image.sections {
        if section.kind == elf::SHT_NOBITS.0 || section.size == 0 {
            continue;
        }
        let name = match section.name.as_str() {
            name if image.is_object() => ["text", "rodata", "data", "rela", "bss"]
                .iter()
                .find(|part| {
                    name.strip_prefix('.')
                        .is_some_and(|rest| rest.starts_with(**part))
                })
                .map_or(name, |part| &name[..=part.len()]),
            name => name,
        };
        let size = sizes.entry(name).or_default();
        *size = size.saturating_add(section.size);
    }
    let mut sizes: Vec<SectionSize> = sizes
        .into_iter()
        .map(|(name, bytes)| SectionSize {
            name: name.to_owned(),
            bytes,
        })
        .collect();
    sizes.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    sizes
}

fn build_id(image: &Image) -> Option<String> {
    let section = image.named(".note.gnu.build-id")?;
    let bytes = image.section(section).ok()?;
    let fields = crate::fields::Fields(&bytes);
    let (names, count) = (fields.u32(0)?, fields.u32(4)?);
    let start = 12usize.checked_add(usize::try_from(names.checked_next_multiple_of(4)?).ok()?)?;
    let end = start.checked_add(usize::try_from(count).ok()?)?;
    Some(crate::data::hex(bytes.get(start..end)?))
}

fn compilers(image: &Image) -> Vec<String> {
    let Some(section) = image
        .named(".comment")
        .filter(|section| section.size < 1 << 20)
    else {
        return Vec::new();
    };
    let bytes = image.section(section).unwrap_or_default();
    let mut names: Vec<String> = bytes
        .split(|byte| *byte == 0)
        .map(|name| String::from_utf8_lossy(name).trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    names.sort();
    names.dedup();
    names
}
