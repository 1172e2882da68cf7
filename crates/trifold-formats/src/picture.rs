//! What the picture engine needs beyond a sound file: weights of a picture model, of types it knows.

use std::path::Path;

use crate::kind::{Purpose, wrong_kind};
use crate::source::invalid;
use crate::{Advice, Dtype, FormatError, GgmlType, Gguf, Safetensors};

const EXPECTED: &str = "a picture model (GGUF or safetensors)";

/// The picture engine's own ggml ends with this type.
const LAST_TYPE: GgmlType = GgmlType::Q1_0;

/// The engine stores this many dimensions of a tensor.
const DIMENSIONS: usize = 5;

pub(crate) fn check_gguf(path: &Path, gguf: &Gguf) -> Result<(), FormatError> {
    let purpose = Purpose::of_gguf(gguf);
    if !matches!(purpose, Purpose::Picture | Purpose::Unknown) {
        return Err(wrong_kind(path, EXPECTED, &purpose));
    }
    check_gguf_part(path, gguf)
}

/// As [`check_gguf`], but a text model will do: it can be a text encoder.
pub(crate) fn check_gguf_part(path: &Path, gguf: &Gguf) -> Result<(), FormatError> {
    require_tensors(path, gguf.tensors.len())?;
    for tensor in &gguf.tensors {
        let refuse = |expected: &str| {
            let field = format_args!("type of tensor {:?}", tensor.name);
            Err(invalid(
                path,
                tensor.header_offset,
                field,
                expected,
                tensor.dtype,
            ))
        };
        if tensor.dtype.id() > LAST_TYPE.id() {
            return refuse("a type of ggml 0.12");
        }
        if is_weight(&tensor.name) && NO_WEIGHTS.contains(&tensor.dtype) {
            return refuse("a type for weights");
        }
    }
    Ok(())
}

/// Types that the kernels cannot multiply by, and of which the engine can make no others. It would
/// find out on threads of its own, where nothing catches its exceptions, or call a null pointer.
const NO_WEIGHTS: [GgmlType; 7] = [
    GgmlType::Q8_1,
    GgmlType::Q8K,
    GgmlType::I8,
    GgmlType::I16,
    GgmlType::I32,
    GgmlType::I64,
    GgmlType::F64,
];

/// Tables of positions and the like, which may be integers, have other names.
fn is_weight(name: &str) -> bool {
    matches!(name.rsplit_once('.'), Some((_, "weight" | "bias")))
}

pub(crate) fn check_safetensors(path: &Path, file: &Safetensors) -> Result<(), FormatError> {
    if file
        .tensors
        .iter()
        .any(|tensor| tensor.name == "model.embed_tokens.weight")
    {
        return Err(FormatError::WrongKind {
            path: path.to_owned(),
            expected: EXPECTED,
            found: "a text model in safetensors format".to_owned(),
            advice: Advice::ConvertText,
        });
    }
    check_safetensors_part(path, file)
}

/// As [`check_safetensors`], but a text model will do: it can be a text encoder.
pub(crate) fn check_safetensors_part(path: &Path, file: &Safetensors) -> Result<(), FormatError> {
    require_tensors(path, file.tensors.len())?;
    for tensor in &file.tensors {
        let is_integer = matches!(tensor.dtype, Dtype::I32 | Dtype::I64);
        let (expected, is_good) = if is_weight(&tensor.name) {
            ("F16, BF16, F32, F64, F8_E4M3, F8_E5M2 or U8", !is_integer)
        } else {
            (
                "F16, BF16, F32, F64, F8_E4M3, F8_E5M2, I32, I64 or U8",
                true,
            )
        };
        if !is_supported(tensor.dtype) || !is_good {
            return Err(FormatError::Unsupported {
                path: path.to_owned(),
                offset: tensor.header_offset,
                field: format!("dtype of tensor {:?}", tensor.name),
                expected: expected.to_owned(),
                found: tensor.dtype.to_string(),
                advice: "Get the model with weights in F16 or BF16, or as GGUF.",
            });
        }
        if tensor.dims.len() > DIMENSIONS {
            return Err(invalid(
                path,
                tensor.header_offset,
                format_args!("shape of tensor {:?}", tensor.name),
                format_args!("at most {DIMENSIONS} dimensions"),
                format_args!("{:?}", tensor.dims),
            ));
        }
    }
    Ok(())
}

fn is_supported(dtype: Dtype) -> bool {
    matches!(
        dtype,
        Dtype::F16
            | Dtype::Bf16
            | Dtype::F32
            | Dtype::F64
            | Dtype::F8E4M3
            | Dtype::F8E5M2
            | Dtype::I32
            | Dtype::I64
            | Dtype::U8
    )
}

fn require_tensors(path: &Path, count: usize) -> Result<(), FormatError> {
    if count > 0 {
        return Ok(());
    }
    Err(FormatError::Missing {
        path: path.to_owned(),
        expected: "tensors".to_owned(),
    })
}
