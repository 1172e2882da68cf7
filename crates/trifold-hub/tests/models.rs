//! The embedded files are the ones that `models/` describes.
#![cfg(feature = "demo-models")]

use std::{fmt::Write as _, io::Cursor, path::PathBuf};

use sha2::{Digest as _, Sha256};
use trifold_hub::{ModelKind, demo_models, samples};

fn models_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

#[test]
fn sizes_and_digests_are_the_files_own() {
    for model in demo_models() {
        let bytes = model.bytes().unwrap();
        assert_eq!(model.size, bytes.len() as u64, "{model:?}");
        let mut digest = String::new();
        for byte in Sha256::digest(bytes) {
            write!(digest, "{byte:02x}").unwrap();
        }
        assert_eq!(model.sha256, digest, "{model:?}");
    }
}

#[test]
fn the_readme_lists_the_same_files() {
    let readme = fs_err::read_to_string(models_folder().join("README.md")).unwrap();
    for model in demo_models() {
        let row = readme
            .lines()
            .find(|line| line.contains(model.sha256))
            .unwrap();
        assert!(
            row.contains(&format!("{}/{}", model.name, model.file_name)),
            "{row}"
        );
    }
}

#[test]
fn each_model_is_of_its_kind() {
    for model in demo_models() {
        let magic: &[u8] = match model.kind {
            ModelKind::Speech => b"lmgg",
            _ => b"GGUF",
        };
        assert!(model.bytes().unwrap().starts_with(magic), "{model:?}");
    }
    let kinds: Vec<_> = demo_models()
        .iter()
        .map(|model| model.kind.to_string())
        .collect();
    assert_eq!(kinds, ["text", "speech", "picture"]);
}

#[test]
fn samples_are_what_the_speech_engine_takes_and_begin_quietly() {
    for sample in samples() {
        let mut reader = hound::WavReader::new(Cursor::new(sample.bytes().unwrap())).unwrap();
        let spec = reader.spec();
        assert_eq!(
            (spec.channels, spec.sample_rate, spec.bits_per_sample),
            (1, 16_000, 16)
        );
        let sound: Vec<i16> = reader.samples().map(Result::unwrap).collect();
        assert!((16_000..160_000).contains(&sound.len()), "{sample:?}");
        // Silence for 0.2 s, then speech.
        assert!(sound[..3_200].iter().all(|&value| value == 0), "{sample:?}");
        assert!(
            sound[3_200..].iter().any(|&value| value.abs() > 10_000),
            "{sample:?}"
        );
    }
}

#[test]
fn transcripts_are_those_of_the_samples_folder() {
    let folder = models_folder().join("speech/samples");
    let text = fs_err::read_to_string(folder.join("transcripts.json")).unwrap();
    let truth: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(truth.len(), samples().len());
    for sample in samples() {
        let file = format!("{}.wav", sample.name);
        assert_eq!(truth[&file]["text"], sample.transcript);
        assert_eq!(
            fs_err::read(folder.join(file)).unwrap(),
            *sample.bytes().unwrap()
        );
    }
}
