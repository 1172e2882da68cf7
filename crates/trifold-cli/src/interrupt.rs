//! Ctrl-C: the first stops the running call, the second the program.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use trifold_runtime::CancelToken;

use crate::error::CliError;

/// What shells report for a program that Ctrl-C ended.
pub(crate) const EXIT_CODE: u8 = 130;

/// An engine looks at its token several times a second; past this, something hangs.
const PATIENCE: Duration = Duration::from_secs(3);

static TOKEN: LazyLock<CancelToken> = LazyLock::new(CancelToken::new);
static ASKED: AtomicBool = AtomicBool::new(false);

/// The token that Ctrl-C cancels; every long call gets a clone.
pub(crate) fn token() -> CancelToken {
    TOKEN.clone()
}

/// Fails if Ctrl-C was pressed: for loops of our own.
pub(crate) fn check() -> Result<(), CliError> {
    if TOKEN.is_cancelled() { Err(CliError::Interrupted) } else { Ok(()) }
}

/// Installs the handler.
pub(crate) fn install() -> Result<(), CliError> {
    ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(EXIT_CODE));
        }
        TOKEN.cancel();
        std::thread::spawn(|| {
            std::thread::sleep(PATIENCE);
            std::process::exit(i32::from(EXIT_CODE));
        });
    })
    .map_err(|error| CliError::Check { message: format!("Could not watch for Ctrl-C: {error}") })
}
