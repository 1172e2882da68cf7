//! The hyperparameters of a text model.

use std::ops::RangeInclusive;

use super::Model;
use crate::{FormatError, MetadataArray, MetadataValue};

/// The engine's tables have this many layers and experts.
const LAYERS_MAX: u32 = 512;
const EXPERTS_MAX: u32 = 1024;

/// Positions are signed 32-bit numbers in the engine.
const CONTEXT_MAX: u32 = i32::MAX.cast_unsigned();

/// Widths, head counts and the like become signed 32-bit numbers and are multiplied; no model comes
/// near these.
const WIDTH_MAX: u32 = 1 << 24;
const HEADS_MAX: u32 = 1 << 16;

/// Numbers that the engine reads as `u32`.
const U32_KEYS: &[&str] = &[
    "attention.key_length",
    "attention.key_length_swa",
    "attention.value_length",
    "attention.value_length_swa",
    "context_length",
    "embedding_length",
    "embedding_length_out",
    "expert_group_count",
    "expert_group_used_count",
    "pooling_type",
    "rope.dimension_count",
    "rope.dimension_count_swa",
    "rope.scaling.original_context_length",
];

/// Numbers that the engine reads as `f32`.
const F32_KEYS: &[&str] = &[
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.alpha",
    "rope.scaling.attn_factor",
    "rope.scaling.factor",
];

/// Numbers under a square root; ggml asserts that they are not negative, on its worker threads.
const EPSILON_KEYS: &[&str] = &[
    "attention.group_norm_epsilon",
    "attention.layer_norm_epsilon",
    "attention.layer_norm_rms_epsilon",
];

/// Numbers by which the engine divides, and the architectures for which it does.
const DIVISORS: &[(&str, &[&str])] = &[
    ("attention.group_norm_groups", &["wavtokenizer-dec"]),
    ("attention.output_group_count", &["deepseek4"]),
    ("experts_per_group", &["grovemoe"]),
    ("interleave_moe_layer_step", &["ernie4_5-moe"]),
    (
        "ssm.group_count",
        &[
            "falcon-h1",
            "granitehybrid",
            "mamba2",
            "nemotron_h",
            "nemotron_h_moe",
        ],
    ),
    (
        "ssm.time_step_rank",
        &[
            "falcon-h1",
            "granitehybrid",
            "mamba2",
            "nemotron_h",
            "nemotron_h_moe",
            "plamo2",
        ],
    ),
    ("wkv.head_size", &["arwkv7", "rwkv6", "rwkv6qwen2", "rwkv7"]),
];

/// Architectures with one kind of attention in all layers, made of `head_count` heads: here the numbers
/// of heads can be compared with each other and with the tensors.
const PLAIN_ATTENTION: &[&str] = &[
    "arcee", "exaone", "gemma", "gemma2", "gemma3", "granite", "llama", "minicpm", "mistral3",
    "qwen2", "qwen3", "smollm3",
];

/// What the other checks need to know.
pub(super) struct Hparams {
    pub(super) embedding_length: u32,
    pub(super) layers: u32,
    /// Feed-forward width by layer, where the file has it.
    pub(super) feed_forward: Option<Vec<u32>>,
    /// Heads, for architectures with plain attention.
    pub(super) heads: Option<Heads>,
}

/// The heads of plain attention.
pub(super) struct Heads {
    /// Query heads by layer.
    pub(super) queries: Vec<u32>,
    /// Key and value heads by layer.
    pub(super) keys: Vec<u32>,
    pub(super) key_length: u32,
    pub(super) value_length: u32,
}

pub(super) fn check(model: &Model<'_>) -> Result<Hparams, FormatError> {
    check_types(model)?;
    required_in(model, "context_length", 1..=CONTEXT_MAX)?;
    let embedding_length = required_in(model, "embedding_length", 1..=WIDTH_MAX)?;
    let layers = required_in(model, "block_count", 1..=LAYERS_MAX)?;
    optional_in(model, "nextn_predict_layers", 0..=layers)?;
    optional_in(model, "pooling_type", 0..=4).or_else(|error| {
        // -1 says "not told".
        let told = model.u32(&model.key("pooling_type"))?;
        if told == Some(u32::MAX) {
            Ok(None)
        } else {
            Err(error)
        }
    })?;
    check_experts(model, layers)?;
    check_rope(model)?;
    check_divisors(model)?;
    let feed_forward = per_layer(model, "feed_forward_length", layers, WIDTH_MAX)?;
    let heads = check_heads(model, layers, embedding_length)?;
    Ok(Hparams {
        embedding_length,
        layers,
        feed_forward,
        heads,
    })
}

