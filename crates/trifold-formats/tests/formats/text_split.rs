//! Models that are split into several files.

use std::path::{Path, PathBuf};

use fs_err as fs;
use trifold_formats::{FormatError, GgmlType, ModelFile, check_text_model};

use crate::support::assert_error;
use crate::support::gguf::{Value, Writer, tiny_llama};

/// The three parts of a model.
fn parts() -> [Writer; 3] {
    let mut first = tiny_llama();
    let mut second = first.tensors.split_off(4);
    let third = second.split_off(3);
    let total = first.tensors.len() + second.len() + third.len();
    first.set(
        "split.tensors.count",
        Value::I32(i32::try_from(total).unwrap()),
    );
    let mut parts = [first, Writer::new(), Writer::new()];
    parts[1].tensors = second;
    parts[2].tensors = third;
    for (part, i) in parts.iter_mut().zip(0..) {
        part.set("split.no", Value::U16(i));
        part.set("split.count", Value::U16(3));
    }
    parts
}

fn part_path(folder: &Path, i: usize) -> PathBuf {
    folder.join(format!("tiny-{i:05}-of-00003.gguf"))
}

/// Writes the parts and checks the model.
fn check(parts: &[Writer; 3]) -> Result<ModelFile, FormatError> {
    let folder = tempfile::tempdir().unwrap();
    for (part, i) in parts.iter().zip(1..) {
        fs::write(part_path(folder.path(), i), part.bytes()).unwrap();
    }
    check_text_model(part_path(folder.path(), 1))
}

#[test]
fn all_parts_are_checked_together() {
    let file = check(&parts()).unwrap();
    assert_eq!(file.gguf().unwrap().tensors.len(), 4);
    // One part alone is sound, too.
    file.check_text().unwrap();
}

#[test]
fn damaged_parts_are_named() {
    type Case = (fn(&mut [Writer; 3]), &'static [&'static str]);
    let cases: [Case; 9] = [
        (
            |p| p[1].set("split.no", Value::U16(2)),
            &[
                "tiny-00002-of-00003.gguf",
                "value of \"split.no\": expected 1, found 2",
            ],
        ),
        (
            |p| p[1].set("split.no", 1),
            &[
                "tiny-00002-of-00003.gguf",
                "value of \"split.no\": expected of type u16",
            ],
        ),
        (
            |p| p[2].remove("split.no"),
            &[
                "tiny-00003-of-00003.gguf",
                "expected metadata key \"split.no\"",
            ],
        ),
        (
            |p| p[0].set("split.count", 3),
            &[
                "tiny-00001-of-00003.gguf",
                "value of \"split.count\": expected of type u16",
            ],
        ),
        (
            |p| p[0].set("split.count", Value::U16(4)),
            &["\"split.count\": expected 1, or a file name that ends with -00001-of-00004.gguf"],
        ),
        (
            |p| p[0].set("split.tensors.count", Value::I32(12)),
            &["\"split.tensors.count\": expected 11", "found 12"],
        ),
        (
            |p| p[0].remove("split.tensors.count"),
            &["expected metadata key \"split.tensors.count\""],
        ),
        (
            |p| p[2].tensors[0] = p[0].tensors[0].clone(),
            &[
                "tiny-00003-of-00003.gguf",
                "found \"token_embd.weight\", which is in",
                "tiny-00001-of-00003.gguf too",
            ],
        ),
        (
            |p| p[2].tensors[0].dtype = GgmlType::I8,
            &[
                "tiny-00003-of-00003.gguf",
                "type of tensor \"blk.0.ffn_gate.weight\"",
                "found i8",
            ],
        ),
    ];
    for (change, expected) in cases {
        let mut parts = parts();
        change(&mut parts);
        assert_error(&check(&parts).unwrap_err(), expected);
    }
}

#[test]
fn a_missing_part_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let parts = parts();
    for i in [1, 3] {
        fs::write(part_path(folder.path(), i), parts[i - 1].bytes()).unwrap();
    }
    let error = check_text_model(part_path(folder.path(), 1)).unwrap_err();
    assert!(matches!(error, FormatError::Open { .. }), "{error:?}");
    assert_eq!(error.path(), part_path(folder.path(), 2));
}

#[test]
fn models_are_opened_by_their_first_part() {
    let folder = tempfile::tempdir().unwrap();
    let path = part_path(folder.path(), 2);
    fs::write(&path, parts()[1].bytes()).unwrap();
    let error = check_text_model(&path).unwrap_err();
    assert_error(
        &error,
        &[
            "Expected the first part of a split model",
            "(found: part 2 of 3)",
        ],
    );
    assert!(error.hint().unwrap().contains("-00001-of-"));
}
