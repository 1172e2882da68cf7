//! Where trifold's own source is: layouts, and the program of `align`, are built from it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use trifold_build::compile::run;

use crate::PackError;

/// A clone of trifold.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The one that a folder is in.
    ///
    /// # Errors
    /// [`PackError::NoWorkspace`], or [`PackError::Io`] where there is no such folder.
    pub fn around(folder: &Path) -> Result<Self, PackError> {
        let folder = fs_err::canonicalize(folder)
            .map_err(PackError::io("Could not find the folder", folder))?;
        let root = folder.ancestors().find(|folder| {
            folder.join("engines.toml").is_file() && folder.join("python/trifold-llama").is_dir()
        });
        match root {
            Some(root) => Ok(Self {
                root: root.to_owned(),
            }),
            None => Err(PackError::NoWorkspace { folder }),
        }
    }

    /// Its folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Builds wheels of trifold's packages, by `cargo xtask wheels` with these arguments.
    pub(crate) fn wheels(
        &self,
        out: &Path,
        arguments: impl IntoIterator<Item = String>,
    ) -> Result<(), PackError> {
        let mut command = cargo(&self.root);
        command
            .args(["run", "--locked", "--quiet", "--package", "xtask", "--"])
            .args(["wheels", "--no-sdist", "--out"])
            .arg(out)
            .args(arguments);
        run("Could not build wheels", &mut command)?;
        Ok(())
    }

    /// Where cargo keeps packages.
    pub(crate) fn cargo_home(&self) -> PathBuf {
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"));
        std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(home)
            .unwrap_or_else(|| self.root.join(".cargo"))
    }
}

/// Starts a command line of Cargo in a folder.
pub(crate) fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder).stdin(Stdio::null());
    // Its own variables, where this runs under `cargo test` or `cargo run`, would build things anew.
    for (name, _) in std::env::vars_os() {
        if is_of_cargo(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    command
}

/// Whether Cargo sets a variable for what it runs.
fn is_of_cargo(name: &str) -> bool {
    name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_MANIFEST_")
        || matches!(
            name,
            "CARGO_CRATE_NAME" | "CARGO_BIN_NAME" | "CARGO_PRIMARY_PACKAGE"
        )
}
