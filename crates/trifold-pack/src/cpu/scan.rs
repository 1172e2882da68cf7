//! Reads code: which features each function uses, what it calls, which data it touches.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic};
use object::elf;

use super::{
    features::{Class, class},
    functions::{Area, Function, areas, functions},
    seen::Seen,
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
    /// PyInit function, and the address of what it takes the address of; sorted.
    pub(super) addresses: Vec<(u32, u64)>,
    /// Pointers that the loader writes: where, and to what.
    pub(super) pointers: BTreeMap<u64, u64>,
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

    fn references(&self) -> usize {
        self.calls.len() + self.touches.len() + self.addresses.len()
    }

    /// Keeps what a function was seen to do.
    fn keep(&mut self, found: Found) {
        let number = found.number;
        let callees = found.callees.into_sorted().into_iter();
        self.calls.extend(callees.map(|callee| (number, callee)));
        let with_number = |what| (number, what);
        let touches = found.touches.into_sorted().into_iter();
        self.touches.extend(touches.map(with_number));
        let addresses = found.addresses.into_sorted().into_iter();
        self.addresses.extend(addresses.map(with_number));
        let function = &mut self.functions[number as usize];
        function.features = found.class.features;
        function.legacy = found.class.legacy;
        function.avx = found.class.avx;
        function.looks = found.class.looks;
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
        functions: functions(image, &areas, dynamic, symbols)?,
        ..Code::default()
    };
    let known;
    (code.pointers, known) = pointers(image, dynamic)?;
    let mut reading = Reading {
        image,
        known,
        entry_points: entry_points(dynamic, &code),
        writable: writable(image),
        stubs: BTreeMap::new(),
    };
    let mut first = 0;
    for area in &areas {
        let functions = &code.functions;
        let from = |address: u64| functions.partition_point(|function| function.start < address);
        first = first.max(from(area.address));
        let last = from(area.end()).max(first);
        reading.area(area, first..last, &mut code)?;
        first = last;
    }
    // A call by way of a stub is a call of what the stub goes to.
    for (_, callee) in &mut code.calls {
        *callee = reading.stubs.get(callee).copied().unwrap_or(*callee);
    }
    code.calls.sort_unstable();
    code.calls.dedup();
    Ok(code)
}

/// The functions that Python calls when it imports the file.
pub(super) fn entry_points(dynamic: &[Symbol], code: &Code) -> BTreeSet<u32> {
    dynamic
        .iter()
        .filter(|symbol| symbol.defined && symbol.name.starts_with("PyInit_"))
        .filter_map(|symbol| code.at(symbol.value))
        .collect()
}

/// Where memory can be written once the file is loaded, by address, without overlaps.
fn writable(image: &Image) -> Vec<Range<u64>> {
    let mut segments: Vec<Range<u64>> = image
        .segments
        .iter()
        .filter(|segment| segment.kind == elf::PT_LOAD.0 && segment.flags & elf::PF_W.0 != 0)
        .map(|segment| segment.address..segment.address.saturating_add(segment.memory_size))
        .collect();
    segments.sort_unstable_by_key(|range| range.start);
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for range in segments {
        match ranges.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => ranges.push(range),
        }
    }
    ranges
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
            bound(image, pointers.len())?;
        }
    }
    relative(image, &mut pointers)?;
    Ok((pointers, telling))
}

fn bound(image: &Image, found: usize) -> Result<(), PackError> {
    image.bound("the number of pointers", limits::REFERENCES, found)
}

/// Packed relocations: addresses, each followed by bitmaps of the words behind it; the values are in place.
fn relative(image: &Image, pointers: &mut BTreeMap<u64, u64>) -> Result<(), PackError> {
    let (Some(address), Some(size)) = (image.value(elf::DT_RELR), image.value(elf::DT_RELRSZ))
    else {
        return Ok(());
    };
    let Ok(bytes) = image.at(address, size, "the packed relocations") else {
        return Ok(());
    };
    let mut count = 0;
    let mut add = |place: u64| -> Result<(), PackError> {
        // Each is read from the file, also those that are there twice.
        count += 1;
        bound(image, count)?;
        let value = image.up_to(place, 8);
        let value = value.and_then(|bytes| crate::fields::Fields(&bytes).u64(0));
        pointers.extend(value.map(|value| (place, value)));
        Ok(())
    };
    let mut next = 0u64;
    for entry in bytes.chunks_exact(8).map(crate::fields::Fields) {
        let entry = entry.u64(0).unwrap_or_default();
        if entry & 1 == 0 {
            add(entry)?;
            next = entry.wrapping_add(8);
            continue;
        }
        for bit in (0..63).filter(|bit| entry >> (bit + 1) & 1 == 1) {
            add(next.wrapping_add(8 * bit))?;
        }
        next = next.wrapping_add(8 * 63);
    }
    Ok(())
}

