//! Symbols with their versions.

use std::collections::BTreeMap;

use object::elf;
use schemars::JsonSchema;
use serde::Serialize;

use super::image::{Image, Section};
use crate::{
    PackError,
    fields::{Fields, Names, index},
    limits,
};

const SYMBOL: u64 = 24;

/// A symbol of a dynamic or static symbol table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Symbol {
    /// Its name, as it is in the file.
    pub(crate) name: String,
    /// Its version, such as `GLIBC_2.28`.
    pub(crate) version: Option<String>,
    /// The number of its version in this file; below 2 if it has none.
    version_number: u16,
    /// How others see it.
    pub(crate) binding: Binding,
    /// Whether it is defined here, and not asked for.
    pub(crate) defined: bool,
    /// Whether others may see it: not if its visibility is hidden or internal.
    pub(crate) visible: bool,
    /// Whether it is code.
    pub(crate) function: bool,
    /// Whether it is the loader that asks code for its address (STT_GNU_IFUNC).
    pub(crate) indirect: bool,
    /// Whether it is a section or a file, which nobody binds to.
    pub(crate) bookkeeping: bool,
    /// Its address; in objects, its offset in a section.
    pub(crate) value: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// The number of its section; none if it is in none.
    pub(crate) section: Option<u32>,
}

/// How a symbol is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Binding {
    /// Seen by others.
    Global,
    /// Seen by its own file only.
    Local,
    /// STB_GNU_UNIQUE: one for each process, even under RTLD_LOCAL.
    Unique,
    /// Gives way to others of its name.
    Weak,
}

/// A symbol that others can bind to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Export {
    /// Its name, as it is in the file.
    pub name: String,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How it is bound.
    pub binding: Binding,
    /// Whose it is, such as `ggml_*`, `PyInit_*` or `C++ std::`.
    pub owner: String,
}

/// A version that a file needs of a library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct NeededVersion {
    /// The library.
    pub library: String,
    /// The version, such as `GLIBC_2.28`.
    pub version: String,
    /// Whether the loader goes on without it.
    pub weak: bool,
    /// The symbols of this version that the file asks for.
    pub symbols: Vec<String>,
}

impl Image {
    /// The symbols that the loader knows.
    pub(crate) fn dynamic_symbols(&self) -> Result<Vec<Symbol>, PackError> {
        let Some(address) = self.value(elf::DT_SYMTAB) else {
            return Ok(Vec::new());
        };
        let count = self.dynamic_symbol_count(address)?;
        let bytes = self.at(address, count.saturating_mul(SYMBOL), "the dynamic symbols")?;
        let versions = self.version_names()?;
        let numbers = match self.value(elf::DT_VERSYM) {
            Some(address) => self.at(address, 2 * count, "the versions of symbols")?,
            None => Vec::new(),
        };
        let mut names = self.names(bytes.len(), "the names of dynamic symbols");
        let mut symbols = parse(&bytes, &mut names, &[])?;
        for (position, symbol) in symbols.iter_mut().enumerate() {
            // The highest bit marks a version that is not the default one.
            let number = Fields(&numbers).u16(2 * position).unwrap_or(1) & 0x7fff;
            if let Some(version) = versions.get(&number).filter(|_| number > 1) {
                names.count(version.len())?;
                symbol.version = Some(version.clone());
                symbol.version_number = number;
            }
        }
        Ok(symbols)
    }

    /// The symbols of the static symbol table, which stripped files lack.
    pub(crate) fn static_symbols(&self) -> Result<Vec<Symbol>, PackError> {
        let table = |section: &Section| section.kind == elf::SHT_SYMTAB.0;
        let Some(number) = self.sections.iter().position(table) else {
            return Ok(Vec::new());
        };
        let section = &self.sections[number];
        let Some(strings) = self.sections.get(index(section.link.into())) else {
            return Err(self.data.damaged(format!(
                "the names of symbols (expected section {}, found {} sections)",
                section.link,
                self.sections.len()
            )));
        };
        let (table, strings) = (self.section(section)?, self.section(strings)?);
        let what = "the names of symbols";
        let mut names = Names::new(&self.data, &strings, table.len(), what);
        // The numbers of sections that do not fit into a symbol.
        let numbers = self.sections.iter().find(|section| {
            section.kind == elf::SHT_SYMTAB_SHNDX.0 && index(section.link.into()) == number
        });
        let numbers = numbers.map(|section| self.section(section)).transpose()?;
        parse(&table, &mut names, &numbers.unwrap_or_default())
    }

