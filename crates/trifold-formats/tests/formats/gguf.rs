//! GGUF headers: written and read back, and with every field damaged.

use trifold_formats::{GgmlType, MetadataArray, MetadataValue};

use crate::support::gguf::{Value, Writer, strings, tiny_llama};
use crate::support::{assert_refused, find, nothing_more, overwrite, read};

#[test]
fn what_is_written_is_read_back() {
    let mut writer = Writer::new()
        .with("a.bool", false)
        .with("a.f32", 1.5)
        .with("a.i32", Value::I32(-3))
        .with("a.string", "grüße\n")
        .with("a.u16", Value::U16(65535))
        .with("a.u64", Value::U64(u64::MAX))
        .with("a.u8", Value::Raw(0, vec![255]))
        .with("a.i8", Value::Raw(1, vec![255]))
        .with("a.i16", Value::Raw(3, vec![0, 128]))
        .with("a.i64", Value::Raw(11, vec![255; 8]))
        .with("a.f64", Value::Raw(12, 0.25_f64.to_le_bytes().to_vec()))
        .with(
            "a.strings",
            Value::Strings(vec![b"x".to_vec(), vec![], vec![0xff], b"yz".to_vec()]),
        )
        .with("a.numbers", Value::I32s((0..10).collect()))
        .with("a.none", Value::F32s(vec![]))
        .with("general.alignment", 64)
        .with_tensor("scalar", &[], GgmlType::F32)
        .with_tensor("empty", &[0, 7], GgmlType::F16)
        .with_tensor("matrix", &[256, 3], GgmlType::Q4K)
        .with_tensor("four", &[1, 2, 3, 4], GgmlType::I8);
    writer.alignment = 64;
    for version in [2, 3] {
        writer.version = version;
        let file = read(&writer.bytes()).unwrap();
        let gguf = file.gguf().unwrap();
        assert_eq!((gguf.version, gguf.alignment), (version, 64));

        let get = |key: &str| gguf.metadata.get(key).unwrap();
        assert_eq!(get("a.bool"), &MetadataValue::Bool(false));
        assert_eq!(get("a.f32").as_f64(), Some(1.5));
        assert_eq!(get("a.i32"), &MetadataValue::I32(-3));
        assert_eq!(get("a.i32").as_u64(), None);
        assert_eq!(get("a.string").as_str(), Some("grüße\n"));
        assert_eq!(get("a.u16").as_u64(), Some(65535));
        assert_eq!(get("a.u64").as_u64(), Some(u64::MAX));
        assert_eq!(get("a.u8"), &MetadataValue::U8(255));
        assert_eq!(get("a.i8"), &MetadataValue::I8(-1));
        assert_eq!(get("a.i16"), &MetadataValue::I16(i16::MIN));
        assert_eq!(get("a.i64"), &MetadataValue::I64(-1));
        assert_eq!(get("a.f64"), &MetadataValue::F64(0.25));
        let texts = get("a.strings").as_array().unwrap().as_strings().unwrap();
        assert_eq!(
            texts.iter_bytes().collect::<Vec<_>>(),
            [&b"x"[..], b"", b"\xff", b"yz"]
        );
        assert_eq!(texts.iter().nth(2).unwrap(), "\u{fffd}");
        assert_eq!(
            get("a.strings").to_string(),
            r#"string[4] "x", "", "�", "yz""#
        );
        assert_eq!(
            get("a.numbers").to_string(),
            "i32[10] 0, 1, 2, 3, 4, 5, 6, 7, …"
        );
        assert_eq!(
            get("a.none"),
            &MetadataValue::Array(MetadataArray::F32(vec![]))
        );

        let places: Vec<_> = gguf
            .tensors
            .iter()
            .map(|tensor| {
                (
                    tensor.name.as_str(),
                    tensor.elements(),
                    tensor.offset - gguf.data_offset,
                    tensor.size_bytes,
                )
            })
            .collect();
        assert_eq!(
            places,
            [
                ("scalar", 1, 0, 4),
                ("empty", 0, 64, 0),
                ("matrix", 768, 64, 432),
                ("four", 24, 512, 24)
            ]
        );
    }
}

