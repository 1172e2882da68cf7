//! Runs the built program and shows what came out, without what differs from run to run.
#![allow(dead_code, unused_imports, unused_macros)] // each test file uses a part

mod answers;

use std::{
    ffi::OsStr,
    fmt,
    io::{Read, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

pub(crate) use answers::{Answers, STORY};

/// Longer than anything in these tests takes: past it, the program hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// The same for an emulated CPU, which takes some fifty times as long.
const EMULATED_PATIENCE: Duration = Duration::from_secs(1200);

const EMULATOR: &str = "qemu-x86_64";

/// Whether CPUs can be emulated on this machine. Not on every one: other tests run the same kernels by name.
pub(crate) fn can_emulate() -> bool {
    let there = Command::new(EMULATOR).arg("--version").output().is_ok();
    if !there {
        note("left out: no qemu-x86_64 (Debian and Ubuntu have it in qemu-user)");
    }
    there
}

/// Says what a test leaves out.
#[expect(clippy::print_stderr, reason = "for who runs the tests")]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// What the program did.
pub(crate) struct Outcome {
    /// The exit code; none after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or("none".to_owned(), |code| code.to_string());
        write!(f, "exit code: {code}\n----- stdout -----\n{}", self.stdout)?;
        write!(
            f,
            "{}----- stderr -----\n{}",
            end_line(&self.stdout),
            self.stderr
        )
    }
}

fn end_line(text: &str) -> &str {
    if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "(no newline)\n"
    }
}

impl Outcome {
    /// The result as JSON; fails if the program did not succeed.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{self}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

/// A run to be made.
pub(crate) struct Run {
    command: Command,
    stdin: Vec<u8>,
    patience: Duration,
}

/// A run of the program with these arguments, an empty standard input, and a cache of the tests' own.
pub(crate) fn trifold(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trifold"));
    command.args(args).env("TRIFOLD_CACHE", cache());
    for name in [
        "RUST_LOG",
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "COLUMNS",
    ] {
        command.env_remove(name);
    }
    Run {
        command,
        stdin: Vec::new(),
        patience: PATIENCE,
    }
}

/// A run of a shell script with the program as `$TRIFOLD`.
pub(crate) fn shell(script: &str) -> Run {
    let mut run = trifold([""; 0]);
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .env("TRIFOLD", run.command.get_program());
    command.env("TRIFOLD_CACHE", cache());
    run.command = command;
    run
}

impl Run {
    /// What to send to standard input.
    pub(crate) fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.stdin = bytes.as_ref().to_vec();
        self
    }

    /// More arguments.
    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs the program on another CPU, which QEMU emulates.
    pub(crate) fn on_cpu(mut self, cpu: &str) -> Self {
        let mut command = Command::new(EMULATOR);
        command
            .args(["-cpu", cpu])
            .arg(self.command.get_program())
            .args(self.command.get_args());
        let set = self.command.get_envs();
        command.envs(set.filter_map(|(name, value)| Some((name, value?))));
        self.command = command;
        self.patience = EMULATED_PATIENCE;
        self
    }

    /// The working folder.
    pub(crate) fn folder(mut self, path: impl AsRef<Path>) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Makes every write beyond 1 KiB of a file fail, as on a full disk.
    pub(crate) fn with_small_files(mut self) -> Self {
        let limited = "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"";
        let mut command = Command::new("bash");
        command
            .args(["-c", limited])
            .arg(self.command.get_program())
            .args(self.command.get_args());
        command.envs(
            self.command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        if let Some(folder) = self.command.get_current_dir() {
            command.current_dir(folder);
        }
        self.command = command;
        self
    }

    /// Runs to the end.
    pub(crate) fn run(self) -> Outcome {
        self.start().finish()
    }

    /// Runs to the end with standard output going elsewhere.
    pub(crate) fn run_into(mut self, stdout: impl Into<Stdio>) -> Outcome {
        self.command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped());
        Running::of(self.command.spawn().unwrap(), self.patience).finish()
    }

    /// Starts, and comes back at once.
    pub(crate) fn start(mut self) -> Running {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let bytes = self.stdin;
        // The program may end without having read it all.
        thread::spawn(move || stdin.write_all(&bytes).is_ok());
        Running::of(child, self.patience)
    }
}

impl Run {
    /// Starts with a standard input that may stay open, such as a pipe for [`Running::send`].
    pub(crate) fn start_reading(mut self, stdin: impl Into<Stdio>) -> Running {
        self.command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Running::of(self.command.spawn().unwrap(), self.patience)
    }
}

/// A run that goes on.
pub(crate) struct Running {
    pub(crate) child: Child,
    deadline: Instant,
}

impl Running {
    fn of(child: Child, patience: Duration) -> Self {
        Self {
            child,
            deadline: Instant::now() + patience,
        }
    }

