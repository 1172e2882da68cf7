//! The glibc that an extension asks for: an older one than that of the machine that builds.
//!
//! glibc keeps every old version of a symbol, but the linker takes the newest. Here it is shown
//! libraries that look like those of an older glibc: made from the machine's own, with each symbol at
//! its newest version that is not above the floor, and without those that came later. What is missing
//! then is defined in `shim/glibc.c`. The compiler and its headers stay the machine's own, so the
//! code is the same, as fast, and comes from the same cache.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::{
    BuildError,
    cache::{Cache, Key},
    compile::run,
    elf::{self, VersionedSymbol},
    env,
    toolchain::Toolchain,
};

const SHIM: &str = include_str!("../shim/glibc.c");
const START: &str = include_str!("../shim/start.c");

/// In this version libpthread, libdl and librt became part of libc.
const MERGED: Floor = Floor(2, 34);

/// The libraries of glibc that an engine or Rust's runtime may ask for.
const LIBRARIES: [(&str, &str); 5] = [
    ("c", "libc.so.6"),
    ("m", "libm.so.6"),
    ("dl", "libdl.so.2"),
    ("pthread", "libpthread.so.0"),
    ("rt", "librt.so.1"),
];

/// The newest glibc that may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Floor(pub u32, pub u32);

impl FromStr for Floor {
    type Err = BuildError;

    fn from_str(text: &str) -> Result<Self, BuildError> {
        let numbers = text
            .split_once('.')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        match numbers {
            Some((2, minor)) if minor >= 17 => Ok(Self(2, minor)),
            _ => Err(BuildError::Env {
                name: env::GLIBC,
                found: text.into(),
                expected: "a version of glibc such as 2.28, 2.17 or newer",
            }),
        }
    }
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Floor {
    /// The floor that the environment asks for, if it does.
    ///
    /// # Errors
    /// [`BuildError::Env`] for what is no version.
    pub fn from_env() -> Result<Option<Self>, BuildError> {
        match std::env::var(env::GLIBC) {
            Ok(text) if !text.is_empty() => text.parse().map(Some),
            _ => Ok(None),
        }
    }

    /// What links a program, besides the [libraries](Self::libraries) in this folder: start files of our
    /// own, where those of the machine are too new.
    pub fn start_arguments(self, folder: &Path) -> Vec<String> {
        if self >= MERGED {
            return Vec::new();
        }
        vec![
            "-nostartfiles".into(),
            folder.join("start.o").display().to_string(),
            // The machine's own libgcc_s, which the program finds where it runs, needs newer ones.
            "-Wl,--allow-shlib-undefined".into(),
        ]
    }

    /// Whether a symbol of this version may be asked for. `GLIBC_PRIVATE` never.
    pub fn admits(self, version: &str) -> bool {
        version
            .strip_prefix("GLIBC_")
            .and_then(parse)
            .is_some_and(|version| version <= self)
    }

    /// The folder of libraries to link against, made if it is not in the cache.
    ///
    /// # Errors
    /// What the tools say.
    pub fn libraries(self, cache: &Cache) -> Result<PathBuf, BuildError> {
        let toolchain = Toolchain::find()?;
        let symbols = self.symbols(&toolchain)?;
        let mut key = Key::new("glibc");
        key.text(&toolchain.id)
            .text(SHIM)
            .text(START)
            .text(&self.to_string());
        for (library, symbols) in &symbols {
            key.text(library);
            key.texts(symbols.iter().map(|symbol| format!("{symbol:?}")));
        }
        let folder = cache.folder("glibc")?.join(key.finish());
        let _lock = cache.lock("glibc")?;
        if folder.is_dir() {
            return Ok(folder);
        }
        let work = tempfile::tempdir_in(cache.folder("glibc")?)
            .map_err(BuildError::io("Could not create a folder in", cache.root()))?;
        for (short, library) in LIBRARIES {
            let symbols = symbols.get(library).map_or(&[][..], Vec::as_slice);
            make_library(&toolchain, work.path(), short, library, symbols)?;
        }
        make_archive(&toolchain, work.path())?;
        compile(&toolchain, work.path(), "start", START)?;
        let made = work.keep();
        fs_err::rename(&made, &folder).map_err(BuildError::io("Could not rename", &made))?;
        Ok(folder)
    }

    /// What each library of a glibc of this age would define, from the machine's own.
    fn symbols(
        self,
        toolchain: &Toolchain,
    ) -> Result<BTreeMap<&'static str, Vec<VersionedSymbol>>, BuildError> {
        let mut newest: BTreeMap<(&str, String), (Self, VersionedSymbol)> = BTreeMap::new();
        for (_, library) in LIBRARIES {
            let path = toolchain.library(library)?;
            for symbol in elf::versioned_symbols(&path)? {
                let Some(version) = symbol.version.strip_prefix("GLIBC_").and_then(parse) else {
                    continue;
                };
                // Each version is also a symbol of its own name.
                if symbol.undefined || version > self || symbol.name == symbol.version {
                    continue;
                }
                let home = self.home(library, &symbol.name);
                let place = newest.entry((home, symbol.name.clone()));
                place
                    .and_modify(|known| {
                        if version > known.0 {
                            *known = (version, symbol.clone());
                        }
                    })
                    .or_insert((version, symbol));
            }
        }
        let mut symbols: BTreeMap<&str, Vec<VersionedSymbol>> = BTreeMap::new();
        for ((library, _), (_, symbol)) in newest {
            symbols.entry(library).or_default().push(symbol);
        }
        Ok(symbols)
    }

