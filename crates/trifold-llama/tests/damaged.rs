//! Model files that are damaged, or none at all: an error or a model that works, but never a crash.

mod common;

use std::path::Path;

use common::{PICTURE, SPEECH, STORY, one_thread};
use trifold_llama::{GenerateOptions, LlamaError, Model, SamplingOptions};

/// Loads and uses a model. Where the damage went unnoticed, nothing may crash later either.
fn attempt(path: &Path) -> Result<(), LlamaError> {
    let model = Model::load(path)?;
    model.metadata()?;
    let options = GenerateOptions {
        max_tokens: Some(3),
        sampling: SamplingOptions::greedy(),
        ..GenerateOptions::default()
    };
    let mut context = model.context(&one_thread())?;
    context.complete("Once upon a time", &options)?;
    Ok(())
}

/// Where the weights begin.
fn header_length() -> usize {
    let header = trifold_formats::ModelFile::open(STORY).unwrap();
    let first = header
        .gguf()
        .unwrap()
        .tensors
        .iter()
        .map(|tensor| tensor.offset)
        .min()
        .unwrap();
    usize::try_from(first).unwrap()
}

#[test]
fn one_flipped_bit_anywhere_in_the_header() {
    let sound = fs_err::read(STORY).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flipped.gguf");
    let header = header_length();
    let mut errors = 0;
    for percent in 0..100 {
        let at = header * percent / 100;
        let mut file = sound.clone();
        file[at] ^= 1 << (percent % 8);
        fs_err::write(&path, file).unwrap();
        if let Err(error) = attempt(&path) {
            errors += 1;
            assert!(!error.to_string().is_empty());
        }
    }
    // Most of the header is the text of tokens, where any bit makes another text.
    assert!((1..100).contains(&errors), "{errors}");
    assert!(attempt(Path::new(STORY)).is_ok(), "the process goes on");
}

#[test]
fn the_fields_that_decide_most() {
    let sound = fs_err::read(STORY).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flipped.gguf");
    // Magic, version, the two counts, and the first metadata.
    for bit in (0..24 * 8).chain((24 * 8..400 * 8).step_by(13)) {
        let mut file = sound.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        fs_err::write(&path, file).unwrap();
        // Version 3 with this bit flipped is version 2, which is as good.
        if bit < 24 * 8 && bit != 32 {
            assert!(attempt(&path).is_err(), "bit {bit}");
        } else {
            // Either is fine; it must come back.
            let _either = attempt(&path);
        }
    }
}

#[test]
fn cut_off_anywhere() {
    let sound = fs_err::read(STORY).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("short.gguf");
    for percent in 0..100 {
        fs_err::write(&path, &sound[..sound.len() * percent / 100]).unwrap();
        let error = attempt(&path).unwrap_err();
        assert!(
            matches!(error, LlamaError::Format(_)),
            "{percent} %: {error:?}"
        );
        assert!(error.to_string().contains("short.gguf"), "{error}");
    }
}

#[test]
fn weights_that_are_not_numbers() {
    let mut file = fs_err::read(STORY).unwrap();
    let header = header_length();
    for byte in &mut file[header..] {
        *byte = 0xff;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nan.gguf");
    fs_err::write(&path, file).unwrap();
    let error = attempt(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        "The model computed values that are not numbers"
    );
    assert!(error.hint().unwrap().contains("damaged"));
    let checked = Model::options()
        .check_tensors(true)
        .load(&path)
        .unwrap_err();
    assert!(matches!(checked, LlamaError::Load { .. }));
    assert!(
        std::error::Error::source(&checked)
            .unwrap()
            .to_string()
            .contains("invalid"),
        "{checked:?}"
    );
}

#[test]
fn what_is_no_text_model() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.gguf");
    fs_err::write(&empty, "").unwrap();
    let sound = folder.path().join("sound.wav");
    fs_err::write(&sound, b"RIFF0000WAVE").unwrap();
    for (path, message, hint) in [
        (empty.as_path(), "(found: an empty file)", "again"),
        (folder.path(), "(found: a directory)", "file itself"),
        (
            sound.as_path(),
            "(found: a RIFF file, for example WAV audio)",
            "Give the path",
        ),
        (
            Path::new(SPEECH),
            "Expected a text model (GGUF)",
            "the crate `trifold-whisper`",
        ),
        (
            Path::new(PICTURE),
            "Expected a text model (GGUF)",
            "the crate `trifold-diffusion`",
        ),
        (
            Path::new("no/such.gguf"),
            "Failed to open model file: no/such.gguf",
            "Check the path",
        ),
    ] {
        let error = Model::load(path).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert!(
            error.to_string().contains(&*path.to_string_lossy()),
            "{error}"
        );
        assert!(error.hint().unwrap().contains(hint), "{:?}", error.hint());
    }
}
