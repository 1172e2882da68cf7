//! Runs a process with a time limit, and keeps a bounded part of what it prints.

use std::{
    collections::VecDeque,
    io::{self, Read},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open},
};

/// How often to look at the limits.
const LOOK: Duration = Duration::from_millis(5);

/// How long to wait for the last output: a process that it left behind may hold the pipe open.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// Bytes kept of the beginning and of the end of each stream.
const HEAD: usize = 16 * 1024;
const TAIL: usize = 48 * 1024;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Exit(i32),
    Signal(i32),
    /// Killed at the time limit.
    Time,
    /// Killed because its log grew too large.
    Log,
    /// Killed because the user wants an end.
    Interrupted,
}

impl Ended {
    /// Why it did not end as it should; nothing if it did.
    pub(crate) fn problem(self) -> Option<String> {
        match self {
            Self::Exit(0) => None,
            Self::Exit(code) => Some(format!("exit code {code}")),
            Self::Signal(number) => Some(signal_name(number)),
            Self::Time => Some("not done in time".into()),
            Self::Log => Some("too large a log".into()),
            Self::Interrupted => Some("interrupted".into()),
        }
    }
}

/// As `kill -l` lists it.
pub(crate) fn signal_name(number: i32) -> String {
    let name = match number {
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        31 => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.into()
}

#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) ended: Ended,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The process's own id.
    pub(crate) id: u32,
    /// How long it ran.
    pub(crate) time: Duration,
}

pub(crate) struct Limits<'a> {
    pub(crate) time: Duration,
    /// Whether the user wants an end.
    pub(crate) interrupted: &'a AtomicBool,
    /// `PATH.PID` may have so many bytes.
    pub(crate) log: Option<(PathBuf, u64)>,
}

/// Runs it to its end. At the time limit, `ask` is called with its id before it is killed, with all
/// that it has started.
pub(crate) fn run(
    command: &mut Command,
    limits: &Limits<'_>,
    ask: impl FnOnce(&Asked),
) -> io::Result<Finished> {
    let mut child = command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let began = Instant::now();
    let pid = Pid::from_child(&child);
    let stdout = child.stdout.take().map(Capture::of);
    let stderr = child.stderr.take().map(Capture::of);
    let log = limits.log.as_ref().map(|(path, most)| {
        let mut name = path.clone().into_os_string();
        name.push(format!(".{}", child.id()));
        (PathBuf::from(name), *most)
    });
    let interrupted = || limits.interrupted.load(Ordering::Relaxed);
    let waited = wait(&mut child, began + limits.time, log.as_ref(), interrupted);
    let time = began.elapsed();
    let ended = match waited {
        Ok(Some(status)) => ended(status),
        Ok(None) if interrupted() => Ended::Interrupted,
        Ok(None) if time < limits.time => Ended::Log,
        Ok(None) => {
            ask(&Asked(pid));
            Ended::Time
        }
        Err(error) => {
            let _ = kill_process_group(pid, Signal::KILL);
            return Err(error);
        }
    };
    // Also what it left running.
    let _ = kill_process_group(pid, Signal::KILL);
    child.wait()?;
    let until = Instant::now() + LAST_OUTPUT;
    Ok(Finished {
        ended,
        stdout: stdout.map_or_else(String::new, |capture| capture.text(until)),
        stderr: stderr.map_or_else(String::new, |capture| capture.text(until)),
        id: child.id(),
        time,
    })
}

/// A process at its time limit.
pub(crate) struct Asked(Pid);

impl Asked {
    /// Sends the signal, and waits for the file to have what shows that it was answered.
    pub(crate) fn signal(
        &self,
        signal: Signal,
        most: Duration,
        mut answered: impl FnMut() -> bool,
    ) {
        if kill_process(self.0, signal).is_err() {
            return;
        }
        let until = Instant::now() + most;
        while !answered() && Instant::now() < until {
            thread::sleep(LOOK);
        }
    }
}

/// Until it ends, the time is over, the log too large or the user wants an end.
fn wait(
    child: &mut Child,
    until: Instant,
    log: Option<&(PathBuf, u64)>,
    interrupted: impl Fn() -> bool,
) -> io::Result<Option<ExitStatus>> {
    let end = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until
            || interrupted()
            || log.is_some_and(|(path, most)| size(path) > *most)
        {
            return Ok(None);
        }
        pause(end.as_ref());
    }
}

/// Until the next look, or the process's end: how long it ran is measured, too.
fn pause(end: Option<&OwnedFd>) {
    let most = Timespec::try_from(LOOK).ok();
    let ended = end.map(|end| poll(&mut [PollFd::new(end, PollFlags::IN)], most.as_ref()));
    // A kernel before 5.3 does not tell the end, and a signal may come instead of it.
    if !matches!(ended, Some(Ok(_))) {
        thread::sleep(LOOK);
    }
}

