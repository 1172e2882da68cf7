//! One process: packages are loaded into it in an order, and what became of it is told.

use std::{
    ffi::OsString,
    io::{BufReader, Read as _},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use rustix::process::Signal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ColoadError,
    bindings::{self, Line},
    crash,
    report::{Flags, Outcome, Step},
    symbols,
};
use crate::child::{self, Asked, Ended, Finished, Limits, signal_name};

const DRIVER: &str = include_str!("driver.py");

/// Preloaded into each process; compiled by the build script from `shim/crash.c`.
const HELPER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libtrifold-coload-crash.so"));

/// A log of the loader larger than this ends the run.
const LARGEST_LOG: u64 = 1 << 30;

/// How long a hanging process may take to say where it is.
const ANSWER: Duration = Duration::from_secs(3);

/// What is read of a file that the process wrote.
const LARGEST_REPORT: u64 = 16 << 20;

/// Lines of a Python call stack that are kept.
const MOST_PYTHON_CALLS: usize = 32;

/// What all runs have in common.
#[derive(Debug)]
pub(super) struct Laboratory {
    folder: tempfile::TempDir,
    pub(super) python: PathBuf,
    /// For each package, what the driver needs.
    pub(super) targets: Vec<Value>,
    /// Folders that come first when modules are searched.
    pub(super) path: Vec<PathBuf>,
    pub(super) time: Duration,
    pub(super) check: Option<String>,
    pub(super) interrupted: Arc<AtomicBool>,
}

/// A run to make.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) order: Vec<usize>,
    pub(super) flags: Flags,
    pub(super) check: bool,
}

/// Whether the loader tells what it binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    No,
    /// As it is used.
    Used,
    /// Everything, when a file is loaded.
    All,
}

/// What became of a process.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) outcome: Outcome,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// Whether the loader's log was not too large.
    pub(super) whole_log: bool,
}

impl Told {
    /// What was not run, since these fail alone.
    pub(super) fn skipped(because: Vec<usize>) -> Self {
        Self {
            outcome: Outcome::Skipped { because },
            stdout: String::new(),
            stderr: String::new(),
            whole_log: true,
        }
    }
}

