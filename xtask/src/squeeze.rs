//! Packs a wheel's files harder than maturin can: by zopfli, whose output any unzip reads.

use std::{
    hash::{DefaultHasher, Hasher as _},
    io::{Read as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

/// Rounds of zopfli. More give less than one part in a thousand.
const ROUNDS: i64 = 10;

/// Below this there is little to gain.
const LEAST: u64 = 4096;

/// Rewrites a wheel in place: the same entries in the same order with the same times. It takes seconds for
/// each megabyte, so that what was made of the same bytes before is taken from `cache`.
pub(crate) fn squeeze(wheel: &Path, cache: &Path) -> Result<()> {
    let bytes = fs_err::read(wheel)?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes);
    let known = cache.join(format!("{:016x}-{ROUNDS}.whl", hasher.finish()));
    if !known.is_file() {
        fs_err::create_dir_all(cache)?;
        let mut file = tempfile::NamedTempFile::new_in(cache)?;
        file.write_all(
            &packed(&bytes).with_context(|| format!("Could not pack {}", wheel.display()))?,
        )?;
        file.persist(&known)?;
    }
    // Not a copy with its permissions: a temporary file is private.
    fs_err::write(wheel, fs_err::read(known)?)?;
    Ok(())
}

fn packed(wheel: &[u8]) -> Result<Vec<u8>> {
    let mut from = ZipArchive::new(std::io::Cursor::new(wheel))?;
    let mut to = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for index in 0..from.len() {
        let mut entry = from.by_index(index)?;
        let mut options = SimpleFileOptions::default()
            .last_modified_time(entry.last_modified().unwrap_or_default());
        if let Some(mode) = entry.unix_mode() {
            options = options.unix_permissions(mode);
        }
        options = if entry.size() < LEAST {
            options.compression_method(entry.compression())
        } else {
            // From 10 on, it is zopfli.
            options
                .compression_method(CompressionMethod::Deflated)
                .compression_level(Some(9 + ROUNDS))
        };
        let (name, mut content) = (entry.name()?.into_owned(), Vec::new());
        entry.read_to_end(&mut content)?;
        to.start_file(name, options)?;
        to.write_all(&content)?;
    }
    Ok(to.finish()?.into_inner())
}
