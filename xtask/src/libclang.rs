//! libclang, which bindgen needs: from the `libclang` package of PyPI, in a virtual environment
//! below `target/`, so that nobody has to install LLVM.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

const PACKAGE: &str = "libclang==18.1.1";

/// The folder of `libclang.so`, installed on first use.
pub(crate) fn folder(root: &Path) -> Result<PathBuf> {
    let environment = root.join("target/libclang");
    let python = environment.join("bin/python");
    let done = environment.join("installed");
    if !done.is_file() {
        run(Command::new("python3")
            .args(["-m", "venv"])
            .arg(&environment))
        .context(
            "Could not create a Python environment (on Debian: apt-get install python3-venv)",
        )?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", PACKAGE]))
            .with_context(|| format!("Could not install {PACKAGE}"))?;
        fs_err::write(&done, PACKAGE)?;
    }
    let output = Command::new(&python)
        .args([
            "-c",
            "import clang, os; print(os.path.join(os.path.dirname(clang.__file__), 'native'))",
        ])
        .output()?;
    ensure!(
        output.status.success(),
        "The libclang package does not import"
    );
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("Could not run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}