    /// Sends more to the standard input of [`Run::start_reading`] from a pipe.
    pub(crate) fn send(&mut self, text: &str) {
        self.child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    /// Reads no more of standard output, as `head` does when it has enough.
    pub(crate) fn close_stdout(&mut self) {
        drop(self.child.stdout.take());
    }

    /// What Ctrl-C sends.
    pub(crate) fn interrupt(&self) {
        let sent = Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Reads standard output until it has `text`; gives what was read.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let stdout = self.child.stdout.as_mut().unwrap();
        let mut read = Vec::new();
        let mut byte = [0];
        while !String::from_utf8_lossy(&read).contains(text) {
            assert_eq!(
                stdout.read(&mut byte).unwrap(),
                1,
                "No {text:?} in: {read:?}"
            );
            read.push(byte[0]);
        }
        String::from_utf8_lossy(&read).into_owned()
    }

    /// Reads standard error until it has `text`.
    pub(crate) fn wait_for_stderr(&mut self, text: &str) {
        let stderr = self.child.stderr.as_mut().unwrap();
        let (mut read, mut byte) = (Vec::new(), [0]);
        while !String::from_utf8_lossy(&read).contains(text) {
            assert_eq!(
                stderr.read(&mut byte).unwrap(),
                1,
                "No {text:?} in: {read:?}"
            );
            read.push(byte[0]);
        }
    }

    /// Waits for the end.
    pub(crate) fn finish(mut self) -> Outcome {
        let stdout = self.child.stdout.take().map(collect);
        let stderr = self.child.stderr.take().map(collect);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > self.deadline {
                self.child.kill().unwrap();
                panic!("The program did not end");
            }
            thread::sleep(Duration::from_millis(10));
        };
        let text = |reader: Option<thread::JoinHandle<Vec<u8>>>| {
            let bytes = reader
                .map(|reader| reader.join().unwrap())
                .unwrap_or_default();
            String::from_utf8(bytes).unwrap()
        };
        Outcome {
            code: status.code(),
            stdout: text(stdout),
            stderr: text(stderr),
        }
    }
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// The cache of all tests: the demo models are written to it once.
pub(crate) fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("trifold-cache")
}

/// A file of `models/`, such as `story/trifold-story.gguf`.
pub(crate) fn model_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../models")
        .join(name)
        .canonicalize()
        .unwrap()
}

/// What differs from run to run, by its regular expression, and what stands for it in snapshots.
pub(crate) const FILTERS: &[(&str, &str)] = &[
    // The last digits of what is computed.
    (r#"("logprob": -?\d+\.\d)\d+"#, "$1"),
    // Times and speeds.
    (
        r"\b\d+(\.\d+)? ?(tokens/s|it/s|s/step|steps/s)",
        "[SPEED] $2",
    ),
    (r"\b\d+(\.\d+)?( ?×|x)( real time)", "[SPEED] ×$3"),
    (r"\b\d+(\.\d+)? ?(ms|µs|s)\b", "[TIME]"),
    (
        r#"("[a-z_]*(seconds|per_second|_ms)": ?)[\d.e+-]+"#,
        "$1[TIME]",
    ),
];

/// The settings under which snapshots are compared.
pub(crate) fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    // Paths first, the longest before those that it begins with.
    let cache = cache().display().to_string();
    let models = model_file("story").parent().unwrap().display().to_string();
    let temp = std::env::temp_dir().display().to_string();
    settings.add_filter(&literal(&cache), "[CACHE]");
    settings.add_filter(&literal(&models), "[MODELS]");
    settings.add_filter(&format!(r"{}/\.tmp[A-Za-z0-9]+", literal(&temp)), "[TEMP]");
    for (pattern, stand_in) in FILTERS {
        settings.add_filter(pattern, *stand_in);
    }
    settings
}

/// A regular expression for this text and nothing else.
fn literal(text: &str) -> String {
    let mut pattern = String::new();
    for character in text.chars() {
        if !character.is_alphanumeric() && character != '/' && character.is_ascii() {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// Compares what came out with an inline snapshot: `snapshot!(trifold(["--help"]), @"…")`.
macro_rules! snapshot {
    ($run:expr, @$expected:literal $(,)?) => {
        $crate::support::settings()
            .bind(|| insta::assert_snapshot!($run.run().to_string(), @$expected))
    };
}
pub(crate) use snapshot;

/// In dB: pictures that differ by rounding, other sums on another CPU or device or by another ggml, differ by less than can be seen.
pub(crate) const SAME_TO_THE_EYE: f64 = 40.0;

/// Peak signal-to-noise ratio of two pictures of 8 bits a channel, in dB; infinite if they are equal.
pub(crate) fn psnr(one: &[u8], other: &[u8]) -> f64 {
    assert_eq!(one.len(), other.len());
    let error: f64 = one
        .iter()
        .zip(other)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
        .sum();
    let mean = error / f64::from(u32::try_from(one.len()).unwrap());
    10.0 * (255.0 * 255.0 / mean).log10()
}
