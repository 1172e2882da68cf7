//! The final links.

use std::{
    ffi::OsString,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::NamedTempFile;
use trifold_build::{
    cache::Cache,
    compile::run,
    glibc::{self, Floor},
    toolchain::Toolchain,
};

use super::{LIBRARIES, glue::ENTRY};
use crate::PackError;

/// Who sees what an extension defines.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Symbols {
    /// Python sees its entry point.
    Module,
    /// Everybody sees everything, and the C++ runtime is the system's.
    All,
}

/// Links for a glibc of some age.
pub(crate) struct Linker {
    toolchain: Toolchain,
    glibc: PathBuf,
    more: Vec<OsString>,
}

impl Linker {
    pub(crate) fn new(floor: Floor, cache: &Cache) -> Result<Self, PackError> {
        Ok(Self {
            toolchain: Toolchain::find()?,
            glibc: floor.libraries(cache)?,
            more: Vec::new(),
        })
    }

    /// Also with these arguments, which come after the objects.
    pub(crate) fn with(mut self, more: impl IntoIterator<Item = OsString>) -> Self {
        self.more.extend(more);
        self
    }

    /// A Python extension that needs libraries of its own package.
    pub(super) fn extension(
        &self,
        objects: &[&Path],
        libraries: &[&Path],
        symbols: &Symbols,
        out: &Path,
    ) -> Result<(), PackError> {
        let mut command = self.command(out);
        command.args(objects).args(libraries);
        if !libraries.is_empty() {
            command.arg(format!("-Wl,-rpath,$ORIGIN/../{LIBRARIES}"));
        }
        if *symbols == Symbols::All {
            return self.finish(command);
        }
        let script = version_script(&[ENTRY.to_owned()])?;
        close(&mut command, script.path());
        command.arg("-Wl,--gc-sections");
        self.finish(command)
    }

    /// A shared library. Its functions call each other directly, whoever else defines theirs.
    pub(crate) fn library(
        &self,
        objects: &[&Path],
        exports: &[String],
        out: &Path,
    ) -> Result<(), PackError> {
        let mut command = self.command(out);
        let name = out.file_name().unwrap_or_default().to_string_lossy();
        command
            .args(objects)
            .arg(format!("-Wl,-soname,{name}"))
            .args(["-Wl,-Bsymbolic", "-Wl,-z,defs"]);
        let script = version_script(exports)?;
        close(&mut command, script.path());
        self.finish(command)
    }

    fn command(&self, out: &Path) -> Command {
        let mut command = self.toolchain.compile(true);
        command
            .args(["-shared", "-o"])
            .arg(out)
            .args(["-Wl,-O1", "-Wl,-s", "-Wl,-z,relro,-z,now"])
            .args(["-Wl,-z,noexecstack", "-Wl,--as-needed"]);
        command
    }

    fn finish(&self, mut command: Command) -> Result<(), PackError> {
        command.args(&self.more);
        command.args(glibc::arguments(&self.glibc));
        run("Could not link", &mut command)?;
        Ok(())
    }
}

/// Takes the C++ runtime inside, and shows what the script names.
fn close(command: &mut Command, script: &Path) {
    command
        .arg(format!("-Wl,--version-script={}", script.display()))
        .arg("-static-libstdc++")
        // Weak in virtual tables: taken from the runtime inside, not from one that happens to be in the
        // process.
        .arg("-Wl,-u,__cxa_pure_virtual");
}

/// A file that shows these names, which may be patterns, and hides all others.
fn version_script(exports: &[String]) -> Result<NamedTempFile, PackError> {
    let names = exports.join("; ");
    let place = std::env::temp_dir();
    let write = || {
        let mut file = NamedTempFile::new()?;
        writeln!(file, "{{ global: {names}; local: *; }};")?;
        file.flush()?;
        Ok(file)
    };
    write().map_err(PackError::io("Could not write a temporary file in", place))
}
