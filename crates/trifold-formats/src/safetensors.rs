use std::collections::HashSet;
use std::fmt;
use std::io::{Read, Seek};

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::source::{Source, invalid, name_from};
use crate::tensor::element_count;
use crate::{FormatError, TensorInfo, limits};

/// Where the JSON of a safetensors file begins; its length comes before it.
pub(crate) const HEADER_OFFSET: u64 = 8;

/// The header of a safetensors file.
///
/// As the format demands, the tensors' data covers the rest of the file without gaps or overlaps.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Safetensors {
    /// The texts under `__metadata__`, in the order of the file.
    pub metadata: Vec<(String, String)>,
    /// The tensors, in the order of their data.
    pub tensors: Vec<TensorInfo<Dtype>>,
    /// Where the tensors' data begins, in bytes from the start of the file.
    pub data_offset: u64,
}

impl Safetensors {
    /// The tensor with this name. It searches the list; build a map to look up many.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo<Dtype>> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    pub(crate) fn read<R: Read + Seek>(source: &mut Source<R>) -> Result<Self, FormatError> {
        const FIELD: &str = "length of the safetensors header";
        let header_bytes = source.u64(FIELD)?;
        if header_bytes > limits::SAFETENSORS_HEADER_BYTES {
            let expected = format!("at most {} bytes", limits::SAFETENSORS_HEADER_BYTES);
            return Err(source.invalid(0, FIELD, expected, header_bytes));
        }
        let mut json = Vec::new();
        source.append(header_bytes, &mut json, "safetensors header")?;
        let raw: RawHeader = serde_json::from_slice(&json).map_err(|error| FormatError::Json {
            path: source.path().to_owned(),
            offset: HEADER_OFFSET + offset_in(&json, &error),
            source: error,
        })?;
        let tensors = place_tensors(source, raw.tensors)?;
        Ok(Self {
            metadata: raw.metadata,
            tensors,
            data_offset: source.position(),
        })
    }
}

/// Where in `json` the parser stopped.
fn offset_in(json: &[u8], error: &serde_json::Error) -> u64 {
    let lines = json.split_inclusive(|&byte| byte == b'\n');
    let before: usize = lines
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    (before + error.column().saturating_sub(1)) as u64
}

/// Checks the tensors against each other and against the size of the file.
fn place_tensors<R: Read + Seek>(
    source: &Source<R>,
    raw: Vec<(String, RawTensor)>,
) -> Result<Vec<TensorInfo<Dtype>>, FormatError> {
    let data_offset = source.position();
    let mut names = HashSet::new();
    let mut tensors = Vec::new();
    for (name, tensor) in raw {
        if !names.insert(name.clone()) {
            return Err(invalid(
                source.path(),
                HEADER_OFFSET,
                "name of a tensor",
                "a name that is not there yet",
                format_args!("{name:?} again"),
            ));
        }
        tensors.push(tensor_from(source, name, tensor)?);
    }
    tensors.sort_by_key(|tensor| (tensor.offset, tensor.size_bytes));
    let mut end = 0;
    for tensor in &mut tensors {
        if tensor.offset != end {
            return Err(invalid(
                source.path(),
                HEADER_OFFSET,
                format_args!("data_offsets of tensor {:?}", tensor.name),
                format_args!("{end}, right after the tensor before it"),
                tensor.offset,
            ));
        }
        if source.remaining() - end < tensor.size_bytes {
            return Err(FormatError::Truncated {
                path: source.path().to_owned(),
                offset: data_offset + end,
                field: format!("data of tensor {:?}", tensor.name),
                expected: tensor.size_bytes,
                found: source.remaining() - end,
            });
        }
        tensor.offset += data_offset;
        end += tensor.size_bytes;
    }
    if source.remaining() > end {
        return Err(invalid(
            source.path(),
            data_offset + end,
            "end of the file",
            format_args!("{} bytes in all", data_offset + end),
            format_args!("{} bytes", source.len()),
        ));
    }
    Ok(tensors)
}

