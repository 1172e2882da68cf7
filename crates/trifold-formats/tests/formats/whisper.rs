//! Whisper headers: written and read back, and with every field damaged.

use trifold_formats::{GgmlType, ModelFile};

use crate::support::whisper::{Tensor, Writer, tiny};
use crate::support::{assert_refused, find, nothing_more, overwrite, read};

#[test]
fn what_is_written_is_read_back() {
    let writer = tiny();
    let file = read(&writer.bytes()).unwrap();
    file.check_speech().unwrap();
    let whisper = file.whisper().unwrap();
    assert_eq!((whisper.vocab_size, whisper.filter_mels), (3, 2));
    assert_eq!(whisper.tensors.len(), writer.tensors.len());
    for (read, written) in whisper.tensors.iter().zip(&writer.tensors) {
        assert_eq!(read.name.as_bytes(), written.name);
        assert_eq!(read.size_bytes, written.size as u64);
    }
    assert!(!whisper.hparams.is_multilingual());
}

#[test]
fn hyperparameters_are_checked() {
    let names = [
        "n_vocab",
        "n_audio_ctx",
        "n_audio_state",
        "n_audio_head",
        "n_audio_layer",
        "n_text_ctx",
        "n_text_state",
        "n_text_head",
        "n_text_layer",
        "n_mels",
        "ftype",
    ];
    for (i, name) in names.into_iter().enumerate() {
        for value in [-1, i32::MIN, i32::MAX] {
            let mut writer = tiny();
            writer.hparams[i] = value;
            let field = format!("(offset {}, {name}: expected ", 4 + 4 * i);
            assert_refused(
                &writer.bytes(),
                nothing_more,
                &[&field, &format!("found {value})")],
            );
        }
    }
    for (i, value, parts) in [
        (
            0,
            51863,
            &[
                "Unsupported",
                "n_vocab: expected 51864 to 51866, found 51863",
            ],
        ),
        (
            0,
            51867,
            &[
                "Unsupported",
                "n_vocab: expected 51864 to 51866, found 51867",
            ],
        ),
        (
            3,
            3,
            &["Damaged", "n_audio_head: expected a divisor of 4, found 3"],
        ),
        (
            7,
            3,
            &["Damaged", "n_text_head: expected a divisor of 4, found 3"],
        ),
        (
            6,
            8,
            &[
                "Damaged",
                "n_text_state: expected 4, as n_audio_state is, found 8",
            ],
        ),
        (
            5,
            15,
            &["Damaged", "n_text_ctx: expected 16 to 16384, found 15"],
        ),
        (
            10,
            4,
            &[
                "Damaged",
                "ftype: expected a file type of ggml 0.9.5, found 4",
            ],
        ),
        (
            10,
            26,
            &[
                "Damaged",
                "ftype: expected a file type of ggml 0.9.5, found 26",
            ],
        ),
    ] {
        let mut writer = tiny();
        writer.hparams[i] = value;
        assert_refused(&writer.bytes(), nothing_more, parts);
    }
}

#[test]
fn filters_and_vocabulary_are_checked() {
    let change = |change: fn(&mut Writer)| {
        let mut writer = tiny();
        change(&mut writer);
        writer.bytes()
    };
    let cases: &[(Vec<u8>, &[&str])] = &[
        (
            change(|w| w.filters[0] = 3),
            &["mel bands of the filters: expected 2 to 2, found 3"],
        ),
        (
            change(|w| w.filters[1] = 200),
            &["frequencies of the mel filters: expected 201 to 201, found 200"],
        ),
        (
            change(|w| w.tokens.clear()),
            &["number of tokens: expected 1 to 51864, found 0"],
        ),
        (
            change(|w| w.tokens[1] = vec![0; 5000]),
            &["length of token 1: expected at most 4096 bytes, found 5000"],
        ),
    ];
    for (bytes, parts) in cases {
        assert_refused(bytes, nothing_more, parts);
    }
    let mut bytes = tiny().bytes();
    let count = 56 + 2 * 201 * 4;
    overwrite(&mut bytes, count, &51865_u32.to_le_bytes());
    let parts = ["number of tokens: expected 1 to 51864, found 51865"];
    assert_refused(&bytes, nothing_more, &parts);
    bytes.truncate(count + 100);
    overwrite(&mut bytes, count, &51864_u32.to_le_bytes());
    assert_refused(
        &bytes,
        nothing_more,
        &["Truncated", "tokens: expected 207456 bytes, found 96"],
    );
}

