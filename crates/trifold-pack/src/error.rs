use std::{io, path::PathBuf};

use crate::layout::Layout;

/// What can go wrong while something is audited. [`PackError::hint`] says what to do about it.
///
/// What is wrong *with* the audited file is not an error but a [`Finding`](crate::Finding).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// A file or folder could not be read or written.
    #[error("{what}: {}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Standard output could not be written.
    #[error("Could not write to standard output")]
    Stdout(#[source] io::Error),
    /// A file of a kind that is not audited.
    #[error("Not supported: {found} at {place} (expected {expected})")]
    Unsupported {
        /// The file.
        place: String,
        /// What would have been.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// An ELF file that contradicts itself.
    #[error("Damaged ELF file: {place}: {what}")]
    Elf {
        /// The file.
        place: String,
        /// What is wrong, expected and found.
        what: String,
    },
    /// A wheel or archive that cannot be read.
    #[error("Damaged {kind}: {place}: {what}")]
    Archive {
        /// `wheel` or `archive`.
        kind: &'static str,
        /// The file.
        place: String,
        /// What is wrong, expected and found.
        what: String,
    },
    /// Something larger than this program is willing to read.
    #[error("Too large: {what} of {place} (expected at most {limit}, found {found})")]
    Limit {
        /// The file.
        place: String,
        /// Which part of it.
        what: String,
        /// The most that is read.
        limit: u64,
        /// What the file says.
        found: u64,
    },
    /// The configuration file means nothing.
    #[error("Invalid configuration: {}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// No rule and no severity has this name.
    #[error("Unknown rule: {name}")]
    UnknownRule {
        /// The name.
        name: String,
    },
    /// No such file, and no installed package of this name.
    #[error("Nothing to audit at: {name} (no such file, and no such package in {searched})")]
    NoPackage {
        /// The argument.
        name: String,
        /// The folders that were searched.
        searched: String,
    },
    /// A folder or package without a native file or a wheel.
    #[error("No native file and no wheel in: {}", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// Something cannot be compiled, linked or sealed.
    #[error(transparent)]
    Build(#[from] trifold_build::BuildError),
    /// No layout has this name.
    #[error("Unknown layout: {name}")]
    UnknownLayout {
        /// The name.
        name: String,
    },
    /// A layout that consists of Python extensions is asked for without them.
    #[error("Nothing to link without Python: {layout} consists of Python extensions")]
    PythonOnly {
        /// The layout.
        layout: &'static str,
    },
    /// Layouts are made of trifold's own source.
    #[error("No source of trifold around: {}", folder.display())]
    NoWorkspace {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The folder of a layout has something else in it.
    #[error("Expected an empty folder, or one made by an earlier build, at: {}", folder.display())]
    NotOurs {
        /// The folder.
        folder: PathBuf,
    },
    /// An environment for what is measured cannot be made.
    #[error("Could not {what}: {} says: {answer}", program.display())]
    Python {
        /// What was being done.
        what: &'static str,
        /// The interpreter.
        program: PathBuf,
        /// Its last words.
        answer: String,
    },
    /// A plugin for one engine only has no package: packages serve all engines.
    #[error("No package for a plugin of one engine: {plugin} (compiled for {engine})")]
    OneEngine {
        /// The plugin.
        plugin: String,
        /// The engine whose ggml it has.
        engine: String,
    },
    /// A plugin beside engines that have a ggml of their own each: it would serve one of them.
    #[error(
        "Expected engines with the ggml of the plugin {plugin}, found each with its own (--ggml pinned)"
    )]
    PinnedEngines {
        /// The plugin.
        plugin: String,
    },
    /// An engine does not have the backend that was linked into it.
    #[error("Expected {engine} to have the backend {plugin} once it has started (found: {found})")]
    NotInside {
        /// The engine.
        engine: String,
        /// The backend's name in `engines.toml`.
        plugin: String,
        /// The backends that it has, or what became of it.
        found: String,
    },
    /// Compiling from nothing cannot be measured.
    #[error("Expected to compile without a compiler cache (found: {})", launcher.display())]
    Launcher {
        /// The compiler cache.
        launcher: PathBuf,
    },
    /// Engines cannot be compared.
    #[error(transparent)]
    Align(#[from] crate::align::AlignError),
    /// Packages cannot be loaded together.
    #[error(transparent)]
    Coload(#[from] crate::coload::ColoadError),
}

impl PackError {
    /// Says what was being done to a file or folder when it failed: for `map_err`.
    pub fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }

    /// Whether the reader of our output has gone, as `head` does.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Whether the command line or the configuration was wrong, and not a file.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Config { .. }
                | Self::UnknownRule { .. }
                | Self::NoPackage { .. }
                | Self::UnknownLayout { .. }
                | Self::PythonOnly { .. }
                | Self::NoWorkspace { .. }
                | Self::OneEngine { .. }
                | Self::NotOurs { .. }
                | Self::PinnedEngines { .. }
                | Self::Launcher { .. }
                | Self::Align(_)
                | Self::Coload(_)
        )
    }

    /// One sentence on what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Io { source, .. } | Self::Stdout(source) => io_hint(source).into(),
            Self::Unsupported { .. } => {
                "Only 64-bit little-endian ELF files for x86-64, and what holds them, are audited"
                    .into()
            }
            Self::Elf { .. } | Self::Archive { .. } => {
                "Get the file again: it is cut off or changed; a loader would refuse it, too".into()
            }
            Self::Limit { .. } => {
                "Real files stay far below this limit: see where the file comes from".into()
            }
            Self::Config { .. } => {
                "docs/audit.md and docs/align.md list what may stand in such files".into()
            }
            Self::UnknownRule { .. } => {
                "Rules have names such as TP001 or exported-engine; `trifold-pack audit --rules` lists them, \
                 and `errors`, `warnings` and `all` name many at once"
                    .into()
            }
            Self::NoPackage { .. } => {
                "Give a path, or name the interpreter that has the package with --python".into()
            }
            Self::Align(error) => return error.hint(),
            Self::Coload(error) => return error.hint(),
            Self::Build(error) => return error.hint(),
            Self::UnknownLayout { .. } => format!(
                "The layouts are {}",
                Layout::ALL.map(Layout::name).join(", ")
            ),
            Self::PythonOnly { .. } => {
                "Leave --no-python out, or ask for sealed-shared, which has libraries for C".into()
            }
            Self::NoWorkspace { .. } => {
                "Run it in a clone of trifold, or name one with --workspace".into()
            }
            Self::Python { .. } => {
                "Name a CPython from 3.9 on that has venv and pip, with --python".into()
            }
            Self::NotOurs { .. } => "Remove it, or choose another place with --output".into(),
            Self::OneEngine { .. } => "Leave --wheel or --ggml pinned out".into(),
            Self::PinnedEngines { .. } => {
                "Leave --ggml pinned out: the plugin is for the newest ggml, which all engines can have".into()
            }
            Self::NotInside { .. } => {
                "See that the libraries that the backend needs are installed: --library-folder names where".into()
            }
            Self::Launcher { .. } => "Set TRIFOLD_COMPILER_LAUNCHER=none".into(),
            Self::Empty { .. } => {
                "Give a folder of wheels, or the one that the package is installed in".into()
            }
        })
    }
}

/// What to do if a file or folder cannot be read or written.
pub(crate) fn io_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "See that the file is there",
        io::ErrorKind::PermissionDenied => "Choose a place that you may read and write",
        io::ErrorKind::StorageFull => "Free some space, or set TMPDIR to a folder on another disk",
        _ => "See that the path is right, and that its disk works",
    }
}
