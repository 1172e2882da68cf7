//! The Python examples of the documentation, checked by `mypy --strict` and `pyright`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

use crate::{checks::step, packages::ENGINES, python::Environment};

/// The oldest Python that both checkers know.
const PYTHON: &str = "3.10";

/// Collects the examples below `target/` and checks their types against the packages' sources.
pub(crate) fn lint(root: &Path, tools: &Environment) -> Result<()> {
    let folder = root.join("target/examples");
    let mut collect = tools.python();
    collect
        .arg(root.join("python/tools/examples.py"))
        .arg(&folder);
    step("Python: examples of the documentation", &mut collect)?;
    let sources: Vec<PathBuf> = ENGINES
        .iter()
        .chain(&["trifold", "trifold-demo-models"])
        .map(|name| root.join("python").join(name.replace('_', "-")))
        .collect();

    let mut mypy = tools.python();
    mypy.args(["-m", "mypy", "--strict", "--python-version", PYTHON, "."])
        .env("MYPYPATH", std::env::join_paths(&sources)?)
        .current_dir(&folder);
    step("Python: types of the examples, by mypy", &mut mypy)?;

    let settings = json!({
        "extraPaths": sources,
        "pythonVersion": PYTHON,
        "typeCheckingMode": "standard",
        // A value by itself is what a prompt shows.
        "reportUnusedExpression": false,
    });
    fs_err::write(folder.join("pyrightconfig.json"), settings.to_string())?;
    let mut pyright = tools.program("pyright");
    pyright
        .args(["--warnings", "--pythonpath"])
        .arg(tools.interpreter())
        .current_dir(&folder);
    step("Python: types of the examples, by pyright", &mut pyright)
}
