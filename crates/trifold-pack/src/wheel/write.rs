//! Writes a wheel, the same bytes each time.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use super::texts::base64;
use crate::{PackError, data::hex};

/// A wheel in the making.
pub(crate) struct Writer {
    path: PathBuf,
    info: String,
    tag: String,
    zip: ZipWriter<fs_err::File>,
    record: Vec<String>,
}

impl Writer {
    /// `name` and `version` as file names have them; `tag` is `python-abi-platform`.
    pub(crate) fn new(
        folder: &Path,
        name: &str,
        version: &str,
        tag: &str,
    ) -> Result<Self, PackError> {
        let path = folder.join(format!("{name}-{version}-{tag}.whl"));
        let file = fs_err::File::create(&path).map_err(PackError::io("Could not write", &path))?;
        Ok(Self {
            path,
            info: format!("{name}-{version}.dist-info"),
            tag: tag.to_owned(),
            zip: ZipWriter::new(file),
            record: Vec::new(),
        })
    }

    /// Writes all files, and what a wheel says of itself; `licences` by their `License-File`.
    pub(crate) fn write(
        mut self,
        files: &[(String, Vec<u8>)],
        metadata: &str,
        licences: &[(String, Vec<u8>)],
    ) -> Result<PathBuf, PackError> {
        for (path, bytes) in files {
            self.add(path, bytes)?;
        }
        let info = self.info.clone();
        for (path, bytes) in licences {
            self.add(&format!("{info}/licenses/{path}"), bytes)?;
        }
        self.add(&format!("{info}/METADATA"), metadata.as_bytes())?;
        let wheel = format!(
            "Wheel-Version: 1.0\nGenerator: trifold-pack {}\nRoot-Is-Purelib: {}\nTag: {}\n",
            env!("CARGO_PKG_VERSION"),
            self.tag.ends_with("-any"),
            self.tag
        );
        self.add(&format!("{info}/WHEEL"), wheel.as_bytes())?;
        self.record.push(format!("{info}/RECORD,,\n"));
        let record = self.record.join("\n");
        self.add(&format!("{info}/RECORD"), record.as_bytes())?;
        let Self { path, zip, .. } = self;
        zip.finish().map_err(failed(&path))?;
        Ok(path)
    }

    fn add(&mut self, path: &str, bytes: &[u8]) -> Result<(), PackError> {
        let mode = if path.contains(".so") { 0o755 } else { 0o644 };
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(9))
            .last_modified_time(DateTime::default())
            .unix_permissions(mode)
            .large_file(false);
        self.zip
            .start_file(path, options)
            .map_err(failed(&self.path))?;
        self.zip
            .write_all(bytes)
            .map_err(PackError::io("Could not write", &self.path))?;
        let hash = base64(&hex(&Sha256::digest(bytes)));
        let name = if path.contains([',', '"']) {
            format!("\"{}\"", path.replace('"', "\"\""))
        } else {
            path.to_owned()
        };
        self.record
            .push(format!("{name},sha256={hash},{}", bytes.len()));
        Ok(())
    }
}

fn failed(path: &Path) -> impl Fn(zip::result::ZipError) -> PackError {
    move |error| PackError::Io {
        what: "Could not write",
        path: path.to_owned(),
        source: std::io::Error::other(error),
    }
}