    /// What versions the file needs of which library.
    pub(crate) fn needed_versions(
        &self,
        symbols: &[Symbol],
    ) -> Result<Vec<NeededVersion>, PackError> {
        let mut by_number: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        let asked = |symbol: &&Symbol| !symbol.defined && symbol.version_number > 1;
        for symbol in symbols.iter().filter(asked) {
            let names = by_number.entry(symbol.version_number).or_default();
            names.push(&symbol.name);
        }
        let mut needed = BTreeMap::new();
        for need in self.version_needs()? {
            // Taken out: a number stands for one version of one library.
            let names = by_number.remove(&need.number).unwrap_or_default();
            let entry = needed
                .entry((need.library.clone(), need.version.clone()))
                .or_insert(NeededVersion {
                    library: need.library,
                    version: need.version,
                    weak: need.weak,
                    symbols: Vec::new(),
                });
            entry.weak &= need.weak;
            entry.symbols.extend(names.into_iter().map(str::to_owned));
        }
        let mut needed: Vec<NeededVersion> = needed.into_values().collect();
        for need in &mut needed {
            need.symbols.sort();
        }
        Ok(needed)
    }

    /// The loader needs no count of symbols; the tables that it looks names up in have one.
    fn dynamic_symbol_count(&self, address: u64) -> Result<u64, PackError> {
        let mut count = 0;
        if let Some(hash) = self.value(elf::DT_HASH) {
            let head = self.at(hash, 8, "the hash table")?;
            count = count.max(Fields(&head).u32(4).unwrap_or_default().into());
        }
        if let Some(hash) = self.value(elf::DT_GNU_HASH) {
            count = count.max(self.gnu_hash_count(hash)?);
        }
        let table =
            |section: &&Section| section.kind == elf::SHT_DYNSYM.0 && section.address == address;
        match self.sections.iter().find(table) {
            Some(section) => count = count.max(section.size / SYMBOL),
            // Linkers put the strings right behind the symbols.
            None => {
                if let Some(strings) = self.value(elf::DT_STRTAB) {
                    let there = strings.saturating_sub(address) / SYMBOL;
                    let limit = limits::TABLE_BYTES / SYMBOL;
                    count = count.max(there.min(limit));
                }
            }
        }
        Ok(count)
    }

    fn gnu_hash_count(&self, address: u64) -> Result<u64, PackError> {
        let head = self.at(address, 16, "the hash table")?;
        let field = |at| u64::from(Fields(&head).u32(at).unwrap_or_default());
        let (buckets, first, blooms) = (field(0), field(4), field(8));
        let start = address
            .checked_add(16 + 8 * blooms)
            .ok_or_else(|| self.data.damaged("the hash table ends after the file"))?;
        let table = self.at(start, 4 * buckets, "the hash table")?;
        let last = table
            .chunks_exact(4)
            .filter_map(|bucket| Fields(bucket).u32(0))
            .max()
            .unwrap_or_default();
        if u64::from(last) < first {
            return Ok(first);
        }
        // The chain of the last bucket ends where the lowest bit is set.
        let chains = start.saturating_add(4 * buckets);
        let Some(rest) = self
            .offset(chains.saturating_add(4 * (u64::from(last) - first)))
            .map(|(_, rest)| rest)
        else {
            return Err(self.data.damaged("the hash table ends after its segment"));
        };
        let chain = self
            .up_to(
                chains.saturating_add(4 * (u64::from(last) - first)),
                rest.min(1 << 20),
            )
            .unwrap_or_default();
        let length = chain
            .chunks_exact(4)
            .position(|value| value[0] & 1 == 1)
            .ok_or_else(|| self.data.damaged("the hash table has no end"))?;
        Ok(u64::from(last) + 1 + length as u64)
    }