fn check_types(model: &Model<'_>) -> Result<(), FormatError> {
    for name in U32_KEYS {
        model.u32(&model.key(name))?;
    }
    for name in F32_KEYS {
        let key = model.key(name);
        if model.f32(&key)?.is_some_and(|value| !value.is_finite()) {
            return Err(model.wrong(&key, "a finite number"));
        }
    }
    for name in EPSILON_KEYS {
        let key = model.key(name);
        if model
            .f32(&key)?
            .is_some_and(|value| !(value.is_finite() && value >= 0.0))
        {
            return Err(model.wrong(&key, "a finite number that is not negative"));
        }
    }
    for name in ["attention.causal", "rope.scaling.finetuned"] {
        model.bool(&model.key(name))?;
    }
    model.string("general.name")?;
    model.u32("general.file_type")?;
    let prefix = model.key("");
    for entry in &model.gguf.metadata {
        let number = entry.value.as_f64();
        if entry.key.starts_with(&prefix) && number.is_some_and(f64::is_nan) {
            return Err(model.wrong(&entry.key, "a number"));
        }
    }
    Ok(())
}

fn check_experts(model: &Model<'_>, layers: u32) -> Result<(), FormatError> {
    let experts = optional_in(model, "expert_count", 0..=EXPERTS_MAX)?.unwrap_or(0);
    let used_key = model.key("expert_used_count");
    let used = per_layer(model, "expert_used_count", layers, EXPERTS_MAX)?;
    let used = used.and_then(|used| used.into_iter().max()).unwrap_or(0);
    // Here the engine takes one expert for none.
    let takes_one_for_none = matches!(model.architecture, "hunyuan_vl" | "hunyuan-dense");
    if takes_one_for_none && experts <= 1 {
        return Ok(());
    }
    if used > experts || (used == 0 && experts > 0) {
        let expected = if experts == 0 {
            "0, as there are no experts".to_owned()
        } else {
            format!("1 to {experts}, as there are {experts} experts")
        };
        return Err(model.wrong(&used_key, expected));
    }
    let groups = optional_in(model, "expert_group_count", 0..=experts.saturating_sub(1))?;
    let groups_key = model.key("expert_group_count");
    if let Some(groups @ 2..) = groups {
        if experts % groups != 0 {
            return Err(model.wrong(&groups_key, format_args!("a divisor of {experts} experts")));
        }
        required_in(model, "expert_group_used_count", 1..=groups - 1)?;
    }
    optional_in(model, "expert_gating_func", 0..=4)?;
    Ok(())
}

fn check_rope(model: &Model<'_>) -> Result<(), FormatError> {
    let key = model.key("rope.scaling.type");
    if let Some(scaling) = model.string(&key)?
        && !matches!(scaling, "none" | "linear" | "yarn" | "longrope")
    {
        return Err(model.wrong(&key, "none, linear, yarn or longrope"));
    }
    let key = model.key("rope.dimension_sections");
    let Some(entry) = model.entry(&key) else {
        return Ok(());
    };
    let in_range = match &entry.value {
        MetadataValue::Array(MetadataArray::I32(sections)) => sections
            .iter()
            .all(|&section| (0..=i32::from(i16::MAX)).contains(&section)),
        MetadataValue::Array(MetadataArray::U32(sections)) => sections
            .iter()
            .all(|&section| section <= u32::from(i16::MAX.cast_unsigned())),
        _ => true,
    };
    if in_range {
        Ok(())
    } else {
        Err(model.wrong(&key, "dimensions from 0 to 32767"))
    }
}

fn check_divisors(model: &Model<'_>) -> Result<(), FormatError> {
    for (name, architectures) in DIVISORS {
        let key = model.key(name);
        if architectures.contains(&model.architecture) && model.u32(&key)? == Some(0) {
            return Err(model.wrong(&key, "at least 1"));
        }
    }
    Ok(())
}

