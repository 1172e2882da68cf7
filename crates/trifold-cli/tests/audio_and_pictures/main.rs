//! `trifold transcribe` and `trifold draw`, run as a user runs them.

mod bad_audio;
mod draw_pictures;
mod ends;
mod help;
#[path = "../support/mod.rs"]
mod support;
mod transcribe_files;

use std::path::Path;

use fs_err as fs;
use support::{Outcome, Run, model_file, trifold};
use tempfile::TempDir;

fn sample(name: &str) -> String {
    path(&model_file("speech/samples").join(name))
}

fn fixture(name: &str) -> String {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trifold-whisper/tests/fixtures");
    path(&fixtures.join(name).canonicalize().unwrap())
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn folder() -> TempDir {
    TempDir::new().unwrap()
}

fn files(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// One thread: several wait for each other by spinning, and other tests run at the same time.
fn transcribe<'a>(args: impl IntoIterator<Item = &'a str>) -> Run {
    trifold(["transcribe", "--threads", "1"].into_iter().chain(args))
}

fn draw<'a>(args: impl IntoIterator<Item = &'a str>) -> Run {
    trifold(["draw", "--threads", "1"].into_iter().chain(args))
}

/// Quick to draw.
const ROUGH: [&str; 4] = ["--steps", "2", "--guidance", "1"];

/// A failure that says what failed, on standard error alone.
fn refused(outcome: &Outcome, expected: &str) {
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert_eq!(outcome.stdout, "", "{outcome}");
    let message = outcome
        .stderr
        .strip_prefix("error: ")
        .unwrap_or_else(|| panic!("{outcome}"));
    assert!(message.contains(expected), "No {expected:?} in: {outcome}");
}

/// A WAV file of 32-bit floats at 16 kHz.
fn wav(samples: &[f32]) -> Vec<u8> {
    let bytes = u32::try_from(samples.len() * 4).unwrap();
    let mut file = b"RIFF".to_vec();
    file.extend((36 + bytes).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([3_u16, 1].map(u16::to_le_bytes).concat());
    file.extend([16_000_u32, 64_000].map(u32::to_le_bytes).concat());
    file.extend([4_u16, 32].map(u16::to_le_bytes).concat());
    file.extend(b"data");
    file.extend(bytes.to_le_bytes());
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    file
}
