//! What an engine could change for the rest of the process, and whether it did.
#![allow(unsafe_code)] // `setlocale`, to read the locale

use std::{
    collections::BTreeMap,
    ffi::{CStr, OsString},
};

/// The process-wide state that a library must leave alone.
///
/// ```
/// use trifold_runtime::process::Snapshot;
///
/// let before = Snapshot::take(0);
/// assert!(before.changes(&Snapshot::take(0)).is_empty());
/// assert_eq!(before.changes(&Snapshot::take(1)), ["the C++ terminate handler"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    terminate_handler: usize,
    /// Caught, ignored and (on this thread) blocked signals, as masks.
    signals: BTreeMap<String, String>,
    locale: Option<String>,
    environment: BTreeMap<OsString, OsString>,
}

impl Snapshot {
    /// The state now. The address of the C++ terminate handler comes from an engine's `-sys` crate.
    pub fn take(terminate_handler: usize) -> Self {
        Self {
            terminate_handler,
            signals: signals(),
            locale: locale(),
            environment: std::env::vars_os().collect(),
        }
    }

    /// What differs in a later snapshot, named for a message; empty if nothing does.
    pub fn changes(&self, later: &Self) -> Vec<&'static str> {
        let differs = [
            (
                self.terminate_handler != later.terminate_handler,
                "the C++ terminate handler",
            ),
            (self.signals != later.signals, "the signal handlers"),
            (self.locale != later.locale, "the locale"),
            (self.environment != later.environment, "the environment"),
        ];
        differs
            .into_iter()
            .filter_map(|(differs, what)| differs.then_some(what))
            .collect()
    }
}

/// Resident memory of this process in bytes, if the system tells.
pub fn resident_bytes() -> Option<u64> {
    status_line("VmRSS:")?
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()
        .map(|kilobytes| kilobytes * 1024)
}

fn signals() -> BTreeMap<String, String> {
    ["SigCgt:", "SigIgn:", "SigBlk:"]
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), status_line(name)?)))
        .collect()
}

fn status_line(name: &str) -> Option<String> {
    // Of this thread: another one blocks signals for a moment whenever it starts a thread.
    let status = fs_err::read_to_string("/proc/thread-self/status").ok()?;
    status
        .lines()
        .find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
}

fn locale() -> Option<String> {
    // SAFETY: a null locale only asks; the text is the C library's own and is copied at once.
    unsafe {
        let name = libc::setlocale(libc::LC_ALL, std::ptr::null());
        (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
    }
}
