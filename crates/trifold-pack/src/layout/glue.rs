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
    // Not the folder of `cargo xtask wheels`: maturin sets variables that PyO3 is compiled anew for.
    let kind = if options.quick { "quick" } else { "small" };
    let target = workspace
        .root()
        .join("target/layouts/cargo")
        .join(format!("{}-{kind}", mode.name()));
    let mut command = cargo(workspace.root());
    command
        .args(["rustc", "--locked", "--quiet", "--lib"])
        .args(["--profile", ship::PROFILE, "--crate-type", "staticlib"])
        .args(["--package", &half.package(engine)])
        .env("CARGO_TARGET_DIR", &target)
        .env(env::GGML, mode.name())
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            ship::rust_flags(workspace.root(), &workspace.cargo_home()),
        );
    if let Half::Library = half {
        command.args(["--features", "c-api"]);
    }
    if options.quick {
        command.envs(ship::QUICK);
    }
    run("Could not compile the Rust half", &mut command)?;
    Ok(target.join(ship::PROFILE).join(half.archive(engine)))
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
