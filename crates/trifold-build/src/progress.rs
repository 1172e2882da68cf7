use std::{
    fs::File,
    io::Write as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::env;

/// Between two lines.
const INTERVAL: Duration = Duration::from_secs(5);

/// Progress lines of a cold build.
///
/// Cargo keeps what a build script prints to itself, so minutes would pass without a sign of life.
/// The lines go to the standard error of the parent process instead: cargo's own, be it a terminal,
/// a pipe or a file. Where that cannot be opened, nothing is shown.
pub(crate) struct Progress {
    title: String,
    state: Mutex<State>,
}

struct State {
    out: Option<File>,
    done: usize,
    shown: Instant,
}

impl Progress {
    pub(crate) fn new(title: &str, text: &str) -> Self {
        let state = State {
            out: open(),
            done: 0,
            shown: Instant::now(),
        };
        let progress = Self {
            title: title.into(),
            state: Mutex::new(state),
        };
        progress.line(text);
        progress
    }

    /// One more file of `total` is done.
    pub(crate) fn step(&self, total: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done += 1;
        if state.shown.elapsed() < INTERVAL && state.done < total {
            return;
        }
        state.shown = Instant::now();
        let text = format!("{}/{total} files", state.done);
        drop(state);
        self.line(&text);
    }

    /// Shows a line now.
    pub(crate) fn line(&self, text: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(out) = &mut state.out {
            // `\r` and erase: cargo's own bar may stand on the line.
            let _ = writeln!(out, "\r\x1b[K     Engine {}: {text}", self.title);
        }
    }
}

fn open() -> Option<File> {
    if std::env::var_os(env::PROGRESS).is_some_and(|value| value == "off") {
        return None;
    }
    let parent = std::os::unix::process::parent_id();
    File::options()
        .append(true)
        .open(format!("/proc/{parent}/fd/2"))
        .ok()
}
