//! What was measured.

use schemars::JsonSchema;
use serde::Serialize;

use super::symbols::Frame;

/// The result of [`coload`](super::coload).
///
/// Packages are named by their place in [`packages`](Self::packages), runs by their place in
/// [`together`](Self::together). Everything is sorted, and nothing depends on time.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(title = "Coload")]
#[non_exhaustive]
pub struct Report {
    /// Of the JSON form; a change that is not an addition raises it.
    pub schema: u32,
    /// The interpreter that loaded everything.
    pub python: Python,
    /// Those that were loaded, in the order given.
    pub packages: Vec<Package>,
    /// How the loader was told to open them.
    pub flags: Vec<Flags>,
    /// Seconds that each process was given.
    pub time_limit: f64,
    /// How many orders of all of them there are; as text, since it may be larger than JSON's numbers.
    pub orders_possible: String,
    /// How many of those were tried. Both orders of every pair are always tried.
    pub orders_tried: usize,
    /// Each package by itself: the reference.
    pub alone: Vec<Run>,
    /// The packages together.
    pub together: Vec<Run>,
    /// What one takes from another.
    pub bindings: Vec<Binding>,
    /// For each pair and each of the flags, and for all of them together.
    pub verdicts: Vec<Verdict>,
}

impl Report {
    /// Whether every verdict is [`Safety::Safe`].
    pub fn is_safe(&self) -> bool {
        self.verdicts
            .iter()
            .all(|verdict| verdict.safety == Safety::Safe)
    }
}

/// An interpreter.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Python {
    /// Such as `3.11.7`.
    pub version: String,
    /// Its program.
    pub executable: String,
    /// Whether the packages are in a new environment of it, and not in its own.
    pub new_environment: bool,
}

/// Something that was loaded.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Package {
    /// The module, the wheel's name and version, or the library's file name.
    pub name: String,
    /// What it is.
    pub kind: PackageKind,
    /// What was imported; empty for a library.
    pub modules: Vec<String>,
    /// Native files that are loaded with it and belong neither to the system nor to Python.
    pub files: Vec<String>,
}

/// What a package was given as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PackageKind {
    /// A shared library.
    Library,
    /// A Python module that the interpreter has.
    Module,
    /// A wheel.
    Wheel,
}

/// Who sees the symbols of what is opened.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Flags {
    /// `RTLD_LOCAL`: only what depends on it. Python's default.
    Local,
    /// `RTLD_GLOBAL`: all that is loaded later.
    Global,
}

impl Flags {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Global => "global",
        }
    }

    /// As in C.
    pub fn constant(self) -> &'static str {
        match self {
            Self::Local => "RTLD_LOCAL",
            Self::Global => "RTLD_GLOBAL",
        }
    }
}

/// A process that loaded packages.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Run {
    /// In this order.
    pub order: Vec<usize>,
    /// With these flags.
    pub flags: Flags,
    /// How it went.
    pub outcome: Outcome,
    /// Which references were seen.
    pub seen: Seen,
    /// What it printed: the beginning and the end, where it is long.
    pub stdout: String,
    /// What it printed as errors.
    pub stderr: String,
}

/// Which references of the files were seen being resolved. They are looked at in a second process,
/// since looking makes the loader resolve all of them at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Seen {
    /// All of them, by `LD_BIND_NOW=1`.
    All,
    /// Those that were used: with `LD_BIND_NOW=1` the run ends in another way.
    Used,
    /// None: the run hangs, was left out, or its log has more than 1 GiB.
    None,
}

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "result", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// It loaded everything, ran the check, and ended as it should.
    Ok,
    /// Killed by a signal.
    Crash {
        /// What it was doing.
        step: Step,
        /// The signal, such as `SIGSEGV`.
        signal: String,
        /// The call stack, innermost first; empty if the helper could not tell.
        frames: Vec<Frame>,
    },
    /// A Python exception.
    Exception {
        /// What raised it.
        step: Step,
        /// Its type, such as `ImportError`.
        #[serde(rename = "type")]
        kind: String,
        /// What it says.
        message: String,
    },
    /// The process ended itself.
    Exit {
        /// What it was doing.
        step: Step,
        /// Its exit code.
        code: i32,
    },
    /// Still running at the time limit.
    Hang {
        /// What it was doing.
        step: Step,
        /// The call stack of its main thread, innermost first.
        frames: Vec<Frame>,
        /// The Python calls of its main thread, innermost first.
        python: Vec<String>,
    },
    /// Not run, because these fail alone.
    Skipped {
        /// Which.
        because: Vec<usize>,
    },
}

impl Outcome {
    /// One word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Crash { .. } => "crash",
            Self::Exception { .. } => "exception",
            Self::Exit { .. } => "exit",
            Self::Hang { .. } => "hang",
            Self::Skipped { .. } => "skipped",
        }
    }
}

/// What a process was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Step {
    /// Starting Python.
    Start,
    /// Loading this package.
    Load(usize),
    /// Running the code given as check.
    Check,
    /// Ending.
    Exit,
}

/// Symbols that one file took from another.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Binding {
    /// Whether this makes them unsafe; see [`BindingKind`].
    pub kind: BindingKind,
    /// The package whose file needs the symbols.
    pub from: usize,
    /// That file.
    pub source: String,
    /// The package whose file has them.
    pub to: usize,
    /// That file.
    pub target: String,
    /// The symbols, by name.
    pub symbols: Vec<BoundSymbol>,
}

/// What a binding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BindingKind {
    /// A package runs another's code, which it does not when it is loaded alone.
    Package,
    /// A library of the system takes part: it was brought by the other package, or it is used by both and
    /// takes the symbol from one of them. It does not decide.
    System,
}

/// A symbol that was bound.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct BoundSymbol {
    /// As in the symbol table.
    pub name: String,
    /// Its version, if it has one.
    pub version: Option<String>,
    /// Whose it is, by its name.
    pub family: String,
    /// In which runs.
    pub runs: Vec<usize>,
}

/// Whether packages can live in one process.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Verdict {
    /// Two, or all of them.
    pub packages: Vec<usize>,
    /// With these flags.
    pub flags: Flags,
    /// What was found.
    pub safety: Safety,
    /// Runs that did not go well.
    pub failures: Vec<usize>,
    /// How many symbols one takes from another.
    pub symbols: usize,
    /// Those that fail alone.
    pub alone: Vec<usize>,
}

/// Whether it is safe to load packages together: a statement about the orders that were tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Safety {
    /// Every run ended well, and no package took a symbol of another.
    Safe,
    /// A run did not end well.
    Fails,
    /// Every run ended well, but a package runs another's code.
    Entangled,
    /// One fails alone, or not all references were seen.
    Unknown,
}
