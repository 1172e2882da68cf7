//! Tests of the Python packages: the wheels themselves, installed as a user installs them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{
    checks::{self, step},
    examples,
    interpreters::{Interpreter, Interpreters},
    python::{self, Environment},
    wheels::{self, Effort},
};

/// The packages with an engine.
pub(crate) const ENGINES: [&str; 3] = ["trifold_llama", "trifold_whisper", "trifold_diffusion"];

/// The tests of the packages themselves, which run on several Pythons.
const SUITES: [&str; 4] = ["llama", "whisper", "diffusion", "umbrella"];

/// What runs on other Pythons than the default one, too: what a version can make a difference to is in code
/// that the three share, and the rest is about engines.
const ELSEWHERE: [&str; 4] = [
    "llama",
    "umbrella",
    "whisper/test_tour.py",
    "diffusion/test_tour.py",
];

/// The newest Python 3.N that all of `peers.txt` has wheels for.
const PEERS: u32 = 13;

/// The plugins that are compiled for every machine, and their packages.
const PLUGINS: [&str; 2] = ["twin", "rpc"];

/// Where Debian's PyTorch is, if it is installed.
const SYSTEM: &str = "/usr/bin/python3";

/// Builds the wheels and tests them.
pub(crate) fn test(root: &Path) -> Result<()> {
    let interpreters = Interpreters::find()?;
    let aligned = wheels::build(
        root,
        &wheels::Options {
            no_sdist: true,
            effort: Effort::Enough,
            ..wheels::Options::default()
        },
    )?;
    let mut audit = trifold_pack();
    let bom = root.join("target/python/bom.json");
    fs_err::create_dir_all(root.join("target/python"))?;
    audit
        .args(["audit", "--deny", "warnings", "--sbom"])
        .arg(&bom);
    audit.args(&aligned);
    step("Python: audit of the wheels", &mut audit)?;
    let default = &interpreters.default;
    let tests = Environment::new(root, "test", &default.path, &["test.txt", "lint.txt"])?;
    let mut check = tests.python();
    check.arg(root.join("python/tools/bom.py")).arg(&bom);
    step("Python: the wheels' bill of materials", &mut check)?;
    tests.install_trifold(&aligned)?;
    checks::steps(
        SUITES
            .map(|name| {
                let step = format!("Python {default}: {name}");
                (step, pytest(root, &tests, name))
            })
            .into(),
    )?;
    let mut stubs = tests.python();
    stubs
        .args(["-m", "mypy.stubtest", "--allowlist"])
        .arg(root.join("python/stubtest.txt"))
        .args(ENGINES)
        .current_dir(root.join("target"));
    step("Python: stubs are what the extensions have", &mut stubs)?;
    step(
        "Python: the tools of the packages",
        &mut pytest(root, &tests, "tools"),
    )?;
    plugins(root, default, &aligned)?;
    let mut others = Vec::new();
    for other in interpreters.extremes() {
        let name = format!("test-3.{}", other.version.0);
        let tests = Environment::new(root, &name, &other.path, &["test.txt"])?;
        tests.install_trifold(&aligned)?;
        let mut pytest = pytest(root, &tests, ELSEWHERE[0]);
        pytest.args(ELSEWHERE[1..].iter().map(|name| suite(name)));
        others.push((
            format!("Python {other}: llama, the umbrella, the tours of the others"),
            pytest,
        ));
    }
    checks::steps(others)?;

    let newest = interpreters.newest(PEERS);
    let peers = Environment::new(root, "peers", &newest.path, &["peers.txt"])?;
    peers.install_trifold(&aligned)?;
    step(
        &format!("Python {newest}: beside other packages"),
        &mut pytest(root, &peers, "together"),
    )?;
    let torch = beside_torch(root, &aligned)?;

    let pinned = pinned_wheels(root)?;
    let environment = Environment::new(root, "pinned", &default.path, &["test.txt"])?;
    environment.install_trifold(&pinned)?;
    step(
        &format!("Python {default}: each engine with its own ggml"),
        &mut pytest(root, &environment, "pinned"),
    )?;
    eprintln!("\n{}; {torch}", summary(&interpreters));
    Ok(())
}

fn trifold_pack() -> Command {
    checks::cargo(["run", "--locked", "--quiet", "-p", "trifold-pack", "--"])
}