/// One tensor; its offset is still that from the start of the data.
fn tensor_from<R: Read + Seek>(
    source: &Source<R>,
    name: String,
    raw: RawTensor,
) -> Result<TensorInfo<Dtype>, FormatError> {
    let invalid = |field: &str, expected: &str, found: String| {
        source.invalid(
            HEADER_OFFSET,
            format_args!("{field} of tensor {name:?}"),
            expected,
            found,
        )
    };
    let Some(dtype) = Dtype::from_name(&raw.dtype) else {
        return Err(invalid(
            "dtype",
            "a type of the safetensors format",
            format!("{:?}", raw.dtype),
        ));
    };
    let Some(elements) = element_count(&raw.shape.0) else {
        return Err(invalid(
            "shape",
            "at most 2^63 - 1 elements",
            format!("{:?}", raw.shape.0),
        ));
    };
    let bits = u128::from(elements) * u128::from(dtype.bits());
    let [begin, end] = raw.data_offsets;
    let size = end.checked_sub(begin);
    match size {
        Some(size_bytes) if u128::from(size_bytes) * 8 == bits => Ok(TensorInfo {
            name,
            dims: raw.shape.0,
            dtype,
            offset: begin,
            size_bytes,
            header_offset: HEADER_OFFSET,
        }),
        _ => Err(invalid(
            "data_offsets",
            &format!("a range of {} bytes", bits.div_ceil(8)),
            format!("{begin} to {end}"),
        )),
    }
}

macro_rules! dtypes {
    ($($variant:ident = $name:literal, $bits:literal;)*) => {
        /// How a safetensors file stores the elements of a tensor.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
        #[non_exhaustive]
        pub enum Dtype {
            $(
                #[doc = concat!("`", $name, "`: ", $bits, " bits.")]
                #[serde(rename = $name)]
                $variant,
            )*
        }

        impl Dtype {
            /// Every type.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The type with this name in a file, if there is one.
            ///
            /// ```
            /// assert_eq!(trifold_formats::Dtype::from_name("BF16").unwrap().bits(), 16);
            /// ```
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The type's name in a file, for example `BF16`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The size of one element in bits.
            pub fn bits(self) -> u32 {
                match self {
                    $(Self::$variant => $bits,)*
                }
            }
        }
    };
}

dtypes! {
    Bf16 = "BF16", 16;
    Bool = "BOOL", 8;
    C64 = "C64", 64;
    F4 = "F4", 4;
    F6E2M3 = "F6_E2M3", 6;
    F6E3M2 = "F6_E3M2", 6;
    F8E4M3 = "F8_E4M3", 8;
    F8E5M2 = "F8_E5M2", 8;
    F8E8M0 = "F8_E8M0", 8;
    F16 = "F16", 16;
    F32 = "F32", 32;
    F64 = "F64", 64;
    I8 = "I8", 8;
    I16 = "I16", 16;
    I32 = "I32", 32;
    I64 = "I64", 64;
    U8 = "U8", 8;
    U16 = "U16", 16;
    U32 = "U32", 32;
    U64 = "U64", 64;
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The JSON as it stands: names may come twice, and nothing is compared yet.
struct RawHeader {
    metadata: Vec<(String, String)>,
    tensors: Vec<(String, RawTensor)>,
}

#[derive(Deserialize)]
struct RawTensor {
    dtype: String,
    shape: Shape,
    data_offsets: [u64; 2],
}

struct Shape(Vec<u64>);

struct Texts(Vec<(String, String)>);

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = RawHeader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that lists the tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
        let mut header = RawHeader {
            metadata: Vec::new(),
            tensors: Vec::new(),
        };
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                header.metadata = map.next_value::<Texts>()?.0;
                continue;
            }
            if name.len() > limits::SAFETENSORS_NAME_BYTES {
                return Err(de::Error::custom(format_args!(
                    "tensor name of {} bytes, expected at most {}",
                    name.len(),
                    limits::SAFETENSORS_NAME_BYTES
                )));
            }
            let name = name_from(name.into_bytes()).map_err(|(expected, found)| {
                de::Error::custom(format_args!("tensor name: {found}, expected {expected}"))
            })?;
            if header.tensors.len() as u64 == limits::TENSORS {
                return Err(de::Error::custom(format_args!(
                    "more than {} tensors",
                    limits::TENSORS
                )));
            }
            header.tensors.push((name, map.next_value()?));
        }
        Ok(header)
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;

        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    texts.push(entry);
                }
                Ok(Texts(texts))
            }
        }

        deserializer.deserialize_map(TextsVisitor)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShapeVisitor;

        impl<'de> Visitor<'de> for ShapeVisitor {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of dimensions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
                let mut dims = Vec::new();
                while let Some(dim) = list.next_element()? {
                    // Two bytes of JSON become eight of memory, so the length is limited here.
                    if dims.len() == limits::SAFETENSORS_DIMENSIONS {
                        return Err(de::Error::custom(format_args!(
                            "shape of more than {} dimensions",
                            limits::SAFETENSORS_DIMENSIONS
                        )));
                    }
                    dims.push(dim);
                }
                Ok(Shape(dims))
            }
        }

        deserializer.deserialize_seq(ShapeVisitor)
    }
}
