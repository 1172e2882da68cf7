//! What the picture engine needs beyond a sound file: weights of a picture model, of types it knows.

use std::path::Path;

use crate::kind::{Purpose, TEXT_ADVICE, wrong_kind};
use crate::source::invalid;
use crate::{Dtype, FormatError, GgmlType, Gguf, Safetensors};

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
    match gguf
        .tensors
        .iter()
        .find(|tensor| tensor.dtype.id() > LAST_TYPE.id())
    {
        None => Ok(()),
        Some(tensor) => Err(invalid(
            path,
            tensor.header_offset,
            format_args!("type of tensor {:?}", tensor.name),
            "a type of ggml 0.12",
            tensor.dtype,
        )),
    }
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
            advice: TEXT_ADVICE,
        });
    }
    check_safetensors_part(path, file)
}

/// As [`check_safetensors`], but a text model will do: it can be a text encoder.
pub(crate) fn check_safetensors_part(path: &Path, file: &Safetensors) -> Result<(), FormatError> {
    require_tensors(path, file.tensors.len())?;
    for tensor in &file.tensors {
        if !is_supported(tensor.dtype) {
            return Err(FormatError::Unsupported {
                path: path.to_owned(),
                offset: tensor.header_offset,
                field: format!("dtype of tensor {:?}", tensor.name),
                expected: "F16, BF16, F32, F64, F8_E4M3, F8_E5M2, I32, I64 or U8".to_owned(),
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
