//! Ctrl-C: the first stops the running call, the second the program.

use std::{
    sync::{
        LazyLock, Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

use trifold_runtime::CancelToken;

use crate::error::CliError;

/// What shells report for a program that Ctrl-C ended.
pub(crate) const EXIT_CODE: u8 = 130;

/// An engine looks at its token several times a second; past this, something hangs.
const PATIENCE: Duration = Duration::from_secs(3);

static CURRENT: LazyLock<Mutex<Current>> = LazyLock::new(Mutex::default);

/// What Ctrl-C stops.
#[derive(Default)]
struct Current {
    token: CancelToken,
    /// How many tokens there were before.
    round: u64,
}

fn current() -> MutexGuard<'static, Current> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The token that Ctrl-C cancels; every long call gets a clone.
pub(crate) fn token() -> CancelToken {
    current().token.clone()
}

/// Forgets a Ctrl-C that stopped a call, but is not to end the program.
pub(crate) fn renew() {
    let mut current = current();
    current.token = CancelToken::new();
    current.round += 1;
}

/// Fails if Ctrl-C was pressed: for loops of our own.
pub(crate) fn check() -> Result<(), CliError> {
    if token().is_cancelled() {
        Err(CliError::Interrupted)
    } else {
        Ok(())
    }
}

/// Waits for `work` on another thread, such as reading a pipe, which nothing but its writer can end:
/// after Ctrl-C it is left alone.
pub(crate) fn wait_for<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CliError> {
    const LOOK: Duration = Duration::from_millis(50);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        // Nobody waits any more after Ctrl-C.
        let _ = sender.send(work());
    });
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) => check()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(CliError::Check {
                    message: "A thread of the program failed".into(),
                });
            }
        }
    }
}

/// Installs the handler.
pub(crate) fn install() -> Result<(), CliError> {
    ctrlc::set_handler(|| {
        let asked = current();
        if asked.token.is_cancelled() {
            std::process::exit(i32::from(EXIT_CODE));
        }
        asked.token.cancel();
        let round = asked.round;
        std::thread::spawn(move || {
            std::thread::sleep(PATIENCE);
            if current().round == round {
                std::process::exit(i32::from(EXIT_CODE));
            }
        });
    })
    .map_err(|error| CliError::Check {
        message: format!("Could not watch for Ctrl-C: {error}"),
    })
}
