//! The vocabulary of a text model.

use std::collections::HashMap;

use super::Model;
use super::hparams::Hparams;
use crate::{FormatError, MetadataArray, StringArray};

const MODEL: &str = "tokenizer.ggml.model";
const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";
const TOKEN_TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
const CHARSMAP: &str = "tokenizer.ggml.precompiled_charsmap";
const EMBEDDING: &str = "token_embd.weight";

/// A vocabulary without tokens is as large as its key says; the engine makes room for all of it.
const DUMMY_TOKENS_MAX: u32 = 1 << 24;

/// Architectures whose token embedding is not one row of `embedding_length` for each token: drafts take
/// it from their target, and the audio decoder has its own width.
const OTHER_EMBEDDING: &[&str] = &["dflash", "eagle3", "wavtokenizer-dec"];

const U32_KEYS: &[&str] = &[
    "bos_token_id",
    "eos_token_id",
    "eot_token_id",
    "eom_token_id",
    "unknown_token_id",
    "seperator_token_id",
    "padding_token_id",
    "mask_token_id",
    "fim_pre_token_id",
    "fim_suf_token_id",
    "fim_mid_token_id",
    "fim_pad_token_id",
    "fim_rep_token_id",
    "fim_sep_token_id",
    "prefix_token_id",
    "suffix_token_id",
    "middle_token_id",
    "token_type_count",
];

const BOOL_KEYS: &[&str] = &[
    "add_bos_token",
    "add_eos_token",
    "add_sep_token",
    "add_space_prefix",
    "remove_extra_whitespaces",
];

pub(super) fn check(model: &Model<'_>, hparams: &Hparams) -> Result<(), FormatError> {
    let Some(tokenizer) = model.string(MODEL)? else {
        return Err(model.missing(&format!("metadata key {MODEL:?}")));
    };
    model.string("tokenizer.ggml.pre")?;
    for name in U32_KEYS {
        model.u32(&format!("tokenizer.ggml.{name}"))?;
    }
    for name in BOOL_KEYS {
        model.bool(&format!("tokenizer.ggml.{name}"))?;
    }
    let count = if matches!(tokenizer, "no_vocab" | "none") {
        let key = model.key("vocab_size");
        let count = model.u32(&key)?;
        if count.is_some_and(|count| count > DUMMY_TOKENS_MAX) {
            return Err(model.wrong(&key, format_args!("at most {DUMMY_TOKENS_MAX}")));
        }
        count.map(|count| count as usize)
    } else {
        Some(check_tokens(model, tokenizer)?)
    };
    check_embedding(model, hparams, count)
}

/// The number of tokens.
fn check_tokens(model: &Model<'_>, tokenizer: &str) -> Result<usize, FormatError> {
    let Some(tokens) = model.array(TOKENS)? else {
        return Err(model.missing(&format!("metadata key {TOKENS:?}")));
    };
    let Some(tokens) = tokens.as_strings() else {
        return Err(model.wrong(TOKENS, "an array of strings"));
    };
    let count = tokens.len();
    if count == 0 || i32::try_from(count).is_err() {
        return Err(model.wrong(TOKENS, "at least one token"));
    }
    require_distinct(model, tokens)?;
    let long_enough = |array: &MetadataArray| array.len() >= count;
    if let Some(scores) = model.array(SCORES)?
        && !(matches!(scores, MetadataArray::F32(_) | MetadataArray::I32(_)) && long_enough(scores))
    {
        return Err(model.wrong(
            SCORES,
            format_args!("an f32 or i32 for each of {count} tokens"),
        ));
    }
    if let Some(types) = model.array(TOKEN_TYPES)?
        && !(matches!(types, MetadataArray::I32(_)) && long_enough(types))
    {
        return Err(model.wrong(
            TOKEN_TYPES,
            format_args!("an i32 for each of {count} tokens"),
        ));
    }
    if let Some(merges) = model.array(MERGES)?
        && merges.as_strings().is_none()
    {
        return Err(model.wrong(MERGES, "an array of strings"));
    }
    if tokenizer == "t5" {
        check_charsmap(model)?;
    }
    check_added_tokens(model, tokenizer, count)?;
    Ok(count)
}

/// The engine asserts that no two tokens are equal, as C strings, after it has named the empty ones.
fn require_distinct(model: &Model<'_>, tokens: &StringArray) -> Result<(), FormatError> {
    let mut seen: HashMap<&[u8], usize> = HashMap::with_capacity(tokens.len());
    for (i, token) in tokens.iter_bytes().enumerate() {
        let text = token.split(|&byte| byte == 0).next().unwrap_or_default();
        if text.is_empty() {
            continue;
        }
        let own_name = || named_by_engine(text).is_some_and(|at| is_empty_at(tokens, at));
        if let Some(other) = seen.insert(text, i) {
            let found = format_args!(
                "token {i} equal to token {other}: \"{}\"",
                text.escape_ascii()
            );
            return Err(wrong_tokens(model, found));
        }
        if own_name() {
            let found = format_args!(
                "token {i}: \"{}\", the name of an empty token",
                text.escape_ascii()
            );
            return Err(wrong_tokens(model, found));
        }
    }
    Ok(())
}

