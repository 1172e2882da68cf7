use std::collections::HashSet;
use std::fmt::{self, Display};
use std::io::{Read, Seek};

use serde::Serialize;

use crate::source::{Source, name_from, show_bytes};
use crate::tensor::{element_count, ggml_size};
use crate::{
    FormatError, GgmlType, Metadata, MetadataArray, MetadataValue, StringArray, TensorInfo, limits,
};

/// The first four bytes of a GGUF file.
pub(crate) const MAGIC: [u8; 4] = *b"GGUF";

/// Tensors are aligned to this where the file does not say otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;

/// The least that an entry needs: a key's length, one byte of it, a type, one byte of value.
const ENTRY_BYTES_MIN: u64 = 8 + 1 + 4 + 1;

/// The least that a tensor needs: a name's length, one byte of it, no dimensions, type and offset.
const TENSOR_BYTES_MIN: u64 = 8 + 1 + 4 + 4 + 8;

/// The header of a GGUF file, version 2 or 3, little endian.
///
/// What the engines' reader requires holds: keys and tensor names are unique, every tensor is made of
/// whole blocks, and the data of the tensors lies in their order, aligned and without gaps, up to the
/// end of the file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Gguf {
    /// The format's version: 2 or 3.
    pub version: u32,
    /// What the data of each tensor is aligned to, in bytes: a power of two.
    pub alignment: u64,
    /// The metadata, in the order of the file.
    pub metadata: Metadata,
    /// The tensors, in the order of the file.
    pub tensors: Vec<TensorInfo>,
    /// Where the tensors' data begins, in bytes from the start of the file.
    pub data_offset: u64,
}

impl Gguf {
    /// The model's architecture, for example `llama`: the value of `general.architecture`.
    pub fn architecture(&self) -> Option<&str> {
        self.metadata.get("general.architecture")?.as_str()
    }

    /// The tensor with this name. It searches the list; build a map to look up many.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    pub(crate) fn read<R: Read + Seek>(source: &mut Source<R>) -> Result<Self, FormatError> {
        source.skip(MAGIC.len() as u64, "magic")?;
        let version = read_version(source)?;
        let tensor_count = read_count(
            source,
            "number of tensors",
            limits::TENSORS,
            TENSOR_BYTES_MIN,
        )?;
        let entry_count = read_count(
            source,
            "number of metadata entries",
            limits::GGUF_METADATA_ENTRIES,
            ENTRY_BYTES_MIN,
        )?;
        let metadata = read_metadata(source, entry_count)?;
        let alignment = read_alignment(source, &metadata)?;
        let mut tensors = read_tensors(source, tensor_count)?;
        let data_offset = source.position().next_multiple_of(alignment);
        place_tensors(source, &mut tensors, data_offset, alignment)?;
        Ok(Self {
            version,
            alignment,
            metadata,
            tensors,
            data_offset,
        })
    }
}

fn read_version<R: Read + Seek>(source: &mut Source<R>) -> Result<u32, FormatError> {
    const FIELD: &str = "GGUF version";
    let offset = source.position();
    let version = source.u32(FIELD)?;
    let unsupported = |found: String, advice| FormatError::Unsupported {
        path: source.path().to_owned(),
        offset,
        field: FIELD.to_owned(),
        expected: "version 2 or 3, little endian".to_owned(),
        found,
        advice,
    };
    match version {
        2 | 3 => Ok(version),
        1 => Err(unsupported(
            "version 1".to_owned(),
            "Convert the model again with a current converter: GGUF version 1 was given up in 2023.",
        )),
        _ if (1..=3).contains(&version.swap_bytes()) => Err(unsupported(
            format!("version {}, big endian", version.swap_bytes()),
            "Get the little-endian file of this model.",
        )),
        _ => Err(unsupported(
            format!("version {version}"),
            "Download the file again; if it is sound, a newer trifold may be able to read it.",
        )),
    }
}

/// A number of things of at least `least_bytes` each.
fn read_count<R: Read + Seek>(
    source: &mut Source<R>,
    field: &str,
    limit: u64,
    least_bytes: u64,
) -> Result<u64, FormatError> {
    let offset = source.position();
    let count = source.u64(field)?;
    if count > limit {
        return Err(source.invalid(offset, field, format_args!("at most {limit}"), count));
    }
    source.require(count * least_bytes, field)?;
    Ok(count)
}

