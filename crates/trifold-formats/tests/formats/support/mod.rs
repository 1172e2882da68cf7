//! Writers of small files, and what the tests have in common.

pub(crate) mod gguf;
pub(crate) mod safetensors;
pub(crate) mod whisper;

use std::io::Cursor;
use std::path::PathBuf;

use trifold_formats::{FormatError, ModelFile};

/// The path under which bytes are read.
pub(crate) const PATH: &str = "models/test.bin";

/// The path of a demo model.
pub(crate) fn demo(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../models")
        .join(name)
}

pub(crate) fn read(bytes: &[u8]) -> Result<ModelFile, FormatError> {
    ModelFile::read(Cursor::new(bytes), bytes.len() as u64, PATH)
}

/// A check of one engine.
pub(crate) type Check = fn(&ModelFile) -> Result<(), FormatError>;

/// The error of reading and then checking.
#[track_caller]
pub(crate) fn refused(bytes: &[u8], check: Check) -> FormatError {
    read(bytes)
        .and_then(|file| check(&file))
        .expect_err("the file was accepted")
}

/// Asserts that the file is refused, for the right reason: its message names the path and has all `parts`.
#[track_caller]
pub(crate) fn assert_refused(bytes: &[u8], check: Check, parts: &[&str]) {
    assert_error(&refused(bytes, check), parts);
}

#[track_caller]
pub(crate) fn assert_error(error: &FormatError, parts: &[&str]) {
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    assert!(
        message.contains(&error.path().display().to_string()),
        "{message:?} names no path"
    );
    assert!(
        !message.ends_with('.') && message.starts_with(char::is_uppercase),
        "{message:?}"
    );
    let hint = error.hint().unwrap_or_default();
    assert!(
        hint.ends_with('.') && hint.starts_with(char::is_uppercase),
        "{hint:?}"
    );
}

/// No check beyond reading.
#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands where a check is expected"
)]
pub(crate) fn nothing_more(_: &ModelFile) -> Result<(), FormatError> {
    Ok(())
}

/// Where `needle` begins.
#[track_caller]
pub(crate) fn find(bytes: &[u8], needle: &[u8]) -> usize {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
        .expect("the needle is not there")
}

/// Writes `value` over what is at `offset`.
pub(crate) fn overwrite(bytes: &mut [u8], offset: usize, value: &[u8]) {
    bytes[offset..offset + value.len()].copy_from_slice(value);
}
