//! `test` and `lint`: the same steps on every machine, each announced, each with its time.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use crate::packages;

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// The engines, the crates and the program.
    Rust,
    /// The Python packages, from wheels.
    Python,
    /// All tests of the engines once more, on a device of a plugin. Not part of the whole: it takes minutes.
    Devices,
    /// All engines on Vulkan, by Mesa's driver for CPUs. Not part of the whole: compiling the shaders takes minutes.
    Vulkan,
}

/// Everything that must pass. A second run reuses what the first compiled.
pub(crate) fn test(part: Option<Part>) -> Result<()> {
    match part {
        Some(Part::Rust) => rust(),
        Some(Part::Python) => packages::test(root()),
        Some(Part::Devices) => devices(),
        Some(Part::Vulkan) => vulkan(),
        None => rust().and_then(|()| packages::test(root())),
    }
}

/// What the engines do on the CPU they must do on a device of a plugin.
fn devices() -> Result<()> {
    let mut plugin = cargo(["test", "--locked", "-p", "trifold-cli", "--test", "devices"]);
    step("All engines on a device of a plugin", &mut plugin)?;
    // Which has left the plugin behind.
    let plugin = target().join("tmp/twin-llama/libtrifold-backend-twin.so");
    if !plugin.is_file() {
        bail!(
            "Expected the plugin at: {}\nhint: see where crates/trifold-cli/tests/devices.rs puts it",
            plugin.display()
        );
    }
    // The tests themselves see to it that they run there.
    let mut engines = cargo(["test", "--locked", "--tests"]);
    engines.args(["-p", "trifold-llama", "-p", "trifold-whisper"]);
    engines.args(["-p", "trifold-diffusion"]);
    engines.env("TRIFOLD_BACKEND_PATH", plugin);
    step("All tests of the engines on that device", &mut engines)
}

/// The plugin for Vulkan, built from its shaders on, where nothing but a CPU is needed.
fn vulkan() -> Result<()> {
    let missing = missing_for_vulkan();
    if !missing.is_empty() {
        bail!(
            "Expected what Vulkan is built with and tried on (missing: {})\nhint: On Debian: apt-get install {}",
            missing.join(", "),
            VULKAN.map(|(_, package)| package).join(" ")
        );
    }
    let mut tests = cargo(["test", "--locked", "-p", "trifold-cli", "--test", "vulkan"]);
    tests.args(["--features", "test-vulkan"]);
    step("All engines on Vulkan", &mut tests)
}

/// What that needs, as it lies on Debian, and the package that has it. (The compiler of shaders is looked for in
/// `PATH`.)
const VULKAN: [(&str, &str); 5] = [
    ("glslc", "glslc"),
    ("/usr/include/vulkan/vulkan.hpp", "libvulkan-dev"),
    ("/usr/include/spirv/unified1/spirv.hpp", "spirv-headers"),
    ("/usr/lib/x86_64-linux-gnu/libvulkan.so.1", "libvulkan1"),
    ("/usr/share/vulkan/icd.d", "mesa-vulkan-drivers"),
];

fn missing_for_vulkan() -> Vec<&'static str> {
    let there = |what: &str| match what {
        "glslc" => Command::new(what).arg("--version").output().is_ok(),
        path => Path::new(path).exists(),
    };
    let names = VULKAN.into_iter().map(|(what, _)| what);
    names.filter(|what| !there(what)).collect()
}

/// Outside of the workspace, for libFuzzer's sake.
const FUZZ: &str = "fuzz/Cargo.toml";
/// Outside of the workspace, as an engine of somebody else's would be.
const EXAMPLE: &str = "examples/transcribe/Cargo.toml";

/// Fetches what all lock files name. One that no longer fits its manifest fails here, not half an hour later.
fn fetch() -> Result<()> {
    for manifest in ["Cargo.toml", FUZZ, EXAMPLE] {
        step(
            &format!("Fetch the packages of {manifest}"),
            cargo(["fetch", "--locked", "--manifest-path", manifest]),
        )?;
    }
    Ok(())
}

fn rust() -> Result<()> {
    fetch()?;
    step(
        "Bindings are what the headers say",
        cargo(["xtask", "bindings", "--check"]),
    )?;
    let mut aligned = cargo(["test", "--locked", "--workspace"]);
    // Many tests wait for child processes and single engine threads: twice the cores keeps them busy.
    let threads = 2 * std::thread::available_parallelism().map_or(1, usize::from);
    aligned.env("RUST_TEST_THREADS", threads.to_string());
    step("Tests, engines aligned to one ggml", &mut aligned)?;
    // Engines with a ggml of their own each: the seal is what makes three revisions in one process
    // possible. In a target folder of its own, so that the two modes do not undo each other.
    let mut pinned = cargo([
        "test",
        "--locked",
        "-p",
        "trifold-llama-sys",
        "-p",
        "trifold-whisper-sys",
        "-p",
        "trifold-diffusion-sys",
        "--test",
        "guard",
    ]);
    step(
        "Guarded calls, engines with their own ggml",
        in_pinned_mode(&mut pinned),
    )?;
    let mut pinned = cargo(["test", "--locked", "-p", "trifold-build", "--test", "seal"]);
    step(
        "The seal, engines with their own ggml",
        in_pinned_mode(&mut pinned),
    )?;
    let mut pinned = cargo([
        "test",
        "--locked",
        "-p",
        "trifold-cli",
        "--test",
        "together",
        "--test",
        "process_state",
        "--test",
        "devices",
    ]);
    step(
        "Three ggml revisions in one process, and a plugin for each",
        in_pinned_mode(&mut pinned),
    )?;
    // Without libFuzzer, what there is besides its two targets.
    let mut fuzz = cargo([
        "run",
        "--locked",
        "--manifest-path",
        FUZZ,
        "--example",
        "mutate",
        "--",
        "10000",
    ]);
    // Most of what it needs is there already: its profile is the workspace's.
    step(
        "10,000 broken files for the audit",
        fuzz.env("CARGO_TARGET_DIR", target()),
    )?;
    let mut example = cargo(["test", "--locked", "--manifest-path", EXAMPLE]);
    example
        .env("CARGO_TARGET_DIR", root().join("target/transcribe"))
        .env("TRIFOLD_BUILD_CPU_LEVELS", "x86-64-v3");
    step("A fourth engine beside the three", &mut example)
}

