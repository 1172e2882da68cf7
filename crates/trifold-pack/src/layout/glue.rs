//! The Rust half of an extension or library, as one object that any C++ half can be linked to.

use std::path::{Path, PathBuf};

use trifold_build::{Mode, compile::run, env, seal::reached, ship};

use super::Options;
use crate::{
    PackError,
    workspace::{Workspace, cargo},
};

/// What Python calls.
pub(super) const ENTRY: &str = "PyInit__native";

/// A crate that becomes a Rust half.
pub(super) enum Half {
    /// A Python extension.
    Extension,
    /// What a library with a C API has besides the engine.
    Library,
}

impl Half {
    fn package(&self, engine: &str) -> String {
        match self {
            Self::Extension => format!("trifold-{engine}-python"),
            Self::Library => format!("trifold-{engine}-sys"),
        }
    }

    fn archive(&self, engine: &str) -> String {
        match self {
            Self::Extension => format!("libtrifold_{engine}_native.a"),
            Self::Library => format!("libtrifold_{engine}_sys.a"),
        }
    }

    /// What is called from outside.
    fn entry(&self, engine: &str) -> String {
        match self {
            Self::Extension => ENTRY.to_owned(),
            Self::Library => format!("trifold_{engine}_open"),
        }
    }
}

/// Compiles a half up to the final link.
pub(super) fn compile(
    workspace: &Workspace,
    half: &Half,
    engine: &str,
    mode: Mode,
    options: &Options,
) -> Result<PathBuf, PackError> {
    // That of `cargo xtask wheels`, and the same variables: what it compiled is not compiled again.
    let target = workspace.root().join("target/wheels").join(mode.name());
    let mut command = cargo(workspace.root());
    command
        .args(["rustc", "--locked", "--quiet", "--lib"])
        .args(["--profile", ship::PROFILE, "--crate-type", "staticlib"])
        .args(["--package", &half.package(engine)])
        .env("CARGO_TARGET_DIR", &target)
        .env(env::GGML, mode.name())
        .env(env::GLIBC, options.floor.to_string())
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            ship::rust_flags(workspace.root(), &workspace.cargo_home()),
        );
    if let Some(config) = python_config(&target)? {
        command.env("PYO3_CONFIG_FILE", config);
    }
    if let Half::Library = half {
        command.args(["--features", "c-api"]);
    }
    if options.quick {
        command.envs(ship::QUICK);
    }
    run("Could not compile the Rust half", &mut command)?;
    Ok(target.join(ship::PROFILE).join(half.archive(engine)))
}

/// What maturin, when it last ran, told PyO3 about Python: with another file PyO3 is compiled anew.
fn python_config(target: &Path) -> Result<Option<PathBuf>, PackError> {
    let folder = target.join("maturin");
    if !folder.is_dir() {
        return Ok(None);
    }
    let read = || {
        let mut found = None;
        for entry in fs_err::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("pyo3-config-") {
                let written = fs_err::metadata(&path)?.modified()?;
                found = found.max(Some((written, path)));
            }
        }
        Ok(found.map(|(_, path)| path))
    };
    read().map_err(PackError::io("Could not read", &folder))
}

/// All of it that is reached from its entry, calling the engine's functions by the names that they have in
/// this layout.
pub(super) fn close(
    half: &Half,
    engine: &str,
    archive: &Path,
    renamed: &[(String, String)],
    scratch: &Path,
) -> Result<PathBuf, PackError> {
    Ok(reached(archive, &half.entry(engine), renamed, scratch)?)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::python_config;

    #[test]
    fn the_newest_configuration_of_pyo3_is_taken() {
        let target = tempfile::tempdir().unwrap();
        assert_eq!(python_config(target.path()).unwrap(), None);
        let folder = target.path().join("maturin");
        fs_err::create_dir(&folder).unwrap();
        assert_eq!(python_config(target.path()).unwrap(), None);
        for (name, age) in [
            ("pyo3-config-b.txt", 0),
            ("pyo3-config-c.txt", 60),
            ("other.txt", 0),
        ] {
            let file = fs_err::File::create(folder.join(name)).unwrap();
            let time = SystemTime::now() - Duration::from_secs(age);
            file.file().set_modified(time).unwrap();
        }
        let found = python_config(target.path()).unwrap();
        assert_eq!(found, Some(folder.join("pyo3-config-b.txt")));
    }
}
