//! Environments with the wheels of a layout, and what is asked of them. Every process has a time limit, and
//! ends when the user wants an end.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Outcome, Suite, Tests};
use crate::{
    PackError,
    child::{self, Ended, Finished, Limits},
    coload::ColoadError,
};

/// Defines `ask(question, engines)`.
pub(super) const PROBE: &str = include_str!("probe.py");

/// Asks what the arguments say; one line of JSON.
const ASK: &str = "\nimport json, sys\nprint(json.dumps(ask(sys.argv[1], sys.argv[2:])))\n";

/// For an answer, which takes seconds.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(120);

/// Downloads may be large.
const INSTALL_TIME: Duration = Duration::from_secs(1800);

/// For the tests of an engine, which take minutes.
const TEST_TIME: Duration = Duration::from_secs(3600);

/// What environments are made with.
pub(super) struct Interpreter<'a> {
    program: &'a Path,
    interrupted: &'a Arc<AtomicBool>,
}

impl<'a> Interpreter<'a> {
    pub(super) fn new(program: &'a Path, interrupted: &'a Arc<AtomicBool>) -> Self {
        Self {
            program,
            interrupted,
        }
    }

    /// What it calls its version.
    pub(super) fn version(&self) -> Result<String, PackError> {
        let mut command = Command::new(self.program);
        command.args(["-c", "import platform; print(platform.python_version())"]);
        let found = succeed(
            "find Python's version",
            &mut command,
            ANSWER_TIME,
            self.interrupted,
        )?;
        Ok(found.stdout.trim().to_owned())
    }

    /// A fresh environment with these packages.
    pub(super) fn environment<'w>(
        &self,
        folder: &Path,
        requirements: Option<&Path>,
        wheels: impl Iterator<Item = &'w PathBuf>,
    ) -> Result<Environment, PackError> {
        let mut make = Command::new(self.program);
        make.args(["-m", "venv", "--clear"]).arg(folder);
        succeed(
            "make a Python environment",
            &mut make,
            INSTALL_TIME,
            self.interrupted,
        )?;
        let environment = Environment {
            folder: folder.to_owned(),
            interrupted: Arc::clone(self.interrupted),
        };
        environment.install(requirements, wheels)?;
        Ok(environment)
    }
}

/// A process that has nothing to do with a layout: it must end well.
fn succeed(
    what: &'static str,
    command: &mut Command,
    time: Duration,
    interrupted: &AtomicBool,
) -> Result<Finished, PackError> {
    let found = run(command, time, interrupted)?;
    match found.ended.problem() {
        None => Ok(found),
        Some(problem) => Err(PackError::Python {
            what,
            program: PathBuf::from(command.get_program()),
            answer: last_line(&found).unwrap_or(problem),
        }),
    }
}

fn run(
    command: &mut Command,
    time: Duration,
    interrupted: &AtomicBool,
) -> Result<Finished, PackError> {
    let limits = Limits {
        time,
        interrupted,
        log: None,
    };
    let found = child::run(command, &limits, |_| {})
        .map_err(PackError::io("Could not run", command.get_program()))?;
    if found.ended == Ended::Interrupted {
        return Err(ColoadError::Interrupted.into());
    }
    Ok(found)
}

/// A Python environment.
pub(super) struct Environment {
    folder: PathBuf,
    interrupted: Arc<AtomicBool>,
}

impl Environment {
    pub(super) fn executable(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    pub(super) fn interrupted(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.interrupted)
    }

