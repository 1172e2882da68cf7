use std::collections::HashSet;
use std::io::{Read, Seek};
use std::ops::RangeInclusive;

use serde::Serialize;

use crate::source::{Source, name_from, show_bytes};
use crate::tensor::{element_count, ggml_size};
use crate::{FormatError, GgmlType, TensorInfo, limits};

/// The first four bytes of a whisper file: "ggml" as a little-endian number.
pub(crate) const MAGIC: [u8; 4] = 0x6767_6d6c_u32.to_le_bytes();

/// The engine's spectrum has this many frequencies: half of 400 samples, and one.
const FREQUENCIES: i32 = 201;

/// Element counts of tensors are 32-bit numbers in the engine.
const ELEMENTS_MAX: u64 = i32::MAX.cast_unsigned() as u64;

/// `ftype` is a file type, and this times the version of ggml's quantised types.
const VERSION_FACTOR: i32 = 1000;

/// The header of a whisper model in whisper.cpp's own format (`ggml-*.bin`).
///
/// The headers of the tensors lie between their data, up to the very end of the file; all of them were
/// read. [`ModelFile::check_speech`](crate::ModelFile::check_speech) compares them with what the
/// hyperparameters ask for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WhisperFile {
    /// The hyperparameters.
    pub hparams: WhisperHparams,
    /// How many mel bands the filter bank has.
    pub filter_mels: u32,
    /// How many frequencies each of its filters weighs.
    pub filter_frequencies: u32,
    /// How many tokens the file spells out; the engine makes up the others, up to `hparams.n_vocab`.
    pub vocab_size: u32,
    /// The tensors, in the order of the file.
    pub tensors: Vec<TensorInfo>,
}

/// The hyperparameters of a whisper model.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WhisperHparams {
    /// Tokens, special ones included: 51864 (English only), 51865 or 51866 (multilingual).
    pub n_vocab: u32,
    /// Positions of the encoder; two spectrogram frames of 10 ms make one.
    pub n_audio_ctx: u32,
    /// Width of the encoder.
    pub n_audio_state: u32,
    /// Attention heads of the encoder.
    pub n_audio_head: u32,
    /// Layers of the encoder.
    pub n_audio_layer: u32,
    /// Positions of the decoder, in tokens.
    pub n_text_ctx: u32,
    /// Width of the decoder.
    pub n_text_state: u32,
    /// Attention heads of the decoder.
    pub n_text_head: u32,
    /// Layers of the decoder.
    pub n_text_layer: u32,
    /// Mel bands of the spectrogram.
    pub n_mels: u32,
    /// The file type as it is in the file, with the version of the quantised types.
    pub ftype: u32,
}

impl WhisperHparams {
    /// The type of the matrices, as the file type tells it.
    pub fn weight_type(&self) -> Option<GgmlType> {
        weight_type(self.ftype.try_into().ok()?)
    }

    /// Whether the model knows other languages than English.
    pub fn is_multilingual(&self) -> bool {
        self.n_vocab >= 51865
    }
}

impl WhisperFile {
    /// The tensor with this name. It searches the list; build a map to look up many.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    pub(crate) fn read<R: Read + Seek>(source: &mut Source<R>) -> Result<Self, FormatError> {
        source.skip(MAGIC.len() as u64, "magic")?;
        let hparams = read_hparams(source)?;
        let (filter_mels, filter_frequencies) = read_filters(source, &hparams)?;
        let vocab_size = read_vocab(source, &hparams)?;
        let tensors = read_tensors(source)?;
        Ok(Self {
            hparams,
            filter_mels,
            filter_frequencies,
            vocab_size,
            tensors,
        })
    }
}

