//! What the text engine would trip over in a file that is sound otherwise.

use trifold_formats::{GgmlType, ModelFile};

use crate::support::gguf::{Tensor, Value, Writer, tiny_llama};
use crate::support::{assert_refused, read};

/// Applies a change to a valid model.
pub(crate) fn changed(change: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = tiny_llama();
    change(&mut writer);
    writer.bytes()
}

#[track_caller]
pub(crate) fn assert_accepted(bytes: &[u8]) {
    read(bytes).unwrap().check_text().unwrap();
}

#[track_caller]
pub(crate) fn assert_cases(cases: &[(Vec<u8>, &[&str])]) {
    for (bytes, parts) in cases {
        assert_refused(bytes, ModelFile::check_text, parts);
    }
}

#[test]
fn a_valid_model_passes() {
    assert_accepted(&tiny_llama().bytes());
}

#[test]
fn what_is_optional_may_be_missing() {
    for key in [
        "llama.feed_forward_length",
        "llama.attention.head_count",
        "llama.attention.head_count_kv",
        "llama.attention.layer_norm_rms_epsilon",
        "llama.rope.dimension_count",
        "tokenizer.ggml.scores",
        "tokenizer.ggml.token_type",
        "tokenizer.ggml.bos_token_id",
        "tokenizer.ggml.add_bos_token",
    ] {
        let bytes = changed(|writer| {
            writer.remove(key);
            if key == "llama.attention.head_count_kv" {
                // Then there are as many as query heads.
                writer.tensor("blk.0.attn_k.weight").dims[1] = 32;
                writer.tensor("blk.0.attn_v.weight").dims[1] = 32;
            }
        });
        assert_accepted(&bytes);
    }
}

#[test]
fn what_the_engine_requires_is_required() {
    for key in [
        "general.architecture",
        "llama.context_length",
        "llama.embedding_length",
        "llama.block_count",
        "tokenizer.ggml.model",
        "tokenizer.ggml.tokens",
    ] {
        let bytes = changed(|writer| writer.remove(key));
        let expected = format!("expected metadata key {key:?}, found none");
        assert_refused(&bytes, ModelFile::check_text, &["Incomplete", &expected]);
    }
    let bytes = changed(|writer| writer.tensors.clear());
    assert_refused(
        &bytes,
        ModelFile::check_text,
        &["Incomplete", "expected tensors"],
    );
}

#[test]
fn unknown_architectures_and_keys_pass() {
    let mut writer = tiny_llama()
        .with("llama.new.key", f32::INFINITY)
        .with("other", 7);
    for (key, _) in &mut writer.entries {
        *key = key.replace("llama.", "mystery.");
    }
    writer.set("general.architecture", "mystery");
    // Shapes follow rules of its own.
    writer.tensor("blk.0.attn_q.weight").dims[1] = 48;
    writer
        .tensors
        .push(Tensor::new("blk.0.mystery.table", &[4], GgmlType::I32));
    assert_accepted(&writer.bytes());
}

#[test]
fn numbers_have_their_type_and_range() {
    let set = |key: &'static str, value: Value| changed(|writer| writer.set(key, value));
    assert_cases(&[
        (
            set("general.architecture", Value::U32(1)),
            &[
                "value of \"general.architecture\"",
                "of type string, found 1 of type u32",
            ],
        ),
        (
            set("general.architecture", "".into()),
            &["the name of an architecture", "found \"\""],
        ),
        (
            set("general.name", Value::U32(1)),
            &["value of \"general.name\": expected of type string"],
        ),
        (
            set("llama.context_length", Value::I32(64)),
            &["value of \"llama.context_length\": expected of type u32, found 64 of type i32"],
        ),
        (
            set("llama.context_length", 0.into()),
            &["value of \"llama.context_length\": expected 1 to 2147483647, found 0"],
        ),
        (
            set("llama.context_length", u32::MAX.into()),
            &["value of \"llama.context_length\"", "found 4294967295"],
        ),
        (
            set("llama.embedding_length", 0.into()),
            &["value of \"llama.embedding_length\": expected 1 to 16777216"],
        ),
        (
            set("llama.block_count", 0.into()),
            &["value of \"llama.block_count\": expected 1 to 512, found 0"],
        ),
        (
            set("llama.block_count", 513.into()),
            &["value of \"llama.block_count\": expected 1 to 512, found 513"],
        ),
        (
            set("llama.nextn_predict_layers", 2.into()),
            &["value of \"llama.nextn_predict_layers\": expected 0 to 1, found 2"],
        ),
        (
            set("llama.pooling_type", 5.into()),
            &["value of \"llama.pooling_type\": expected 0 to 4, found 5"],
        ),
        (
            set("llama.attention.causal", 1.into()),
            &["value of \"llama.attention.causal\": expected of type bool"],
        ),
        (
            set("llama.attention.layer_norm_rms_epsilon", (-1e-5).into()),
            &["a finite number that is not negative, found -0.00001"],
        ),
        (
            set(
                "llama.attention.layer_norm_rms_epsilon",
                f32::INFINITY.into(),
            ),
            &["a finite number that is not negative, found inf"],
        ),
        (
            set("llama.rope.freq_base", f32::NAN.into()),
            &["value of \"llama.rope.freq_base\": expected a finite number, found NaN"],
        ),
        (
            set("llama.new_factor", f32::NAN.into()),
            &["value of \"llama.new_factor\": expected a number, found NaN"],
        ),
        (
            set("llama.rope.scaling.type", "yam".into()),
            &["expected none, linear, yarn or longrope, found \"yam\""],
        ),
        (
            set(
                "llama.rope.dimension_sections",
                Value::I32s(vec![4, -1, 0, 0]),
            ),
            &["dimensions from 0 to 32767, found i32[4] 4, -1, 0, 0"],
        ),
        (
            changed(|writer| {
                writer.alignment = 8;
                writer.set("general.alignment", 8);
            }),
            &["value of \"general.alignment\": expected a multiple of 32, found 8"],
        ),
    ]);
    assert_accepted(&set("llama.pooling_type", u32::MAX.into()));
    assert_accepted(&set("llama.rope.scaling.type", "yarn".into()));
}