fn read_metadata<R: Read + Seek>(
    source: &mut Source<R>,
    count: u64,
) -> Result<Metadata, FormatError> {
    let mut metadata = Metadata::default();
    for i in 0..count {
        let key_offset = source.position();
        let key = read_name(
            source,
            format_args!("key of metadata entry {i}"),
            limits::GGUF_KEY_BYTES,
        )?;
        if metadata.contains(&key) {
            return Err(source.invalid(
                key_offset,
                format_args!("key of metadata entry {i}"),
                "a key that is not there yet",
                format_args!("{key:?} again"),
            ));
        }
        let type_offset = source.position();
        let id = source.u32(format_args!("type of {key:?}"))?;
        let offset = source.position();
        let value = if id == ARRAY_ID {
            MetadataValue::Array(read_array(source, &key)?)
        } else {
            read_scalar(source, &key, id, type_offset)?
        };
        metadata.push(key, value, offset);
    }
    Ok(metadata)
}

const STRING_ID: u32 = 8;
const ARRAY_ID: u32 = 9;

fn read_scalar<R: Read + Seek>(
    source: &mut Source<R>,
    key: &str,
    id: u32,
    type_offset: u64,
) -> Result<MetadataValue, FormatError> {
    let field = format_args!("value of {key:?}");
    let offset = source.position();
    Ok(match id {
        0 => MetadataValue::U8(u8::from_le_bytes(source.array(field)?)),
        1 => MetadataValue::I8(i8::from_le_bytes(source.array(field)?)),
        2 => MetadataValue::U16(u16::from_le_bytes(source.array(field)?)),
        3 => MetadataValue::I16(i16::from_le_bytes(source.array(field)?)),
        4 => MetadataValue::U32(source.u32(field)?),
        5 => MetadataValue::I32(source.i32(field)?),
        6 => MetadataValue::F32(f32::from_le_bytes(source.array(field)?)),
        7 => {
            let [byte] = source.array(field)?;
            MetadataValue::Bool(bool_from(source, byte, offset, field)?)
        }
        STRING_ID => {
            let mut bytes = Vec::new();
            read_string(source, &mut bytes, field)?;
            MetadataValue::String(String::from_utf8(bytes).map_err(|error| {
                source.invalid(offset, field, "UTF-8 text", show_bytes(error.as_bytes()))
            })?)
        }
        10 => MetadataValue::U64(source.u64(field)?),
        11 => MetadataValue::I64(i64::from_le_bytes(source.array(field)?)),
        12 => MetadataValue::F64(f64::from_le_bytes(source.array(field)?)),
        _ => {
            return Err(source.invalid(
                type_offset,
                format_args!("type of {key:?}"),
                "a type from 0 to 12",
                id,
            ));
        }
    })
}

fn read_array<R: Read + Seek>(
    source: &mut Source<R>,
    key: &str,
) -> Result<MetadataArray, FormatError> {
    let type_offset = source.position();
    let id = source.u32(format_args!("element type of {key:?}"))?;
    let count_offset = source.position();
    let count = source.u64(format_args!("length of {key:?}"))?;
    let field = format_args!("elements of {key:?}");
    // A string needs at least its length.
    let least_bytes = match id {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        STRING_ID | 10..=12 => 8,
        _ => {
            return Err(source.invalid(
                type_offset,
                format_args!("element type of {key:?}"),
                "a type from 0 to 12, but not 9 (array)",
                id,
            ));
        }
    };
    let Some(bytes) = count.checked_mul(least_bytes) else {
        return Err(source.invalid(
            count_offset,
            format_args!("length of {key:?}"),
            "a length that fits the file",
            count,
        ));
    };
    source.require(bytes, field)?;
    require_header(source, bytes, field)?;
    if id == STRING_ID {
        return read_strings(source, key, count).map(MetadataArray::String);
    }
    let offset = source.position();
    let mut raw = Vec::new();
    source.append(bytes, &mut raw, field)?;
    Ok(match id {
        0 => MetadataArray::U8(raw),
        1 => MetadataArray::I8(elements(&raw, i8::from_le_bytes)),
        2 => MetadataArray::U16(elements(&raw, u16::from_le_bytes)),
        3 => MetadataArray::I16(elements(&raw, i16::from_le_bytes)),
        4 => MetadataArray::U32(elements(&raw, u32::from_le_bytes)),
        5 => MetadataArray::I32(elements(&raw, i32::from_le_bytes)),
        6 => MetadataArray::F32(elements(&raw, f32::from_le_bytes)),
        7 => MetadataArray::Bool(
            raw.iter()
                .zip(offset..)
                .map(|(&byte, offset)| bool_from(source, byte, offset, field))
                .collect::<Result<_, _>>()?,
        ),
        10 => MetadataArray::U64(elements(&raw, u64::from_le_bytes)),
        11 => MetadataArray::I64(elements(&raw, i64::from_le_bytes)),
        _ => MetadataArray::F64(elements(&raw, f64::from_le_bytes)),
    })
}

