//! Model files that are damaged, cut off, or something else: an error or a model, never a crash.

mod common;

use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use common::{SPEECH, model_path, options, sample};
use fs_err::{File, OpenOptions};
use tempfile::TempDir;
use trifold_formats::ModelFile;
use trifold_whisper::{Model, WhisperError, audio};

#[test]
fn files_that_are_no_speech_models() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, contents: &[u8]| {
        let path = folder.path().join(name);
        fs_err::write(&path, contents).unwrap();
        path
    };
    for path in [
        folder.path().join("missing.bin"),
        folder.path().to_owned(),
        PathBuf::from("/dev/null"),
        write("empty.bin", b""),
        write("text.bin", &b"this is not a model\n".repeat(1000)),
        write("zeros.bin", &vec![0; 100_000]),
        sample("kitchen-light.wav"),
        PathBuf::from(SPEECH).join("../story/trifold-story.gguf"),
    ] {
        let error = Model::load(&path).unwrap_err();
        assert!(matches!(error, WhisperError::Model(_)), "{error:?}");
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        assert!(error.hint().is_some(), "{error:?}");
    }
}

#[test]
fn a_model_that_is_cut_off() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("short.bin");
    fs_err::copy(model_path(), &path).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    for percent in (0..100).rev() {
        file.set_len(length * percent / 100).unwrap();
        let error = Model::load(&path).unwrap_err();
        assert!(
            matches!(error, WhisperError::Model(_)),
            "{percent} %: {error:?}"
        );
    }
    file.set_len(length - 1).unwrap();
}

#[test]
fn every_percent_of_the_header_with_a_bit_flipped() {
    let mut damaged = Damaged::new();
    let header = damaged.first_tensor();
    let mut samples = audio::load(sample("kitchen-light.wav")).unwrap();
    samples.truncate(20_000);
    let mut loaded = 0;
    for percent in 0..100 {
        let at = header * percent / 100;
        let bit = 1 << (percent % 8);
        damaged.with_flipped(at, bit, |model| {
            loaded += usize::from(model.is_ok());
            if let Ok(model) = model
                && percent % 10 == 0
            {
                // It has other words, or hears something else. The program's tests transcribe with all.
                let result = model
                    .transcriber()
                    .unwrap()
                    .transcribe(&samples, &options());
                assert!(
                    matches!(&result, Ok(_) | Err(WhisperError::DamagedModel { .. })),
                    "{result:?}"
                );
            }
        });
    }
    assert!(
        loaded > 50,
        "most of the header is text, in which a bit is no matter of life and death"
    );
}

#[test]
fn every_hyperparameter_with_a_bit_flipped() {
    let mut damaged = Damaged::new();
    // The magic number, eleven hyperparameters, the size of the filters.
    for field in 0..14 {
        for (byte, bit) in [(0, 1), (0, 64), (1, 2), (2, 16), (3, 1), (3, 128)] {
            damaged.with_flipped(field * 4 + byte, bit, |model| {
                let error = model.map(|_| ()).unwrap_err();
                let refused = matches!(error, WhisperError::Model(_));
                assert!(refused, "field {field}, byte {byte}, bit {bit}: {error:?}");
            });
        }
    }
}

#[test]
fn the_header_of_every_tensor_with_a_bit_flipped() {
    let mut damaged = Damaged::new();
    for (index, at) in damaged.tensors.clone().into_iter().enumerate() {
        // Numbers of dimensions, name length, type, first dimension, and then the name.
        let (byte, bit) = [
            (0, 1),
            (0, 128),
            (4, 2),
            (7, 128),
            (8, 1),
            (11, 64),
            (12, 4),
            (15, 128),
            (21, 1),
        ][index % 9];
        damaged.with_flipped(at + byte, bit, |model| {
            let error = model.map(|_| ()).unwrap_err();
            assert!(
                matches!(error, WhisperError::Model(_)),
                "tensor {index}, byte {byte}: {error:?}"
            );
        });
    }
}

#[test]
fn weights_that_are_no_numbers() {
    let mut damaged = Damaged::new();
    // The positions of the decoder are 32-bit floats.
    let file = ModelFile::open(model_path()).unwrap();
    let positions = file
        .whisper()
        .unwrap()
        .tensor("decoder.positional_embedding")
        .unwrap();
    damaged
        .file
        .seek(SeekFrom::Start(positions.offset))
        .unwrap();
    damaged.file.write_all(&[0xff; 4000]).unwrap();
    let mut transcriber = Model::load(&damaged.path).unwrap().transcriber().unwrap();
    let samples = audio::load(sample("kitchen-light.wav")).unwrap();
    let error = transcriber.transcribe(&samples, &options()).unwrap_err();
    assert!(
        matches!(error, WhisperError::DamagedModel { .. }),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "The speech model computed no numbers (found: NaN)"
    );
    let error = transcriber.detect_language(&samples, Some(1)).unwrap_err();
    assert!(
        matches!(error, WhisperError::DamagedModel { .. }),
        "{error:?}"
    );
}

/// A copy of the demo model, to be damaged and restored.
struct Damaged {
    _folder: TempDir,
    path: PathBuf,
    file: File,
    bytes: Vec<u8>,
    /// Where the headers of the tensors begin.
    tensors: Vec<u64>,
}

impl Damaged {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("damaged.bin");
        fs_err::copy(model_path(), &path).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let whole = ModelFile::open(model_path()).unwrap();
        let tensors = whole.whisper().unwrap().tensors.iter();
        let tensors = tensors.map(|tensor| tensor.header_offset).collect();
        let bytes = fs_err::read(model_path()).unwrap();
        Self {
            _folder: folder,
            path,
            file,
            bytes,
            tensors,
        }
    }

    fn first_tensor(&self) -> u64 {
        self.tensors[0]
    }

    fn with_flipped(&mut self, at: u64, bit: u8, check: impl FnOnce(Result<Model, WhisperError>)) {
        let before = self.bytes[usize::try_from(at).unwrap()];
        self.write(at, before ^ bit);
        check(Model::load(&self.path));
        self.write(at, before);
    }

    fn write(&mut self, at: u64, byte: u8) {
        self.file.seek(SeekFrom::Start(at)).unwrap();
        self.file.write_all(&[byte]).unwrap();
    }
}
