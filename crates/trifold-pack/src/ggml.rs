//! The ggml inside of a file: found by its messages, described by its own functions where they have names.

mod fingerprint;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};
use object::elf;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    PackError,
    cpu::frames,
    elf::{Image, Symbol},
    fields::Fields,
    owners,
};

pub use fingerprint::Fingerprint;
use fingerprint::Told;

/// A copy of ggml, or a part of one, inside of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Ggml {
    /// Whether its core is inside. Otherwise it is another part, such as a backend, and the core is in
    /// another file.
    pub core: bool,
    /// Its version, such as `0.9.5`: what `ggml_version()` gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its commit: what `ggml_commit()` gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The version of the interface of its backends, from the registration of the CPU backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<u32>,
    /// `GGML_MAX_NAME`, which changes the size of a tensor: from `ggml_format_name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_name: Option<u32>,
    /// What a tensor takes in a context, in bytes: what `ggml_tensor_overhead()` gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tensor_overhead: Option<u32>,
    /// The fingerprint of its memory layout, which backend plugins of trifold carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// Whether other files can bind to it.
    pub exported: bool,
}

/// What every part says when an assertion fails, and nobody else. Who uses ggml's header says it, too.
const MESSAGE: &[u8] = b"GGML_ASSERT(";

/// What the function before `ggml_version` in ggml's source asks the environment for.
const BEFORE_VERSION: &[u8] = b"GGML_NO_BACKTRACE\0";

/// How far apart the two are, at most, in bytes of code.
const NEAR: u64 = 16 << 10;

/// A function that gives back a text is not longer than this, in bytes.
const SMALL: u64 = 16;

/// How many functions that give back a version are looked at.
const CANDIDATES: usize = 64;

/// How much of a function is read.
const FUNCTION: u64 = 512;

/// Looks for ggml; none if there is none.
pub(crate) fn find(
    image: &Image,
    dynamic: &[Symbol],
    symbols: &[Symbol],
) -> Result<Option<Ggml>, PackError> {
    if image.is_object() {
        return Ok(None);
    }
    let all = || {
        dynamic
            .iter()
            .chain(symbols)
            .filter(|symbol| symbol.defined)
    };
    let defined = |name: &str| all().find(|symbol| symbol.name == name && symbol.function);
    let ours = |symbol: &&Symbol| symbol.name.starts_with("ggml_");
    let core = defined("ggml_init").is_some();
    let told = Told::by(image)?;
    if !core && told.is_none() && address_of(image, MESSAGE)?.is_none() {
        return Ok(None);
    }
    let asks = dynamic.iter().filter(ours).any(|symbol| !symbol.defined);
    let visible = || {
        let symbols = dynamic.iter().filter(ours);
        symbols.filter(|symbol| symbol.defined && symbol.visible)
    };
    if !core && asks && visible().next().is_none() {
        // It uses the ggml of another file.
        return Ok(None);
    }
    let text = |address: u64| {
        let text = Fields(&image.up_to(returned(image, address)?, 64)?).text(0, 64)?;
        let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
        plain.then_some(text)
    };
    let version = match defined("ggml_version") {
        Some(symbol) => text(symbol.value),
        None => hidden_version(image, text)?,
    };
    let number = |name: &str| told.as_ref().and_then(|told| told.number(name));
    let word = |name: &str| {
        told.as_ref()
            .and_then(|told| told.value(name))
            .map(str::to_owned)
    };
    Ok(Some(Ggml {
        core: core || !asks,
        version: word("ggml version").or(version),
        commit: defined("ggml_commit")
            .and_then(|symbol| text(symbol.value))
            .or_else(|| word("ggml commit")),
        api_version: defined("ggml_backend_cpu_reg")
            .map(|symbol| addresses(image, symbol.value, FUNCTION))
            .into_iter()
            .flatten()
            .filter_map(|address| Fields(&image.up_to(address, 8)?).u32(0))
            .find(|version| (1..100).contains(version))
            .or_else(|| number("GGML_BACKEND_API_VERSION")),
        max_name: defined("ggml_format_name")
            .and_then(|symbol| name_size(image, symbol.value))
            .or_else(|| number("GGML_MAX_NAME")),
        tensor_overhead: defined("ggml_tensor_overhead")
            .and_then(|symbol| constant(image, symbol.value)),
        // What a plugin is opened for is looked up in that file only.
        exported: visible().any(|symbol| !owners::is_of_plugin(&symbol.name)),
        fingerprint: told.map(|told| told.fingerprint),
    }))
}