#[test]
fn every_type_has_its_size() {
    for &dtype in GgmlType::ALL {
        assert_eq!(GgmlType::from_id(dtype.id()), Some(dtype));
        let bytes = Writer::new()
            .with_tensor("t", &[dtype.block_size(), 2], dtype)
            .bytes();
        let file = read(&bytes).unwrap();
        let tensor = &file.gguf().unwrap().tensors[0];
        assert_eq!(
            (tensor.dtype, tensor.size_bytes),
            (dtype, 2 * dtype.type_size())
        );
        if dtype.block_size() > 1 {
            // One element more than whole blocks.
            let mut bytes = bytes;
            let dim = find(&bytes, b"\x01\0\0\0\0\0\0\0t") + 9 + 4;
            overwrite(&mut bytes, dim, &(dtype.block_size() + 1).to_le_bytes());
            let expected = format!(
                "expected a multiple of {} for type {dtype}",
                dtype.block_size()
            );
            assert_refused(
                &bytes,
                nothing_more,
                &["dimension 0 of tensor \"t\"", &expected],
            );
        }
    }
}

#[test]
fn versions_are_told_apart() {
    for (version, found) in [
        (0_u32, "found version 0)"),
        (1, "found version 1)"),
        (4, "found version 4)"),
        (3_u32.swap_bytes(), "found version 3, big endian)"),
    ] {
        let mut writer = tiny_llama();
        writer.version = version;
        let parts = [
            "Unsupported",
            "offset 4, GGUF version: expected version 2 or 3",
            found,
        ];
        assert_refused(&writer.bytes(), nothing_more, &parts);
    }
}

/// Where, what is written there, and what the message says.
type Case<'a> = (usize, &'a [u8], &'a [&'a str]);

