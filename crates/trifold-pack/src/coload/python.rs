//! The interpreter that loads everything.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::AtomicBool,
    time::Duration,
};

use serde::Deserialize;

use super::{
    ColoadError,
    target::{Kind, Target},
};
use crate::child::{self, Ended, Limits};

const PROBE: &str = include_str!("probe.py");
const PROBE_TIME: Duration = Duration::from_secs(60);

/// Downloads may be large.
const INSTALL_TIME: Duration = Duration::from_secs(1800);

const OLDEST: [u32; 2] = [3, 9];

/// What an interpreter says of itself.
#[derive(Debug, Deserialize)]
pub(super) struct Interpreter {
    /// The program itself, where what was started is a script that chooses one.
    pub(super) executable: PathBuf,
    implementation: String,
    pub(super) version: Vec<u32>,
    /// As in `platform.machine()`.
    pub(super) machine: String,
    /// As in `sys.abiflags`.
    pub(super) abi: String,
    /// Of extension modules, the longest first.
    pub(super) suffixes: Vec<String>,
    libc: Option<String>,
    missing: Vec<String>,
}

/// Asks the interpreter, and whether it has the modules that are named.
pub(super) fn find(
    python: &Path,
    targets: &[Target],
    interrupted: &AtomicBool,
) -> Result<Interpreter, ColoadError> {
    let within = python.join("bin/python");
    let path = if python.is_dir() && within.exists() {
        &within
    } else {
        python
    };
    let names: Vec<_> = modules(targets)
        .map(|name| name.split('.').next().unwrap_or(name))
        .collect();
    let mut command = Command::new(path);
    command
        .args(["-c", PROBE])
        .arg(serde_json::json!(names).to_string());
    let limits = Limits {
        time: PROBE_TIME,
        interrupted,
        log: None,
    };
    let finished =
        child::run(&mut command, &limits, |_| {}).map_err(|source| ColoadError::NoPython {
            path: path.to_owned(),
            source,
        })?;
    let not_python = |found: String| ColoadError::NotPython {
        path: path.to_owned(),
        found,
    };
    let line = finished.stdout.lines().last().unwrap_or_default();
    let found: Interpreter = match (finished.ended, serde_json::from_str(line)) {
        (Ended::Exit(0), Ok(found)) => found,
        (Ended::Exit(code), _) => {
            return Err(not_python(format!(
                "exit code {code}, \"{}\"",
                shown(&finished.stderr)
            )));
        }
        (Ended::Signal(signal), _) => {
            return Err(not_python(format!("it ends with signal {signal}")));
        }
        (Ended::Interrupted, _) => return Err(ColoadError::Interrupted),
        (Ended::Time | Ended::Log, _) => return Err(not_python("it does not answer".into())),
    };
    if let Some(found) = found.unfit() {
        return Err(not_python(found));
    }
    if !found.missing.is_empty() {
        return Err(ColoadError::NoModule {
            python: found.executable,
            names: found.missing,
        });
    }
    Ok(found)
}

impl Interpreter {
    /// What it is, if that is nothing to measure with.
    fn unfit(&self) -> Option<String> {
        let version = self.version_text();
        if self.version.len() < 2 || [self.version[0], self.version[1]] < OLDEST {
            return Some(format!("Python {version}"));
        }
        if self.implementation != "cpython" {
            return Some(format!("{} {version}", self.implementation));
        }
        if self.machine != "x86_64" {
            return Some(format!("one for {}", self.machine));
        }
        match &self.libc {
            Some(libc) if libc.starts_with("glibc") => None,
            _ => Some("another C library".into()),
        }
    }

    pub(super) fn version_text(&self) -> String {
        let numbers: Vec<_> = self.version.iter().map(u32::to_string).collect();
        numbers.join(".")
    }
}

/// Makes a new environment of this interpreter, with the wheels and what they depend on.
pub(super) fn environment(
    python: &Interpreter,
    targets: &[Target],
    folder: &Path,
    interrupted: &AtomicBool,
) -> Result<PathBuf, ColoadError> {
    let wheels: Vec<_> = targets
        .iter()
        .filter_map(|target| match &target.kind {
            Kind::Wheel(wheel) => Some(&wheel.path),
            _ => None,
        })
        .collect();
    let installed = folder.join("bin/python");
    let mut create = Command::new(&python.executable);
    create.args(["-m", "venv"]).arg(folder);
    let mut install = Command::new(&installed);
    install
        .args([
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
        ])
        .arg("--")
        .args(&wheels);
    for command in [&mut create, &mut install] {
        tracing::info!(?command, "preparing");
        let limits = Limits {
            time: INSTALL_TIME,
            interrupted,
            log: None,
        };
        let finished =
            child::run(command, &limits, |_| {}).map_err(|source| ColoadError::NoPython {
                path: PathBuf::from(command.get_program()),
                source,
            })?;
        if finished.ended == Ended::Interrupted {
            return Err(ColoadError::Interrupted);
        }
        if finished.ended != Ended::Exit(0) {
            let names: Vec<_> = targets
                .iter()
                .filter(|target| matches!(target.kind, Kind::Wheel(_)))
                .map(|target| target.label.as_str())
                .collect();
            let output = format!("{}{}", finished.stdout, finished.stderr);
            return Err(ColoadError::Install {
                what: names.join(", "),
                answer: shown(&output),
            });
        }
    }
    Ok(installed)
}

/// The modules that are named as such.
pub(super) fn modules(targets: &[Target]) -> impl Iterator<Item = &str> {
    targets.iter().filter_map(|target| match &target.kind {
        Kind::Module(name) => Some(name.as_str()),
        _ => None,
    })
}

/// The last line that says something, not too long.
fn shown(text: &str) -> String {
    let line = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    line.chars().take(300).collect()
}
