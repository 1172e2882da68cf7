//! The vocabulary of a text model.

use trifold_formats::ModelFile;

use crate::support::assert_refused;
use crate::support::gguf::{Value, strings};
use crate::text::{assert_accepted, assert_cases, changed};

#[test]
fn tokens_are_complete_and_distinct() {
    let tokens = |texts: &[&str]| {
        changed(|writer| {
            writer.set("tokenizer.ggml.tokens", strings(texts));
            writer.tensor("token_embd.weight").dims[1] = texts.len() as u64;
        })
    };
    let set = |key: &'static str, value: Value| changed(|writer| writer.set(key, value));
    assert_accepted(&tokens(&["a", "b", "c", "", "d", ""]));
    assert_accepted(&tokens(&["a", "b", "c", "[EMPTY_2]", "\0", ""]));
    assert_cases(&[
        (
            tokens(&["a", "b", "c", "b", "d", "e"]),
            &["tokens that differ from each other, found token 3 equal to token 1: \"b\""],
        ),
        // To the engine, a token ends at a NUL.
        (
            tokens(&["a", "b\0c", "b", "c", "d", "e"]),
            &["token 2 equal to token 1: \"b\""],
        ),
        (
            tokens(&["a", "", "[EMPTY_1]", "c", "d", "e"]),
            &["token 2: \"[EMPTY_1]\", the name of an empty token"],
        ),
        (
            tokens(&["a", "[EMPTY_2]", "\0b", "c", "d", "e"]),
            &["token 1: \"[EMPTY_2]\", the name of an empty token"],
        ),
        (
            tokens(&[]),
            &["value of \"tokenizer.ggml.tokens\": expected at least one token"],
        ),
        (
            set("tokenizer.ggml.tokens", Value::U32s(vec![1])),
            &["value of \"tokenizer.ggml.tokens\": expected an array of strings, found u32[1] 1"],
        ),
        (
            set("tokenizer.ggml.scores", Value::F32s(vec![0.0; 5])),
            &["value of \"tokenizer.ggml.scores\": expected an f32 or i32 for each of 6 tokens"],
        ),
        (
            set("tokenizer.ggml.scores", Value::U32s(vec![0; 6])),
            &["value of \"tokenizer.ggml.scores\""],
        ),
        (
            set("tokenizer.ggml.token_type", Value::I32s(vec![1; 5])),
            &["value of \"tokenizer.ggml.token_type\": expected an i32 for each of 6 tokens"],
        ),
        (
            set("tokenizer.ggml.merges", "a b".into()),
            &["value of \"tokenizer.ggml.merges\": expected of type array, found \"a b\""],
        ),
        (
            set("tokenizer.ggml.merges", Value::U8s(vec![1])),
            &["value of \"tokenizer.ggml.merges\": expected an array of strings"],
        ),
        (
            set("tokenizer.ggml.model", 1.into()),
            &["value of \"tokenizer.ggml.model\": expected of type string"],
        ),
        (
            set("tokenizer.ggml.eos_token_id", Value::I32(2)),
            &["value of \"tokenizer.ggml.eos_token_id\": expected of type u32"],
        ),
        (
            set("tokenizer.ggml.add_bos_token", 1.into()),
            &["value of \"tokenizer.ggml.add_bos_token\": expected of type bool"],
        ),
    ]);
}

#[test]
fn token_ids_beyond_the_vocabulary_matter_only_where_they_are_added() {
    // The engine warns and takes its default.
    assert_accepted(&changed(|writer| {
        writer.set("tokenizer.ggml.padding_token_id", 32000);
    }));
    assert_accepted(&changed(|writer| {
        writer.set("tokenizer.ggml.bos_token_id", 32000);
    }));
    // The default of this tokenizer is token 11, which is not there either.
    let bytes = changed(|writer| {
        writer.set("tokenizer.ggml.model", "gpt2");
        writer.set("tokenizer.ggml.merges", strings(&["a b"]));
        writer.set("tokenizer.ggml.bos_token_id", 32000);
    });
    let parts = ["bos_token_id\": expected a token below 6, as it is added to texts, found 32000"];
    assert_refused(&bytes, ModelFile::check_text, &parts);
}

#[test]
fn character_maps_are_as_long_as_they_say() {
    let charsmap = |bytes: &[u8]| {
        changed(|writer| {
            writer.set("tokenizer.ggml.model", "t5");
            writer.set("tokenizer.ggml.add_bos_token", false);
            writer.set(
                "tokenizer.ggml.precompiled_charsmap",
                Value::U8s(bytes.to_vec()),
            );
        })
    };
    assert_accepted(&charsmap(&[4, 0, 0, 0, 1, 1, 1, 1, 7]));
    for bytes in [&[4, 0, 0, 0, 1, 1, 1, 1][..], &[255; 9], &[0; 3], &[]] {
        let parts = ["precompiled_charsmap\": expected a length of 4 bytes and a table longer"];
        assert_refused(&charsmap(bytes), ModelFile::check_text, &parts);
    }
}

#[test]
fn embeddings_agree_with_the_metadata() {
    let dims =
        |dims: &[u64]| changed(|writer| writer.tensor("token_embd.weight").dims = dims.to_vec());
    assert_cases(&[
        (
            dims(&[64, 6]),
            &[
                "dimension 0 of tensor \"token_embd.weight\": expected 32, the value of \"llama.embedding_length\", found 64",
            ],
        ),
        (
            dims(&[32, 7]),
            &[
                "dimension 1 of tensor \"token_embd.weight\": expected 6, the number of tokens, found 7",
            ],
        ),
        (
            dims(&[32]),
            &["dimension 1 of tensor \"token_embd.weight\"", "found 1"],
        ),
    ]);
}

#[test]
fn a_model_may_have_no_vocabulary() {
    let vocab_size = |size: u32| {
        changed(|writer| {
            writer.set("tokenizer.ggml.model", "no_vocab");
            writer.remove("tokenizer.ggml.tokens");
            writer.set("llama.vocab_size", size);
        })
    };
    assert_accepted(&vocab_size(6));
    assert_cases(&[
        (
            vocab_size(7),
            &["dimension 1 of tensor \"token_embd.weight\": expected 7"],
        ),
        (
            vocab_size(u32::MAX),
            &["value of \"llama.vocab_size\": expected at most 16777216"],
        ),
    ]);
}
