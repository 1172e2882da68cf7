//! Tests of the Python packages: the wheels themselves, installed as a user installs them.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{
    checks::step,
    python::{self, Environment},
    wheels,
};

/// The packages with an engine.
const ENGINES: [&str; 3] = ["trifold_llama", "trifold_whisper", "trifold_diffusion"];

/// Builds the wheels and tests them.
pub(crate) fn test(root: &Path) -> Result<()> {
    let aligned = wheels(root, "dist", false)?;
    let tests = Environment::new(root, "test", &python::default(), "test.txt")?;
    tests.install_trifold(&aligned)?;
    for name in ["llama", "whisper", "diffusion", "umbrella"] {
        let mut pytest = pytest(root, &tests, name);
        step(&format!("Python: {name}"), &mut pytest)?;
    }
    let mut stubs = tests.python();
    stubs
        .args(["-m", "mypy.stubtest", "--allowlist"])
        .arg(root.join("python/stubtest.txt"))
        .args(ENGINES)
        .current_dir(root.join("target"));
    step("Python: stubs are what the extensions have", &mut stubs)?;

    let peers = Environment::new(root, "peers", &python::default(), "peers.txt")?;
    peers.install_trifold(&aligned)?;
    step(
        "Python: beside other packages",
        &mut pytest(root, &peers, "together"),
    )?;

    let pinned = wheels(root, "target/wheels/dist-pinned", true)?;
    let environment = Environment::new(root, "pinned", &python::default(), "test.txt")?;
    environment.install_trifold(&pinned)?;
    step(
        "Python: each engine with its own ggml",
        &mut pytest(root, &environment, "pinned"),
    )
}

/// Formatting, lints and types of the Python code.
pub(crate) fn lint(root: &Path) -> Result<()> {
    let tools = Environment::new(root, "test", &python::default(), "test.txt")?;
    for (what, arguments) in [
        ("Python: formatting", &["format", "--check"][..]),
        ("Python: lints", &["check"]),
    ] {
        let mut ruff = tools.program("ruff");
        ruff.args(arguments)
            .args(["python", "bench", "--config", "python/ruff.toml"])
            .current_dir(root);
        step(what, &mut ruff)?;
    }
    for package in ENGINES.iter().chain(&["trifold"]) {
        let folder = root.join("python").join(package.replace('_', "-"));
        let mut mypy = tools.python();
        mypy.args([
            "-m",
            "mypy",
            "--strict",
            "--python-version",
            "3.10",
            package,
        ])
        .current_dir(folder);
        step(&format!("Python: types of {package}"), &mut mypy)?;
    }
    Ok(())
}

fn pytest(root: &Path, environment: &Environment, name: &str) -> std::process::Command {
    let mut command = environment.python();
    command
        .args(["-m", "pytest", "-q", "-c", "python/pytest.ini"])
        .arg(Path::new("python/tests").join(name))
        .current_dir(root);
    command
}

/// Builds the wheels of a mode; gives those that were built.
fn wheels(root: &Path, out: &str, pinned: bool) -> Result<Vec<PathBuf>> {
    let options = wheels::Options {
        out: out.into(),
        pinned,
        no_sdist: true,
        ..wheels::Options::default()
    };
    wheels::build(root, &options)
}
