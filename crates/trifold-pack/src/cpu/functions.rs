//! Where code is, and where the functions in it begin and end.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use object::elf;

use super::{features::Features, frames};
use crate::{
    PackError,
    elf::{Image, Symbol},
    limits,
};

/// A piece of the file with code.
pub(super) struct Area {
    pub(super) address: u64,
    pub(super) offset: u64,
    size: u64,
    /// The number of its section.
    section: Option<u32>,
    /// Whether it has stubs for the functions of other files.
    is_plt: bool,
}

impl Area {
    pub(super) fn end(&self) -> u64 {
        self.address.saturating_add(self.size)
    }
}

/// Where code is, by address, no byte twice: many headers may name the same bytes.
pub(super) fn areas(image: &Image) -> Vec<Area> {
    let mut areas = if image.sections.iter().any(|section| section.size > 0) {
        of_sections(image)
    } else {
        of_segments(image)
    };
    areas.sort_by_key(|area| (area.offset, area.size));
    let mut end = 0;
    areas.retain(|area| {
        let keep = area.offset >= end;
        if keep {
            end = area.offset.saturating_add(area.size);
        }
        keep
    });
    areas.sort_by_key(|area| area.address);
    let mut end = 0;
    areas.retain(|area| {
        let keep = area.address >= end;
        if keep {
            end = area.end();
        }
        keep
    });
    areas
}

fn of_sections(image: &Image) -> Vec<Area> {
    (0..)
        .zip(&image.sections)
        .filter(|(_, section)| section.is_code() && section.size > 0)
        .map(|(number, section)| Area {
            // Sections of objects have no addresses yet: their place in the file serves.
            address: if image.is_object() {
                section.offset
            } else {
                section.address
            },
            offset: section.offset,
            size: section.size,
            section: Some(number),
            is_plt: section.name.starts_with(".plt"),
        })
        .collect()
}

fn of_segments(image: &Image) -> Vec<Area> {
    let segments = image.segments.iter();
    segments
        .filter(|segment| segment.kind == elf::PT_LOAD.0 && segment.flags & elf::PF_X.0 != 0)
        .map(|segment| Area {
            address: segment.address,
            offset: segment.offset,
            size: segment
                .file_size
                .min(image.data.len().saturating_sub(segment.offset)),
            section: None,
            is_plt: false,
        })
        .collect()
}

/// A function, or code that nothing gives a name.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Function {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) name: Option<String>,
    pub(super) features: Features,
    pub(super) legacy: bool,
    pub(super) avx: bool,
    pub(super) looks: bool,
    /// Only goes on to another function, whose address the loader writes.
    pub(super) is_stub: bool,
}

/// Functions by address, without overlaps. Code that belongs to none is left out where some are known:
/// it is padding, or tables that would read as nonsense.
pub(super) fn functions(
    image: &Image,
    areas: &[Area],
    dynamic: &[Symbol],
    symbols: &[Symbol],
) -> Result<Vec<Function>, PackError> {
    let mut known = Known {
        image,
        ranges: BTreeMap::new(),
    };
    if !image.is_object() {
        for (start, end) in frames::functions(image) {
            known.add(start, end)?;
        }
    }
    known.name(areas, symbols.iter().chain(dynamic))?;
    let mut stubs = BTreeSet::new();
    for area in areas {
        if area.is_plt {
            // One stub for each function of another file, 16 bytes each.
            for stub in (0..area.size.min(limits::TABLE_BYTES / 64)).step_by(16) {
                let start = area.address.saturating_add(stub);
                known.add(start, start.saturating_add(16))?;
                stubs.insert(start);
            }
        } else if !known.any(area) {
            known.add(area.address, area.end())?;
        }
    }
    let ranges = known.ranges;
    let starts: Vec<u64> = ranges.keys().copied().skip(1).chain([u64::MAX]).collect();
    let functions = ranges.into_iter().zip(starts);
    Ok(functions
        .filter_map(|((start, (end, name)), next)| {
            // A name without a size: until the next.
            let end = if end <= start { next } else { end.min(next) };
            Some(Function {
                start,
                end: end.min(area_of(areas, start)?.end()),
                name: name.map(str::to_owned),
                features: Features::default(),
                legacy: false,
                avx: false,
                looks: false,
                is_stub: stubs.contains(&start),
            })
        })
        .collect())
}

fn area_of(areas: &[Area], address: u64) -> Option<&Area> {
    let after = areas.partition_point(|area| area.address <= address);
    areas[..after].last().filter(|area| address < area.end())
}

/// What is known of functions: by beginning, the end and the name.
struct Known<'a> {
    image: &'a Image,
    ranges: BTreeMap<u64, (u64, Option<&'a str>)>,
}

impl<'a> Known<'a> {
    fn add(&mut self, start: u64, end: u64) -> Result<(), PackError> {
        self.ranges.insert(start, (end, None));
        self.bound()
    }

    fn any(&self, area: &Area) -> bool {
        let mut inside = self.ranges.range(area.address..area.end());
        inside.next().is_some()
    }

    fn name(
        &mut self,
        areas: &[Area],
        symbols: impl Iterator<Item = &'a Symbol>,
    ) -> Result<(), PackError> {
        let of_section: BTreeMap<u32, u64> = areas
            .iter()
            .filter_map(|area| Some((area.section?, area.address)))
            .collect();
        for symbol in symbols.filter(|symbol| symbol.defined && symbol.function) {
            let base = if self.image.is_object() {
                match symbol.section.and_then(|number| of_section.get(&number)) {
                    Some(address) => *address,
                    None => continue,
                }
            } else {
                0
            };
            let start = base.saturating_add(symbol.value);
            let range = match self.ranges.entry(start) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert((start.saturating_add(symbol.size), None)),
            };
            // Of several names, the same one each time.
            if range.1.is_none_or(|known| *symbol.name < *known) {
                range.1 = Some(&symbol.name);
            }
            self.bound()?;
        }
        Ok(())
    }

    fn bound(&self) -> Result<(), PackError> {
        let found = self.ranges.len();
        self.image
            .bound("the number of functions", limits::FUNCTIONS, found)
    }
}
