//! The ggml inside of a file: found by its messages, described by its own functions where they have names.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};
use object::elf;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    PackError,
    elf::{Image, Symbol},
    fields::Fields,
};

/// A copy of ggml inside of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Ggml {
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
    /// Whether other files can bind to it.
    pub exported: bool,
}

/// What every copy says when an assertion fails, and nobody else.
const MESSAGE: &[u8] = b"GGML_ASSERT(";

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
    if !all().any(|symbol| symbol.name == "ggml_init") && !has_message(image)? {
        return Ok(None);
    }
    let mut found = Ggml {
        exported: dynamic
            .iter()
            .any(|symbol| symbol.defined && symbol.visible && symbol.name.starts_with("ggml_")),
        ..Ggml::default()
    };
    let text = |name: &str| {
        let address = returned(image, defined(name)?.value)?;
        let text = Fields(&image.up_to(address, 64)?).text(0)?;
        let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
        plain.then_some(text)
    };
    found.version = text("ggml_version");
    found.commit = text("ggml_commit");
    found.api_version = defined("ggml_backend_cpu_reg")
        .map(|symbol| addresses(image, symbol.value))
        .into_iter()
        .flatten()
        .filter_map(|address| Fields(&image.up_to(address, 8)?).u32(0))
        .find(|version| (1..100).contains(version));
    found.max_name = defined("ggml_format_name").and_then(|symbol| name_size(image, symbol.value));
    Ok(Some(found))
}

fn has_message(image: &Image) -> Result<bool, PackError> {
    let mut found = false;
    let mut tail = Vec::new();
    let constants = |section: &&crate::elf::Section| section.name.starts_with(".rodata");
    for section in image.sections.iter().filter(constants) {
        if section.kind == elf::SHT_NOBITS.0 || found {
            continue;
        }
        tail.clear();
        image.data.each(section.offset, section.size, |_, bytes| {
            tail.extend_from_slice(bytes);
            found |= tail.windows(MESSAGE.len()).any(|window| window == MESSAGE);
            let keep = tail.len().saturating_sub(MESSAGE.len());
            tail.drain(..keep);
        })?;
    }
    Ok(found)
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

/// All addresses that a function takes.
fn addresses(image: &Image, address: u64) -> Vec<u64> {
    let mut found = Vec::new();
    instructions(image, address, |instruction| {
        found.extend(lea(instruction));
        None::<()>
    });
    found
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