/// The version of a ggml whose functions have no names: what a small function gives back that comes soon
/// after the one which stands before `ggml_version` in the source.
fn hidden_version(
    image: &Image,
    text: impl Fn(u64) -> Option<String>,
) -> Result<Option<String>, PackError> {
    let Some(before) = address_of(image, BEFORE_VERSION)? else {
        return Ok(None);
    };
    let mut functions = frames::functions(image);
    functions.sort_unstable();
    functions.dedup_by_key(|(start, _)| *start);
    let starts = || functions.iter().map(|(start, _)| *start);
    let ends = starts().skip(1).chain([u64::MAX]);
    let ranges: Vec<(u64, u64)> = starts().zip(ends).collect();
    Ok(functions
        .iter()
        .filter(|(start, end)| end.saturating_sub(*start) <= SMALL)
        .filter_map(|(start, _)| Some((*start, text(*start).filter(|text| is_version(text))?)))
        .take(CANDIDATES)
        .find(|(small, _)| {
            let first = ranges.partition_point(|(start, _)| *start < small.saturating_sub(NEAR));
            let window = ranges[first..]
                .iter()
                .take_while(|(start, _)| start < small);
            window
                .flat_map(|(start, end)| addresses(image, *start, end - start))
                .any(|address| address == before)
        })
        .map(|(_, version)| version))
}

/// `0.9.5`, `0.9.5-dev`.
fn is_version(text: &str) -> bool {
    let numbers = text.split('-').next().unwrap_or_default();
    numbers.split('.').count() == 3
        && numbers
            .split('.')
            .all(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Where a text is among the constants.
fn address_of(image: &Image, text: &[u8]) -> Result<Option<u64>, PackError> {
    let constants = |section: &&crate::elf::Section| {
        section.name.starts_with(".rodata") && section.kind != elf::SHT_NOBITS.0
    };
    let mut sections: Vec<_> = image.sections.iter().filter(constants).collect();
    sections.sort_by_key(|section| (section.offset, section.size));
    let mut end = 0;
    for section in sections {
        // Many headers may name the same bytes.
        if section.offset < end {
            continue;
        }
        end = section.offset.saturating_add(section.size);
        let (mut found, mut tail) = (None, Vec::new());
        image
            .data
            .each(section.offset, section.size, |offset, bytes| {
                if found.is_some() {
                    return;
                }
                let start = offset - tail.len() as u64;
                tail.extend_from_slice(bytes);
                let place = tail.windows(text.len()).position(|window| window == text);
                found = place.map(|place| start + place as u64);
                let keep = tail.len().saturating_sub(text.len() - 1);
                tail.drain(..keep);
            })?;
        if let Some(offset) = found {
            return Ok(Some(section.address.wrapping_add(offset - section.offset)));
        }
    }
    Ok(None)
}

/// Reads a function's instructions in order, until `take` gives something or the function returns.
fn instructions<T>(
    image: &Image,
    address: u64,
    mut take: impl FnMut(&Instruction) -> Option<T>,
) -> Option<T> {
    let bytes = image.up_to(address, FUNCTION)?;
    let mut decoder = Decoder::with_ip(64, &bytes, address, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if let Some(found) = take(&instruction) {
            return Some(found);
        }
        if instruction.is_invalid() || instruction.flow_control() == FlowControl::Return {
            return None;
        }
    }
    None
}

fn lea(instruction: &Instruction) -> Option<u64> {
    (instruction.mnemonic() == Mnemonic::Lea && instruction.is_ip_rel_memory_operand())
        .then(|| instruction.ip_rel_memory_address())
}

/// The address that a function gives back.
fn returned(image: &Image, address: u64) -> Option<u64> {
    instructions(image, address, |instruction| {
        lea(instruction).filter(|_| instruction.op0_register() == Register::RAX)
    })
}

/// All addresses that so much of a function takes.
fn addresses(image: &Image, address: u64, size: u64) -> Vec<u64> {
    let bytes = image.up_to(address, size).unwrap_or_default();
    let mut decoder = Decoder::with_ip(64, &bytes, address, DecoderOptions::NONE);
    decoder
        .iter()
        .filter_map(|instruction| lea(&instruction))
        .collect()
}

/// The number that a function gives back.
fn constant(image: &Image, address: u64) -> Option<u32> {
    instructions(image, address, |instruction| {
        let immediate = matches!(
            instruction.op1_kind(),
            OpKind::Immediate32 | OpKind::Immediate32to64 | OpKind::Immediate64
        );
        let result = matches!(instruction.op0_register(), Register::EAX | Register::RAX);
        (instruction.mnemonic() == Mnemonic::Mov && immediate && result)
            .then(|| u32::try_from(instruction.immediate(1)).ok())?
    })
}

/// The size that `vsnprintf` gets: the second argument.
fn name_size(image: &Image, address: u64) -> Option<u32> {
    instructions(image, address, |instruction| {
        let immediate = matches!(
            instruction.op1_kind(),
            OpKind::Immediate32 | OpKind::Immediate32to64 | OpKind::Immediate64
        );
        let second = matches!(instruction.op0_register(), Register::ESI | Register::RSI);
        let size = (instruction.mnemonic() == Mnemonic::Mov && immediate && second)
            .then(|| u32::try_from(instruction.immediate(1)).ok())??;
        (size.is_power_of_two() && (16..=4096).contains(&size)).then_some(size)
    })
}