    /// Which library had a symbol before libpthread, libdl and librt became part of libc. The loader
    /// looks in all of them; what matters is that the right ones are loaded.
    fn home(self, library: &'static str, name: &str) -> &'static str {
        const MOVED: [(&str, &[&str]); 3] = [
            (
                "libdl.so.2",
                &[
                    "dlopen", "dlclose", "dlsym", "dlvsym", "dlerror", "dladdr", "dlinfo",
                    "dlmopen",
                ],
            ),
            ("libpthread.so.0", &["pthread_", "sem_"]),
            ("librt.so.1", &["aio_", "mq_", "shm_", "timer_"]),
        ];
        if self >= MERGED || library != "libc.so.6" {
            return library;
        }
        MOVED
            .iter()
            .find(|(_, prefixes)| prefixes.iter().any(|prefix| name.starts_with(prefix)))
            .map_or(library, |(library, _)| library)
    }
}

fn parse(version: &str) -> Option<Floor> {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some(Floor(numbers.next()??, numbers.next()??))
}

/// A shared library without code: names, versions and kinds.
fn make_library(
    toolchain: &Toolchain,
    folder: &Path,
    short: &str,
    library: &str,
    symbols: &[VersionedSymbol],
) -> Result<(), BuildError> {
    let mut assembly = String::from(".text\n");
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for VersionedSymbol {
        name,
        version,
        data,
        size,
        ..
    } in symbols
    {
        let kind = if *data { "@object" } else { "@function" };
        let size = (*size).max(1);
        // Writing to a string does not fail.
        let _ = write!(
            assembly,
            ".globl \"{name}\"\n.type \"{name}\", {kind}\n\"{name}\": .skip {size}\n.size \"{name}\", {size}\n"
        );
        versions.entry(version).or_default().push(name);
    }
    assembly += ".section .note.GNU-stack,\"\",@progbits\n";
    let mut script = String::new();
    for (version, names) in &versions {
        let _ = writeln!(script, "{version} {{ global: {}; }};", names.join("; "));
    }
    script += "TRIFOLD_REST { local: *; };\n";
    let write = |name: String, text: &str| {
        let path = folder.join(name);
        fs_err::write(&path, text).map_err(BuildError::io("Could not write", &path))?;
        Ok::<_, BuildError>(path)
    };
    let assembly = write(format!("{short}.s"), &assembly)?;
    let script = write(format!("{short}.map"), &script)?;
    let mut command = toolchain.compile(false);
    command
        .args(["-shared", "-nostdlib", "-Wl,-soname"])
        .arg(format!("-Wl,{library}"))
        .arg(format!("-Wl,--version-script={}", script.display()))
        .arg("-o")
        .arg(folder.join(library))
        .arg(assembly);
    run("Could not make a library for an older glibc", &mut command)?;
    // `-lc` finds this; the little that is linked statically comes from the machine's own glibc.
    let rest = if short == "c" {
        let rest = toolchain.library("libc_nonshared.a")?;
        let loader = toolchain.library("ld-linux-x86-64.so.2")?;
        format!(" {} AS_NEEDED ( {} )", rest.display(), loader.display())
    } else {
        String::new()
    };
    write(
        format!("lib{short}.so"),
        &format!("GROUP ( {library}{rest} )\n"),
    )?;
    Ok(())
}

/// For a final link by the compiler: the folder of [`Floor::libraries`], and what everything is linked with.
#[must_use]
pub fn arguments(libraries: &Path) -> [String; 7] {
    [
        format!("-L{}", libraries.display()),
        "-ltrifold_glibc".into(),
        "-lgcc_s".into(),
        "-lpthread".into(),
        "-ldl".into(),
        "-lm".into(),
        "-lrt".into(),
    ]
}

/// `libtrifold_glibc.a`: what an older glibc lacks.
fn make_archive(toolchain: &Toolchain, folder: &Path) -> Result<(), BuildError> {
    let object = compile(toolchain, folder, "glibc", SHIM)?;
    let mut command = toolchain.ar();
    command
        .arg("rcsD")
        .arg(folder.join("libtrifold_glibc.a"))
        .arg(&object);
    run("Could not make an archive", &mut command)
}

fn compile(
    toolchain: &Toolchain,
    folder: &Path,
    name: &str,
    text: &str,
) -> Result<PathBuf, BuildError> {
    let source = folder.join(format!("{name}.c"));
    fs_err::write(&source, text).map_err(BuildError::io("Could not write", &source))?;
    let object = source.with_extension("o");
    let mut command = toolchain.compile(false);
    command
        .args([
            "-O2",
            "-fPIC",
            "-ffunction-sections",
            "-fdata-sections",
            "-c",
            "-o",
        ])
        .arg(&object)
        .arg(&source);
    run("Could not compile what an older glibc lacks", &mut command)?;
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::Floor;

    #[test]
    fn versions_are_compared_as_numbers() {
        let floor: Floor = "2.28".parse().unwrap();
        assert!(floor.admits("GLIBC_2.2.5") && floor.admits("GLIBC_2.28"));
        assert!(!floor.admits("GLIBC_2.29") && !floor.admits("GLIBC_2.100"));
        assert!(!floor.admits("GLIBC_PRIVATE") && !floor.admits("GCC_3.0"));
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "2", "3.1", "2.5", "2.x", "two"] {
            let error = text.parse::<Floor>().unwrap_err();
            assert!(error.to_string().contains("TRIFOLD_GLIBC"), "{error}");
        }
    }
}
