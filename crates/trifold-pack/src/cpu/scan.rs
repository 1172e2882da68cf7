//! Reads code: which features each function uses, what it calls, which data it touches.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic};
use object::elf;

use super::{
    features::{Features, class},
    frames,
};
use crate::{
    PackError,
    elf::{Image, Symbol},
    fields::index,
    limits,
};

/// How much code is in memory at once.
const WINDOW: u64 = 4 << 20;

/// Data is told apart in lines of this many bytes, as a CPU's cache does.
const LINE: u32 = 6;

/// All code of a file.
#[derive(Debug, Default)]
pub(super) struct Code {
    /// By address.
    pub(super) functions: Vec<Function>,
    /// Caller and callee, as numbers in `functions`; sorted.
    pub(super) calls: Vec<(u32, u32)>,
    /// Function and the line of data that it touches; sorted.
    pub(super) touches: Vec<(u32, u64)>,
    /// Function, and the address of what it takes the address of; sorted.
    pub(super) addresses: Vec<(u32, u64)>,
    /// Pointers that the loader writes: where, and to what.
    pub(super) pointers: BTreeMap<u64, u64>,
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

impl Code {
    /// The function at an address.
    pub(super) fn at(&self, address: u64) -> Option<u32> {
        let after = self
            .functions
            .partition_point(|function| function.start <= address);
        let number = after.checked_sub(1)?;
        (address < self.functions[number].end).then(|| u32::try_from(number).ok())?
    }
}

/// The line of an address.
pub(super) fn line(address: u64) -> u64 {
    address >> LINE
}

/// Reads all code.
pub(super) fn scan(
    image: &Image,
    dynamic: &[Symbol],
    symbols: &[Symbol],
) -> Result<Code, PackError> {
    let areas = areas(image);
    let mut code = Code {
        functions: functions(image, &areas, dynamic, symbols),
        ..Code::default()
    };
    let known;
    (code.pointers, known) = pointers(image, dynamic)?;
    let mut reading = Reading {
        image,
        known,
        calls: Vec::new(),
        touches: Vec::new(),
        addresses: Vec::new(),
    };
    let mut functions = std::mem::take(&mut code.functions);
    let mut first = 0;
    for area in &areas {
        let last = functions.partition_point(|function| function.start < area.end());
        first = first.max(functions.partition_point(|function| function.start < area.address));
        reading.area(area, first, &mut functions[first..last.max(first)])?;
        first = last;
    }
    code.functions = functions;
    code.calls = reading.resolve(&code);
    code.touches = reading.touches;
    code.touches.sort_unstable();
    code.touches.dedup();
    code.addresses = reading.addresses;
    code.addresses.sort_unstable();
    code.addresses.dedup();
    Ok(code)
}

/// A piece of the file with code.
struct Area {
    address: u64,
    offset: u64,
    size: u64,
    /// The number of its section, in objects.
    section: u16,
}

impl Area {
    fn end(&self) -> u64 {
        self.address.saturating_add(self.size)
    }
}

/// Where code is, by address, no byte twice: many headers may name the same bytes.
fn areas(image: &Image) -> Vec<Area> {
    let mut areas: Vec<Area> = if image.sections.iter().any(|section| section.size > 0) {
        let sections = image.sections.iter().enumerate();
        sections
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
                section: u16::try_from(number).unwrap_or(u16::MAX),
            })
            .collect()
    } else {
        let segments = image.segments.iter();
        segments
            .filter(|segment| segment.kind == elf::PT_LOAD.0 && segment.flags & elf::PF_X.0 != 0)
            .map(|segment| Area {
                address: segment.address,
                offset: segment.offset,
                size: segment
                    .file_size
                    .min(image.data.len().saturating_sub(segment.offset)),
                section: 0,
            })
            .collect()
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

/// Functions by address, without overlaps. Code that belongs to none is left out where some are known:
/// it is padding, or tables that would read as nonsense.
fn functions(
    image: &Image,
    areas: &[Area],
    dynamic: &[Symbol],
    symbols: &[Symbol],
) -> Vec<Function> {
    let mut ranges: BTreeMap<u64, (u64, Option<&str>)> = BTreeMap::new();
    if !image.is_object() {
        for (start, end) in frames::functions(image) {
            ranges.insert(start, (end, None));
        }
    }
    let named = symbols
        .iter()
        .chain(dynamic)
        .filter(|symbol| symbol.defined && symbol.function);
    for symbol in named {
        let base = if image.is_object() {
            match areas.iter().find(|area| area.section == symbol.section) {
                Some(area) => area.address,
                None => continue,
            }
        } else {
            0
        };
        let start = base.saturating_add(symbol.value);
        let range = ranges
            .entry(start)
            .or_insert((start.saturating_add(symbol.size), None));
        // Of several names, the same one each time.
        if range.1.is_none_or(|known| *symbol.name < *known) {
            range.1 = Some(&symbol.name);
        }
    }
    let mut stubs = BTreeSet::new();
    for area in areas {
        let known = ranges.range(area.address..area.end()).next().is_some();
        let plt = image
            .sections
            .iter()
            .any(|section| section.offset == area.offset && section.name.starts_with(".plt"));
        if plt {
            // One stub for each function of another file, 16 bytes each.
            for stub in (0..area.size.min(limits::TABLE_BYTES / 64)).step_by(16) {
                let start = area.address.saturating_add(stub);
                ranges.insert(start, (start.saturating_add(16), None));
                stubs.insert(start);
            }
        } else if !known {
            ranges.insert(area.address, (area.end(), None));
        }
    }
    let starts: Vec<u64> = ranges.keys().copied().skip(1).chain([u64::MAX]).collect();
    ranges
        .into_iter()
        .zip(starts)
        .take(limits::FUNCTIONS)
        .filter_map(|((start, (end, name)), next)| {
            // A name without a size: until the next.
            let end = if end <= start { next } else { end.min(next) };
            let area = areas
                .iter()
                .find(|area| (area.address..area.end()).contains(&start))?;
            Some(Function {
                start,
                end: end.min(area.end()),
                name: name.map(str::to_owned),
                features: Features::default(),
                legacy: false,
                avx: false,
                looks: false,
                is_stub: stubs.contains(&start),
            })
        })
        .collect()
}

/// What other libraries have that tells of the CPU: libgcc and glibc; cpuinfo, which PyTorch and XNNPACK
/// ask; FFmpeg; OpenCV.
const TELLING: [&str; 9] = [
    "__cpu_indicator_init",
    "__cpu_model",
    "__cpu_features2",
    "__get_cpuid",
    "getauxval",
    "cpuinfo_initialize",
    "cpuinfo_isa",
    "av_get_cpu_flags",
    "_ZN2cv20checkHardwareSupportEi",
];

/// What the loader writes, and where: addresses of the file's own, and of symbols that it defines; and the
/// places where it writes addresses of what tells of the CPU.
fn pointers(
    image: &Image,
    dynamic: &[Symbol],
) -> Result<(BTreeMap<u64, u64>, BTreeSet<u64>), PackError> {
    let mut pointers = BTreeMap::new();
    let mut telling = BTreeSet::new();
    let tables = [
        (elf::DT_RELA, elf::DT_RELASZ),
        (elf::DT_JMPREL, elf::DT_PLTRELSZ),
    ];
    for (address, size) in tables {
        let (Some(address), Some(size)) = (image.value(address), image.value(size)) else {
            continue;
        };
        let bytes = image.at(address, size, "the relocations")?;
        for entry in bytes.chunks_exact(24).map(crate::fields::Fields) {
            let (Some(place), Some(info), Some(addend)) =
                (entry.u64(0), entry.u64(8), entry.u64(16))
            else {
                continue;
            };
            let kind = u32::try_from(info & 0xffff_ffff).unwrap_or_default();
            let target = match kind {
                kind if kind == elf::R_X86_64_RELATIVE.0 || kind == elf::R_X86_64_IRELATIVE.0 => {
                    addend
                }
                kind if kind == elf::R_X86_64_64.0
                    || kind == elf::R_X86_64_GLOB_DAT.0
                    || kind == elf::R_X86_64_JUMP_SLOT.0 =>
                {
                    match dynamic.get(index(info >> 32)) {
                        Some(symbol) if TELLING.contains(&symbol.name.as_str()) => {
                            telling.insert(place);
                            continue;
                        }
                        Some(symbol) if symbol.defined => symbol.value.wrapping_add(addend),
                        _ => continue,
                    }
                }
                _ => continue,
            };
            pointers.insert(place, target);
        }
    }
    relative(image, &mut pointers);
    Ok((pointers, telling))
}

/// Packed relocations: addresses, each followed by bitmaps of the words behind it; the values are in place.
fn relative(image: &Image, pointers: &mut BTreeMap<u64, u64>) {
    let (Some(address), Some(size)) = (image.value(elf::DT_RELR), image.value(elf::DT_RELRSZ))
    else {
        return;
    };
    let Ok(bytes) = image.at(address, size, "the packed relocations") else {
        return;
    };
    let mut add = |place: u64| {
        let value = image.up_to(place, 8);
        let value = value.and_then(|bytes| crate::fields::Fields(&bytes).u64(0));
        if let Some(value) = value {
            pointers.insert(place, value);
        }
    };
    let mut next = 0u64;
    for entry in bytes.chunks_exact(8).map(crate::fields::Fields) {
        let entry = entry.u64(0).unwrap_or_default();
        if entry & 1 == 0 {
            add(entry);
            next = entry.wrapping_add(8);
            continue;
        }
        for bit in (0..63).filter(|bit| entry >> (bit + 1) & 1 == 1) {
            add(next.wrapping_add(8 * bit));
        }
        next = next.wrapping_add(8 * 63);
    }
}

struct Reading<'a> {
    image: &'a Image,
    /// Where the loader writes addresses of what tells of the CPU.
    known: BTreeSet<u64>,
    /// Caller, and an address of code or (`true`) of a pointer to code.
    calls: Vec<(u32, u64, bool)>,
    touches: Vec<(u32, u64)>,
    addresses: Vec<(u32, u64)>,
}

