//! The program that runs the engines, built by Cargo with one ggml or another.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use trifold_build::env;

use super::{AlignError, compare::Answers};
use crate::workspace::{Workspace, cargo};

const PACKAGE: &str = "trifold-conformance";

/// Its exit code for a plugin that finds nothing to compute on.
const NO_DEVICE: i32 = 3;

/// Between two looks at a process.
const POLL: Duration = Duration::from_millis(20);

/// Of what a program or Cargo said, the last bytes.
const WORDS: usize = 2000;

/// The source that the program is built from.
pub(super) struct Source {
    pub(super) workspace: Workspace,
    revisions: Option<PathBuf>,
}

/// A built program.
pub(super) struct Program {
    path: PathBuf,
    /// What it was built with, for people.
    pub(super) kind: String,
}

/// What a plugin brings.
pub(super) struct Device<'a> {
    pub(super) name: &'a str,
    pub(super) plugin: &'a Path,
}

/// Why there are no answers, in words: that is a result.
pub(super) enum Failure {
    /// The plugin works, and finds nothing here to compute on.
    NoDevice(String),
    /// Whatever else went wrong.
    Failed(String),
}

impl Failure {
    pub(super) fn words(self) -> String {
        match self {
            Self::NoDevice(words) | Self::Failed(words) => words,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<String> for Failure {
    fn from(words: String) -> Self {
        Self::Failed(words)
    }
}

impl Source {
    pub(super) fn of(workspace: Workspace, revisions: Option<&Path>) -> Result<Self, AlignError> {
        Ok(Self {
            workspace,
            revisions: revisions.map(full_path).transpose()?,
        })
    }

    /// With these engines, each with its own ggml.
    pub(super) fn pinned(&self, engines: &[&str]) -> Result<Program, AlignError> {
        // Where the tests build pinned engines; other revisions must not undo that.
        let target = self.target(match self.revisions {
            None => "pinned",
            Some(_) => "align-pinned",
        });
        self.build(engines, "pinned", &[(env::GGML, "pinned")], &target)
    }

    /// With these engines, all with the ggml of one; `default` if that is the one of `engines.toml`.
    pub(super) fn aligned(
        &self,
        engines: &[&str],
        candidate: &str,
        default: bool,
    ) -> Result<Program, AlignError> {
        let kind = format!("aligned to {candidate}");
        if default && self.revisions.is_none() {
            // As everything else is built, and in the same place.
            let chosen = std::env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty());
            let target = chosen.map_or_else(|| self.workspace.root().join("target"), PathBuf::from);
            return self.build(engines, &kind, &[], &target);
        }
        let variables = [(env::GGML, "aligned"), (env::ALIGNED_TO, candidate)];
        let target = self.target(&format!("align-{candidate}"));
        self.build(engines, &kind, &variables, &target)
    }

    fn target(&self, name: &str) -> PathBuf {
        self.workspace.root().join("target").join(name)
    }

    fn build(
        &self,
        engines: &[&str],
        kind: &str,
        variables: &[(&str, &str)],
        target: &Path,
    ) -> Result<Program, AlignError> {
        let mut command = cargo(self.workspace.root());
        command
            .args([
                "build",
                "--locked",
                "--message-format",
                "json",
                "-p",
                PACKAGE,
            ])
            .args(["--no-default-features", "--features", &engines.join(",")])
            .env_remove(env::SKIP_ENGINES)
            .env_remove(env::ALIGNED_TO)
            .env_remove(env::ENGINES)
            .env_remove(env::GGML)
            .envs(variables.iter().copied())
            .env("CARGO_TARGET_DIR", target);
        if let Some(revisions) = &self.revisions {
            command.env(env::ENGINES, revisions);
        }
        let failed = |output: String| AlignError::Program {
            kind: kind.into(),
            output,
        };
        let output = command
            .output()
            .map_err(|error| failed(format!("cargo could not be started: {error}")))?;
        if !output.status.success() {
            return Err(failed(last_words(&output.stderr)));
        }
        let path = executable(&output.stdout)
            .ok_or_else(|| failed("cargo named no program that it built".into()))?;
        Ok(Program {
            path,
            kind: kind.into(),
        })
    }
}

/// The program, from Cargo's messages, one line of JSON each.
fn executable(messages: &[u8]) -> Option<PathBuf> {
    messages
        .split(|byte| *byte == b'\n')
        .rev()
        .find_map(|line| {
            let message: serde_json::Value = serde_json::from_slice(line).ok()?;
            let name = message.get("target")?.get("name")?.as_str()?;
            let path = message.get("executable")?.as_str()?;
            (name == PACKAGE).then(|| path.into())
        })
}

impl Program {
    /// Runs one engine on the CPU, or on the first device of a plugin.
    pub(super) fn run(
        &self,
        engine: &str,
        models: &Path,
        device: Option<&Device<'_>>,
        time_limit: Duration,
    ) -> Result<Answers, Failure> {
        let folder = tempfile::tempdir()?;
        let answers = folder.path().join("answers.json");
        let words = folder.path().join("words.txt");
        let mut command = Command::new(&self.path);
        command.arg(engine).arg("--models").arg(models);
        command.arg("--output").arg(&answers);
        if let Some(device) = device {
            command.args(["--device", device.name, "--backend"]);
            command.arg(device.plugin);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&words)?)
            .spawn()
            .map_err(|error| {
                Failure::Failed(format!("The program could not be started: {error}"))
            })?;
        let status = wait(child, time_limit)?;
        if !status.success() {
            let said = last_words(&fs_err::read(&words).unwrap_or_default());
            return Err(match status.code() {
                Some(NO_DEVICE) => Failure::NoDevice(said),
                _ => Failure::Failed(format!("{status}: {said}")),
            });
        }
        let json = fs_err::read(&answers)?;
        serde_json::from_slice(&json)
            .map_err(|error| Failure::Failed(format!("Unexpected answers: {error}")))
    }
}

fn wait(mut child: Child, time_limit: Duration) -> Result<ExitStatus, Failure> {
    let started = Instant::now();
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(status),
            None if started.elapsed() < time_limit => thread::sleep(POLL),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                let limit = time_limit.as_secs();
                return Err(Failure::Failed(format!("It did not end in {limit} s")));
            }
        }
    }
}

/// Programs that are started elsewhere are told full paths.
pub(super) fn full_path(path: &Path) -> Result<PathBuf, AlignError> {
    fs_err::canonicalize(path).map_err(|source| AlignError::Io {
        what: "Could not find",
        path: path.into(),
        source,
    })
}

fn last_words(bytes: &[u8]) -> String {
    let words = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(WORDS)..]);
    words.trim().to_owned()
}