/// The packages of backend plugins, beside those of the engines.
fn plugins(root: &Path, default: &Interpreter, wheels: &[PathBuf]) -> Result<()> {
    let folder = root.join("target/wheels/plugins");
    if folder.is_dir() {
        fs_err::remove_dir_all(&folder)?;
    }
    for name in PLUGINS {
        let mut pack = trifold_pack();
        pack.args(["plugin", name, "--output"])
            .arg(root.join("target/plugins"))
            .arg("--wheel")
            .arg(&folder);
        step(
            &format!("Python: the package of the plugin {name}"),
            &mut pack,
        )?;
    }
    let files = fs_err::read_dir(&folder)?.map(|entry| Ok(entry?.path()));
    let files: Vec<PathBuf> = files.collect::<Result<_>>()?;
    let mut audit = trifold_pack();
    audit.args(["audit", "--deny", "warnings"]).args(files);
    step("Python: audit of the plugins' packages", &mut audit)?;
    // An environment of its own: packages come and go in it.
    let environment = Environment::new(root, "plugins", &default.path, &["test.txt"])?;
    environment.install_trifold(wheels)?;
    let mut pytest = pytest(root, &environment, "plugins");
    pytest.arg("--wheels").arg(&folder);
    step(
        &format!("Python {default}: packages of plugins come and go"),
        &mut pytest,
    )
}

/// PyPI has it with CUDA only, too large to fetch for a test. Says what came of it.
fn beside_torch(root: &Path, wheels: &[PathBuf]) -> Result<String> {
    let found = Command::new(SYSTEM)
        .args([
            "-I",
            "-c",
            "import ensurepip, torch; print(torch.__version__)",
        ])
        .output();
    let version = match found {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => {
            return Ok(format!(
                "not tested beside torch, which {SYSTEM} does not have (on Debian: apt-get install \
                 --no-install-recommends python3-torch python3-venv)"
            ));
        }
    };
    let environment = Environment::with_system(root, "torch", Path::new(SYSTEM), &["torch.txt"])?;
    environment.install_trifold(wheels)?;
    let mut pytest = pytest(root, &environment, "together");
    pytest.args(["--peer", "torch", "-k", "beside"]);
    step("Python: beside torch", &mut pytest)?;
    Ok(format!("tested beside torch {version}"))
}

/// Which Pythons were there, in one line.
fn summary(interpreters: &Interpreters) -> String {
    let list = |found: &[&Interpreter]| {
        let names: Vec<String> = found.iter().map(ToString::to_string).collect();
        names.join(", ")
    };
    let mut tested = vec![&interpreters.default];
    tested.extend(interpreters.extremes());
    let others: Vec<&Interpreter> = interpreters
        .all
        .iter()
        .filter(|python| !tested.contains(python))
        .collect();
    let mut parts = vec![format!(
        "Python: tested with {}, and beside other packages with {}",
        list(&tested),
        interpreters.newest(PEERS)
    )];
    if !others.is_empty() {
        parts.push(format!("also here, not tested: {}", list(&others)));
    }
    let missing = interpreters.missing();
    if !missing.is_empty() {
        parts.push(format!("not on this machine: {}", missing.join(", ")));
    }
    parts.join("; ")
}

/// Formatting, lints and types of the Python code, and of the examples in the documentation.
pub(crate) fn lint(root: &Path) -> Result<()> {
    let tools = Environment::new(root, "test", &python::default(), &["test.txt", "lint.txt"])?;
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
    examples::lint(root, &tools)
}

/// The folder of a suite.
fn suite(name: &str) -> PathBuf {
    Path::new("python/tests").join(name)
}

fn pytest(root: &Path, environment: &Environment, name: &str) -> Command {
    let mut command = environment.python();
    command
        .args(["-m", "pytest", "-q", "-c", "python/pytest.ini"])
        .arg(suite(name))
        .current_dir(root);
    command
}

/// The engines' wheels, each with its own ggml. What the optimiser makes of the Rust in them is tested by
/// the others.
fn pinned_wheels(root: &Path) -> Result<Vec<PathBuf>> {
    let names = [
        "trifold-llama",
        "trifold-whisper",
        "trifold-diffusion",
        "trifold-demo-models",
    ];
    let options = wheels::Options {
        packages: names.map(Into::into).to_vec(),
        out: "target/wheels/dist-pinned".into(),
        pinned: true,
        effort: Effort::Little,
        no_sdist: true,
        ..wheels::Options::default()
    };
    wheels::build(root, &options)
}