fn size(path: &Path) -> u64 {
    fs_err::metadata(path).map_or(0, |data| data.len())
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exit(code),
        (None, signal) => Ended::Signal(signal.unwrap_or_default()),
    }
}

/// The beginning and the end of a stream, read to its end by a thread so that the writer never waits.
struct Capture {
    kept: Arc<Mutex<Kept>>,
    reader: thread::JoinHandle<()>,
}

#[derive(Default)]
struct Kept {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: usize,
}

impl Capture {
    fn of(mut stream: impl Read + Send + 'static) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let of_reader = Arc::clone(&kept);
        let reader = thread::spawn(move || {
            let mut block = [0; 8192];
            loop {
                match stream.read(&mut block) {
                    Ok(0) => return,
                    Ok(got) => of_reader
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .add(&block[..got]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return,
                }
            }
        });
        Self { kept, reader }
    }

    /// What came until the stream's end, or until then.
    fn text(self, until: Instant) -> String {
        while !self.reader.is_finished() && Instant::now() < until {
            thread::sleep(LOOK);
        }
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .text()
    }
}

impl Kept {
    fn add(&mut self, mut bytes: &[u8]) {
        let room = HEAD.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        bytes = &bytes[room..];
        self.tail.extend(bytes);
        let over = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..over);
        self.left_out += over;
    }

    fn text(&mut self) -> String {
        let mut bytes = self.head.clone();
        if self.left_out > 0 {
            bytes.extend_from_slice(format!("\n[{} bytes left out]\n", self.left_out).as_bytes());
        }
        bytes.extend_from_slice(self.tail.make_contiguous());
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static NEVER: AtomicBool = AtomicBool::new(false);

    fn limits(milliseconds: u64) -> Limits<'static> {
        Limits {
            interrupted: &NEVER,
            time: Duration::from_millis(milliseconds),
            log: None,
        }
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn ends() {
        let cases = [
            ("exit 7", Ended::Exit(7)),
            ("kill -9 $$", Ended::Signal(9)),
            ("exit 0", Ended::Exit(0)),
        ];
        for (script, expected) in cases {
            let found = run(&mut shell(script), &limits(20_000), |_| {}).unwrap();
            assert_eq!(found.ended, expected, "{script}");
        }
    }

    #[test]
    fn both_ends_of_long_output_are_kept() {
        let script = "echo first; yes | head -c 3000000; echo last; echo other >&2";
        let found = run(&mut shell(script), &limits(20_000), |_| {}).unwrap();
        assert!(found.stdout.starts_with("first\ny\n"));
        assert!(found.stdout.ends_with("y\nlast\n"));
        assert!(found.stdout.len() < HEAD + TAIL + 64);
        assert!(
            found
                .stdout
                .contains(&format!("[{} bytes left out]", 3_000_011 - HEAD - TAIL))
        );
        assert_eq!(found.stderr, "other\n");
    }

    #[test]
    fn at_the_time_limit_it_is_asked_and_killed_with_what_it_started() {
        let mut asked = false;
        let script = "echo here; sleep 600 & sleep 600";
        let found = run(&mut shell(script), &limits(300), |process| {
            asked = true;
            process.signal(Signal::CONT, Duration::ZERO, || true);
        })
        .unwrap();
        assert!(asked);
        assert_eq!(found.ended, Ended::Time);
        assert_eq!(found.stdout, "here\n");
    }

    #[test]
    fn a_log_that_grows_too_large_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits {
            time: Duration::from_secs(60),
            interrupted: &NEVER,
            log: Some((folder.path().join("log"), 10_000)),
        };
        let script = "cd \"$FOLDER\" && yes > log.$$";
        let mut command = shell(script);
        command.env("FOLDER", folder.path());
        let found = run(&mut command, &limits, |_| {}).unwrap();
        assert_eq!(found.ended, Ended::Log);
    }

    #[test]
    fn the_user_ends_it() {
        let wanted = AtomicBool::new(false);
        let limits = Limits {
            time: Duration::from_secs(60),
            interrupted: &wanted,
            log: None,
        };
        thread::scope(|scope| {
            let running = scope.spawn(|| run(&mut shell("sleep 600"), &limits, |_| {}));
            thread::sleep(Duration::from_millis(50));
            wanted.store(true, Ordering::Relaxed);
            let found = running.join().unwrap().unwrap();
            assert_eq!(found.ended, Ended::Interrupted);
        });
    }
}
