//! libclang, which bindgen needs: from the `libclang` package of PyPI, below `target/`, so that
//! nobody has to install LLVM.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

const PACKAGE: &str = "libclang==18.1.1";

/// The folder of `libclang.so`, installed on first use.
pub(crate) fn folder(root: &Path) -> Result<PathBuf> {
    let target = root.join("target/libclang");
    let native = target.join("clang/native");
    if !native.join("libclang.so").is_file() {
        install(root, &target)?;
    }
    ensure!(
        native.join("libclang.so").is_file(),
        "No libclang.so in {PACKAGE} at: {}",
        native.display()
    );
    Ok(native)
}

/// With Python's own pip or, where a distribution leaves that out, the one of a virtual environment.
fn install(root: &Path, target: &Path) -> Result<()> {
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--upgrade",
        "--target",
    ];
    let with = |python: &Path| {
        Command::new(python)
            .args(pip)
            .arg(target)
            .arg(PACKAGE)
            .output()
    };
    let output = with(Path::new("python3"))
        .context("Could not run python3 (on Debian: apt-get install python3)")?;
    if output.status.success() {
        return Ok(());
    }
    let environment = root.join("target/python");
    let made = Command::new("python3")
        .args(["-m", "venv"])
        .arg(&environment)
        .output()?;
    if made.status.success() && with(&environment.join("bin/python"))?.status.success() {
        return Ok(());
    }
    bail!(
        "Could not install {PACKAGE}: {}\nhint: on Debian: apt-get install python3-venv; it is \
         downloaded once, so the network must be up",
        String::from_utf8_lossy(&output.stderr).trim()
    )
}