#[test]
fn lists_by_layer_have_one_number_for_each() {
    let set = |key: &'static str, value: Value| changed(|writer| writer.set(key, value));
    assert_accepted(&set("llama.attention.head_count", Value::U32s(vec![4])));
    assert_cases(&[
        (
            set("llama.attention.head_count", Value::U32s(vec![4, 4])),
            &["value of \"llama.attention.head_count\": expected one number for each of 1 layers"],
        ),
        (
            set("llama.attention.head_count", Value::I32s(vec![-4])),
            &["value of \"llama.attention.head_count\": expected numbers up to 65536"],
        ),
        (
            set("llama.attention.head_count", Value::F32(4.0)),
            &["expected of type u32, or an array of u32 or i32"],
        ),
        (
            set("llama.feed_forward_length", u32::MAX.into()),
            &["value of \"llama.feed_forward_length\": expected numbers up to 16777216"],
        ),
    ]);
}

#[test]
fn heads_agree_with_each_other_and_with_the_tensors() {
    let set = |key: &'static str, value: u32| changed(|writer| writer.set(key, value));
    let three_heads = changed(|writer| {
        writer.set("llama.attention.head_count", 3);
        writer.set("llama.attention.key_length", 7);
        writer.set("llama.rope.dimension_count", 7);
        writer.set("llama.attention.head_count_kv", 1);
    });
    assert_cases(&[
        (
            set("llama.attention.head_count", 0),
            &["value of \"llama.attention.head_count\": expected 1 to 32, found 0"],
        ),
        (
            set("llama.attention.head_count", 64),
            &["rope.dimension_count\": expected 0, the length of a head"],
        ),
        (
            set("llama.attention.head_count_kv", 0),
            &["head_count_kv\": expected a divisor of 4", "found 0"],
        ),
        (
            set("llama.attention.head_count_kv", 3),
            &["head_count_kv\": expected a divisor of 4", "found 3"],
        ),
        (
            set("llama.attention.head_count_kv", 4),
            &[
                "dimensions of tensor \"blk.0.attn_k.weight\": expected [32, 32], by the metadata, found [32, 16]",
            ],
        ),
        (
            set("llama.rope.dimension_count", 4),
            &["rope.dimension_count\": expected 8, the length of a head, found 4"],
        ),
        (
            set("llama.attention.value_length", 4),
            &["value_length\": expected 8, the length of a key, found 4"],
        ),
        (
            set("llama.attention.key_length", u32::MAX),
            &["key_length\": expected 0 to 65536"],
        ),
        (
            set("llama.feed_forward_length", 96),
            &[
                "dimensions of tensor \"blk.0.ffn_gate.weight\": expected [32, 96], by the metadata, found [32, 64]",
            ],
        ),
        (
            three_heads,
            &[
                "rope.dimension_count\": expected an even number up to 7",
                "found 7",
            ],
        ),
    ]);
}