fn elements<T, const N: usize>(raw: &[u8], from: fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks().0.iter().map(|&bytes| from(bytes)).collect()
}

fn read_strings<R: Read + Seek>(
    source: &mut Source<R>,
    key: &str,
    count: u64,
) -> Result<StringArray, FormatError> {
    let mut strings = StringArray::default();
    for i in 0..count {
        read_string(
            source,
            strings.open_string(),
            format_args!("element {i} of {key:?}"),
        )?;
        strings.end_string();
    }
    Ok(strings)
}

/// Appends a string, which may be any bytes.
fn read_string<R: Read + Seek>(
    source: &mut Source<R>,
    out: &mut Vec<u8>,
    field: fmt::Arguments<'_>,
) -> Result<(), FormatError> {
    let len = source.u64(format_args!("length of {field}"))?;
    source.require(len, field)?;
    require_header(source, len, field)?;
    source.append(len, out, field)
}

fn read_name<R: Read + Seek>(
    source: &mut Source<R>,
    field: fmt::Arguments<'_>,
    limit: u64,
) -> Result<String, FormatError> {
    let offset = source.position();
    let len = source.u64(format_args!("length of {field}"))?;
    if len > limit {
        return Err(source.invalid(
            offset,
            format_args!("length of {field}"),
            format_args!("at most {limit} bytes"),
            len,
        ));
    }
    let mut bytes = Vec::new();
    source.append(len, &mut bytes, field)?;
    name_from(bytes).map_err(|(expected, found)| source.invalid(offset, field, expected, found))
}

/// Errs if the next `bytes` bytes would make the header larger than its limit.
fn require_header<R: Read + Seek>(
    source: &Source<R>,
    bytes: u64,
    field: impl Display,
) -> Result<(), FormatError> {
    let size = source.position() + bytes;
    if size <= limits::GGUF_HEADER_BYTES {
        return Ok(());
    }
    let expected = format!("a header of at most {} bytes", limits::GGUF_HEADER_BYTES);
    Err(source.invalid(
        source.position(),
        field,
        expected,
        format_args!("at least {size} bytes"),
    ))
}

fn bool_from<R: Read + Seek>(
    source: &Source<R>,
    byte: u8,
    offset: u64,
    field: impl Display,
) -> Result<bool, FormatError> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(source.invalid(offset, field, "0 or 1", byte)),
    }
}

fn read_alignment<R: Read + Seek>(
    source: &Source<R>,
    metadata: &Metadata,
) -> Result<u64, FormatError> {
    match metadata.entry("general.alignment") {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(entry) => match entry.value {
            MetadataValue::U32(alignment) if alignment.is_power_of_two() => Ok(alignment.into()),
            ref other => Err(source.invalid(
                entry.offset,
                "value of \"general.alignment\"",
                "a power of two of type u32",
                format_args!("{other} of type {}", other.type_name()),
            )),
        },
    }
}

/// The list of tensors; their offsets are still those from the start of the data.
fn read_tensors<R: Read + Seek>(
    source: &mut Source<R>,
    count: u64,
) -> Result<Vec<TensorInfo>, FormatError> {
    let mut tensors = Vec::new();
    let mut names = HashSet::new();
    for i in 0..count {
        let header_offset = source.position();
        let tensor = read_tensor(source, i)?;
        if !names.insert(tensor.name.clone()) {
            return Err(source.invalid(
                header_offset,
                format_args!("name of tensor {i}"),
                "a name that is not there yet",
                format_args!("{:?} again", tensor.name),
            ));
        }
        tensors.push(tensor);
    }
    Ok(tensors)
}

