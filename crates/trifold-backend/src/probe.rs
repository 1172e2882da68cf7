//! Tries a plugin in another process, so that one that crashes or hangs does so there.
//!
//! No other program is needed: a plugin can be run by the system's loader, as `ld.so PLUGIN`. It initialises
//! its backend, prints which devices that has, and ends (`crates/trifold-build/shim/plugin/plugin.cpp`).

use std::{
    io::{self, Read},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};

use crate::{BackendError, note};

/// More than any plugin has to say.
const MOST_OUTPUT: u64 = 1 << 16;

/// Where the loader is on every x86-64 Linux with glibc, if the program's own file does not say.
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// Runs a plugin. Fails if it crashes, hangs, or finds nothing to work with.
pub(crate) fn run(path: &Path, limit: Duration) -> Result<(), BackendError> {
    let loader = note::interpreter(Path::new("/proc/self/exe"))
        .filter(|loader| loader.is_absolute())
        .unwrap_or_else(|| PathBuf::from(LOADER));
    let io = |source| BackendError::io("Could not try the backend plugin", path, source);
    let child = Command::new(&loader)
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(io)?;
    // Ended and reaped on every way out.
    let mut child = Trial(Some(child));
    let out = reader(child.get().and_then(|child| child.stdout.take())).map_err(io)?;
    let err = reader(child.get().and_then(|child| child.stderr.take())).map_err(io)?;
    let deadline = Instant::now() + limit;
    let Ok(said) = out.recv_timeout(limit) else {
        return Err(hung(path, limit));
    };
    // What it says is complete: how it ends does not matter any more.
    if said.ends_with("end\n") {
        return Ok(());
    }
    let words = err.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
    let words = last_line(&words);
    let path = path.to_owned();
    if said.ends_with("refused\n") {
        return Err(BackendError::Refused { path, said: words });
    }
    if said.ends_with("failed\n") {
        return Err(BackendError::Failed { path, said: words });
    }
    let status = child.get().and_then(|child| wait(child, deadline));
    if status.is_none() && Instant::now() >= deadline {
        return Err(hung(&path, limit));
    }
    if said.is_empty()
        && let Some(why) = status.and_then(|status| unloadable(status, &words))
    {
        return Err(BackendError::Load { path, why });
    }
    let how = status.map_or_else(|| "unknown end".into(), how);
    let said = words;
    Err(BackendError::Crashed { path, how, said })
}

fn hung(path: &Path, limit: Duration) -> BackendError {
    BackendError::Hung {
        path: path.to_owned(),
        seconds: limit.as_secs(),
    }
}

/// Reads all on a thread of its own: a plugin that hangs keeps its streams open.
fn reader(stream: Option<impl Read + Send + 'static>) -> io::Result<Receiver<String>> {
    let (send, receive) = mpsc::channel();
    if let Some(stream) = stream {
        std::thread::Builder::new()
            .name("trifold-probe".into())
            .spawn(move || {
                let mut bytes = Vec::new();
                let mut stream = stream.take(MOST_OUTPUT);
                // A stream that breaks off has said what it has said.
                let _ = stream.read_to_end(&mut bytes);
                let _ = send.send(String::from_utf8_lossy(&bytes).into_owned());
            })?;
    }
    Ok(receive)
}

/// Waits for the end. A process that ignores its children's ends cannot be told how this one ended.
fn wait(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            Ok(None) | Err(_) => return None,
        }
    }
}

/// The process of a trial, until it is ended and reaped.
struct Trial(Option<Child>);

impl Trial {
    fn get(&mut self) -> Option<&mut Child> {
        self.0.as_mut()
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        /// The end comes at once, but not to a process that waits for a driver.
        const PATIENCE: Duration = Duration::from_secs(1);
        let Some(mut child) = self.0.take() else {
            return;
        };
        // It may have ended by itself.
        let _ = child.kill();
        if wait(&mut child, Instant::now() + PATIENCE).is_none() {
            let reaper = std::thread::Builder::new().name("trifold-probe".into());
            // Without a thread it is left to the end of this process.
            let _ = reaper.spawn(move || child.wait());
        }
    }
}

/// What the loader says of a library that is missing (exit code 127), or has not the version that the plugin was
/// linked with (exit code 1), without its own name or the plugin's before it.
fn unloadable(status: ExitStatus, words: &str) -> Option<String> {
    if !matches!(status.code(), Some(1 | 127)) {
        return None;
    }
    let starts = ["error while loading shared libraries: ", ".so: "];
    let mut rest = starts
        .iter()
        .find_map(|start| words.split_once(start).map(|(_, rest)| rest))?;
    // `PLUGIN: LIBRARY: version `X' not found (required by PLUGIN)`
    rest = rest
        .split_once(" (required by ")
        .map_or(rest, |(rest, _)| rest);
    let missing = rest.contains("cannot open shared object file");
    (missing || rest.ends_with("not found")).then(|| rest.to_owned())
}

fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(libc::SIGSEGV), _) => "signal SIGSEGV".into(),
        (Some(libc::SIGABRT), _) => "signal SIGABRT".into(),
        (Some(libc::SIGILL), _) => "signal SIGILL".into(),
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "unknown end".into(),
    }
}

/// The last words that are any.
fn last_line(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or_default().trim().chars().take(400).collect()
}
