//! The program that runs the engines, built by Cargo with one ggml or another.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use trifold_build::env;

use super::{AlignError, compare::Answers};
use crate::workspace::{Workspace, cargo};

const PACKAGE: &str = "trifold-conformance";

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

impl Source {
    pub(super) fn of(workspace: Workspace, revisions: Option<&Path>) -> Result<Self, AlignError> {
        let absolute = |path: &Path| {
            fs_err::canonicalize(path).map_err(|source| AlignError::Io {
                what: "Could not find",
                path: path.into(),
                source,
            })
        };
        Ok(Self {
            workspace,
            revisions: revisions.map(absolute).transpose()?,
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
    /// Runs one engine. Whatever goes wrong is told in words: it is a result.
    pub(super) fn run(
        &self,
        engine: &str,
        models: &Path,
        time_limit: Duration,
    ) -> Result<Answers, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let answers = folder.path().join("answers.json");
        let words = folder.path().join("words.txt");
        let stderr = File::create(&words).map_err(|error| error.to_string())?;
        let mut child = Command::new(&self.path)
            .arg(engine)
            .arg("--models")
            .arg(models)
            .arg("--output")
            .arg(&answers)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .map_err(|error| format!("The program could not be started: {error}"))?;
        let started = Instant::now();
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if started.elapsed() < time_limit => thread::sleep(POLL),
                Ok(None) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(format!("It did not end in {} s", time_limit.as_secs()));
                }
                Err(error) => return Err(error.to_string()),
            }
        };
        if !status.success() {
            let words = fs_err::read(&words).unwrap_or_default();
            return Err(format!("{status}: {}", last_words(&words)));
        }
        let json = fs_err::read(&answers).map_err(|error| error.to_string())?;
        serde_json::from_slice(&json).map_err(|error| format!("Unexpected answers: {error}"))
    }
}

fn last_words(bytes: &[u8]) -> String {
    let words = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(WORDS)..]);
    words.trim().to_owned()
}
