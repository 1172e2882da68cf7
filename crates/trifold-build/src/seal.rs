//! Sealing: many objects in, one object out that defines nothing but the engine's API, under names
//! that no other engine, and no other copy of the same engine, has.
//!
//! 1. The kernels of each CPU level are linked on their own (`ld -r`) and keep only the names that
//!    the rest of ggml calls. Otherwise the linker could take a `std::vector` function that was
//!    compiled for AVX2 for the whole program, and an older CPU would die before any check.
//! 2. All is linked with `--force-group-allocation`: COMDAT groups would keep their signature, and
//!    the final link of two engines would throw away "duplicate" code of the other ggml.
//!    `--wrap` sends what the engine would print to the shim.
//! 3. `objcopy` makes every symbol local that is not on the list, and renames those that are:
//!    `llama_decode` becomes `trifold_llama_llama_decode`.
//! 4. The result is read back and checked; see [`crate::elf`].
//!
//! [`Library`] does the same for any C or C++ library.

mod library;
mod steps;

use std::path::{Path, PathBuf};

use crate::{
    BuildError, cache::Key, compile::run, config::Config, elf, seal::steps::Steps,
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
        ["start", "terminate_handler"]
            .iter()
            .map(|name| format!("{}{name}", self.prefix))
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

/// How one engine is sealed.
pub(crate) struct Recipe<'a> {
    pub(crate) config: &'a Config,
    pub(crate) engine: &'a str,
    pub(crate) exports: &'a Exports,
}

impl Recipe<'_> {
    /// Adds all that decides about the result, other than the objects, to a key.
    pub(crate) fn describe(&self, key: &mut Key) {
        key.text("seal 1")
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
        kernels: &[(String, Vec<PathBuf>)],
        rest: &[PathBuf],
        folder: &Path,
    ) -> Result<(), BuildError> {
        let scratch = tempfile::tempdir_in(folder)
            .map_err(BuildError::io("Could not create a folder in", folder))?;
        let step = Steps {
            title: self.engine,
            toolchain,
            scratch: scratch.path(),
        };

        let mut parts = rest.to_vec();
        for (level, objects) in kernels {
            parts.push(self.kernels(&step, level, objects)?);
        }
        let linked = step.link("all", &parts, &self.wrapped())?;

        let guarded = self
            .exports
            .functions
            .iter()
            .map(|name| format!("{}guarded_{name}", self.exports.prefix));
        let keep = self
            .exports
            .functions
            .iter()
            .cloned()
            .chain(guarded)
            .chain(self.exports.own());
        let hidden = step.keep("hidden", &linked, keep, false)?;

        let object = folder.join(format!("trifold_{}.o", self.engine));
        let names = self
            .exports
            .functions
            .iter()
            .map(|name| format!("{name} {}{name}", self.exports.prefix));
        step.rename(&hidden, names, &object)?;

        elf::check_sealed(self.engine, &object, &self.exports.symbols())?;

        let archive = folder.join(format!("libtrifold_{}.a", self.engine));
        run(
            "Could not write the archive",
            toolchain.ar().arg("crsD").arg(&archive).arg(&object),
        )
    }

    /// One CPU level's kernels, closed but for the names that match `keep`.
    fn kernels(
        &self,
        step: &Steps<'_>,
        level: &str,
        objects: &[PathBuf],
    ) -> Result<PathBuf, BuildError> {
        let linked = step.link(&format!("kernels-{level}-linked"), objects, &[])?;
        // Static initialisers run before main, and so before any look at the CPU.
        if elf::has_initialisers(&linked)? {
            return Err(BuildError::Seal {
                engine: self.engine.into(),
                what: format!("the kernels of level {level} have static initialisers"),
            });
        }
        step.keep(
            &format!("kernels-{level}"),
            &linked,
            self.config.ggml.kernels_keep.iter().cloned(),
            true,
        )
    }
}