    /// Names of versions by number, both defined and needed.
    fn version_names(&self) -> Result<BTreeMap<u16, String>, PackError> {
        let mut names = BTreeMap::new();
        for need in self.version_needs()? {
            names.insert(need.number, need.version);
        }
        let bytes = self.version_table(elf::DT_VERDEF)?;
        let mut texts = self.names(bytes.len(), "the names of versions");
        let mut at = 0;
        for _ in 0..limits::VERSIONS {
            let entry = Fields(&bytes).at(at);
            let (Some(number), Some(aux), Some(next)) =
                (entry.u16(4), entry.u32(12), entry.u32(16))
            else {
                break;
            };
            let name = entry.at(index(aux.into())).u32(0);
            if let Some(name) = name {
                let name = texts.at(name.into())?;
                names.extend(name.map(|name| (number & 0x7fff, name)));
            }
            if next == 0 {
                break;
            }
            at = at.saturating_add(index(next.into()));
        }
        Ok(names)
    }

    fn version_needs(&self) -> Result<Vec<Need>, PackError> {
        let bytes = self.version_table(elf::DT_VERNEED)?;
        let mut names = self.names(bytes.len(), "the names of versions");
        let mut needs = Vec::new();
        let mut at = 0;
        while needs.len() < limits::VERSIONS {
            let entry = Fields(&bytes).at(at);
            let (Some(count), Some(file), Some(aux), Some(next)) =
                (entry.u16(2), entry.u32(4), entry.u32(8), entry.u32(12))
            else {
                break;
            };
            let library = names.at(file.into())?.unwrap_or_default();
            let mut aux_at = at.saturating_add(index(aux.into()));
            for _ in 0..count {
                let aux = Fields(&bytes).at(aux_at);
                let (Some(flags), Some(number), Some(name), Some(next)) =
                    (aux.u16(4), aux.u16(6), aux.u32(8), aux.u32(12))
                else {
                    break;
                };
                names.count(library.len())?;
                needs.push(Need {
                    library: library.clone(),
                    version: names.at(name.into())?.unwrap_or_default(),
                    weak: flags & elf::VER_FLG_WEAK.0 != 0,
                    number: number & 0x7fff,
                });
                if next == 0 || needs.len() >= limits::VERSIONS {
                    break;
                }
                aux_at = aux_at.saturating_add(index(next.into()));
            }
            if next == 0 {
                break;
            }
            at = at.saturating_add(index(next.into()));
        }
        Ok(needs)
    }

    /// The loader knows no size of these tables: they end where their chain does.
    fn version_table(&self, tag: elf::DynamicTag) -> Result<Vec<u8>, PackError> {
        let Some(address) = self.value(tag) else {
            return Ok(Vec::new());
        };
        let section = self
            .sections
            .iter()
            .find(|section| section.address == address && section.size > 0);
        let size = section.map_or(1 << 20, |section| section.size);
        self.up_to(address, size).ok_or_else(|| {
            self.data.damaged(format!(
                "a table of versions at {address:#x}, which is not loaded from the file"
            ))
        })
    }
}

struct Need {
    library: String,
    version: String,
    weak: bool,
    number: u16,
}

/// `numbers` are the sections of symbols whose own field cannot hold them.
fn parse(bytes: &[u8], names: &mut Names<'_>, numbers: &[u8]) -> Result<Vec<Symbol>, PackError> {
    bytes
        .chunks_exact(index(SYMBOL))
        .map(Fields)
        .enumerate()
        .map(|(position, fields)| {
            let info = fields.u8(4).unwrap_or_default();
            let kind = info & 0xf;
            let section = match fields.u16(6).unwrap_or_default() {
                number if number == elf::SHN_XINDEX.0 => Fields(numbers).u32(4 * position),
                number if number >= elf::SHN_LORESERVE => None,
                number => Some(number.into()),
            };
            let name = fields.u32(0).unwrap_or_default();
            Ok(Symbol {
                name: names.at(name.into())?.unwrap_or_default(),
                version: None,
                version_number: 0,
                binding: match info >> 4 {
                    0 => Binding::Local,
                    2 => Binding::Weak,
                    10 => Binding::Unique,
                    _ => Binding::Global,
                },
                defined: section != Some(elf::SHN_UNDEF.0.into()),
                visible: matches!(fields.u8(5).unwrap_or_default() & 3, 0 | 3),
                function: kind == elf::STT_FUNC.0 || kind == elf::STT_GNU_IFUNC.0,
                indirect: kind == elf::STT_GNU_IFUNC.0,
                bookkeeping: kind == elf::STT_SECTION.0 || kind == elf::STT_FILE.0,
                value: fields.u64(8).unwrap_or_default(),
                size: fields.u64(16).unwrap_or_default(),
                section,
            })
        })
        .collect()
}
