//! `engines.toml`: what an engine is made of.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{BuildError, env};

/// As many CPU levels as the 32 bits hold in which an engine says which it has.
const MOST_LEVELS: usize = 31;

/// The file as compiled in.
const ENGINES_TOML: &str = include_str!("../engines.toml");

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The whole of `engines.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What holds for every engine.
    pub common: Common,
    /// CPU levels of the kernels, of each architecture the lowest first.
    pub cpu_level: Vec<CpuLevel>,
    /// The names of those that are built; all of this architecture if there are none.
    #[serde(skip)]
    pub only_levels: Vec<String>,
    /// The files of ggml.
    pub ggml: Ggml,
    /// The engines by name.
    pub engine: BTreeMap<String, Engine>,
    /// The backend plugins by name.
    #[serde(default)]
    pub plugin: BTreeMap<String, crate::plugin::Recipe>,
    /// The folder of the package whose workspace pins the sources: the one that is built, or tested.
    #[serde(skip, default = "package_folder")]
    pub package: PathBuf,
}

/// An engine of somebody else's is declared by the package that is built; trifold's own engines are
/// dependencies of this crate in any workspace.
fn package_folder() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// What holds for every engine.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Common {
    /// Preprocessor definitions, `NAME` or `NAME=VALUE`.
    pub defines: Vec<String>,
    /// The engine whose ggml an aligned build uses.
    pub aligned_to: String,
    /// The CPU level of builds that have one only, as the field's have.
    pub one_level: String,
}

/// An architecture's name, as Rust has it.
fn first_architecture() -> String {
    ARCHITECTURE.into()
}

/// The architecture that is built for: the only one for now.
const ARCHITECTURE: &str = "x86_64";

/// One instruction set that the kernels are compiled for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuLevel {
    /// Its name: the psABI's, and what it has besides.
    pub name: String,
    /// The architecture, as Rust names it. Levels of others are declared only: nothing compiles them yet.
    #[serde(default = "first_architecture")]
    pub arch: String,
    /// The compiler flags.
    pub flags: Vec<String>,
    /// Definitions, besides those of all kernels.
    #[serde(default)]
    pub defines: Vec<String>,
    /// The level whose flags [`Ggml::kernels_small`] are compiled with; its own if none is named. Equal code
    /// costs an archive next to nothing.
    pub small_as: Option<String>,
    /// What a CPU must have besides what the level before it needs, in the spelling of `std::is_x86_feature_detected!`.
    pub features: Vec<String>,
}

/// The files of ggml, the same for every revision.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ggml {
    /// Graph, tensors, registry.
    pub base: Vec<String>,
    /// The file of `base` whose functions put operations into graphs.
    pub base_builders: String,
    /// Files that `base` matches and that are left out.
    pub base_exclude: Vec<String>,
    /// Files of `base` that are compiled small: all that takes no time.
    #[serde(default)]
    pub base_small: Vec<String>,
    /// The one of these whose loops over rows are compiled for speed all the same: it gets `shim/quants.h`.
    pub base_rows: String,
    /// Definitions for `base`.
    pub base_defines: Vec<String>,
    /// Include folders for `base`.
    pub base_includes: Vec<String>,
    /// The CPU backend.
    pub kernels: Vec<String>,
    /// Flags for `kernels`.
    pub kernels_flags: Vec<String>,
    /// Definitions for `kernels`.
    pub kernels_defines: Vec<String>,
    /// Include folders for `kernels`.
    pub kernels_includes: Vec<String>,
    /// Files of `kernels` that are compiled small: their time goes to memory, or they take none.
    pub kernels_small: Vec<String>,
    /// The one of these whose inner loops are compiled for speed all the same: it gets `shim/inner_loops.h`.
    pub kernels_inner_loops: String,
    /// Files of `kernels` that are written in the CPU's own instructions, so that `-O3` gives nothing.
    pub kernels_intrinsics: Vec<String>,
    /// The file of `kernels` whose threads spin while they wait, and whose switch calls a kernel by the
    /// operation.
    pub kernels_main: String,
    /// Patterns of the symbols that a kernels object shows to the rest of its engine.
    pub kernels_keep: Vec<String>,
}

/// One engine.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// The upstream project's name.
    pub title: String,
    /// Where the source comes from.
    pub source: Source,
    /// The folder of the ggml that the source ships.
    pub ggml: PathBuf,
    /// Whether it is compiled against that ggml in every mode: one that upstream has changed.
    #[serde(default)]
    pub pinned: bool,
    /// Templates (`name.h.in`) to fill in, as CMake's `configure_file` would.
    #[serde(default)]
    pub configure: Vec<PathBuf>,
    /// Where the source says its version.
    pub version: Version,
    /// Definition that carries the version as a string.
    pub version_define: Option<String>,
    /// Include folders.
    pub includes: Vec<String>,
    /// Definitions.
    pub defines: Vec<String>,
    /// What is compiled.
    pub units: Vec<Unit>,
    /// Tokenizer vocabularies that are packed instead of compiled.
    pub vocabularies: Option<Vocabularies>,
    /// Functions, by symbol, that the shim takes over; besides those that every shim does.
    #[serde(default)]
    pub wrap: Vec<String>,
    /// Licence files of the engine and what it bundles; of a header what it says at its beginning.
    pub licences: Vec<PathBuf>,
    /// What the engine exports.
    pub api: Api,
}

/// Where an engine's source comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Source {
    /// A folder inside a Cargo registry package.
    Crate {
        /// The package.
        #[serde(rename = "crate")]
        name: String,
        /// Its exact version.
        version: String,
        /// The folder inside the package.
        dir: PathBuf,
    },
    /// A checkout.
    Path {
        /// Its folder.
        path: PathBuf,
    },
    /// A git repository.
    Git {
        /// Its URL.
        git: String,
        /// The full commit id.
        rev: String,
    },
}

/// Where a source says its version.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Version {
    /// `set(PREFIX_VERSION_MAJOR n)` and so on in a CMake file.
    Prefix {
        /// The CMake file.
        cmake: PathBuf,
        /// The prefix.
        prefix: String,
    },
    /// `project("name" VERSION x.y.z)` in a CMake file.
    Project {
        /// The CMake file.
        cmake: PathBuf,
        /// The project.
        project: String,
    },
    /// The version of the package that carries the source.
    Crate {
        /// Always true.
        #[serde(rename = "crate")]
        of_crate: bool,
    },
}

/// Files compiled alike.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// Globs below the source folder.
    pub files: Vec<String>,
    /// Files that the globs match and that are left out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// More include folders, searched first.
    #[serde(default)]
    pub includes: Vec<String>,
    /// Compile this many files as one (upstream's unity build).
    pub unity: Option<usize>,
    /// Compile C files as C++.
    #[serde(default)]
    pub cpp: bool,
    /// Compile for size.
    #[serde(default)]
    pub small: bool,
}

/// Vocabularies in C arrays.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vocabularies {
    /// The folder with the arrays, one or more to a `.hpp` file.
    pub folder: PathBuf,
    /// The header that declares the functions that return them.
    pub header: PathBuf,
    /// The source file that defines these functions; ours takes its place.
    pub replaces: PathBuf,
}

/// What an engine exports.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// The public headers; all that they declare is exported.
    pub headers: Vec<String>,
    /// Headers in the shim's folder; all that they declare is exported, too.
    #[serde(default)]
    pub shim_headers: Vec<String>,
    /// Patterns of ggml's functions that are exported, too.
    pub functions: Vec<String>,
    /// The number behind `.so` where the engine is a shared library with a C API. To be raised when a new
    /// revision changes a function or structure of the API.
    #[serde(default = "first_soversion")]
    pub soversion: u32,
}

fn first_soversion() -> u32 {
    1
}

impl Config {
    /// The `engines.toml` of this crate, or what the environment says instead, see [`crate::env`].
    pub fn load() -> Result<Self, BuildError> {
        let mut config = match variable(env::ENGINES) {
            Some(path) => Self::read(Path::new(&path))?,
            None => Self::parse(ENGINES_TOML)?,
        };
        if let Some(name) = variable(env::ALIGNED_TO) {
            let name = name.to_string_lossy();
            config.engine(&name)?;
            config.common.aligned_to = name.into_owned();
        }
        if let Some(names) = variable(env::BUILD_CPU_LEVELS) {
            let names = names.to_string_lossy();
            config.only_levels = names.split(',').map(str::to_owned).collect();
            config.check_levels()?;
        }
        Ok(config)
    }

    /// Reads another one.
    pub fn read(path: &Path) -> Result<Self, BuildError> {
        let text = fs_err::read_to_string(path).map_err(BuildError::io("Could not read", path))?;
        Self::parse(&text)
    }

    /// Parses another one.
    pub fn parse(text: &str) -> Result<Self, BuildError> {
        let config: Self =
            toml::from_str(text).map_err(|error| BuildError::config(error.to_string()))?;
        config.engine(&config.common.aligned_to)?;
        config.check_levels()?;
        Ok(config)
    }

    /// The CPU levels of this architecture, lowest first.
    pub fn levels(&self) -> impl Iterator<Item = &CpuLevel> + Clone {
        self.cpu_level
            .iter()
            .filter(|level| level.arch == ARCHITECTURE)
    }

    /// Those of [`Config::levels`] that are built, with their places there.
    pub fn built_levels(&self) -> impl Iterator<Item = (usize, &CpuLevel)> + Clone {
        self.levels().enumerate().filter(|(_, level)| {
            self.only_levels.is_empty() || self.only_levels.contains(&level.name)
        })
    }

    fn check_levels(&self) -> Result<(), BuildError> {
        let known = || {
            self.levels()
                .map(|level| level.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let small = self.levels().filter_map(|level| level.small_as.as_ref());
        let wanted = std::iter::once(&self.common.one_level)
            .chain(&self.only_levels)
            .chain(small);
        for name in wanted {
            if !self.levels().any(|level| level.name == *name) {
                return Err(BuildError::config(format!(
                    "expected a CPU level of {ARCHITECTURE}: {} (found: {name})",
                    known()
                )));
            }
        }
        let count = self.levels().count();
        if count > MOST_LEVELS {
            return Err(BuildError::config(format!(
                "expected at most {MOST_LEVELS} CPU levels of {ARCHITECTURE} (found: {count})"
            )));
        }
        Ok(())
    }

    /// Adds engines that another file describes: its `[engine.NAME]` tables, as `engines.toml` has them.
    /// What holds for all engines stays as it is.
    pub fn with_engines(mut self, text: &str) -> Result<Self, BuildError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Engines {
            engine: BTreeMap<String, Engine>,
        }
        let more: Engines =
            toml::from_str(text).map_err(|error| BuildError::config(error.to_string()))?;
        for (name, engine) in more.engine {
            if self.engine.contains_key(&name) {
                return Err(BuildError::config(format!(
                    "expected a new engine, found: {name}"
                )));
            }
            self.engine.insert(name, engine);
        }
        Ok(self)
    }

    /// The engine of this name.
    pub fn engine(&self, name: &str) -> Result<&Engine, BuildError> {
        self.engine
            .get(name)
            .ok_or_else(|| BuildError::UnknownEngine {
                name: name.to_owned(),
                known: self.engine.keys().cloned().collect::<Vec<_>>().join(", "),
            })
    }

    /// The recipe of the plugin of this name.
    pub fn plugin(&self, name: &str) -> Result<&crate::plugin::Recipe, BuildError> {
        let recipe = self
            .plugin
            .get(name)
            .ok_or_else(|| BuildError::UnknownPlugin {
                name: name.to_owned(),
                known: self.plugin.keys().cloned().collect::<Vec<_>>().join(", "),
            })?;
        // What stands before the number in `cuda:0`; the loader refuses others, too.
        let kind = &recipe.kind;
        let of_it = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let begins = kind.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins || !kind.chars().all(of_it) || ["auto", "cpu"].contains(&kind.as_str()) {
            return Err(BuildError::config(format!(
                "[plugin.{name}]: expected a kind of small letters and digits, such as cuda, and not auto or cpu \
                 (found: {kind:?})"
            )));
        }
        Ok(recipe)
    }
}
