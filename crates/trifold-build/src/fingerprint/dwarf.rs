//! Types as a compiler's debug information (DWARF) tells them.

use std::collections::{BTreeMap, BTreeSet};

use gimli::{AttributeValue, DwTag, Dwarf, EndianSlice, LittleEndian, SectionId, constants};
use object::{Object as _, ObjectSection as _};

use super::{Field, Layout};

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Types within types, at most; real ones stay far below.
const DEPTH: usize = 32;

/// Everything that one file's debug information tells of types.
pub(super) struct Types(BTreeMap<usize, Entry>);

/// One entry, with the attributes that are used here.
struct Entry {
    tag: DwTag,
    name: Option<String>,
    /// The type that it has or leads to.
    kind: Option<usize>,
    size: Option<u64>,
    /// Of a member.
    offset: u64,
    /// Of an enumerator.
    value: Option<i64>,
    /// Of an array's dimension.
    count: Option<u64>,
    encoding: Option<constants::DwAte>,
    /// Only declared, not told.
    declaration: bool,
    children: Vec<usize>,
}

impl Types {
    /// Reads the debug information of a linked ELF file.
    pub(super) fn read(file: &[u8]) -> Result<Self, Box<dyn std::error::Error>> {
        let file = object::File::parse(file)?;
        let section = |id: SectionId| -> Result<Slice<'_>, object::Error> {
            let bytes = match file.section_by_name(id.name()) {
                Some(section) => section.data()?,
                None => &[],
            };
            Ok(EndianSlice::new(bytes, LittleEndian))
        };
        let dwarf = Dwarf::load(section)?;
        let mut entries = BTreeMap::new();
        let mut units = dwarf.units();
        let mut base = 0;
        while let Some(header) = units.next()? {
            let unit = dwarf.unit(header)?;
            base = read_unit(&dwarf, &unit, base, &mut entries)?;
        }
        Ok(Self(entries))
    }

    /// The named enumerations.
    pub(super) fn enums(&self) -> BTreeMap<String, BTreeMap<String, i64>> {
        self.named(constants::DW_TAG_enumeration_type)
            .map(|(name, entry)| {
                let values = entry
                    .children
                    .iter()
                    .filter_map(|at| self.0.get(at))
                    .filter_map(|child| Some((child.name.clone()?, child.value?)))
                    .collect();
                (name.to_owned(), values)
            })
            .collect()
    }

    /// Names that stand for the type of a function, or of a pointer to one.
    pub(super) fn functions(&self) -> Result<BTreeMap<String, String>, String> {
        let mut found = BTreeMap::new();
        for (name, entry) in self.named(constants::DW_TAG_typedef) {
            let text = self.spell(entry.kind, &mut BTreeSet::new(), 0)?;
            if text.starts_with("fn(") || text.starts_with("*fn(") {
                found.insert(name.to_owned(), text);
            }
        }
        Ok(found)
    }

    /// The layouts of these structs, and of all those with this prefix that they lead to.
    pub(super) fn layouts(
        &self,
        roots: &[&str],
        prefix: &str,
    ) -> Result<BTreeMap<String, Layout>, String> {
        let known: BTreeMap<&str, &Entry> = self
            .named(constants::DW_TAG_structure_type)
            .filter(|(_, entry)| !entry.declaration)
            .collect();
        let mut found = BTreeMap::new();
        let mut waiting: Vec<String> = roots.iter().map(|name| (*name).to_owned()).collect();
        while let Some(name) = waiting.pop() {
            // What is declared only is not looked into: it differs for nobody.
            let Some(entry) = known
                .get(name.as_str())
                .filter(|_| !found.contains_key(&name))
            else {
                continue;
            };
            let mut leads_to = BTreeSet::new();
            let layout = self.layout(entry, &mut leads_to)?;
            found.insert(name, layout);
            waiting.extend(leads_to.into_iter().filter(|name| name.starts_with(prefix)));
        }
        Ok(found)
    }

    fn named(&self, tag: DwTag) -> impl Iterator<Item = (&str, &Entry)> {
        self.0
            .values()
            .filter(move |entry| entry.tag == tag)
            .filter_map(|entry| Some((entry.name.as_deref()?, entry)))
    }

    fn layout(&self, entry: &Entry, leads_to: &mut BTreeSet<String>) -> Result<Layout, String> {
        let mut fields = BTreeMap::new();
        for (index, child) in self.children(entry, constants::DW_TAG_member).enumerate() {
            let field = Field {
                offset: child.offset,
                kind: self.spell(child.kind, leads_to, 0)?,
            };
            let name = child.name.clone();
            fields.insert(name.unwrap_or_else(|| format!("unnamed {index}")), field);
        }
        Ok(Layout {
            size: entry.size.unwrap_or(0),
            fields,
        })
    }

    fn children<'a>(&'a self, entry: &'a Entry, tag: DwTag) -> impl Iterator<Item = &'a Entry> {
        entry
            .children
            .iter()
            .filter_map(|at| self.0.get(at))
            .filter(move |child| child.tag == tag)
    }

    /// A type in words, the same for every compiler; `leads_to` gets the structs in it.
    fn spell(
        &self,
        at: Option<usize>,
        leads_to: &mut BTreeSet<String>,
        depth: usize,
    ) -> Result<String, String> {
        let Some(at) = at else {
            return Ok("void".into());
        };
        if depth > DEPTH {
            return Err(format!("expected at most {DEPTH} types within each other"));
        }
        let entry = self
            .0
            .get(&at)
            .ok_or_else(|| format!("expected a type at {at:#x} of the debug information"))?;
        let mut inner = || self.spell(entry.kind, leads_to, depth + 1);
        Ok(match entry.tag {
            constants::DW_TAG_const_type
            | constants::DW_TAG_volatile_type
            | constants::DW_TAG_restrict_type
            | constants::DW_TAG_atomic_type
            | constants::DW_TAG_typedef => inner()?,
            constants::DW_TAG_pointer_type => format!("*{}", inner()?),
            constants::DW_TAG_base_type => base_type(entry),
            constants::DW_TAG_enumeration_type => match &entry.name {
                Some(name) => format!("enum {name}"),
                None => format!("enum of {} bytes", entry.size.unwrap_or(0)),
            },
            constants::DW_TAG_array_type => {
                let inner = inner()?;
                let dimensions =
                    self.children(entry, constants::DW_TAG_subrange_type)
                        .map(|range| {
                            range
                                .count
                                .map_or("[]".into(), |count| format!("[{count}]"))
                        });
                dimensions.collect::<String>() + &inner
            }
            constants::DW_TAG_subroutine_type => {
                let result = inner()?;
                let parameters = self
                    .children(entry, constants::DW_TAG_formal_parameter)
                    .map(|parameter| self.spell(parameter.kind, leads_to, depth + 1))
                    .collect::<Result<Vec<_>, _>>()?;
                format!("fn({}) -> {result}", parameters.join(", "))
            }
            constants::DW_TAG_structure_type | constants::DW_TAG_union_type => {
                let word = if entry.tag == constants::DW_TAG_union_type {
                    "union"
                } else {
                    "struct"
                };
                if let Some(name) = &entry.name {
                    leads_to.insert(name.clone());
                    return Ok(format!("{word} {name}"));
                }
                let members = self
                    .children(entry, constants::DW_TAG_member)
                    .map(|member| {
                        let kind = self.spell(member.kind, leads_to, depth + 1)?;
                        let name = member.name.as_deref().unwrap_or("unnamed");
                        Ok(format!("{name}: {kind} at {}", member.offset))
                    })
                    .collect::<Result<Vec<_>, String>>()?;
                format!("{word} {{{}}}", members.join(", "))
            }
            other => return Err(format!("expected a type of C, found {other}")),
        })
    }
}

