//! Where a recording comes from: a file, or standard input by way of a temporary one.

use std::{
    io::{self, IsTerminal as _, Read as _, Write as _},
    path::Path,
};

use tempfile::NamedTempFile;

use crate::{commands::input, error::CliError, interrupt, ui::Ui};

/// The most that is read from standard input: 18 hours of plain 16-bit audio at 16 kHz.
const MAX_BYTES: u64 = 2 << 30;

/// A recording that is there, as far as can be told without reading it.
pub(super) struct Source<'a> {
    path: &'a Path,
    name: String,
    is_stdin: bool,
}

/// A recording in a file.
pub(super) enum Spooled<'a> {
    Own(&'a Path),
    Temporary(NamedTempFile),
}

impl<'a> Source<'a> {
    pub(super) fn new(path: &'a Path) -> Result<Self, CliError> {
        let is_stdin = path == Path::new("-");
        if !is_stdin {
            input::check_exists(path, "audio file")?;
        } else if io::stdin().is_terminal() {
            return Err(CliError::input(
                "Expected audio on standard input (found: a terminal)",
                "Send a file: trifold transcribe - < talk.wav",
            ));
        }
        let name = if is_stdin {
            "standard input".to_owned()
        } else {
            path.display().to_string()
        };
        Ok(Self {
            path,
            name,
            is_stdin,
        })
    }

    /// What to call it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn open(&self, ui: &Ui) -> Result<Spooled<'a>, CliError> {
        if !self.is_stdin {
            return Ok(Spooled::Own(self.path));
        }
        let spinner = ui.spinner("Reading standard input");
        let result = spool();
        spinner.finish_and_clear();
        result.map(Spooled::Temporary)
    }
}

impl Spooled<'_> {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Own(path) => path,
            Self::Temporary(file) => file.path(),
        }
    }
}

/// Decoders jump back and forth in a file, which a pipe does not allow.
fn spool() -> Result<NamedTempFile, CliError> {
    let fail = || {
        CliError::io(
            "Could not keep standard input in the folder",
            std::env::temp_dir(),
        )
    };
    let file = NamedTempFile::with_prefix("trifold-").map_err(fail())?;
    let mut copy = file.reopen().map_err(fail())?;
    let bytes = interrupt::wait_for(move || {
        let bytes = io::copy(&mut io::stdin().lock().take(MAX_BYTES + 1), &mut copy)?;
        copy.flush().map(|()| bytes)
    })?
    .map_err(fail())?;
    if bytes > MAX_BYTES {
        return Err(CliError::input(
            format!(
                "Expected at most {} GiB on standard input (found: more)",
                MAX_BYTES >> 30
            ),
            "Give the file itself, or a compressed one.",
        ));
    }
    Ok(file)
}