    /// Installs packages, and what they need.
    pub(super) fn install<'w>(
        &self,
        requirements: Option<&Path>,
        wheels: impl IntoIterator<Item = &'w PathBuf>,
    ) -> Result<(), PackError> {
        let mut install = self.pip("install");
        install.arg("--no-compile");
        if let Some(requirements) = requirements {
            install.arg("-r").arg(requirements);
        }
        install.args(wheels);
        self.succeed("install the wheels", &mut install)
    }

    /// Removes a package.
    pub(super) fn uninstall(&self, package: &str) -> Result<(), PackError> {
        let mut uninstall = self.pip("uninstall");
        uninstall.args(["--yes", package]);
        self.succeed("uninstall a package", &mut uninstall)
    }

    fn pip(&self, what: &str) -> Command {
        let mut pip = self.python();
        pip.args(["-m", "pip", what, "--quiet", "--no-input"]);
        pip.arg("--disable-pip-version-check");
        pip
    }

    fn succeed(&self, what: &'static str, command: &mut Command) -> Result<(), PackError> {
        succeed(what, command, INSTALL_TIME, &self.interrupted)?;
        Ok(())
    }

    /// Isolated from variables and folders of the user.
    pub(super) fn python(&self) -> Command {
        let mut command = Command::new(self.executable());
        command.arg("-I");
        command
    }

    /// Runs it to its end, or to the time limit of an answer.
    pub(super) fn run(&self, command: &mut Command) -> Result<Finished, PackError> {
        run(command, ANSWER_TIME, &self.interrupted)
    }

    /// The ggml of each engine in one process.
    pub(super) fn versions(&self, engines: &[String]) -> Result<Outcome<Vec<String>>, PackError> {
        let found = self.ask::<Map<String, Value>>("versions", engines)?;
        Ok(found.map(|found| {
            let versions = found.values().filter_map(Value::as_str);
            versions.map(str::to_owned).collect()
        }))
    }

    /// What the engines answer, in one process.
    pub(super) fn answers(
        &self,
        engines: &[String],
    ) -> Result<Outcome<Map<String, Value>>, PackError> {
        self.ask("answers", engines)
    }

    /// [`Self::versions`], if the engines answer as `expected`, each alone and all together.
    pub(super) fn versions_if(
        &self,
        engines: &[String],
        expected: &Map<String, Value>,
    ) -> Result<Outcome<Vec<String>>, PackError> {
        let mut alone = Map::new();
        for engine in engines {
            match self.answers(std::slice::from_ref(engine))? {
                Outcome::Works(answer) => alone.extend(answer),
                Outcome::Fails(words) => {
                    return Ok(Outcome::Fails(format!("{engine} alone: {words}")));
                }
            }
        }
        let together = match self.answers(engines)? {
            Outcome::Works(together) => together,
            Outcome::Fails(words) => return Ok(Outcome::Fails(words)),
        };
        for (what, found) in [("alone", alone), ("together", together)] {
            let other = expected
                .iter()
                .filter(|(name, answer)| found.get(*name) != Some(answer));
            let names: Vec<&str> = other.map(|(name, _)| name.as_str()).collect();
            if !names.is_empty() {
                let names = names.join(", ");
                return Ok(Outcome::Fails(format!("{what}, other answers: {names}")));
            }
        }
        self.versions(engines)
    }

    /// Bytes in memory with a model of each loaded.
    pub(super) fn resident(&self, engines: &[String]) -> Result<Outcome<u64>, PackError> {
        self.ask("resident", engines)
    }

    fn ask<T: DeserializeOwned>(
        &self,
        question: &str,
        engines: &[String],
    ) -> Result<Outcome<T>, PackError> {
        let mut command = self.python();
        command
            .args(["-c", &format!("{PROBE}{ASK}"), question])
            .args(engines);
        let found = self.run(&mut command)?;
        if let Some(words) = failure(&found) {
            return Ok(Outcome::Fails(words));
        }
        Ok(match serde_json::from_str(&found.stdout) {
            Ok(answer) => Outcome::Works(answer),
            Err(error) => Outcome::Fails(error.to_string()),
        })
    }

    /// Of the files of packages whose names begin so, but for the demo models.
    pub(super) fn installed_bytes(&self, start: &str) -> Result<u64, PackError> {
        let library = self.folder.join("lib");
        let read = || {
            let mut bytes = 0;
            for python in fs_err::read_dir(&library)? {
                for entry in fs_err::read_dir(python?.path().join("site-packages"))? {
                    let entry = entry?;
                    let name = entry.file_name().to_string_lossy().into_owned();
                    if name.starts_with(start) && !name.starts_with("trifold_demo_models") {
                        bytes += size(&entry.path())?;
                    }
                }
            }
            Ok(bytes)
        };
        read().map_err(PackError::io("Could not read", &library))
    }

    /// Runs the tests of an engine's package.
    pub(super) fn pytest(
        &self,
        root: &Path,
        engine: &str,
        suite: Suite,
    ) -> Result<Tests, PackError> {
        let folder = Path::new("python/tests").join(engine);
        let tour = folder.join("test_tour.py");
        let what = if suite == Suite::Tour && root.join(&tour).is_file() {
            tour
        } else {
            folder
        };
        // Not isolated: the tests start interpreters themselves, and need the folder of this one.
        let mut command = Command::new(self.executable());
        command
            .args([
                "-m",
                "pytest",
                "-q",
                "-rfE",
                "--no-header",
                "-p",
                "no:cacheprovider",
            ])
            .args(["-c", "python/pytest.ini"])
            .arg(what)
            .current_dir(root)
            .env_remove("PYTHONPATH");
        let found = run(&mut command, TEST_TIME, &self.interrupted)?;
        let mut tests = summary(found.stdout.trim_end());
        if let Some(words) = failure(&found).filter(|_| tests.failed == 0) {
            tests.failed = 1;
            tests.failures.push(format!("{engine}: {words}"));
        }
        Ok(tests)
    }
}

