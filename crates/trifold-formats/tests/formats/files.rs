//! What is no model file at all.

use std::io;
use std::process::Command;

use fs_err as fs;
use trifold_formats::{FormatError, Kind, ModelFile};

use crate::support::{assert_error, assert_refused, demo, nothing_more, read};

#[test]
fn what_is_no_regular_file_is_refused_before_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    // Opening a pipe without a writer would wait for one.
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    for (path, found) in [
        (folder.path(), "a directory"),
        (&pipe, "a pipe, socket or device"),
        ("/dev/zero".as_ref(), "a pipe, socket or device"),
    ] {
        let error = ModelFile::open(path).unwrap_err();
        assert!(matches!(error, FormatError::NotAFile { .. }), "{error:?}");
        assert_error(&error, &["Expected a model file at: ", found]);
    }
}

#[test]
fn files_that_cannot_be_opened_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let below_a_file = demo("story/trifold-story.gguf").join("model.gguf");
    let too_long = folder.path().join("x".repeat(300));
    for (path, kind) in [
        (folder.path().join("missing.gguf"), io::ErrorKind::NotFound),
        (below_a_file, io::ErrorKind::NotADirectory),
        (too_long, io::ErrorKind::InvalidFilename),
    ] {
        let error = ModelFile::open(&path).unwrap_err();
        let FormatError::Open { source, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(source.kind(), kind);
        assert_eq!(error.path(), path);
        assert!(
            error.to_string().starts_with("Failed to open model file: "),
            "{error}"
        );
    }
}

#[test]
fn an_empty_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.gguf");
    fs::write(&path, b"").unwrap();
    let error = ModelFile::open(&path).unwrap_err();
    assert_error(
        &error,
        &["Expected a model file at: ", "(found: an empty file)"],
    );
}

#[test]
fn a_file_that_shrinks_is_refused() {
    let bytes = fs::read(demo("story/trifold-story.gguf")).unwrap();
    // The length that was seen first, and what is left of the file.
    let rest = io::Cursor::new(&bytes[..50_000]);
    let error = ModelFile::read(rest, bytes.len() as u64, "story.gguf").unwrap_err();
    assert!(matches!(error, FormatError::Read { .. }), "{error:?}");
    assert_error(&error, &["Failed to read model file: story.gguf (offset "]);
}

#[test]
fn the_format_is_told_by_the_contents() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::copy(demo("story/trifold-story.gguf"), &path).unwrap();
    assert_eq!(ModelFile::open(&path).unwrap().kind(), Kind::Gguf);
}

#[test]
fn other_files_are_named() {
    for (start, found) in [
        (
            &b"version https://git-lfs.github.com/spec/v1\n"[..],
            "a Git LFS pointer",
        ),
        (b"<!DOCTYPE html><html>", "a web page"),
        (
            b"RIFF\x24\x08\0\0WAVEfmt ",
            "a RIFF file, for example WAV audio",
        ),
        (b"{\"model_type\": \"llama\"}", "a JSON file"),
        (b"\x1f\x8b\x08\0", "a gzip file"),
        (b"tjgg\x03\0\0\0", "a GGJT file, older than GGUF"),
        (b"ggml\0\0\xca\x99", "a big-endian whisper model"),
        (
            b"GGUG\x03\0\0\0more",
            "8 bytes \"GGUG\\x03\\x00\\x00\\x00\"",
        ),
        (b"G", "1 bytes \"G\""),
        (b"\0\0\0\0\0\0\0\0\0\0\0\0", "8 bytes \"\\x00"),
    ] {
        let error = read(start).unwrap_err();
        assert!(
            matches!(error, FormatError::UnknownFormat { .. }),
            "{error:?}"
        );
        assert_error(
            &error,
            &[
                "Expected a GGUF, safetensors or whisper model file at: ",
                found,
            ],
        );
    }
}

#[test]
fn checkpoints_are_recognised_and_refused() {
    for start in [
        &b"PK\x03\x04\x14\0\0\0\x08\0archive/data.pkl"[..],
        b"\x80\x02}q\0.",
        b"\x80\x04",
    ] {
        let file = read(start).unwrap();
        assert_eq!(file.kind(), Kind::Checkpoint);
        for check in [
            ModelFile::check_picture,
            ModelFile::check_speech,
            ModelFile::check_text,
        ] {
            let error = check(&file).unwrap_err();
            assert_error(&error, &["(found: a PyTorch checkpoint)"]);
            assert!(error.hint().unwrap().contains("Convert it to safetensors"));
        }
    }
}

#[test]
fn voice_activity_models_are_refused() {
    let mut bytes = b"lmgg\x0a\0\0\0silero-16k".to_vec();
    bytes.resize(200, 0);
    assert_refused(
        &bytes,
        nothing_more,
        &["Unsupported", "a voice activity model (silero)"],
    );
}
