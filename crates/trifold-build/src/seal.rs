//! Sealing: many objects in, one object out that defines nothing but the engine's API, under names
//! that no other engine, and no other copy of the same engine, has.
//!
//! 1. The kernels of each CPU level are linked on their own (`ld -r`) and keep only the names that
//!    the rest of ggml calls. Otherwise the linker could take a `std::vector` function that was
//!    compiled for AVX2 for the whole program, and an older CPU would die before any check. Under these
//!    names stand jumps to the level that was chosen; see `levels.rs`.
//!    Kernels of operations that the engine never asks for are left out; see `unused.rs`.
//! 2. All is linked with `--force-group-allocation`: COMDAT groups would keep their signature, and
//!    the final link of two engines would throw away "duplicate" code of the other ggml.
//!    `--wrap` sends what the engine would print to the shim.
//! 3. `objcopy` makes every symbol local that is not on the list, and renames those that are:
//!    `llama_decode` becomes `trifold_llama_llama_decode`.
//! 4. The result is read back and checked; see [`crate::elf`].
//!
//! [`Library`] does the same for any C or C++ library.

pub(crate) mod inside;
mod levels;
mod library;
pub(crate) mod steps;
mod unused;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{
    BuildError,
    builder::Objects,
    cache::Key,
    compile::run,
    config::Config,
    elf,
    seal::{levels::Reach, steps::Steps, unused::Operations},
    toolchain::Toolchain,
};

pub use library::{Export, Library, Report};

/// C functions that the shim takes over (`crates/trifold-build/shim/stdio.cpp`).
pub const WRAPPED: [&str; 20] = [
    "_Exit",
    "backtrace",
    "backtrace_symbols_fd",
    "execlp",
    "fflush",
    "fork",
    "fprintf",
    "fputc",
    "fputs",
    "fwrite",
    "perror",
    "pipe",
    "prctl",
    "printf",
    "putchar",
    "puts",
    "srand",
    "vfprintf",
    "vprintf",
    "waitpid",
];

/// Functions of a shared ggml that each engine has to be told apart in (`shim/shared_ggml.cpp`).
const SHARED: [&str; 2] = ["ggml_log_set", "ggml_set_abort_callback"];

/// What a sealed engine exports.
#[derive(Clone, Debug)]
pub struct Exports {
    /// Upstream's functions, by their own names.
    pub functions: Vec<String>,
    /// The prefix of everything exported.
    pub prefix: String,
}

impl Exports {
    /// Reads the list that `cargo xtask bindings` wrote.
    pub fn read(engine: &str, shim: &Path) -> Result<Self, BuildError> {
        let path = shim.join("guarded.inc");
        let text =
            fs_err::read_to_string(&path).map_err(BuildError::io("Could not read", &path))?;
        let functions = text
            .lines()
            .filter_map(|line| line.strip_prefix("TRIFOLD_GUARD(")?.strip_suffix(')'))
            .map(str::to_owned)
            .collect();
        Ok(Self {
            functions,
            prefix: format!("trifold_{engine}_"),
        })
    }

    /// The shim's own functions, besides the guarded ones.
    fn own(&self) -> impl Iterator<Item = String> {
        ["cpu_level", "host", "start", "terminate_handler"]
            .iter()
            .map(|name| format!("{}{name}", self.prefix))
    }

    /// Pairs of the name that Rust calls, and upstream's own, of some functions.
    pub(crate) fn renamed(&self, which: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let functions = self.functions.iter().filter(|name| which(name));
        functions
            .map(|name| (format!("{}{name}", self.prefix), name.clone()))
            .collect()
    }

    /// All symbols that the sealed object defines, sorted.
    pub fn symbols(&self) -> Vec<String> {
        let prefix = &self.prefix;
        let mut symbols: Vec<String> = self
            .functions
            .iter()
            .flat_map(|name| [format!("{prefix}{name}"), format!("{prefix}guarded_{name}")])
            .chain(self.own())
            .collect();
        symbols.sort();
        symbols
    }
}

/// What is reached from one function of a static library, such as one that Rust makes, as an object in
/// `folder` that shows nothing else. `renamed` are functions of others: pairs of the name that the library
/// calls, and the one that they have.
///
/// # Errors
/// What the tools say.
pub fn reached(
    archive: &Path,
    entry: &str,
    renamed: &[(String, String)],
    folder: &Path,
) -> Result<PathBuf, BuildError> {
    let title = archive.file_stem().unwrap_or_default().to_string_lossy();
    let out = folder.join(format!("{title}.o"));
    Steps::run_all(&title, &Toolchain::find()?, &out, |step| {
        let linked = step.link_reached("reached", archive, entry)?;
        let entry = std::iter::once(entry.to_owned());
        let hidden = step.keep("hidden", &linked, entry, false)?;
        let names = renamed
            .iter()
            .map(|(ours, theirs)| format!("{ours} {theirs}"));
        step.rename("closed", &hidden, names)
    })?;
    Ok(out)
}

/// How one engine is sealed.
pub(crate) struct Recipe<'a> {
    pub(crate) config: &'a Config,
    pub(crate) engine: &'a str,
    pub(crate) exports: &'a Exports,
}