fn read_tensor<R: Read + Seek>(source: &mut Source<R>, i: u64) -> Result<TensorInfo, FormatError> {
    let header_offset = source.position();
    let name = read_name(
        source,
        format_args!("name of tensor {i}"),
        limits::GGML_NAME_BYTES,
    )?;
    let dims_offset = source.position();
    let dim_count = source.u32(format_args!("number of dimensions of tensor {name:?}"))?;
    if dim_count > limits::GGML_DIMENSIONS {
        return Err(source.invalid(
            dims_offset,
            format_args!("number of dimensions of tensor {name:?}"),
            format_args!("at most {}", limits::GGML_DIMENSIONS),
            dim_count,
        ));
    }
    let dims = (0..dim_count)
        .map(|d| source.u64(format_args!("dimension {d} of tensor {name:?}")))
        .collect::<Result<Vec<_>, _>>()?;
    if element_count(&dims).is_none() {
        return Err(source.invalid(
            dims_offset,
            format_args!("dimensions of tensor {name:?}"),
            "at most 2^63 - 1 elements",
            format_args!("{dims:?}"),
        ));
    }
    let type_offset = source.position();
    let id = source.u32(format_args!("type of tensor {name:?}"))?;
    let Some(dtype) = GgmlType::from_id(id) else {
        return Err(source.invalid(
            type_offset,
            format_args!("type of tensor {name:?}"),
            "the number of a ggml type",
            id,
        ));
    };
    // A scalar is one row of one element.
    let row = dims.first().copied().unwrap_or(1);
    if row % dtype.block_size() != 0 {
        return Err(source.invalid(
            dims_offset,
            format_args!("dimension 0 of tensor {name:?}"),
            format_args!("a multiple of {} for type {dtype}", dtype.block_size()),
            row,
        ));
    }
    let Some(size_bytes) = ggml_size(&dims, dtype) else {
        return Err(source.invalid(
            dims_offset,
            format_args!("dimensions of tensor {name:?}"),
            "at most 2^64 - 1 bytes",
            format_args!("{dims:?} of type {dtype}"),
        ));
    };
    let offset = source.u64(format_args!("offset of tensor {name:?}"))?;
    Ok(TensorInfo {
        name,
        dims,
        dtype,
        offset,
        size_bytes,
        header_offset,
    })
}

/// Checks where the tensors say that their data lies, and counts it from the start of the file.
fn place_tensors<R: Read + Seek>(
    source: &Source<R>,
    tensors: &mut [TensorInfo],
    data_offset: u64,
    alignment: u64,
) -> Result<(), FormatError> {
    let truncated = |offset, field, expected| FormatError::Truncated {
        path: source.path().to_owned(),
        offset,
        field,
        expected,
        found: source.len().saturating_sub(offset),
    };
    if !tensors.is_empty() && data_offset > source.len() {
        let padding = data_offset - source.position();
        return Err(truncated(
            source.position(),
            "padding before the data".to_owned(),
            padding,
        ));
    }
    let mut end = data_offset;
    for tensor in tensors {
        // The engines take no other order, and no gaps.
        if tensor.offset != end - data_offset {
            return Err(source.invalid(
                tensor.header_offset,
                format_args!("offset of tensor {:?}", tensor.name),
                format_args!("{}, right after the tensor before it", end - data_offset),
                tensor.offset,
            ));
        }
        if source.len().saturating_sub(end) < tensor.size_bytes {
            let field = format!("data of tensor {:?}", tensor.name);
            return Err(truncated(end, field, tensor.size_bytes));
        }
        tensor.offset = end;
        end = (end + tensor.size_bytes).next_multiple_of(alignment);
    }
    if source.len() > end {
        // More data than the header tells of: a header that lost a tensor or got a smaller type.
        return Err(source.invalid(
            end,
            "end of the file",
            format_args!("{end} bytes in all"),
            format_args!("{} bytes", source.len()),
        ));
    }
    Ok(())
}
