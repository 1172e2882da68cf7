//! Text that comes from standard input or a file.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Read},
    path::Path,
};

use crate::{error::CliError, interrupt, ui::Ui};

/// Far beyond any context, and small enough that an endless input ends.
const MAX_BYTES: usize = 256 << 20;

/// Fails if there is nothing at a path, and says what may have been meant. `what` names what should be
/// there.
pub(crate) fn check_exists(path: &Path, what: &str) -> Result<(), CliError> {
    match fs_err::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let similar = trifold_hub::similar_files(path);
            let hint = match similar.first() {
                Some(name) => format!("Did you mean `{}`?", path.with_file_name(name).display()),
                None => "Check the path: there is no such file.".to_owned(),
            };
            Err(CliError::input(
                format!("No {what} at: {}", path.display()),
                hint,
            ))
        }
        // All else is better said by whoever opens it.
        _ => Ok(()),
    }
}

/// All of standard input. `what` names it for a user who is asked to type it.
pub(crate) fn stdin(what: &str, ui: &Ui) -> Result<String, CliError> {
    if io::stdin().is_terminal() {
        ui.note(&format!(
            "Type {what}; Ctrl-D at the start of a line ends it."
        ));
    }
    tracing::info!("Reading standard input");
    let text = text_from_stdin(MAX_BYTES);
    if matches!(text, Err(CliError::Interrupted)) && io::stdin().is_terminal() {
        // The terminal is still in the line of the `^C`.
        ui.note("");
    }
    text
}

/// All of standard input, if it is not longer than `max` bytes.
fn text_from_stdin(max: usize) -> Result<String, CliError> {
    let bytes = interrupt::wait_for(move || read(io::stdin().lock(), max))?;
    let bytes = bytes.map_err(CliError::io("Could not read", STDIN))?;
    text(bytes, max, STDIN)
}

/// The next line of standard input without its end; none at the end of the input. `offset` is where
/// it begins, in bytes, and moves on.
pub(crate) fn line(offset: &mut usize) -> Result<Option<String>, CliError> {
    let line = interrupt::wait_for(|| {
        let mut bytes = Vec::new();
        io::stdin()
            .lock()
            .take(past(MAX_BYTES))
            .read_until(b'\n', &mut bytes)
            .map(|_| bytes)
    })?;
    let bytes = line.map_err(CliError::io("Could not read", STDIN))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let begin = *offset;
    *offset += bytes.len();
    text_at(bytes, begin, MAX_BYTES, STDIN).map(Some)
}

/// All of a text file, which may be a pipe.
pub(crate) fn file(path: &Path) -> Result<String, CliError> {
    check_exists(path, "file")?;
    let source = path.to_owned();
    let bytes = interrupt::wait_for(move || read(fs_err::File::open(source)?, MAX_BYTES))?;
    let bytes = bytes
        // Our own message has the path already.
        .map_err(|error| error.kind().into())
        .map_err(CliError::io("Could not read", path))?;
    text(bytes, MAX_BYTES, &path.display().to_string())
}

const STDIN: &str = "standard input";

/// Enough to tell that there are more than `max`.
fn past(max: usize) -> u64 {
    max as u64 + 1
}

fn read(from: impl Read, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(past(max)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn text(bytes: Vec<u8>, max: usize, source: &str) -> Result<String, CliError> {
    text_at(bytes, 0, max, source)
}

/// Without the end of the last line, which belongs to the file and not to the text.
fn text_at(bytes: Vec<u8>, begin: usize, max: usize, source: &str) -> Result<String, CliError> {
    if bytes.len() > max {
        return Err(CliError::input(
            format!("Expected at most {} MiB of text from: {source}", max >> 20),
            "Give a shorter text.",
        ));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let found = error.as_bytes().get(at).copied().unwrap_or_default();
        CliError::input(
            format!(
                "Expected UTF-8 text from: {source} (found: 0x{found:02x} at byte {})",
                begin + at
            ),
            "Convert it first, for example with `iconv -f latin1 -t utf-8`.",
        )
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}