#[track_caller]
fn assert_cases(bytes: &[u8], cases: &[Case<'_>]) {
    for (offset, value, parts) in cases {
        let mut damaged = bytes.to_vec();
        overwrite(&mut damaged, *offset, value);
        assert_refused(&damaged, nothing_more, parts);
    }
}

/// Where the bytes after `name` begin.
fn after(bytes: &[u8], name: &str) -> usize {
    find(bytes, name.as_bytes()) + name.len()
}

const HUGE: [u8; 8] = u64::MAX.to_le_bytes();
const LARGE: [u8; 8] = (1_u64 << 40).to_le_bytes();

#[test]
fn damaged_counts_and_keys_are_named() {
    let bytes = tiny_llama().bytes();
    let value = after(&bytes, "llama.context_length");
    let key = value - "llama.context_length".len();
    let more = 200_000_u64.to_le_bytes();
    assert_cases(
        &bytes,
        &[
            (
                8,
                &HUGE,
                &[
                    "offset 8, number of tensors: expected at most 262144",
                    "found 184467440737",
                ],
            ),
            (
                8,
                &more,
                &["Truncated", "number of tensors: expected 5000000 bytes"],
            ),
            (
                16,
                &HUGE,
                &["offset 16, number of metadata entries: expected at most 65536"],
            ),
            (
                key - 8,
                &HUGE,
                &["length of key of metadata entry 1: expected at most 65535 bytes"],
            ),
            (
                key - 8,
                &[0; 8],
                &["key of metadata entry 1", "found an empty string"],
            ),
            (
                key,
                b"\0",
                &[
                    "key of metadata entry 1: expected printable UTF-8 text",
                    "\\x00lama",
                ],
            ),
            (
                key,
                b"\xff",
                &[
                    "key of metadata entry 1: expected printable UTF-8 text",
                    "\\xfflama",
                ],
            ),
            (
                value,
                &[13],
                &["type of \"llama.context_length\": expected a type from 0 to 12, found 13"],
            ),
        ],
    );
}

#[test]
fn damaged_values_are_named() {
    let bytes = tiny_llama().bytes();
    let text = after(&bytes, "general.architecture");
    let flag = after(&bytes, "tokenizer.ggml.add_bos_token");
    let list = after(&bytes, "tokenizer.ggml.tokens");
    assert_cases(
        &bytes,
        &[
            (
                text + 4,
                &HUGE,
                &[
                    "Truncated",
                    "value of \"general.architecture\": expected 184467440737",
                ],
            ),
            (
                text + 12,
                b"\xc3",
                &["value of \"general.architecture\": expected UTF-8 text"],
            ),
            (
                flag + 4,
                &[2],
                &["value of \"tokenizer.ggml.add_bos_token\": expected 0 or 1, found 2"],
            ),
            (
                list + 4,
                &[9],
                &[
                    "element type of \"tokenizer.ggml.tokens\"",
                    "not 9 (array), found 9",
                ],
            ),
            (
                list + 8,
                &HUGE,
                &["length of \"tokenizer.ggml.tokens\": expected a length that fits the file"],
            ),
            (
                list + 8,
                &LARGE,
                &[
                    "Truncated",
                    "elements of \"tokenizer.ggml.tokens\": expected 8796093022208 bytes",
                ],
            ),
            (
                list + 16,
                &LARGE,
                &[
                    "Truncated",
                    "element 0 of \"tokenizer.ggml.tokens\": expected 1099511627776 bytes",
                ],
            ),
        ],
    );
}

#[test]
fn damaged_tensors_are_named() {
    const Q: &str = "blk.0.attn_q.weight";
    let bytes = tiny_llama().bytes();
    let dims = after(&bytes, Q);
    let name = dims - Q.len();
    let field = |field: &str| format!("{field} of tensor \"{Q}\": expected");
    let (count, shape, dtype) = (
        field("number of dimensions"),
        field("dimensions"),
        field("type"),
    );
    let exponent = |exponent: u32| (1_u64 << exponent).to_le_bytes();
    assert_cases(
        &bytes,
        &[
            (
                name - 8,
                &[128],
                &["length of name of tensor 2: expected at most 127 bytes, found 128"],
            ),
            (
                name,
                b"\x07",
                &[
                    "name of tensor 2: expected printable UTF-8 text",
                    "\\x07lk.0",
                ],
            ),
            (
                name,
                b"blk.0.attn_k",
                &[
                    "name of tensor 3: expected a name that is not there yet",
                    "\"blk.0.attn_k.weight\" again",
                ],
            ),
            (dims, &[5], &[&count, "at most 4, found 5"]),
            (dims + 4, &HUGE, &[&shape, "at most 2^63 - 1 elements"]),
            (
                dims + 4,
                &exponent(62),
                &[&shape, "at most 2^63 - 1 elements"],
            ),
            (dims + 4, &exponent(57), &[&shape, "at most 2^64 - 1 bytes"]),
            (
                dims + 4,
                &[2],
                &["offset of tensor \"blk.0.attn_k.weight\": expected"],
            ),
            (
                dims + 20,
                &[4],
                &[&dtype, "the number of a ggml type, found 4"],
            ),
            (dims + 20, &[255; 4], &[&dtype, "found 4294967295"]),
            (
                dims + 24,
                &exponent(1),
                &[
                    "offset of tensor",
                    "expected 352, right after the tensor before it, found 2",
                ],
            ),
        ],
    );
}

#[test]
fn keys_are_unique() {
    let mut writer = tiny_llama();
    let first = writer.entries[0].clone();
    writer.entries.push(first);
    let parts = [
        "key of metadata entry 15",
        "found \"general.architecture\" again",
    ];
    assert_refused(&writer.bytes(), nothing_more, &parts);
}

#[test]
fn alignment_is_a_power_of_two_of_the_right_type() {
    for (value, found) in [
        (Value::U32(0), "found 0 of type u32"),
        (Value::U32(48), "found 48 of type u32"),
        (Value::U64(32), "found 32 of type u64"),
    ] {
        let bytes = tiny_llama().with("general.alignment", value).bytes();
        let parts = [
            "value of \"general.alignment\": expected a power of two of type u32",
            found,
        ];
        assert_refused(&bytes, nothing_more, &parts);
    }
}

#[test]
fn data_must_be_there_and_nothing_more() {
    let bytes = tiny_llama().bytes();
    let file = read(&bytes).unwrap();
    let gguf = file.gguf().unwrap();
    let data = usize::try_from(gguf.data_offset).unwrap();
    let last = gguf.tensors.last().unwrap();
    let end = usize::try_from(last.offset + last.size_bytes).unwrap();

    let parts = [
        "Truncated",
        "data of tensor \"output_norm.weight\": expected 128 bytes, found 127",
    ];
    assert_refused(&bytes[..end - 1], nothing_more, &parts);
    let parts = [
        "Truncated",
        "data of tensor \"token_embd.weight\": expected 204 bytes, found 0",
    ];
    assert_refused(&bytes[..data], nothing_more, &parts);
    assert_refused(
        &bytes[..data - 1],
        nothing_more,
        &["Truncated", "padding before the data"],
    );

    let mut longer = bytes.clone();
    longer.push(0);
    let expected = format!(
        "expected {} bytes in all, found {} bytes",
        bytes.len(),
        longer.len()
    );
    assert_refused(&longer, nothing_more, &["end of the file", &expected]);
}

#[test]
fn the_padding_after_the_last_tensor_may_be_missing() {
    let mut bytes = Writer::new().with_tensor("t", &[3], GgmlType::F32).bytes();
    bytes.truncate(bytes.len() - 20);
    assert_eq!(
        read(&bytes).unwrap().gguf().unwrap().tensors[0].size_bytes,
        12
    );
}

#[test]
fn a_file_may_have_no_tensors() {
    let bytes = Writer::new()
        .with("tokenizer.ggml.tokens", strings(&["a"]))
        .bytes();
    assert!(read(&bytes).unwrap().gguf().unwrap().tensors.is_empty());
}