/// What a reviewer would otherwise have to look for.
pub(crate) fn lint() -> Result<()> {
    step("Formatting", cargo(["fmt", "--all", "--check"]))?;
    step(
        "Clippy",
        cargo([
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--features",
            "trifold-cli/test-vulkan",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    // What is built otherwise without them: vocabularies and demo models are read from files.
    step(
        "Clippy, without what is built in",
        cargo([
            "clippy",
            "--locked",
            "--no-default-features",
            "-p",
            "trifold-diffusion-sys",
            "-p",
            "trifold-diffusion",
            "-p",
            "trifold-hub",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    let mut doc = cargo(["doc", "--locked", "--workspace", "--no-deps"]);
    step("Documentation", doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    step("Licences, bans and sources", cargo_deny()?)?;
    packages::lint(root())
}

/// Where cargo puts what it makes.
fn target() -> PathBuf {
    let chosen = std::env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty());
    chosen.map_or_else(|| root().join("target"), |folder| root().join(folder))
}

fn in_pinned_mode(command: &mut Command) -> &mut Command {
    command
        .env("TRIFOLD_GGML", "pinned")
        // Two more revisions of ggml: one level of each is enough.
        .env("TRIFOLD_BUILD_CPU_LEVELS", "x86-64-v3")
        .env("CARGO_TARGET_DIR", root().join("target/pinned"))
}

/// cargo-deny, installed below `target/` on first use.
fn cargo_deny() -> Result<Command> {
    let folder = root().join("target/tools");
    let program = folder.join("bin/cargo-deny");
    if !program.is_file() {
        // Not optimised: it runs once for a few seconds, and compiling it well takes minutes.
        let mut install = cargo([
            "install",
            "--debug",
            "--locked",
            "--quiet",
            "cargo-deny@0.20.2",
            "--root",
        ]);
        step("Install cargo-deny", install.arg(&folder))?;
    }
    let mut command = Command::new(program);
    // Not `advisories`: they come from a git host, which not every machine reaches.
    command.args([
        "--log-level",
        "error",
        "check",
        "licenses",
        "bans",
        "sources",
    ]);
    Ok(command)
}

pub(crate) fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

pub(crate) fn step(what: &str, mut command: impl std::borrow::BorrowMut<Command>) -> Result<()> {
    let command = command.borrow_mut();
    eprintln!("\n==> {what}");
    let started = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("Could not run {command:?}"))?;
    let seconds = started.elapsed().as_secs();
    if !status.success() {
        bail!("{what}: failed after {seconds} s ({status})\nhint: run it alone: {command:?}");
    }
    eprintln!("==> {what}: passed in {seconds} s");
    Ok(())
}

/// Steps that do not wait for each other, two at a time: most of what they do needs one core. What each
/// prints is shown when it has ended.
pub(crate) fn steps(steps: Vec<(String, Command)>) -> Result<()> {
    const AT_ONCE: usize = 2;
    let queue = Mutex::new(steps.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        while let Some((what, command)) = next() {
            quiet_step(&what, command)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(run)).collect();
        // All are waited for, before the first failure is told.
        let results: Vec<Result<()>> = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| bail!("A step panicked")))
            .collect();
        results.into_iter().collect()
    })
}

fn quiet_step(what: &str, mut command: Command) -> Result<()> {
    eprintln!("\n==> {what}: started");
    let started = Instant::now();
    let output = command
        .output()
        .with_context(|| format!("Could not run {command:?}"))?;
    let seconds = started.elapsed().as_secs();
    let ended = if output.status.success() {
        "passed"
    } else {
        "failed"
    };
    // In one piece: another step may have something to say at the same time.
    eprint!(
        "\n==> {what}: output\n{}{}==> {what}: {ended} after {seconds} s\n",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if !output.status.success() {
        bail!(
            "{what}: failed ({})\nhint: run it alone: {command:?}",
            output.status
        );
    }
    Ok(())
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (String, Command) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        (script.to_owned(), command)
    }

    #[test]
    fn all_steps_run_and_a_failed_one_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let touch = |name: &str| format!("touch '{}'", folder.path().join(name).display());
        let list = [
            shell(&touch("first")),
            shell("exit 3"),
            shell(&touch("second")),
            shell(&touch("third")),
        ];
        let error = steps(list.into()).expect_err("one fails");
        assert!(error.to_string().starts_with("exit 3: failed"), "{error}");
        for name in ["first", "second", "third"] {
            assert!(folder.path().join(name).is_file(), "{name}");
        }
        steps(vec![shell("true")]).expect("it passes");
    }
}