/// Reads pytest's last lines.
fn summary(text: &str) -> Tests {
    let mut tests = Tests::default();
    for line in text.lines() {
        for mark in ["FAILED ", "ERROR "] {
            if let Some(rest) = line.strip_prefix(mark) {
                let name = rest.split(" - ").next().unwrap_or(rest);
                tests.failures.push(name.to_owned());
            }
        }
    }
    // `1 failed, 2 passed, 3 skipped in 4.56s`
    let last = text.lines().last().unwrap_or_default();
    let words: Vec<&str> = last
        .split([' ', ',', '='])
        .filter(|word| !word.is_empty())
        .collect();
    for pair in words.windows(2) {
        let Ok(count) = pair[0].parse::<usize>() else {
            continue;
        };
        match pair[1] {
            "passed" => tests.passed = count,
            "skipped" => tests.skipped = count,
            "failed" | "error" | "errors" => tests.failed += count,
            _ => {}
        }
    }
    tests
}

fn size(path: &Path) -> std::io::Result<u64> {
    let found = fs_err::symlink_metadata(path)?;
    if !found.is_dir() {
        return Ok(found.len());
    }
    let mut bytes = 0;
    for entry in fs_err::read_dir(path)? {
        bytes += size(&entry?.path())?;
    }
    Ok(bytes)
}

/// Why a process did not end as it should: its last words, or what ended it.
pub(super) fn failure(found: &Finished) -> Option<String> {
    let problem = found.ended.problem()?;
    match found.ended {
        // What Python says of an exception is in its last line.
        Ended::Exit(_) => last_line(found).or(Some(problem)),
        _ => Some(problem),
    }
}

fn last_line(found: &Finished) -> Option<String> {
    let line = found.stderr.lines().rev().map(str::trim);
    line.into_iter()
        .find(|line| !line.is_empty())
        .map(shortened)
}

/// So that it fits in a cell.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn the_last_line_of_pytest_is_read() {
        let text = "..F\nFAILED python/tests/a.py::test_b - assert 1 == 2\nERROR python/tests/c.py\n\
                    1 failed, 2 passed, 3 skipped, 1 error in 4.56s";
        let tests = summary(text);
        assert_eq!((tests.passed, tests.failed, tests.skipped), (2, 2, 3));
        assert_eq!(
            tests.failures,
            ["python/tests/a.py::test_b", "python/tests/c.py"]
        );
        assert_eq!(summary("12 passed in 1.00s").passed, 12);
        assert_eq!(summary("").passed, 0);
    }
}
