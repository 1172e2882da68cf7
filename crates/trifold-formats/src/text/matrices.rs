//! The tensors of a text model.

use super::Model;
use super::hparams::Hparams;
use crate::source::invalid;
use crate::{FormatError, GgmlType, TensorInfo};

/// Last parts of the names of matrices by which activations are multiplied.
const MATRICES: &[&str] = &[
    "token_embd",
    "output",
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_qkv",
    "attn_output",
    "ffn_gate",
    "ffn_up",
    "ffn_down",
    "ffn_gate_exps",
    "ffn_up_exps",
    "ffn_down_exps",
];

pub(super) fn check(model: &Model<'_>, hparams: &Hparams) -> Result<(), FormatError> {
    // In the order of the files, so that the same file always gives the same error.
    let mut tensors: Vec<_> = model.tensors.values().copied().collect();
    tensors.sort_by_key(|(path, tensor)| (*path, tensor.header_offset));
    for (path, tensor) in tensors {
        let wrong = |field: &str, expected: String, found: String| {
            let field = format_args!("{field} of tensor {:?}", tensor.name);
            invalid(path, tensor.header_offset, field, expected, found)
        };
        let (layer, part) = parse_name(&tensor.name);
        if layer.is_some_and(|layer| layer >= hparams.layers) {
            let expected = format!("a layer below {}, the block count", hparams.layers);
            return Err(wrong("name", expected, format!("{:?}", tensor.name)));
        }
        if let Some(expected) = expected_types(tensor, part) {
            return Err(wrong("type", expected.to_owned(), tensor.dtype.to_string()));
        }
        if let Some(expected) = layer.and_then(|layer| expected_dims(model, hparams, layer, part))
            && tensor.dims != expected
        {
            let expected = format!("{expected:?}, by the metadata");
            return Err(wrong("dimensions", expected, format!("{:?}", tensor.dims)));
        }
    }
    Ok(())
}

/// The layer and the rest of a name such as `blk.3.attn_q.weight`.
fn parse_name(name: &str) -> (Option<u32>, &str) {
    let layer_and_part = name
        .strip_prefix("blk.")
        .and_then(|rest| rest.split_once('.'));
    match layer_and_part {
        Some((layer, part)) => (layer.parse().ok(), part),
        None => (None, name),
    }
}

/// The types that were expected, if the tensor has another.
///
/// ggml chooses its kernels by type: there is none to multiply by these matrices, or to add or multiply
/// such vectors, and it finds that out on a worker thread, where it can only abort.
fn expected_types(tensor: &TensorInfo, part: &str) -> Option<&'static str> {
    let is_vector = tensor.dims.len() <= 1;
    let is_added = part
        .rsplit_once('.')
        .is_some_and(|(_, last)| last == "bias");
    if is_vector && (is_added || part.ends_with("_norm.weight")) {
        return (tensor.dtype != GgmlType::F32).then_some("f32");
    }
    let is_matrix = part
        .strip_suffix(".weight")
        .is_some_and(|name| MATRICES.contains(&name));
    let has_no_product = matches!(
        tensor.dtype,
        GgmlType::I8
            | GgmlType::I16
            | GgmlType::I32
            | GgmlType::I64
            | GgmlType::F64
            | GgmlType::Q8_1
            | GgmlType::Q8K
    );
    (is_matrix && has_no_product).then_some("a floating-point or quantised type for weights")
}

/// The dimensions that follow from the metadata, where they do.
fn expected_dims(model: &Model<'_>, hparams: &Hparams, layer: u32, part: &str) -> Option<[u64; 2]> {
    let heads = hparams.heads.as_ref()?;
    let width = u64::from(hparams.embedding_length);
    let layer = layer as usize;
    let queries = || u64::from(heads.queries[layer]) * u64::from(heads.key_length);
    let keys = |length: u32| u64::from(heads.keys[layer]) * u64::from(length);
    let feed_forward = || {
        hparams
            .feed_forward
            .as_ref()
            .map(|widths| u64::from(widths[layer]))
    };
    // Fused matrices have other names or shapes.
    let fused = model
        .tensor(&format!("blk.{layer}.attn_qkv.weight"))
        .is_some()
        || model
            .tensor(&format!("blk.{layer}.ffn_gate.weight"))
            .is_none();
    if fused {
        return None;
    }
    match part {
        "attn_q.weight" => Some([width, queries()]),
        "attn_k.weight" => Some([width, keys(heads.key_length)]),
        "attn_v.weight" => Some([width, keys(heads.value_length)]),
        "attn_output.weight" => Some([queries(), width]),
        "ffn_gate.weight" | "ffn_up.weight" => feed_forward().map(|inner| [width, inner]),
        "ffn_down.weight" => feed_forward().map(|inner| [inner, width]),
        _ => None,
    }
}