#[test]
fn experts_are_counted_as_the_engine_asserts() {
    let set = |keys: &[(&str, u32)]| {
        changed(|writer| {
            for (key, value) in keys {
                writer.set(&format!("llama.{key}"), *value);
            }
        })
    };
    assert_accepted(&set(&[("expert_count", 8), ("expert_used_count", 2)]));
    let grouped = [
        ("expert_count", 8),
        ("expert_used_count", 2),
        ("expert_group_count", 4),
    ];
    assert_accepted(&set(
        &[&grouped[..], &[("expert_group_used_count", 2)]].concat()
    ));
    assert_cases(&[
        (
            set(&[("expert_count", 1025)]),
            &["expert_count\": expected 0 to 1024, found 1025"],
        ),
        (
            set(&[("expert_used_count", 2)]),
            &["expert_used_count\": expected 0, as there are no experts, found 2"],
        ),
        (
            set(&[("expert_count", 8), ("expert_used_count", 9)]),
            &["expert_used_count\": expected 1 to 8", "found 9"],
        ),
        (
            set(&[("expert_count", 8)]),
            &["expected metadata key \"llama.expert_used_count\""],
        ),
        (
            set(&[
                ("expert_count", 8),
                ("expert_used_count", 2),
                ("expert_group_count", 8),
            ]),
            &["expert_group_count\": expected 0 to 7"],
        ),
        (
            set(&[
                ("expert_count", 8),
                ("expert_used_count", 2),
                ("expert_group_count", 3),
            ]),
            &["a divisor of 8 experts, found 3"],
        ),
        (
            set(&grouped),
            &["expected metadata key \"llama.expert_group_used_count\""],
        ),
        (
            set(&[&grouped[..], &[("expert_group_used_count", 4)]].concat()),
            &["expert_group_used_count\": expected 1 to 3, found 4"],
        ),
        (
            set(&[("expert_group_count", 1)]),
            &["expert_group_count\": expected 0 to 0, found 1"],
        ),
        (
            set(&[
                ("expert_count", 8),
                ("expert_used_count", 2),
                ("expert_gating_func", 5),
            ]),
            &["expert_gating_func\": expected 0 to 4"],
        ),
    ]);
}

#[test]
fn divisors_are_not_zero() {
    let bytes = changed(|writer| {
        for (key, _) in &mut writer.entries {
            *key = key.replace("llama.", "mamba2.");
        }
        writer.set("general.architecture", "mamba2");
        writer.set("mamba2.ssm.group_count", 0);
    });
    let parts = ["value of \"mamba2.ssm.group_count\": expected at least 1, found 0"];
    assert_refused(&bytes, ModelFile::check_text, &parts);
}

#[test]
fn tensors_have_types_that_the_engine_has_kernels_for() {
    let dtype = |name: &str, dtype| changed(|writer| writer.tensor(name).dtype = dtype);
    assert_accepted(&dtype("blk.0.attn_q.weight", GgmlType::Q4_0));
    assert_cases(&[
        (
            dtype("blk.0.attn_q.weight", GgmlType::Q8_1),
            &["type of tensor \"blk.0.attn_q.weight\"", "found q8_1"],
        ),
        (
            dtype("token_embd.weight", GgmlType::I32),
            &["type of tensor \"token_embd.weight\"", "found i32"],
        ),
        (
            dtype("output_norm.weight", GgmlType::F16),
            &["type of tensor \"output_norm.weight\": expected f32, found f16"],
        ),
        (
            changed(|writer| {
                writer
                    .tensors
                    .push(Tensor::new("blk.0.attn_q.bias", &[32], GgmlType::Bf16));
            }),
            &["type of tensor \"blk.0.attn_q.bias\": expected f32, found bf16"],
        ),
        (
            changed(|writer| {
                writer
                    .tensors
                    .push(Tensor::new("blk.1.attn_norm.weight", &[32], GgmlType::F32));
            }),
            &[
                "name of tensor \"blk.1.attn_norm.weight\": expected a layer below 1, the block count",
            ],
        ),
    ]);
}

#[test]
fn other_gguf_files_are_named() {
    let with = |key: &str, value: &str| changed(|writer| writer.set(key, value));
    assert_cases(&[
        (
            with("general.type", "adapter"),
            &["Expected a text model", "(found: a LoRA adapter)"],
        ),
        (
            with("general.type", "imatrix"),
            &["(found: an importance matrix)"],
        ),
        (
            with("general.type", "mmproj"),
            &["(found: a multimodal projector)"],
        ),
        (
            with("general.architecture", "clip"),
            &["(found: a multimodal projector)"],
        ),
        (
            with("general.architecture", "flux"),
            &["(found: a picture model)"],
        ),
    ]);
}

#[test]
fn picture_models_have_types_of_the_picture_engine() {
    let picture = |dtype| {
        Writer::new()
            .with_tensor("model.diffusion_model.x.weight", &[256], dtype)
            .bytes()
    };
    read(&picture(GgmlType::Q8_0))
        .unwrap()
        .check_picture()
        .unwrap();
    let parts = [
        "type of tensor \"model.diffusion_model.x.weight\": expected a type of ggml 0.12, found q2_0",
    ];
    assert_refused(&picture(GgmlType::Q2_0), ModelFile::check_picture, &parts);
    for dtype in [GgmlType::I32, GgmlType::I16, GgmlType::F64, GgmlType::Q8K] {
        let parts =
            ["type of tensor \"model.diffusion_model.x.weight\": expected a type for weights"];
        assert_refused(&picture(dtype), ModelFile::check_picture, &parts);
    }
    // What is no weight may be anything.
    let positions =
        Writer::new().with_tensor("text_model.embeddings.position_ids", &[77], GgmlType::I32);
    read(&positions.bytes()).unwrap().check_picture().unwrap();
    assert_refused(
        &Writer::new().bytes(),
        ModelFile::check_picture,
        &["expected tensors, found none"],
    );
}