fn read_hparams<R: Read + Seek>(source: &mut Source<R>) -> Result<WhisperHparams, FormatError> {
    let first = source.position();
    // The ids of the special tokens are built into the engine for these three sizes; it reads behind
    // its logits when there are fewer tokens, and has no name for more languages.
    let n_vocab = read_in(source, "n_vocab", 51864..=51866).map_err(|error| {
        // Other families used the same magic number.
        match error {
            FormatError::Invalid { path, offset, field, expected, found } if offset == first => {
                FormatError::Unsupported {
                    path,
                    offset,
                    field,
                    expected,
                    found,
                    advice: "Give a whisper model in whisper.cpp's format (ggml-*.bin); if this is one, download it again.",
                }
            }
            other => other,
        }
    })?;
    let hparams = WhisperHparams {
        n_vocab,
        n_audio_ctx: read_in(source, "n_audio_ctx", 1..=6000)?,
        n_audio_state: read_in(source, "n_audio_state", 1..=16384)?,
        n_audio_head: read_in(source, "n_audio_head", 1..=1024)?,
        n_audio_layer: read_in(source, "n_audio_layer", 1..=256)?,
        // A prompt of half the context and five special tokens must fit.
        n_text_ctx: read_in(source, "n_text_ctx", 16..=16384)?,
        n_text_state: read_in(source, "n_text_state", 1..=16384)?,
        n_text_head: read_in(source, "n_text_head", 1..=1024)?,
        n_text_layer: read_in(source, "n_text_layer", 1..=256)?,
        n_mels: read_in(source, "n_mels", 1..=1024)?,
        ftype: read_ftype(source)?,
    };
    let field_at = |index: u64| first + 4 * index;
    let divides = |index, name, state: u32, heads: u32| {
        if state.is_multiple_of(heads) {
            return Ok(());
        }
        Err(source.invalid(
            field_at(index),
            name,
            format_args!("a divisor of {state}"),
            heads,
        ))
    };
    divides(
        3,
        "n_audio_head",
        hparams.n_audio_state,
        hparams.n_audio_head,
    )?;
    divides(7, "n_text_head", hparams.n_text_state, hparams.n_text_head)?;
    if hparams.n_text_state != hparams.n_audio_state {
        // The decoder attends to the encoder's output as it is.
        let expected = format_args!("{}, as n_audio_state is", hparams.n_audio_state);
        return Err(source.invalid(field_at(6), "n_text_state", expected, hparams.n_text_state));
    }
    Ok(hparams)
}

/// A number that must lie in a range; negative ones are in none.
fn read_in<R: Read + Seek>(
    source: &mut Source<R>,
    field: &str,
    range: RangeInclusive<i32>,
) -> Result<u32, FormatError> {
    let offset = source.position();
    let value = source.i32(field)?;
    if range.contains(&value) {
        return Ok(value.cast_unsigned());
    }
    let expected = format!("{} to {}", range.start(), range.end());
    Err(source.invalid(offset, field, expected, value))
}

fn read_ftype<R: Read + Seek>(source: &mut Source<R>) -> Result<u32, FormatError> {
    const FIELD: &str = "ftype";
    let offset = source.position();
    let ftype = source.i32(FIELD)?;
    if ftype >= 0 && weight_type(ftype).is_some() {
        return Ok(ftype.cast_unsigned());
    }
    Err(source.invalid(offset, FIELD, "a file type of ggml 0.9.5", ftype))
}

/// The file types that both ggml 0.9.5 (pinned) and 0.26 (aligned) know.
fn weight_type(ftype: i32) -> Option<GgmlType> {
    Some(match ftype % VERSION_FACTOR {
        0 => GgmlType::F32,
        1 => GgmlType::F16,
        2 => GgmlType::Q4_0,
        3 => GgmlType::Q4_1,
        7 => GgmlType::Q8_0,
        8 => GgmlType::Q5_0,
        9 => GgmlType::Q5_1,
        10 => GgmlType::Q2K,
        11 => GgmlType::Q3K,
        12 => GgmlType::Q4K,
        13 => GgmlType::Q5K,
        14 => GgmlType::Q6K,
        15 => GgmlType::Iq2Xxs,
        16 => GgmlType::Iq2Xs,
        17 => GgmlType::Iq3Xxs,
        18 => GgmlType::Iq1S,
        19 => GgmlType::Iq4Nl,
        20 => GgmlType::Iq3S,
        21 => GgmlType::Iq2S,
        22 => GgmlType::Iq4Xs,
        23 => GgmlType::Iq1M,
        24 => GgmlType::Bf16,
        25 => GgmlType::Mxfp4,
        _ => return None,
    })
}

fn read_filters<R: Read + Seek>(
    source: &mut Source<R>,
    hparams: &WhisperHparams,
) -> Result<(u32, u32), FormatError> {
    let n_mels = hparams.n_mels.cast_signed();
    let mels = read_in(source, "mel bands of the filters", n_mels..=n_mels)?;
    let frequencies = read_in(
        source,
        "frequencies of the mel filters",
        FREQUENCIES..=FREQUENCIES,
    )?;
    let bytes = u64::from(mels) * u64::from(frequencies) * 4;
    source.skip(bytes, "mel filters")?;
    Ok((mels, frequencies))
}