/// Reads one unit. Offsets count from `base`, which makes them unique; returns the next unit's.
fn read_unit(
    dwarf: &Dwarf<Slice<'_>>,
    unit: &gimli::Unit<Slice<'_>>,
    base: usize,
    entries: &mut BTreeMap<usize, Entry>,
) -> Result<usize, Box<dyn std::error::Error>> {
    let mut cursor = unit.entries();
    // The entries that the current one lies in.
    let mut parents: Vec<usize> = Vec::new();
    let mut end = base;
    while let Some(found) = cursor.next_dfs()? {
        let at = base + found.offset().0;
        end = at + 1;
        parents.truncate(usize::try_from(found.depth()).unwrap_or(0));
        if let Some(parent) = parents.last().and_then(|parent| entries.get_mut(parent)) {
            parent.children.push(at);
        }
        parents.push(at);
        let number = |name| found.attr_value(name).and_then(|value| value.udata_value());
        let name = match found.attr_value(constants::DW_AT_name) {
            Some(value) => {
                let text = dwarf.attr_string(unit, value)?;
                Some(String::from_utf8_lossy(text.slice()).into_owned())
            }
            None => None,
        };
        let kind = match found.attr_value(constants::DW_AT_type) {
            Some(AttributeValue::UnitRef(offset)) => Some(base + offset.0),
            None => None,
            Some(_) => return Err("expected references within one unit only".into()),
        };
        let value = found
            .attr_value(constants::DW_AT_const_value)
            .and_then(|value| {
                // Compilers write numbers that are not negative without a sign, in as few bytes as possible.
                let unsigned = value
                    .udata_value()
                    .and_then(|value| i64::try_from(value).ok());
                unsigned.or_else(|| value.sdata_value())
            });
        let encoding = match found.attr_value(constants::DW_AT_encoding) {
            Some(AttributeValue::Encoding(encoding)) => Some(encoding),
            _ => None,
        };
        let entry = Entry {
            tag: found.tag(),
            name,
            kind,
            size: number(constants::DW_AT_byte_size),
            offset: number(constants::DW_AT_data_member_location).unwrap_or(0),
            value,
            count: number(constants::DW_AT_count)
                .or_else(|| Some(number(constants::DW_AT_upper_bound)?.saturating_add(1))),
            encoding,
            declaration: found.attr(constants::DW_AT_declaration).is_some(),
            children: Vec::new(),
        };
        entries.insert(at, entry);
    }
    Ok(end)
}

/// `u64`, `f32`, `bool`: compilers have names of their own.
fn base_type(entry: &Entry) -> String {
    let letter = match entry.encoding {
        Some(constants::DW_ATE_boolean) => return "bool".into(),
        Some(constants::DW_ATE_float) => "f",
        Some(
            constants::DW_ATE_unsigned | constants::DW_ATE_unsigned_char | constants::DW_ATE_UTF,
        ) => "u",
        Some(constants::DW_ATE_signed | constants::DW_ATE_signed_char) => "i",
        _ => return entry.name.clone().unwrap_or_else(|| "unknown".into()),
    };
    format!("{letter}{}", entry.size.unwrap_or(0) * 8)
}