impl Reading<'_> {
    /// Reads the functions of an area, the first of which has the number `first`.
    fn area(
        &mut self,
        area: &Area,
        first: usize,
        functions: &mut [Function],
    ) -> Result<(), PackError> {
        let (mut window, mut from) = (Vec::new(), area.address);
        for (number, function) in functions.iter_mut().enumerate() {
            let number = u32::try_from(first + number).unwrap_or(u32::MAX);
            let mut at = function.start;
            while at < function.end {
                let until = function.end.min(at.saturating_add(WINDOW));
                let have = from.saturating_add(window.len() as u64);
                if at < from || until > have {
                    let there = area.end().saturating_sub(at).min(WINDOW.max(until - at));
                    let offset = area.offset.saturating_add(at - area.address);
                    window = self.image.data.read(offset, there, 2 * WINDOW, "code")?;
                    from = at;
                }
                let bytes = &window[index(at - from)..index(until - from).min(window.len())];
                self.function(number, function, at, bytes);
                at = until;
            }
        }
        Ok(())
    }

    fn function(&mut self, number: u32, function: &mut Function, at: u64, bytes: &[u8]) {
        let mut decoder = Decoder::with_ip(64, bytes, at, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        while decoder.can_decode() {
            decoder.decode_out(&mut instruction);
            if instruction.is_invalid() {
                continue;
            }
            let class = class(instruction.code());
            function.features = function.features.and(class.features);
            function.legacy |= class.legacy;
            function.avx |= class.avx;
            function.looks |= class.looks;
            if !self.image.is_object() {
                self.flow(number, function, &instruction);
            }
        }
    }

    /// Where an instruction goes, and what it touches.
    fn flow(&mut self, number: u32, function: &mut Function, instruction: &Instruction) {
        if instruction.is_ip_rel_memory_operand() {
            function.looks |= self.known.contains(&instruction.ip_rel_memory_address());
        }
        match instruction.flow_control() {
            FlowControl::Call
            | FlowControl::ConditionalBranch
            | FlowControl::UnconditionalBranch => {
                let target = instruction.near_branch_target();
                if !(function.start..function.end).contains(&target) {
                    self.calls.push((number, target, false));
                }
                return;
            }
            FlowControl::IndirectBranch | FlowControl::IndirectCall => {
                if instruction.is_ip_rel_memory_operand() {
                    self.calls
                        .push((number, instruction.ip_rel_memory_address(), true));
                }
                return;
            }
            _ => {}
        }
        if !instruction.is_ip_rel_memory_operand() {
            return;
        }
        let address = instruction.ip_rel_memory_address();
        if instruction.mnemonic() == Mnemonic::Lea {
            self.addresses.push((number, address));
        }
        if self.is_writable(address) {
            self.touches.push((number, line(address)));
        }
    }

    fn is_writable(&self, address: u64) -> bool {
        self.image.segments.iter().any(|segment| {
            segment.kind == elf::PT_LOAD.0
                && segment.flags & elf::PF_W.0 != 0
                && address >= segment.address
                && address < segment.address.saturating_add(segment.memory_size)
        })
    }

    /// Addresses become functions.
    fn resolve(&mut self, code: &Code) -> Vec<(u32, u32)> {
        self.calls.sort_unstable();
        self.calls.dedup();
        let mut stubs = BTreeMap::new();
        let mut direct = Vec::new();
        for (caller, address, pointer) in std::mem::take(&mut self.calls) {
            let target = if pointer {
                code.pointers.get(&address).copied()
            } else {
                Some(address)
            };
            let Some(callee) = target.and_then(|target| code.at(target)) else {
                continue;
            };
            if pointer && code.functions[caller as usize].is_stub {
                stubs.insert(caller, callee);
            } else {
                direct.push((caller, callee));
            }
        }
        // A call by way of a stub is a call of what the stub goes to.
        let mut calls: Vec<(u32, u32)> = direct
            .into_iter()
            .map(|(caller, callee)| (caller, stubs.get(&callee).copied().unwrap_or(callee)))
            .collect();
        calls.sort_unstable();
        calls.dedup();
        calls
    }
}
