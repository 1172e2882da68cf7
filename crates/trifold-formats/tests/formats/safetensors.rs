//! Safetensors headers: written and read back, and damaged.

use std::error::Error;

use trifold_formats::{Dtype, FormatError, Kind, ModelFile};

use crate::support::safetensors::{file, tensor, tiny};
use crate::support::{assert_error, assert_refused, nothing_more, read, refused};

#[test]
fn what_is_written_is_read_back() {
    let bytes = tiny();
    let file = read(&bytes).unwrap();
    file.check_picture().unwrap();
    assert_eq!(file.kind(), Kind::Safetensors);
    let header = file.safetensors().unwrap();
    assert_eq!(header.metadata, [("format".to_owned(), "pt".to_owned())]);
    assert_eq!(header.data_offset, bytes.len() as u64 - 34);
    let tensors: Vec<_> = header
        .tensors
        .iter()
        .map(|tensor| {
            (
                tensor.dtype,
                tensor.dims.as_slice(),
                tensor.offset - header.data_offset,
                tensor.size_bytes,
            )
        })
        .collect();
    assert_eq!(
        tensors,
        [
            (Dtype::F16, &[2, 3, 2][..], 0, 24),
            (Dtype::F32, &[2], 24, 8),
            (Dtype::Bf16, &[], 32, 2)
        ]
    );
    assert_eq!(header.tensor("scale").unwrap().elements(), 1);
}

#[test]
fn every_type_is_read() {
    for &dtype in Dtype::ALL {
        let size = u64::from(dtype.bits());
        let json = format!("{{{}}}   ", tensor("t", dtype.name(), &[8], 0, size));
        let file = read(&file(&json, usize::try_from(size).unwrap())).unwrap();
        assert_eq!(file.safetensors().unwrap().tensors[0].dtype, dtype);
    }
}

#[test]
fn an_empty_header_is_no_picture_model() {
    let bytes = file("{}", 0);
    assert!(
        read(&bytes)
            .unwrap()
            .safetensors()
            .unwrap()
            .tensors
            .is_empty()
    );
    assert_refused(
        &bytes,
        ModelFile::check_picture,
        &["Incomplete", "expected tensors"],
    );
}

#[test]
fn damaged_tensors_are_named() {
    let one = |dtype: &str, shape: &[u64], begin, end, data| {
        file(
            &format!("{{{}}}", tensor("t", dtype, shape, begin, end)),
            data,
        )
    };
    let two = |begin, end, data| {
        let (a, b) = (
            tensor("a", "U8", &[4], 0, 4),
            tensor("b", "U8", &[4], begin, end),
        );
        file(&format!("{{{a},{b}}}"), data)
    };
    let huge = 1 << 40;
    let cases: &[(Vec<u8>, &[&str])] = &[
        (
            one("F7", &[1], 0, 4, 4),
            &["dtype of tensor \"t\"", "found \"F7\""],
        ),
        (
            one("F32", &[1], 0, 5, 5),
            &["data_offsets of tensor \"t\": expected a range of 4 bytes, found 0 to 5"],
        ),
        (
            one("F32", &[1], 4, 0, 4),
            &["expected a range of 4 bytes, found 4 to 0"],
        ),
        (
            one("F4", &[3], 0, 1, 1),
            &["data_offsets of tensor \"t\"", "found 0 to 1"],
        ),
        (
            one("F32", &[1], 1, 5, 5),
            &["data_offsets of tensor \"t\": expected 0", "found 1"],
        ),
        (
            one("F32", &[huge, huge], 0, 4, 4),
            &["shape of tensor \"t\": expected at most 2^63 - 1 elements"],
        ),
        (
            one("F32", &[0, huge, huge], 0, 0, 0),
            &["shape of tensor \"t\": expected at most 2^63 - 1 elements"],
        ),
        (
            one("F32", &[huge], 0, 4 * huge, 4),
            &[
                "Truncated",
                "data of tensor \"t\": expected 4398046511104 bytes, found 4",
            ],
        ),
        (
            two(4, 8, 7),
            &[
                "Truncated",
                "data of tensor \"b\": expected 4 bytes, found 3",
            ],
        ),
        (two(4, 8, 9), &["end of the file", "bytes in all"]),
        (
            two(2, 6, 8),
            &["data_offsets of tensor \"b\": expected 4", "found 2"],
        ),
        (
            two(5, 9, 9),
            &["data_offsets of tensor \"b\": expected 4", "found 5"],
        ),
        (
            file(&format!("{{{0},{0}}}", tensor("a", "U8", &[0], 0, 0)), 0),
            &["name of a tensor", "\"a\" again"],
        ),
    ];
    for (bytes, parts) in cases {
        assert_refused(bytes, nothing_more, parts);
    }
}

