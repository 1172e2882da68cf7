//! What a shipped program or extension must be: reads the file itself, never runs it.

use std::{collections::BTreeSet, path::Path};

use crate::{
    BuildError,
    elf::{self, Hardening, VersionedSymbol},
    glibc::Floor,
};

/// Parts of glibc, and the compiler's support library that every system has: what may be asked for.
const NEEDED: [&str; 7] = [
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
];

/// The compiler's own marks, which nobody need define.
const OPTIONAL: [&str; 3] = [
    "_ITM_deregisterTMCloneTable",
    "_ITM_registerTMCloneTable",
    "__gmon_start__",
];

/// What was found out about a file.
#[derive(Debug, Default)]
pub struct Audit {
    /// Every rule that is broken, with the offenders.
    pub findings: Vec<String>,
    /// Defined dynamic symbols.
    pub exported: Vec<String>,
    /// The libraries it asks for.
    pub needed: Vec<String>,
    /// The newest glibc that it asks for.
    pub glibc: Option<Floor>,
}

/// Checks a Python extension, or a program if `module` is none: it exports `PyInit_<module>` or nothing,
/// asks for parts of glibc not newer than `floor`, and is linked with all hardening.
///
/// # Errors
/// If it cannot be read; what is wrong with it is in [`Audit::findings`].
pub fn audit(path: &Path, module: Option<&str>, floor: Option<Floor>) -> Result<Audit, BuildError> {
    let rules = Rules {
        exports: module
            .map(|module| format!("PyInit_{module}"))
            .into_iter()
            .collect(),
        floor,
        known_library: &|_| false,
        search_path: false,
        python: module.is_some(),
    };
    rules.check(path)
}

/// What a shipped file must be.
pub(crate) struct Rules<'a> {
    /// All that it exports.
    pub(crate) exports: BTreeSet<String>,
    /// The newest glibc that it may ask for.
    pub(crate) floor: Option<Floor>,
    /// Whether it may ask for a library that is no part of every system.
    pub(crate) known_library: &'a dyn Fn(&str) -> bool,
    /// Whether it may bring folders for the loader to look in.
    pub(crate) search_path: bool,
    /// Whether the interpreter has the symbols that begin as Python's do.
    pub(crate) python: bool,
}

impl Rules<'_> {
    pub(crate) fn check(&self, path: &Path) -> Result<Audit, BuildError> {
        let linked = elf::linked(path)?;
        let symbols = elf::versioned_symbols(path)?;
        let mut findings = Vec::new();
        let mut rule = |what: &str, offenders: Vec<String>| {
            if !offenders.is_empty() {
                findings.push(format!("{what}: {}", offenders.join(", ")));
            }
        };
        let exported: BTreeSet<String> = linked.exported.into_iter().collect();
        let wanted = &self.exports;
        rule(
            "exports what is private",
            exported.difference(wanted).cloned().collect(),
        );
        rule(
            "does not export",
            wanted.difference(&exported).cloned().collect(),
        );
        let foreign = |library: &&String| {
            !NEEDED.contains(&library.as_str()) && !(self.known_library)(library)
        };
        rule(
            "needs a library that not every system has",
            linked.needed.iter().filter(foreign).cloned().collect(),
        );
        let undefined = || symbols.iter().filter(|symbol| symbol.undefined);
        let too_new = |symbol: &&VersionedSymbol| {
            symbol.version.starts_with("GLIBC_")
                && self
                    .floor
                    .is_some_and(|floor| !floor.admits(&symbol.version))
        };
        rule(
            "asks for a newer glibc",
            undefined()
                .filter(too_new)
                .map(|symbol| format!("{}@{}", symbol.name, symbol.version))
                .collect(),
        );
        // A library of somebody else's may have no versions.
        let versioned = linked
            .needed
            .iter()
            .all(|library| !(self.known_library)(library));
        let unknown = |symbol: &&VersionedSymbol| {
            versioned && symbol.version.is_empty() && !is_expected(symbol, self.python)
        };
        rule(
            "asks for a symbol of no known library",
            undefined()
                .filter(unknown)
                .map(|symbol| symbol.name.clone())
                .collect(),
        );
        rule(
            "is not linked as it should be",
            hardening(elf::hardening(path)?, self.search_path),
        );
        let glibc = undefined()
            .filter_map(|symbol| symbol.version.strip_prefix("GLIBC_")?.parse().ok())
            .max();
        Ok(Audit {
            findings,
            exported: exported.into_iter().collect(),
            needed: linked.needed,
            glibc,
        })
    }
}

/// Without a version: Python's own, which the interpreter defines; what may be missing; and what a
/// newer glibc may have (weak: Rust's runtime looks whether it is there).
fn is_expected(symbol: &VersionedSymbol, extension: bool) -> bool {
    let python = extension
        && ["Py", "_Py"]
            .iter()
            .any(|prefix| symbol.name.starts_with(prefix));
    let newer = [
        "__cxa_thread_atexit_impl",
        "getrandom",
        "gettid",
        "pidfd_getpid",
        "pidfd_spawnp",
        "posix_spawn_file_actions_addchdir",
        "posix_spawn_file_actions_addchdir_np",
        "statx",
    ];
    symbol.name.is_empty()
        || python
        || OPTIONAL.contains(&symbol.name.as_str())
        || (symbol.weak && newer.contains(&symbol.name.as_str()))
}

fn hardening(found: Hardening, search_path: bool) -> Vec<String> {
    [
        (found.relro, "no RELRO"),
        (found.bind_now, "no BIND_NOW"),
        (!found.executable_stack, "an executable stack"),
        (search_path || !found.search_path, "a search path (RPATH)"),
        (!found.text_relocations, "text relocations"),
        (!found.symbol_table, "not stripped"),
    ]
    .iter()
    .filter(|(right, _)| !right)
    .map(|(_, what)| (*what).to_owned())
    .collect()
}