fn wrong_tokens(model: &Model<'_>, found: impl std::fmt::Display) -> FormatError {
    let offset = model.entry(TOKENS).map_or(0, |entry| entry.offset);
    crate::source::invalid(
        model.path,
        offset,
        format_args!("value of {TOKENS:?}"),
        "tokens that differ from each other",
        found,
    )
}

/// The index in a name such as `[EMPTY_7]`, which the engine gives to empty tokens.
fn named_by_engine(text: &[u8]) -> Option<usize> {
    let digits = text.strip_prefix(b"[EMPTY_")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn is_empty_at(tokens: &StringArray, at: usize) -> bool {
    tokens
        .get_bytes(at)
        .is_some_and(|token| token.first().is_none_or(|&byte| byte == 0))
}

/// A table that begins with the length of its first half.
fn check_charsmap(model: &Model<'_>) -> Result<(), FormatError> {
    let head: Option<([u8; 4], usize)> = match model.array(CHARSMAP)? {
        None => return Ok(()),
        Some(MetadataArray::U8(bytes)) => bytes.first_chunk().map(|head| (*head, bytes.len())),
        Some(MetadataArray::I8(bytes)) => bytes
            .first_chunk()
            .map(|head| (head.map(i8::cast_unsigned), bytes.len())),
        Some(_) => return Err(model.wrong(CHARSMAP, "an array of u8 or i8")),
    };
    match head {
        Some((half, len)) if u64::from(u32::from_le_bytes(half)) + 4 < len as u64 => Ok(()),
        _ => Err(model.wrong(
            CHARSMAP,
            "a length of 4 bytes and a table longer than it says",
        )),
    }
}

/// The engine asserts that a token which it shall add to every text exists.
fn check_added_tokens(model: &Model<'_>, tokenizer: &str, count: usize) -> Result<(), FormatError> {
    // The engine's defaults for beginning, end and separator, and whether it adds them by itself.
    let (bos, eos, sep) = match tokenizer {
        "llama" | "plamo2" => (Some(1), Some(2), None),
        "bert" => (Some(101), None, Some(102)),
        "gpt2" | "hybriddna" | "whitespace" => (Some(11), Some(11), None),
        "t5" => (None, Some(1), None),
        _ => (None, None, None),
    };
    let (adds_bos, adds_eos) = match tokenizer {
        "llama" | "bert" | "gemma4" => (true, false),
        "t5" => (false, true),
        _ => (false, false),
    };
    let added = [
        ("add_bos_token", "bos_token_id", bos, adds_bos),
        ("add_eos_token", "eos_token_id", eos, adds_eos),
        (
            "add_sep_token",
            "seperator_token_id",
            sep,
            tokenizer == "bert",
        ),
    ];
    for (flag, id, default, adds) in added {
        let flag = format!("tokenizer.ggml.{flag}");
        let key = format!("tokenizer.ggml.{id}");
        let exists = |id: u32| (id as usize) < count;
        let found = model.u32(&key)?.is_some_and(exists) || default.is_some_and(exists);
        if model.bool(&flag)?.unwrap_or(adds) && !found && knows(tokenizer) {
            return Err(model.wrong(
                &key,
                format_args!("a token below {count}, as it is added to texts"),
            ));
        }
    }
    Ok(())
}

/// Tokenizers that add tokens at all; others, and those that are not known here, go to the engine.
fn knows(tokenizer: &str) -> bool {
    matches!(
        tokenizer,
        "llama" | "bert" | "gpt2" | "hybriddna" | "whitespace" | "gemma4" | "t5"
    )
}

fn check_embedding(
    model: &Model<'_>,
    hparams: &Hparams,
    count: Option<usize>,
) -> Result<(), FormatError> {
    if OTHER_EMBEDDING.contains(&model.architecture) {
        return Ok(());
    }
    let Some((path, tensor)) = model.tensor(EMBEDDING) else {
        return Ok(());
    };
    let dim = |at: usize| tensor.dims.get(at).copied().unwrap_or(1);
    let wrong = |at: usize, expected: String| {
        crate::source::invalid(
            path,
            tensor.header_offset,
            format_args!("dimension {at} of tensor {EMBEDDING:?}"),
            expected,
            dim(at),
        )
    };
    let width = hparams.embedding_length;
    if dim(0) != u64::from(width) {
        let key = model.key("embedding_length");
        return Err(wrong(0, format!("{width}, the value of {key:?}")));
    }
    match count {
        Some(count) if dim(1) != count as u64 => {
            Err(wrong(1, format!("{count}, the number of tokens")))
        }
        _ => Ok(()),
    }
}
