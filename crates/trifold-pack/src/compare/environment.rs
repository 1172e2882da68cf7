//! Environments with the wheels of a layout.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use trifold_build::compile::run;

use super::{Outcome, Suite, Tests, measure::last_words};
use crate::PackError;

/// Defines `ask(question, engines)`.
pub(super) const PROBE: &str = include_str!("probe.py");

/// Asks what the arguments say; one line of JSON.
const ASK: &str = "\nimport json, sys\nprint(json.dumps(ask(sys.argv[1], sys.argv[2:])))\n";

/// A fresh environment.
pub(super) struct Environment {
    folder: PathBuf,
}

/// What an interpreter calls its version.
pub(super) fn version(python: &Path) -> Result<String, PackError> {
    let mut command = Command::new(python);
    command.args(["-c", "import platform; print(platform.python_version())"]);
    Ok(stdout(&output(&mut command)?))
}

impl Environment {
    pub(super) fn new(
        python: &Path,
        folder: &Path,
        requirements: &Path,
        wheels: &[&Path],
    ) -> Result<Self, PackError> {
        let mut make = Command::new(python);
        make.args(["-m", "venv", "--clear"]).arg(folder);
        run("Could not make a Python environment", &mut make)?;
        let environment = Self {
            folder: folder.to_owned(),
        };
        let mut install = environment.python();
        install
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(["--no-compile", "-r"])
            .arg(requirements)
            .args(wheels);
        run("Could not install the wheels", &mut install)?;
        Ok(environment)
    }

    pub(super) fn executable(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// Isolated from variables and folders of the user.
    pub(super) fn python(&self) -> Command {
        let mut command = Command::new(self.executable());
        command.arg("-I");
        command
    }

    /// The ggml of each engine in one process.
    pub(super) fn versions(&self, engines: &[String]) -> Outcome<Vec<String>> {
        match self.ask::<Map<String, Value>>("versions", engines) {
            Outcome::Works(found) => Outcome::Works(
                found
                    .values()
                    .filter_map(|version| Some(version.as_str()?.to_owned()))
                    .collect(),
            ),
            Outcome::Fails(words) => Outcome::Fails(words),
        }
    }

    /// What the engines answer, in one process.
    pub(super) fn answers(&self, engines: &[String]) -> Outcome<Map<String, Value>> {
        self.ask("answers", engines)
    }

    /// [`Self::versions`], if the engines answer as `expected`, each alone and all together.
    pub(super) fn versions_if(
        &self,
        engines: &[String],
        expected: &Map<String, Value>,
    ) -> Outcome<Vec<String>> {
        let mut alone = Map::new();
        for engine in engines {
            match self.answers(std::slice::from_ref(engine)) {
                Outcome::Works(answer) => alone.extend(answer),
                Outcome::Fails(words) => return Outcome::Fails(format!("{engine} alone: {words}")),
            }
        }
        for (what, found) in [
            ("alone", Outcome::Works(alone)),
            ("together", self.answers(engines)),
        ] {
            match found {
                Outcome::Works(found) if found == *expected => {}
                Outcome::Works(found) => {
                    let other = expected
                        .iter()
                        .filter(|(name, answer)| found.get(*name) != Some(answer));
                    let names: Vec<&str> = other.map(|(name, _)| name.as_str()).collect();
                    return Outcome::Fails(format!("{what}, other answers: {}", names.join(", ")));
                }
                Outcome::Fails(words) => return Outcome::Fails(words),
            }
        }
        self.versions(engines)
    }

    /// Bytes in memory with a model of each loaded.
    pub(super) fn resident(&self, engines: &[String]) -> Outcome<u64> {
        self.ask("resident", engines)
    }

    fn ask<T: DeserializeOwned>(&self, question: &str, engines: &[String]) -> Outcome<T> {
        let mut command = self.python();
        command
            .args(["-c", &format!("{PROBE}{ASK}"), question])
            .args(engines);
        let output = match output(&mut command) {
            Ok(output) => output,
            Err(error) => return Outcome::Fails(error.to_string()),
        };
        if !output.status.success() {
            return Outcome::Fails(last_words(&output));
        }
        match serde_json::from_slice(&output.stdout) {
            Ok(answer) => Outcome::Works(answer),
            Err(error) => Outcome::Fails(error.to_string()),
        }
    }

    /// Of the files that are trifold's.
    pub(super) fn installed_bytes(&self) -> Result<u64, PackError> {
        let library = self.folder.join("lib");
        let read = || {
            let mut bytes = 0;
            for python in fs_err::read_dir(&library)? {
                for entry in fs_err::read_dir(python?.path().join("site-packages"))? {
                    let entry = entry?;
                    let name = entry.file_name().to_string_lossy().into_owned();
                    if name.starts_with("trifold") && !name.starts_with("trifold_demo_models") {
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
        let output = output(&mut command)?;
        let text = stdout(&output);
        let mut tests = summary(&text);
        if !output.status.success() && tests.failed == 0 {
            tests.failed = 1;
            tests
                .failures
                .push(format!("{engine}: {}", last_words(&output)));
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

pub(super) fn output(command: &mut Command) -> Result<Output, PackError> {
    let program = PathBuf::from(command.get_program());
    command
        .output()
        .map_err(PackError::io("Could not run", program))
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
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
