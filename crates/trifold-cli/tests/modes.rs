//! Aligned against pinned: what changes when an engine gets the newest ggml instead of its own.
//!
//! Slow the first time: builds the program a second time, with the engines in the other mode.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

mod support;

use support::{SAME_TO_THE_EYE, psnr};

#[test]
fn aligned_and_pinned_engines_agree() {
    let folder = tempfile::tempdir().unwrap();
    // The pinned program has the kernels of one level only.
    let aligned = Answers::of(
        Path::new(env!("CARGO_BIN_EXE_trifold")),
        &folder.path().join("aligned.png"),
    );
    let pinned = Answers::of(&pinned_program(), &folder.path().join("pinned.png"));
    assert_eq!(aligned.ggml, ["0.26.0", "0.26.0", "0.26.0"]);
    assert_eq!(pinned.ggml, ["0.9.5", "0.26.0", "0.12.0"]);

    assert!(aligned.tokens.len() > 20, "{:?}", aligned.tokens);
    assert_eq!(aligned.tokens, pinned.tokens);
    assert!(aligned.transcript.len() > 20, "{}", aligned.transcript);
    assert_eq!(aligned.transcript, pinned.transcript);
    let psnr = psnr(&aligned.picture, &pinned.picture);
    assert!(psnr > SAME_TO_THE_EYE, "the pictures differ: {psnr} dB");
}

struct Answers {
    /// As `doctor` reports it: whisper.cpp, llama.cpp, stable-diffusion.cpp.
    ggml: Vec<String>,
    tokens: Vec<Value>,
    transcript: String,
    picture: Vec<u8>,
}

impl Answers {
    fn of(program: &Path, picture: &Path) -> Self {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/speech/samples");
        let doctor = json(program, &["doctor"]);
        let text = json(
            program,
            &[
                "generate",
                "Once upon a time",
                "--temperature",
                "0",
                "--max-tokens",
                "64",
                "--threads",
                "1",
            ],
        );
        let speech = json(
            program,
            &[
                "transcribe",
                "--threads",
                "1",
                samples.join("two-sentences.wav").to_str().unwrap(),
            ],
        );
        json(
            program,
            &[
                "draw",
                "a house and a tree",
                "--seed",
                "5",
                "--threads",
                "1",
                "-o",
                picture.to_str().unwrap(),
            ],
        );
        Self {
            ggml: doctor["engines"]
                .as_array()
                .unwrap()
                .iter()
                .map(|engine| engine["ggml"].as_str().unwrap().to_owned())
                .collect(),
            tokens: text["tokens"]
                .as_array()
                .unwrap()
                .iter()
                .map(|token| token["id"].clone())
                .collect(),
            transcript: speech["text"].as_str().unwrap().to_owned(),
            picture: trifold_diffusion::read_png(picture).unwrap().rgb8,
        }
    }
}

fn json(program: &Path, arguments: &[&str]) -> Value {
    let output = Command::new(program)
        .env("TRIFOLD_CPU_LEVEL", "x86-64-v3")
        .args(arguments)
        .args(["--json", "--quiet"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The program with each engine on its own ggml, in a target folder of its own.
fn pinned_program() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = root.join("target/pinned");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(&root)
        .args(["build", "--locked", "-p", "trifold-cli"])
        .env("TRIFOLD_GGML", "pinned")
        // As `cargo xtask test` builds it: what differs by level is tested on the aligned engines.
        .env("TRIFOLD_BUILD_CPU_LEVELS", "x86-64-v3")
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .unwrap();
    assert!(status.success(), "the pinned program does not build");
    target.join("debug/trifold")
}
