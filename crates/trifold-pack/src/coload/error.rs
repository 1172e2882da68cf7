//! Why a measurement could not be made. What the packages do is no error but the result.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why packages could not be measured together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ColoadError {
    /// Fewer than two, or more than can be put in order.
    #[error("Expected 2 to {most} packages or libraries to load together (found: {found})")]
    Count {
        /// How many are possible.
        most: usize,
        /// How many there are.
        found: usize,
    },
    /// The same one is named twice.
    #[error("Expected each package once: {name}")]
    Twice {
        /// The name that comes again.
        name: String,
    },
    /// No module name, and no path either.
    #[error("Expected a Python module, a wheel or a shared library: {name}")]
    Name {
        /// What was given.
        name: String,
    },
    /// There is no such file.
    #[error("No file at: {}", path.display())]
    NotFound {
        /// The path asked for.
        path: PathBuf,
    },
    /// A file that the loader cannot open as a library.
    #[error("Expected a shared library for x86-64 Linux: {} (found: {found})", path.display())]
    NotALibrary {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// A file that is no wheel, or a damaged one.
    #[error("Expected a wheel: {} ({reason})", path.display())]
    NotAWheel {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The wheel does not go with the interpreter.
    #[error("Expected a wheel for {expected}: {} (found: {found})", path.display())]
    WheelTag {
        /// The file.
        path: PathBuf,
        /// The interpreter and its platform.
        expected: String,
        /// The wheel's tags.
        found: String,
    },
    /// Installing wheels into an environment failed.
    #[error("Could not install into a new environment: {what} (pip: {answer})")]
    Install {
        /// The wheels.
        what: String,
        /// The last line that pip wrote.
        answer: String,
    },
    /// The interpreter cannot be started.
    #[error("Could not start Python: {}", path.display())]
    NoPython {
        /// What was to be started.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It started, but it is not one that can be used.
    #[error("Expected CPython 3.9 or newer for x86-64 and glibc at: {} (found: {found})", path.display())]
    NotPython {
        /// What was started.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// Modules that the interpreter does not have.
    #[error("No module in the Python at {}: {}", python.display(), names.join(", "))]
    NoModule {
        /// The interpreter.
        python: PathBuf,
        /// The names.
        names: Vec<String>,
    },
    /// Modules beside wheels, without an interpreter that has the modules.
    #[error("Expected an interpreter for the modules beside the wheels: {}", names.join(", "))]
    ModulesBesideWheels {
        /// The modules.
        names: Vec<String>,
    },
    /// The user wants an end.
    #[error("Interrupted")]
    Interrupted,
    /// A file of the measurement could not be written or read.
    #[error("{what}: {}", path.display())]
    Io {
        /// What failed.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ColoadError {
    pub(super) fn io<'a>(
        what: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }

    /// What to do about it, in one sentence.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Count { .. } => "Name those that shall live in one process".into(),
            Self::Twice { .. } => "Leave one of the two out".into(),
            Self::Name { .. } => {
                "A module is named as in `import`; a file by its path, with a `/` in it".into()
            }
            Self::NotFound { path } if path.components().count() > 1 => {
                "See that the path is right; a Python module is named without `/`".into()
            }
            Self::NotFound { .. } => "See that the name is right".into(),
            Self::NotALibrary { .. } => {
                "Give a `.so` that is built for this machine, a wheel, or a module's name".into()
            }
            Self::NotAWheel { .. } => "Give a wheel as it was built or downloaded, under its own name".into(),
            Self::WheelTag { .. } => {
                "Choose another interpreter with --python, or another wheel of the package".into()
            }
            Self::Install { .. } => {
                "Name an interpreter that has the dependencies with --python: the wheels are then unpacked beside it, \
                 without pip"
                    .into()
            }
            Self::NoPython { .. } => "Name an interpreter with --python".into(),
            Self::NotPython { .. } => {
                "Name another interpreter with --python, such as `--python .venv/bin/python`".into()
            }
            Self::NoModule { .. } => {
                "Install them there, or name the interpreter that has them with --python".into()
            }
            Self::ModulesBesideWheels { .. } => {
                "Name the one that has them with --python; the wheels are unpacked beside it".into()
            }
            Self::Interrupted => return None,
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => "Set TMPDIR to a folder that you may write".into(),
                _ => crate::error::io_hint(source).into(),
            },
        })
    }
}