#[test]
fn damaged_tensor_headers_are_named() {
    let bytes = tiny().bytes();
    let name = find(&bytes, b"encoder.conv1.weight");
    let start = name - 24;
    let cases: &[(usize, &[u8], &[&str])] = &[
        (
            start,
            &0_i32.to_le_bytes(),
            &["number of dimensions of tensor 1: expected 1 to 4, found 0"],
        ),
        (
            start,
            &5_i32.to_le_bytes(),
            &["number of dimensions of tensor 1: expected 1 to 4, found 5"],
        ),
        (
            start,
            &(-1_i32).to_le_bytes(),
            &["number of dimensions of tensor 1", "found -1"],
        ),
        (
            start + 4,
            &0_i32.to_le_bytes(),
            &["length of the name of tensor 1: expected 1 to 127 bytes, found 0"],
        ),
        (
            start + 4,
            &128_i32.to_le_bytes(),
            &["length of the name of tensor 1", "found 128"],
        ),
        (
            start + 4,
            &(-9_i32).to_le_bytes(),
            &["length of the name of tensor 1", "found -9"],
        ),
        (
            start + 8,
            &(-1_i32).to_le_bytes(),
            &["type of tensor 1: expected the number of a type of ggml 0.9.5, found -1"],
        ),
        (
            start + 8,
            &40_i32.to_le_bytes(),
            &["type of tensor 1", "found 40"],
        ),
        (
            start + 8,
            &2_i32.to_le_bytes(),
            &[
                "dimensions of tensor 1",
                "rows of a multiple of 32 for type q4_0",
            ],
        ),
        (
            start + 12,
            &0_i32.to_le_bytes(),
            &["dimension 0 of tensor 1: expected 1 to 2147483647, found 0"],
        ),
        (
            start + 12,
            &(-3_i32).to_le_bytes(),
            &["dimension 0 of tensor 1", "found -3"],
        ),
        (
            start + 12,
            &i32::MAX.to_le_bytes(),
            &["dimensions of tensor 1", "at most 2147483647 elements"],
        ),
        (
            start + 12,
            &100_000_000_i32.to_le_bytes(),
            &["Truncated", "data of tensor \"encoder.conv1.weight\""],
        ),
        (
            name,
            b"\0",
            &[
                "name of tensor 1: expected printable UTF-8 text",
                "\\x00ncoder",
            ],
        ),
        (
            name,
            b"\xff",
            &[
                "name of tensor 1: expected printable UTF-8 text",
                "\\xffncoder",
            ],
        ),
    ];
    for (offset, value, parts) in cases {
        let mut damaged = bytes.clone();
        overwrite(&mut damaged, *offset, value);
        assert_refused(&damaged, nothing_more, parts);
    }
}

#[test]
fn the_file_ends_with_the_last_tensor() {
    let bytes = tiny().bytes();
    let mut longer = bytes.clone();
    longer.extend([0; 5]);
    let parts = [
        "Truncated",
        "length of the name of tensor",
        "expected 4 bytes, found 1",
    ];
    assert_refused(&longer, nothing_more, &parts);
    let parts = [
        "Truncated",
        "data of tensor \"decoder.blocks.0.cross_attn.out.bias\"",
    ];
    assert_refused(&bytes[..bytes.len() - 1], nothing_more, &parts);
}

#[test]
fn speech_models_have_exactly_their_tensors() {
    let change = |change: fn(&mut Writer)| {
        let mut writer = tiny();
        change(&mut writer);
        writer.bytes()
    };
    let cases: &[(Vec<u8>, &[&str])] = &[
        (
            change(|w| w.tensors.clear()),
            &[
                "Incomplete",
                "expected tensor \"encoder.positional_embedding\"",
            ],
        ),
        (
            change(|w| {
                w.tensors
                    .retain(|t| t.name != b"decoder.blocks.0.attn.key.weight");
            }),
            &[
                "Incomplete",
                "expected tensor \"decoder.blocks.0.attn.key.weight\"",
            ],
        ),
        (
            change(|w| w.tensors.push(Tensor::new("extra", &[4], GgmlType::F32))),
            &["name of a tensor", "found \"extra\""],
        ),
        (
            change(|w| w.tensors.push(w.tensors[3].clone())),
            &[
                "a name that is not there yet",
                "\"encoder.conv2.weight\" again",
            ],
        ),
        (
            change(|w| w.hparams[4] = 2),
            &[
                "Incomplete",
                "expected tensor \"encoder.blocks.1.mlp_ln.weight\"",
            ],
        ),
        (
            change(|w| w.hparams[1] = 4),
            &[
                "dimensions of tensor \"encoder.positional_embedding\": expected [4, 4], found [4, 3]",
            ],
        ),
        (
            change(|w| w.tensor("encoder.conv1.weight").dims = vec![2, 3, 4]),
            &["dimensions of tensor \"encoder.conv1.weight\": expected [3, 2, 4], found [2, 3, 4]"],
        ),
        (
            change(|w| w.tensor("encoder.conv1.weight").dtype = 30),
            &["type of tensor \"encoder.conv1.weight\": expected f16, found bf16"],
        ),
        (
            change(|w| w.hparams[10] = 24),
            &["type of tensor ", "expected bf16, found f16"],
        ),
    ];
    for (bytes, parts) in cases {
        assert_refused(bytes, ModelFile::check_speech, parts);
    }
}

#[test]
fn trailing_dimensions_of_one_do_not_count() {
    let mut writer = tiny();
    writer.tensor("encoder.ln_post.bias").dims = vec![4, 1, 1];
    read(&writer.bytes()).unwrap().check_speech().unwrap();
}
