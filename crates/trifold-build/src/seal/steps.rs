//! The binutils calls of a seal, each from files to a file.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{BuildError, cache::write_atomically, compile::run, toolchain::Toolchain};

/// A seal in the making.
pub(crate) struct Steps<'a> {
    /// What is sealed, for messages.
    pub(crate) title: &'a str,
    pub(crate) toolchain: &'a Toolchain,
    pub(crate) scratch: &'a Path,
}

impl<'a> Steps<'a> {
    /// Runs steps in a folder of their own, and puts their result to `out`, beside it.
    pub(crate) fn run_all(
        title: &'a str,
        toolchain: &'a Toolchain,
        out: &Path,
        steps: impl FnOnce(&Steps<'_>) -> Result<PathBuf, BuildError>,
    ) -> Result<(), BuildError> {
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let scratch = tempfile::tempdir_in(folder)
            .map_err(BuildError::io("Could not create a folder in", folder))?;
        let made = steps(&Steps {
            title,
            toolchain,
            scratch: scratch.path(),
        })?;
        fs_err::rename(&made, out).map_err(BuildError::io("Could not move an object to", out))
    }
}

impl Steps<'_> {
    pub(crate) fn link(
        &self,
        name: &str,
        objects: &[PathBuf],
        wrap: &[&str],
    ) -> Result<PathBuf, BuildError> {
        self.link_wrapped(self.linker(), name, objects, wrap)
    }

    /// [`Steps::link`] that leaves section groups as they are, for another linker to merge.
    pub(crate) fn link_open(
        &self,
        name: &str,
        objects: &[PathBuf],
        wrap: &[&str],
    ) -> Result<PathBuf, BuildError> {
        let mut command = self.toolchain.ld();
        command.args(["-r", "-z", "noexecstack"]);
        self.link_wrapped(command, name, objects, wrap)
    }

    fn link_wrapped(
        &self,
        mut command: Command,
        name: &str,
        objects: &[PathBuf],
        wrap: &[&str],
    ) -> Result<PathBuf, BuildError> {
        let out = self.scratch.join(format!("{name}.o"));
        command.args(wrap.iter().map(|name| format!("--wrap={name}")));
        command.arg("-o").arg(&out).args(objects);
        self.run(&mut command, &out)
    }

    /// [`Steps::link`] that leaves sections of the same name apart, such as those of a function in several CPU
    /// levels: what is not reached can be left out alone.
    pub(super) fn link_apart(
        &self,
        name: &str,
        objects: &[PathBuf],
    ) -> Result<PathBuf, BuildError> {
        let mut command = self.linker();
        command.arg("--unique");
        self.link_wrapped(command, name, objects, &[])
    }

    /// Links what is reached from some symbols.
    pub(super) fn link_used(
        &self,
        name: &str,
        objects: &[PathBuf],
        wrap: &[&str],
        roots: impl Iterator<Item = String>,
    ) -> Result<PathBuf, BuildError> {
        let mut command = self.linker();
        command.args(["--unique", "--gc-sections"]);
        for root in roots {
            command.args(["-u", &root]);
        }
        self.link_wrapped(command, name, objects, wrap)
    }

    /// [`Steps::link`] with all members of archives. Common symbols get their place: only then can they
    /// be hidden.
    pub(crate) fn link_whole(&self, name: &str, inputs: &[PathBuf]) -> Result<PathBuf, BuildError> {
        let out = self.scratch.join(format!("{name}.o"));
        let mut command = self.linker();
        command
            .args(["-d", "--whole-archive", "-o"])
            .arg(&out)
            .args(inputs);
        self.run(&mut command, &out)
    }

    /// Links what is reached from one symbol. Section groups stay, as for [`Steps::link_open`].
    pub(crate) fn link_reached(
        &self,
        name: &str,
        archive: &Path,
        entry: &str,
    ) -> Result<PathBuf, BuildError> {
        let out = self.scratch.join(format!("{name}.o"));
        let mut command = self.toolchain.ld();
        command.args(["-r", "-z", "noexecstack", "-u", entry, "-o"]);
        command.arg(&out).arg(archive);
        self.run(&mut command, &out)
    }

    fn linker(&self) -> Command {
        let mut command = self.toolchain.ld();
        command.args(["-r", "--force-group-allocation", "-z", "noexecstack"]);
        command
    }

    fn run(&self, command: &mut Command, out: &Path) -> Result<PathBuf, BuildError> {
        run(
            &format!("Could not link the objects of {}", self.title),
            command,
        )?;
        Ok(out.to_path_buf())
    }

    pub(crate) fn keep(
        &self,
        name: &str,
        object: &Path,
        symbols: impl Iterator<Item = String>,
        patterns: bool,
    ) -> Result<PathBuf, BuildError> {
        let out = self.scratch.join(format!("{name}.o"));
        let list = self.list(&format!("{name}.keep"), symbols)?;
        let mut command = self.toolchain.objcopy();
        if patterns {
            command.arg("--wildcard");
        }
        command
            .arg(format!("--keep-global-symbols={}", list.display()))
            .arg(object)
            .arg(&out);
        run(
            &format!("Could not hide the symbols of {}", self.title),
            &mut command,
        )?;
        Ok(out)
    }

    pub(crate) fn rename(
        &self,
        name: &str,
        object: &Path,
        names: impl Iterator<Item = String>,
    ) -> Result<PathBuf, BuildError> {
        let out = self.scratch.join(format!("{name}.o"));
        let list = self.list("names", names)?;
        let mut command = self.toolchain.objcopy();
        command
            .arg(format!("--redefine-syms={}", list.display()))
            .arg(object)
            .arg(&out);
        run(
            &format!("Could not rename the symbols of {}", self.title),
            &mut command,
        )?;
        Ok(out)
    }

    fn list(&self, name: &str, lines: impl Iterator<Item = String>) -> Result<PathBuf, BuildError> {
        let path = self.scratch.join(name);
        let text: String = lines.map(|line| line + "\n").collect();
        write_atomically(&path, text.as_bytes())?;
        Ok(path)
    }
}
