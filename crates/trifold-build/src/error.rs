use std::path::PathBuf;

/// What can go wrong while an engine is built. [`BuildError::hint`] says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// `engines.toml` does not parse, or names something that does not exist.
    #[error("Invalid engine description: {what}")]
    Config {
        /// What is wrong, and where.
        what: String,
    },
    /// An engine name that `engines.toml` does not have.
    #[error("Unknown engine: {name} (expected one of: {known})")]
    UnknownEngine {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A plugin's name that `engines.toml` does not have.
    #[error("Unknown plugin: {name} (expected one of: {known})")]
    UnknownPlugin {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A group of architectures that a plugin's recipe does not have.
    #[error("Unknown group of plugin {plugin}: {group} (expected one of: {known})")]
    UnknownGroup {
        /// The plugin.
        plugin: String,
        /// The name asked for.
        group: String,
        /// The names there are.
        known: String,
    },
    /// What was linked is not what a plugin must be.
    #[error("The plugin {plugin} is not as it must be: {what}")]
    Plugin {
        /// The plugin.
        plugin: String,
        /// Which rules are broken, with the offenders.
        what: String,
    },
    /// A value of one of the variables in [`crate::env`] that means nothing.
    #[error("Invalid value of {name}: {found} (expected {expected})")]
    Env {
        /// The variable.
        name: &'static str,
        /// Its value.
        found: String,
        /// The values that it may have.
        expected: &'static str,
    },
    /// A target that trifold does not build for.
    #[error("Target not supported yet: {target} (supported: x86_64-unknown-linux-gnu)")]
    Target {
        /// The target triple.
        target: String,
    },
    /// The source of an engine could not be found or fetched.
    #[error("No source for {engine}: {what}")]
    Source {
        /// The engine.
        engine: String,
        /// What failed, with the tool's own words.
        what: String,
        /// What to do.
        hint: String,
    },
    /// A program that the build needs is missing.
    #[error("Missing program: {program} ({needed_for})")]
    MissingTool {
        /// The program.
        program: String,
        /// What it is needed for.
        needed_for: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A program that the build needs is too old, or cannot do what is needed.
    #[error("{program} is too old: expected {expected}, found {found}")]
    OldTool {
        /// The program.
        program: String,
        /// The oldest version that works.
        expected: &'static str,
        /// The version found.
        found: String,
    },
    /// A compiler or binutils command failed.
    #[error("{what}: {command}\n{output}")]
    Command {
        /// What was being done.
        what: String,
        /// The command line.
        command: String,
        /// What it printed.
        output: String,
    },
    /// A file could not be read or written.
    #[error("{what}: {path}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// No folder for the cache: neither the variable nor a home folder is set.
    #[error("No folder for the build cache: TRIFOLD_CACHE, XDG_CACHE_HOME and HOME are not set")]
    NoCache,
    /// The sealed object is not sealed: a bug in the recipe, or a new upstream revision.
    #[error("The seal of {engine} does not hold: {what}")]
    Seal {
        /// The engine.
        engine: String,
        /// Which rule failed, with the offending symbols.
        what: String,
    },
    /// The object that a library was sealed into is not sealed.
    #[error("The seal of {library} does not hold: {what}")]
    SealLibrary {
        /// The sealed object.
        library: String,
        /// Which rule failed, with the offending symbols.
        what: String,
    },
    /// A file that cannot be sealed.
    #[error("Expected an object or a static archive to seal at: {} (found: {found})", path.display())]
    SealInput {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What to do.
        hint: &'static str,
    },
    /// A pattern of symbols to keep that none has.
    #[error("No symbol to keep matches: {pattern} (the {defined} defined ones begin with: {some})")]
    SealPattern {
        /// The pattern.
        pattern: String,
        /// How many symbols there are.
        defined: usize,
        /// The first few.
        some: String,
    },
    /// The compiler's account of a ggml's types means nothing to us.
    #[error("Could not read the fingerprint of the ggml at: {} ({what})", path.display())]
    Fingerprint {
        /// The folder of ggml.
        path: PathBuf,
        /// What was expected and found.
        what: String,
    },
    /// The tokenizer vocabularies could not be packed.
    #[error("Could not pack the tokenizer vocabularies")]
    Vocabularies(#[source] trifold_vocabulary::PackError),
}

impl BuildError {
    pub(crate) fn io(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }

    pub(crate) fn config(what: impl Into<String>) -> Self {
        Self::Config { what: what.into() }
    }

    pub(crate) fn fingerprint(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self::Fingerprint {
            path: path.into(),
            what: what.into(),
        }
    }

    /// One sentence on what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Config { .. } => {
                "Correct engines.toml; its head says what each entry means".into()
            }
            Self::UnknownEngine { .. } => "Engines are listed in engines.toml".into(),
            Self::UnknownPlugin { .. } => {
                "Plugins are the [plugin.NAME] tables of engines.toml".into()
            }
            Self::UnknownGroup { .. } => {
                "Groups are the `groups` of the recipe's nvcc, in engines.toml".into()
            }
            Self::Plugin { .. } => {
                "Its recipe in engines.toml says what it may need: `outside` for \
                 symbols, `libraries` for libraries; CONTRIBUTING.md, \"Adding a backend\""
                    .into()
            }
            Self::Env { name, .. } => format!("Unset {name}, or give it one of the values above"),
            Self::Target { .. } => {
                "Build on Linux with glibc on x86-64; other systems are planned".into()
            }
            Self::Source { hint, .. } => hint.clone(),
            Self::MissingTool {
                program, package, ..
            } => format!(
                "Install {program}, on Debian and Ubuntu: apt-get install {package}; \
                 CC, CXX, LD and OBJCOPY name others"
            ),
            Self::OldTool { .. } => {
                "Install a newer one; Debian 12, Ubuntu 22.04 and later have it".into()
            }
            Self::Command { output, .. } if no_space(output) => space_hint(),
            Self::Command { output, .. } if output.contains("Killed") => {
                "The compiler was killed, most likely for lack of memory: build with fewer jobs \
                 (cargo build -j 1)"
                    .into()
            }
            Self::Command { .. } => {
                "The lines above are the tool's own; run the command by hand to see more".into()
            }
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                space_hint()
            }
            Self::Io { path, source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                format!("See that {} is there", path.display())
            }
            Self::Io { path, .. } => format!(
                "See that {} can be read and written, or set TRIFOLD_CACHE to another folder",
                path.display()
            ),
            Self::NoCache => "Set TRIFOLD_CACHE to a folder that can be written".into(),
            Self::SealInput { hint, .. } => (*hint).into(),
            Self::SealPattern { .. } => {
                "`nm -g --defined-only` lists all; C++ functions have mangled names".into()
            }
            Self::Fingerprint { .. } => {
                "Compile with GCC or Clang: their debug information is understood".into()
            }
            Self::Vocabularies(_) => {
                "This is a defect of trifold-vocabulary, or of the engine's source".into()
            }
            Self::SealLibrary { what, .. } if what.starts_with("needs") => {
                "Seal what defines these symbols along with it, or allow them with --outside".into()
            }
            Self::SealLibrary { .. } => {
                "`nm` lists what the sealed files define; LD and OBJCOPY name other tools to seal them with".into()
            }
            Self::Seal { .. } => {
                "CONTRIBUTING.md, \"Moving an engine\", says how each rule is restored".into()
            }
        })
    }
}

fn no_space(output: &str) -> bool {
    output.contains("No space left on device")
}

fn space_hint() -> String {
    "The disk is full: a cold build needs 1 GB in the cache folder; free some space or set \
     TRIFOLD_CACHE to a folder on another disk"
        .into()
}