struct Reading<'a> {
    image: &'a Image,
    /// Where the loader writes addresses of what tells of the CPU.
    known: BTreeSet<u64>,
    /// The functions that Python calls first.
    entry_points: BTreeSet<u32>,
    writable: Vec<Range<u64>>,
    /// Where stubs go to.
    stubs: BTreeMap<u32, u32>,
}

/// What a function was seen to do.
struct Found {
    number: u32,
    range: Range<u64>,
    class: Class,
    /// Addresses of code, and (`true`) of pointers to code; of what was read last.
    calls: Seen<(u64, bool)>,
    /// The functions that are there.
    callees: Seen<u32>,
    /// Lines of data.
    touches: Seen<u64>,
    addresses: Seen<u64>,
}

impl Found {
    fn of(number: usize, function: &Function) -> Self {
        Self {
            number: u32::try_from(number).unwrap_or(u32::MAX),
            range: function.start..function.end,
            class: Class::default(),
            calls: Seen::default(),
            callees: Seen::default(),
            touches: Seen::default(),
            addresses: Seen::default(),
        }
    }

    fn references(&self) -> usize {
        self.callees.len() + self.touches.len() + self.addresses.len()
    }
}

impl Reading<'_> {
    /// Reads the functions of an area.
    fn area(
        &mut self,
        area: &Area,
        numbers: Range<usize>,
        code: &mut Code,
    ) -> Result<(), PackError> {
        let (mut window, mut from) = (Vec::new(), area.address);
        for number in numbers {
            let mut found = Found::of(number, &code.functions[number]);
            let Range { start: mut at, end } = found.range;
            while at < end {
                let until = end.min(at.saturating_add(WINDOW));
                let have = from.saturating_add(window.len() as u64);
                if at < from || until > have {
                    let there = area.end().saturating_sub(at).min(WINDOW.max(until - at));
                    let offset = area.offset.saturating_add(at - area.address);
                    window = self.image.data.read(offset, there, 2 * WINDOW, "code")?;
                    from = at;
                }
                let bytes = &window[index(at - from)..index(until - from).min(window.len())];
                self.function(&mut found, at, bytes);
                self.resolve(&mut found, code);
                let references = code.references() + found.references();
                self.image
                    .bound("the number of references", limits::REFERENCES, references)?;
                at = until;
            }
            code.keep(found);
        }
        Ok(())
    }

    fn function(&self, found: &mut Found, at: u64, bytes: &[u8]) {
        let mut decoder = Decoder::with_ip(64, bytes, at, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        while decoder.can_decode() {
            decoder.decode_out(&mut instruction);
            if instruction.is_invalid() {
                continue;
            }
            let class = class(instruction.code());
            found.class.features = found.class.features.and(class.features);
            found.class.legacy |= class.legacy;
            found.class.avx |= class.avx;
            found.class.looks |= class.looks;
            if !self.image.is_object() {
                self.flow(found, &instruction);
            }
        }
    }

    /// Where an instruction goes, and what it touches.
    fn flow(&self, found: &mut Found, instruction: &Instruction) {
        if instruction.is_ip_rel_memory_operand() {
            let address = instruction.ip_rel_memory_address();
            found.class.looks |= self.known.contains(&address);
        }
        match instruction.flow_control() {
            FlowControl::Call
            | FlowControl::ConditionalBranch
            | FlowControl::UnconditionalBranch => {
                let target = instruction.near_branch_target();
                if !found.range.contains(&target) {
                    found.calls.add((target, false));
                }
                return;
            }
            FlowControl::IndirectBranch | FlowControl::IndirectCall => {
                if instruction.is_ip_rel_memory_operand() {
                    let address = instruction.ip_rel_memory_address();
                    found.calls.add((address, true));
                }
                return;
            }
            _ => {}
        }
        if !instruction.is_ip_rel_memory_operand() {
            return;
        }
        let address = instruction.ip_rel_memory_address();
        if instruction.mnemonic() == Mnemonic::Lea && self.entry_points.contains(&found.number) {
            found.addresses.add(address);
        }
        if self.is_writable(address) {
            found.touches.add(line(address));
        }
    }

    fn is_writable(&self, address: u64) -> bool {
        let after = self
            .writable
            .partition_point(|range| range.start <= address);
        let last = self.writable[..after].last();
        last.is_some_and(|range| range.contains(&address))
    }

    /// Addresses of code become functions.
    fn resolve(&mut self, found: &mut Found, code: &Code) {
        for (address, pointer) in std::mem::take(&mut found.calls).into_sorted() {
            let target = if pointer {
                code.pointers.get(&address).copied()
            } else {
                Some(address)
            };
            let Some(callee) = target.and_then(|target| code.at(target)) else {
                continue;
            };
            if pointer && code.functions[found.number as usize].is_stub {
                self.stubs.insert(found.number, callee);
            } else {
                found.callees.add(callee);
            }
        }
    }
}
