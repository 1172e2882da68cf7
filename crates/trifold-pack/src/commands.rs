//! The commands, one file each: arguments, and what is done with them.

pub(crate) mod align;
pub(crate) mod audit;
pub(crate) mod coload;
pub(crate) mod compare;
pub(crate) mod inside;
pub(crate) mod layout;
pub(crate) mod plugin;
pub(crate) mod seal;

use std::io::Write as _;

use trifold_pack::PackError;

/// Says on standard error what is being done.
fn show_progress(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Writes to standard output.
fn print(text: &str) -> Result<(), PackError> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(PackError::Stdout)
}