#[test]
fn damaged_json_is_refused_where_it_breaks() {
    let nested = format!("{{\"a\":{}", "[".repeat(100_000));
    let long_shape = format!(
        "{{\"a\":{{\"dtype\":\"U8\",\"shape\":[{}1],\"data_offsets\":[0,0]}}}}",
        "1,".repeat(99)
    );
    let long_name = format!("{{{}}}", tensor(&"n".repeat(5000), "U8", &[0], 0, 0));
    for (json, offset, reason) in [
        ("{\"a\":}", 13, "expected value"),
        ("{\"a\":1}", 13, "invalid type: integer `1`"),
        ("{\n\"a\":\n 7}", 17, "invalid type: integer `7`"),
        ("{} x", 11, "trailing characters"),
        ("{\"__metadata__\":{\"a\":1}}", 29, "expected a string"),
        (
            "{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,0]}}",
            37,
            "invalid value: integer `-1`",
        ),
        (
            "{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}",
            38,
            "missing field `data_offsets`",
        ),
        (
            "{\"\\u0000\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
            17,
            "printable UTF-8 text",
        ),
        (&long_shape, 101, "shape of more than 32 dimensions"),
        (
            &long_name,
            5011,
            "tensor name of 5000 bytes, expected at most 4096",
        ),
        (&nested, 14, "invalid type: sequence"),
    ] {
        let error = refused(&file(json, 0), nothing_more);
        let FormatError::Json { offset: found, .. } = error else {
            panic!("{error:?}")
        };
        assert!(
            found.abs_diff(offset) <= 1,
            "{json:.40}: {found}, not {offset}"
        );
        let source = error.source().unwrap().to_string();
        assert!(source.contains(reason), "{json:.40}: {source}");
        assert_error(
            &error,
            &["safetensors header: expected JSON that lists the tensors"],
        );
    }
}

#[test]
fn the_length_of_the_header_is_checked() {
    let mut bytes = tiny();
    bytes[..8].copy_from_slice(&100_000_001_u64.to_le_bytes());
    let parts = ["offset 0, length of the safetensors header: expected at most 100000000 bytes"];
    assert_refused(&bytes, nothing_more, &parts);
    bytes[..8].copy_from_slice(&99_000_000_u64.to_le_bytes());
    let parts = [
        "Truncated",
        "offset 8, safetensors header: expected 99000000 bytes",
    ];
    assert_refused(&bytes, nothing_more, &parts);
}

#[test]
fn the_picture_engine_has_limits() {
    let one = |name: &str, dtype, shape: &[u64], size| {
        let json = format!("{{{}}}", tensor(name, dtype, shape, 0, size));
        file(&json, usize::try_from(size).unwrap())
    };
    let cases: &[(Vec<u8>, &[&str])] = &[
        (
            one("t", "I16", &[1], 2),
            &["Unsupported", "dtype of tensor \"t\"", "found I16"],
        ),
        (
            one("t.weight", "I32", &[1], 4),
            &["Unsupported", "dtype of tensor \"t.weight\"", "found I32"],
        ),
        (
            one("t", "U8", &[1; 6], 1),
            &["shape of tensor \"t\": expected at most 5 dimensions"],
        ),
        (
            one("model.embed_tokens.weight", "F16", &[1], 2),
            &["a text model in safetensors format"],
        ),
    ];
    for (bytes, parts) in cases {
        assert_refused(bytes, ModelFile::check_picture, parts);
    }
    // As a text encoder, it is a part of one.
    let text = read(&one("model.embed_tokens.weight", "F16", &[1], 2)).unwrap();
    text.check_picture_part().unwrap();
    read(&one("t", "F8_E4M3", &[1, 1, 1, 1, 4], 4))
        .unwrap()
        .check_picture()
        .unwrap();
}

#[test]
fn the_text_and_speech_engines_refuse_safetensors() {
    for check in [ModelFile::check_text, ModelFile::check_speech] {
        assert_refused(&tiny(), check, &["(found: a safetensors file)"]);
    }
}