fn read_vocab<R: Read + Seek>(
    source: &mut Source<R>,
    hparams: &WhisperHparams,
) -> Result<u32, FormatError> {
    let count = read_in(
        source,
        "number of tokens",
        1..=hparams.n_vocab.cast_signed(),
    )?;
    source.require(u64::from(count) * 4, "tokens")?;
    for i in 0..count {
        let offset = source.position();
        let len = source.u32(format_args!("length of token {i}"))?;
        if len > limits::WHISPER_TOKEN_BYTES {
            let expected = format!("at most {} bytes", limits::WHISPER_TOKEN_BYTES);
            return Err(source.invalid(offset, format_args!("length of token {i}"), expected, len));
        }
        source.skip(len.into(), format_args!("token {i}"))?;
    }
    Ok(count)
}

fn read_tensors<R: Read + Seek>(source: &mut Source<R>) -> Result<Vec<TensorInfo>, FormatError> {
    let mut tensors: Vec<TensorInfo> = Vec::new();
    let mut names = HashSet::new();
    while source.remaining() > 0 {
        let header_offset = source.position();
        if tensors.len() as u64 == limits::TENSORS {
            let expected = format!("at most {}", limits::TENSORS);
            return Err(source.invalid(header_offset, "number of tensors", expected, "more"));
        }
        let tensor = read_tensor(source, tensors.len())?;
        if !names.insert(tensor.name.clone()) {
            return Err(source.invalid(
                header_offset,
                format_args!("name of tensor {}", tensors.len()),
                "a name that is not there yet",
                format_args!("{:?} again", tensor.name),
            ));
        }
        source.skip(
            tensor.size_bytes,
            format_args!("data of tensor {:?}", tensor.name),
        )?;
        tensors.push(tensor);
    }
    Ok(tensors)
}

fn read_tensor<R: Read + Seek>(
    source: &mut Source<R>,
    i: usize,
) -> Result<TensorInfo, FormatError> {
    let header_offset = source.position();
    let dim_count = source.i32(format_args!("number of dimensions of tensor {i}"))?;
    let name_len = source.i32(format_args!("length of the name of tensor {i}"))?;
    let type_id = source.i32(format_args!("type of tensor {i}"))?;
    let invalid = |position: u64, field: &str, expected: String, found: String| {
        let field = format_args!("{field} of tensor {i}");
        source.invalid(header_offset + position, field, expected, found)
    };
    let Some(dim_count) = u32::try_from(dim_count)
        .ok()
        .filter(|n| (1..=limits::GGML_DIMENSIONS).contains(n))
    else {
        let expected = format!("1 to {}", limits::GGML_DIMENSIONS);
        return Err(invalid(
            0,
            "number of dimensions",
            expected,
            dim_count.to_string(),
        ));
    };
    let Some(name_len) = u64::try_from(name_len)
        .ok()
        .filter(|n| (1..=limits::GGML_NAME_BYTES).contains(n))
    else {
        let expected = format!("1 to {} bytes", limits::GGML_NAME_BYTES);
        return Err(invalid(
            4,
            "length of the name",
            expected,
            name_len.to_string(),
        ));
    };
    // The pinned ggml 0.9.5 ends with this type.
    let Some(dtype) = u32::try_from(type_id)
        .ok()
        .filter(|&id| id <= GgmlType::Mxfp4.id())
        .and_then(GgmlType::from_id)
    else {
        let expected = "the number of a type of ggml 0.9.5".to_owned();
        return Err(invalid(8, "type", expected, type_id.to_string()));
    };
    let dims_offset = source.position();
    let dims = (0..dim_count)
        .map(|d| {
            read_in(
                source,
                &format!("dimension {d} of tensor {i}"),
                1..=i32::MAX,
            )
            .map(u64::from)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let name_offset = source.position();
    let mut name = Vec::new();
    source.append(name_len, &mut name, format_args!("name of tensor {i}"))?;
    let shown = show_bytes(&name);
    let name = name_from(name).map_err(|(expected, found)| {
        source.invalid(
            name_offset,
            format_args!("name of tensor {i}"),
            expected,
            found,
        )
    })?;
    let whole_blocks = dims[0].is_multiple_of(dtype.block_size());
    let elements = element_count(&dims).filter(|&count| count <= ELEMENTS_MAX);
    match ggml_size(&dims, dtype) {
        Some(size_bytes) if whole_blocks && elements.is_some() => Ok(TensorInfo {
            name,
            dims,
            dtype,
            offset: source.position(),
            size_bytes,
            header_offset,
        }),
        _ => Err(source.invalid(
            dims_offset,
            format_args!("dimensions of tensor {i}, {shown}"),
            format_args!(
                "at most {ELEMENTS_MAX} elements in rows of a multiple of {} for type {dtype}",
                dtype.block_size()
            ),
            format_args!("{dims:?}"),
        )),
    }
}