impl Recipe<'_> {
    /// Adds all that decides about the result, other than the objects, to a key.
    pub(crate) fn describe(&self, key: &mut Key) {
        key.text("seal 5")
            .text(&self.config.common.one_level)
            .texts(self.config.built_levels().map(|(_, level)| &level.name))
            .texts(self.wrapped())
            .texts(&self.config.ggml.kernels_keep)
            .texts(self.exports.symbols());
    }

    /// All functions that the shim takes over.
    fn wrapped(&self) -> Vec<&str> {
        let own = self
            .config
            .engine
            .get(self.engine)
            .map(|engine| &engine.wrap);
        WRAPPED
            .into_iter()
            .chain(own.into_iter().flatten().map(String::as_str))
            .collect()
    }

    /// Seals objects into `folder`.
    pub(crate) fn seal(
        &self,
        toolchain: &Toolchain,
        objects: &Objects,
        folder: &Path,
    ) -> Result<(), BuildError> {
        let object = folder.join(format!("trifold_{}.o", self.engine));
        Steps::run_all(self.engine, toolchain, &object, |step| {
            let unused = self.unused(step, objects)?;
            let parts = self.parts(step, objects, &Reach::Needed { unused })?;
            let reached = step.link_used("reached", &parts, &self.wrapped(), self.api())?;
            // Once more: a function's variants come to lie side by side, where archives compress them best.
            let linked = step.link("all", &[reached], &[])?;
            self.close(step, &linked)
        })?;
        elf::check_sealed(self.engine, &object, &self.exports.symbols())?;

        let archive = folder.join(format!("libtrifold_{}.a", self.engine));
        run(
            "Could not write the archive",
            toolchain.ar().arg("crsD").arg(&archive).arg(&object),
        )
    }

    /// Links everything, with the kernels of one CPU level, and hides nothing.
    pub(crate) fn open(
        &self,
        toolchain: &Toolchain,
        objects: &Objects,
        out: &Path,
    ) -> Result<(), BuildError> {
        Steps::run_all(self.engine, toolchain, out, |step| {
            let one = &self.config.common.one_level;
            let kernels = objects
                .kernels
                .iter()
                .filter(|kernels| kernels.level == *one);
            let rest = objects.base.iter().chain(&objects.rest);
            let mut parts: Vec<PathBuf> = rest.cloned().collect();
            parts.extend(kernels.clone().flat_map(|kernels| kernels.objects.clone()));
            let numbers: Vec<usize> = kernels.map(|kernels| kernels.number).collect();
            parts.push(levels::fixed(step, &numbers)?);
            step.link_open("open", &parts, &self.wrapped())
        })
    }

    /// Seals an engine without ggml, which it calls by the names that ggml has.
    pub(crate) fn without_ggml(
        &self,
        toolchain: &Toolchain,
        rest: &[PathBuf],
        out: &Path,
    ) -> Result<(), BuildError> {
        Steps::run_all(self.engine, toolchain, out, |step| {
            let wrapped = [&self.wrapped()[..], &SHARED].concat();
            let linked = step.link("engine", rest, &wrapped)?;
            self.close(step, &linked)
        })
    }

    /// Links a ggml for several engines.
    pub(crate) fn ggml(
        &self,
        toolchain: &Toolchain,
        objects: &Objects,
        out: &Path,
    ) -> Result<(), BuildError> {
        Steps::run_all(self.engine, toolchain, out, |step| {
            let parts = self.parts(step, objects, &Reach::All)?;
            step.link("ggml", &parts, &WRAPPED)
        })
    }

    /// What is linked, with the kernels closed, and the choice between them.
    fn parts(
        &self,
        step: &Steps<'_>,
        objects: &Objects,
        reach: &Reach,
    ) -> Result<Vec<PathBuf>, BuildError> {
        let mut parts = [&objects.base[..], &objects.rest].concat();
        parts.extend(self.kernels(objects).link(step, &parts, reach)?);
        Ok(parts)
    }

    fn kernels<'a>(&'a self, objects: &'a Objects) -> levels::Kernels<'a> {
        levels::Kernels {
            engine: self.engine,
            keep: &self.config.ggml.kernels_keep,
            levels: &objects.kernels,
        }
    }

    /// The kernels of operations that no graph of the engine has.
    fn unused(&self, step: &Steps<'_>, objects: &Objects) -> Result<BTreeSet<String>, BuildError> {
        let graphs = &objects.graphs;
        let operations = Operations::read(&graphs.builders, &graphs.switch, &graphs.others)?;
        let kernels = objects
            .kernels
            .first()
            .map_or(&[][..], |level| &level.objects);
        let parts = [&objects.base[..], &objects.rest, kernels].concat();
        let linked = step.link_used("used", &parts, &self.wrapped(), self.api())?;
        let reached = elf::symbols(&linked)?.global.into_iter().collect();
        Ok(operations.unused(&reached))
    }

    /// What stays visible, by upstream's names.
    fn api(&self) -> impl Iterator<Item = String> {
        let exports = self.exports;
        let guarded = exports
            .functions
            .iter()
            .map(|name| format!("{}guarded_{name}", exports.prefix));
        exports
            .functions
            .iter()
            .cloned()
            .chain(guarded)
            .chain(exports.own())
    }

    /// Hides all but the API, and gives that names of its own, as far as the object defines it.
    fn close(&self, step: &Steps<'_>, linked: &Path) -> Result<PathBuf, BuildError> {
        let exports = self.exports;
        let hidden = step.keep("hidden", linked, self.api(), false)?;
        let defined = elf::symbols(&hidden)?.global;
        let names = exports
            .renamed(|name| {
                defined
                    .binary_search_by(|known| known.as_str().cmp(name))
                    .is_ok()
            })
            .into_iter()
            .map(|(ours, theirs)| format!("{theirs} {ours}"));
        step.rename("closed", &hidden, names)
    }
}