fn check_heads(
    model: &Model<'_>,
    layers: u32,
    embedding_length: u32,
) -> Result<Option<Heads>, FormatError> {
    let queries = per_layer(model, "attention.head_count", layers, HEADS_MAX)?;
    let keys = per_layer(model, "attention.head_count_kv", layers, HEADS_MAX)?;
    let key_length = optional_in(model, "attention.key_length", 0..=HEADS_MAX)?;
    optional_in(model, "attention.value_length", 0..=HEADS_MAX)?;
    let rotated = optional_in(model, "rope.dimension_count", 0..=HEADS_MAX)?;

    let Some(queries) = queries else {
        return Ok(None);
    };
    // The engine derives what the file does not tell from the first layer.
    let per_head = embedding_length.checked_div(queries[0]);
    let rotates_all = ["llama", "llama-embed", "deci", "falcon"].contains(&model.architecture);
    if let (Some(rotated), Some(length), true) = (rotated, key_length.or(per_head), rotates_all)
        && rotated != length
    {
        let expected = format!("{length}, the length of a head");
        return Err(model.wrong(&model.key("rope.dimension_count"), expected));
    }
    if !PLAIN_ATTENTION.contains(&model.architecture) {
        return Ok(None);
    }
    check_plain(model, queries, keys, embedding_length).map(Some)
}

fn check_plain(
    model: &Model<'_>,
    queries: Vec<u32>,
    keys: Option<Vec<u32>>,
    embedding_length: u32,
) -> Result<Heads, FormatError> {
    let queries_key = model.key("attention.head_count");
    if queries.contains(&0) || queries[0] > embedding_length {
        return Err(model.wrong(&queries_key, format_args!("1 to {embedding_length}")));
    }
    let keys_key = model.key("attention.head_count_kv");
    let keys = keys.unwrap_or_else(|| queries.clone());
    let divides = |(&queries, &keys): (&u32, &u32)| keys > 0 && queries.is_multiple_of(keys);
    if !queries.iter().zip(&keys).all(divides) {
        let expected = format!("a divisor of {}, the number of query heads", queries[0]);
        return Err(model.wrong(&keys_key, expected));
    }
    let per_head = embedding_length / queries[0];
    let length =
        |name| optional_in(model, name, 1..=HEADS_MAX).map(|found| found.unwrap_or(per_head));
    let key_length = length("attention.key_length")?;
    let value_length = length("attention.value_length")?;
    let rotated_key = model.key("rope.dimension_count");
    let rotated = model.u32(&rotated_key)?.unwrap_or(key_length);
    if rotated > key_length || rotated % 2 != 0 {
        let expected = format!("an even number up to {key_length}, the length of a head");
        // Where the file does not tell it, the length of a head is what is odd.
        let key = if model.entry(&rotated_key).is_some() {
            rotated_key
        } else {
            queries_key
        };
        return Err(model.wrong(&key, expected));
    }
    if model.architecture == "llama" && value_length != key_length {
        let expected = format!("{key_length}, the length of a key");
        return Err(model.wrong(&model.key("attention.value_length"), expected));
    }
    Ok(Heads {
        queries,
        keys,
        key_length,
        value_length,
    })
}

fn required_in(
    model: &Model<'_>,
    name: &str,
    range: RangeInclusive<u32>,
) -> Result<u32, FormatError> {
    let value = optional_in(model, name, range)?;
    value.ok_or_else(|| model.missing(&format!("metadata key {:?}", model.key(name))))
}

fn optional_in(
    model: &Model<'_>,
    name: &str,
    range: RangeInclusive<u32>,
) -> Result<Option<u32>, FormatError> {
    let key = model.key(name);
    match model.u32(&key)? {
        Some(value) if !range.contains(&value) => {
            Err(model.wrong(&key, format_args!("{} to {}", range.start(), range.end())))
        }
        value => Ok(value),
    }
}

/// A number for all layers, or a list with one for each.
fn per_layer(
    model: &Model<'_>,
    name: &str,
    layers: u32,
    max: u32,
) -> Result<Option<Vec<u32>>, FormatError> {
    let key = model.key(name);
    let Some(entry) = model.entry(&key) else {
        return Ok(None);
    };
    let values = match &entry.value {
        MetadataValue::U32(value) => vec![*value; layers as usize],
        MetadataValue::Array(MetadataArray::U32(values)) => values.clone(),
        MetadataValue::Array(MetadataArray::I32(values)) => {
            values.iter().map(|value| value.cast_unsigned()).collect()
        }
        _ => return Err(model.wrong(&key, "of type u32, or an array of u32 or i32")),
    };
    if values.len() != layers as usize {
        return Err(model.wrong(&key, format_args!("one number for each of {layers} layers")));
    }
    if values.iter().any(|&value| value > max) {
        return Err(model.wrong(&key, format_args!("numbers up to {max}")));
    }
    Ok(Some(values))
}