impl Laboratory {
    pub(super) fn new(folder: tempfile::TempDir) -> Result<Self, ColoadError> {
        for (name, content) in [("driver.py", DRIVER.as_bytes()), ("crash.so", HELPER)] {
            let path = folder.path().join(name);
            fs_err::write(&path, content).map_err(ColoadError::io("Could not write", &path))?;
        }
        Ok(Self {
            folder,
            python: PathBuf::new(),
            targets: Vec::new(),
            path: Vec::new(),
            time: Duration::ZERO,
            check: None,
            interrupted: Arc::default(),
        })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs it to its end, and gives what the loader says to `each`.
    pub(super) fn run(
        &self,
        plan: &Plan,
        watch: Watch,
        each: &mut dyn FnMut(Line<'_>),
    ) -> Result<Told, ColoadError> {
        let folder = tempfile::tempdir_in(self.folder()).map_err(ColoadError::io(
            "Could not create a folder in",
            self.folder(),
        ))?;
        let files = Files {
            folder: folder.path(),
        };
        let config = files.path("config.json");
        fs_err::write(&config, self.config(plan, &files).to_string())
            .map_err(ColoadError::io("Could not write", &config))?;
        let mut command = self.command(&config, &files, watch);
        let log = files.path("bindings");
        let limits = Limits {
            time: self.time,
            interrupted: &self.interrupted,
            log: (watch != Watch::No).then(|| (log.clone(), LARGEST_LOG)),
        };
        tracing::debug!(?plan, ?watch, "running");
        let finished =
            child::run(&mut command, &limits, |asked| files.ask(asked)).map_err(|source| {
                ColoadError::NoPython {
                    path: self.python.clone(),
                    source,
                }
            })?;
        if finished.ended == Ended::Interrupted {
            return Err(ColoadError::Interrupted);
        }
        if watch != Watch::No {
            let mut name = log.into_os_string();
            name.push(format!(".{}", finished.id));
            read_log(Path::new(&name), each)?;
        }
        Ok(files.told(&plan.order, finished))
    }

    fn config(&self, plan: &Plan, files: &Files<'_>) -> Value {
        let targets: Vec<_> = plan
            .order
            .iter()
            .map(|&index| &self.targets[index])
            .collect();
        json!({
            "check": self.check.as_ref().filter(|_| plan.check),
            // For all runs alike, so that they compare.
            "ctypes": self.targets.iter().any(|target| target.get("library").is_some()),
            "environment": std::env::var("LD_PRELOAD").ok().map_or(json!({}), |own| json!({"LD_PRELOAD": own})),
            "global": plan.flags == Flags::Global,
            "path": self.path,
            "stack": files.path("python"),
            "steps": files.path("steps"),
            "targets": targets,
        })
    }

    fn command(&self, config: &Path, files: &Files<'_>, watch: Watch) -> Command {
        let mut preload = self.folder().join("crash.so").into_os_string();
        if let Some(own) = std::env::var_os("LD_PRELOAD") {
            preload.push(":");
            preload.push(own);
        }
        let mut command = Command::new(&self.python);
        command
            .arg(self.folder().join("driver.py"))
            .arg(config)
            .env("LD_PRELOAD", preload)
            .env("TRIFOLD_COLOAD_REPORT", files.path("report"))
            // glibc says why it aborts on standard error, not on the terminal.
            .env("LIBC_FATAL_STDERR_", "1")
            // It would take the signals before the helper does.
            .env_remove("PYTHONFAULTHANDLER")
            .env_remove("LD_DEBUG")
            .env_remove("LD_DEBUG_OUTPUT");
        if watch != Watch::No {
            command
                .env("LD_DEBUG", "bindings")
                .env("LD_DEBUG_OUTPUT", files.path("bindings"));
        }
        if watch == Watch::All {
            command.env("LD_BIND_NOW", "1");
        }
        command
    }
}

fn read_log(path: &Path, each: &mut dyn FnMut(Line<'_>)) -> Result<(), ColoadError> {
    let log = match fs_err::File::open(path) {
        Ok(log) => log,
        // The process ended before the loader said anything.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(ColoadError::io("Could not read", path)(error)),
    };
    let too_long = bindings::read(BufReader::with_capacity(1 << 16, log), each)
        .map_err(ColoadError::io("Could not read", path))?;
    if too_long > 0 {
        tracing::warn!(
            lines = too_long,
            "passed over lines of the loader's log that are too long"
        );
    }
    Ok(())
}

/// The files that a process writes.
struct Files<'a> {
    folder: &'a Path,
}

#[derive(Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
enum Event {
    Load {
        index: usize,
    },
    Check,
    Exception {
        #[serde(rename = "type")]
        kind: String,
        message: String,
    },
    Exit,
}

impl Files<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What it wrote, up to a bound.
    fn read(&self, name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Ok(file) = fs_err::File::open(self.path(name)) {
            // What can be read of it is as good as what a process that died has written.
            let _ = file.take(LARGEST_REPORT).read_to_end(&mut bytes);
        }
        bytes
    }

    /// Makes a hanging process say where it is.
    fn ask(&self, asked: &Asked) {
        asked.signal(Signal::QUIT, ANSWER, || {
            let reports = crash::parse(&self.read("report"));
            !reports.ready || reports.asked().is_some_and(|report| report.complete)
        });
        // The default of this one is to end the process: only where Python has set it up.
        if self.path("python").exists() {
            asked.signal(Signal::USR2, ANSWER, || {
                self.read("python").ends_with(b"\n")
            });
        }
    }

    fn told(&self, order: &[usize], finished: Finished) -> Told {
        let reports = crash::parse(&self.read("report"));
        let (step, exception) = self.steps(order);
        let outcome = match (finished.ended, exception) {
            (Ended::Signal(number), _) => Outcome::Crash {
                step,
                signal: signal_name(reports.fatal().map_or(number, |report| report.signal)),
                frames: reports.fatal().map(symbols::frames).unwrap_or_default(),
            },
            (Ended::Time | Ended::Log | Ended::Interrupted, _) => Outcome::Hang {
                step,
                frames: reports.asked().map(symbols::frames).unwrap_or_default(),
                python: self.python_calls(),
            },
            (Ended::Exit(_), Some((step, kind, message))) => Outcome::Exception {
                step,
                kind,
                message,
            },
            (Ended::Exit(0), None) if step == Step::Exit => Outcome::Ok,
            (Ended::Exit(code), None) => Outcome::Exit { step, code },
        };
        Told {
            whole_log: finished.ended != Ended::Log,
            outcome,
            stdout: finished.stdout,
            stderr: finished.stderr,
        }
    }

    /// How far it came, and the exception that ended it, with where that was.
    fn steps(&self, order: &[usize]) -> (Step, Option<(Step, String, String)>) {
        let mut step = Step::Start;
        let mut exception = None;
        let bytes = self.read("steps");
        for line in bytes.split(|&byte| byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Event::Load { index }) => {
                    step = order.get(index).copied().map_or(step, Step::Load);
                }
                Ok(Event::Check) => step = Step::Check,
                Ok(Event::Exception { kind, message }) => exception = Some((step, kind, message)),
                Ok(Event::Exit) => step = Step::Exit,
                Err(_) => {}
            }
        }
        (step, exception)
    }

    /// As `faulthandler` writes them, without those that lead to the package.
    fn python_calls(&self) -> Vec<String> {
        let bytes = self.read("python");
        let text = String::from_utf8_lossy(&bytes);
        let driver = self.folder.parent().map(|folder| folder.join("driver.py"));
        let driver = driver.unwrap_or_default().to_string_lossy().into_owned();
        let leads = [
            "<frozen importlib",
            "/importlib/__init__.py\"",
            "/ctypes/__init__.py\"",
            &driver,
        ];
        let mut calls: Vec<_> = text
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("File "))
            .collect();
        while calls
            .last()
            .is_some_and(|call| leads.iter().any(|lead| call.contains(lead)))
        {
            calls.pop();
        }
        calls.truncate(MOST_PYTHON_CALLS);
        calls.into_iter().map(str::to_owned).collect()
    }
}

/// What the driver needs to load a package.
pub(super) fn modules(names: &[String]) -> Value {
    json!({ "modules": names })
}

/// What the driver needs to open a library.
pub(super) fn library(path: &Path) -> Value {
    json!({ "library": OsString::from(path).to_string_lossy() })
}
