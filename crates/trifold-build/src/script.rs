//! What the build script of a `-sys` crate does: builds its engine and tells cargo how to link it.

use std::{path::PathBuf, process::ExitCode};

use crate::{BuildError, Builder, Sealed, cache::Cache, env, glibc::Floor, toolchain::Toolchain};

/// Builds an engine from a build script. Use as `fn main() -> ExitCode { script::run("llama") }`.
#[must_use]
pub fn run(engine: &str) -> ExitCode {
    finish(Builder::from_env().and_then(|builder| build(engine, &builder)))
}

/// [`run`] for an engine that is not one of trifold's: `description` holds its `[engine.NAME]` table, in
/// the form of `engines.toml`. Use as
/// `fn main() -> ExitCode { script::run_with("mine", include_str!("engines.toml")) }`.
#[must_use]
pub fn run_with(engine: &str, description: &str) -> ExitCode {
    let built = || {
        let mut builder = Builder::from_env()?;
        builder.config = builder.config.with_engines(description)?;
        let lines = build(engine, &builder)?;
        Ok([lines, vec!["rerun-if-changed=engines.toml".into()]].concat())
    };
    finish(built())
}

/// What the build script of a Python extension does: links it for the glibc that the environment asks
/// for, see [`crate::glibc`]. Use as `fn main() -> ExitCode { script::run_extension() }`.
#[must_use]
pub fn run_extension() -> ExitCode {
    run_linked("cdylib")
}

/// [`run_extension`] for a program.
#[must_use]
pub fn run_program() -> ExitCode {
    run_linked("bins")
}

fn run_linked(kind: &str) -> ExitCode {
    finish(linked(kind))
}

/// Tells cargo, or the user.
fn finish(lines: Result<Vec<String>, BuildError>) -> ExitCode {
    match lines {
        Ok(lines) => {
            print(&lines);
            ExitCode::SUCCESS
        }
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn linked(kind: &str) -> Result<Vec<String>, BuildError> {
    let mut lines = vec![
        "rerun-if-changed=build.rs".to_owned(),
        format!("rerun-if-env-changed={}", env::GLIBC),
        format!("rerun-if-env-changed={}", env::CACHE),
    ];
    let mut argument = |text: &str| lines.push(format!("rustc-link-arg-{kind}={text}"));
    // Weak in the engines' virtual tables: taken from the libstdc++ inside, not from one that happens
    // to be in the process.
    argument("-Wl,-u,__cxa_pure_virtual");
    if let Some(floor) = Floor::from_env()? {
        let folder = floor.libraries(&Cache::open()?)?;
        argument(&format!("-L{}", folder.display()));
        argument("-ltrifold_glibc");
        if kind == "bins" {
            for text in floor.start_arguments(&folder) {
                argument(&text);
            }
        }
    }
    Ok(lines)
}

fn build(engine: &str, builder: &Builder) -> Result<Vec<String>, BuildError> {
    let mut lines = Vec::new();
    for name in env::ALL
        .iter()
        .chain(&["CC", "CXX", "CFLAGS", "CXXFLAGS", "LD", "OBJCOPY", "AR"])
    {
        lines.push(format!("rerun-if-env-changed={name}"));
    }
    lines.push("rerun-if-changed=build.rs".into());
    lines.push("rerun-if-changed=shim".into());
    if let Some(path) = std::env::var_os(env::ENGINES).filter(|path| !path.is_empty()) {
        lines.push(format!("rerun-if-changed={}", path.display()));
    }

    let skip = std::env::var_os(env::SKIP_ENGINES).is_some_and(|value| value == "1")
        || std::env::var_os("DOCS_RS").is_some();
    let levels: Vec<String> = builder
        .config
        .levels()
        .map(|level| format!("{}:{}", level.name, level.features.join(",")))
        .collect();
    lines.push(format!("rustc-env=TRIFOLD_CPU_LEVELS={}", levels.join(";")));
    let mode = builder.mode_of(engine)?;
    lines.push(format!("rustc-env=TRIFOLD_MODE={}", mode.name()));
    if skip {
        lines.push("rustc-cfg=trifold_no_engine".into());
        lines.push(format!(
            "rustc-env=TRIFOLD_FINGERPRINT={}",
            no_fingerprint()?.display()
        ));
        lines.push("rustc-env=TRIFOLD_SEALED_SYMBOLS=0".into());
    } else {
        let sealed = builder.build(engine)?;
        let fingerprint = builder.fingerprint_file(engine)?;
        lines.push(format!(
            "rustc-env=TRIFOLD_FINGERPRINT={}",
            fingerprint.display()
        ));
        lines.push(format!("rerun-if-changed={}", fingerprint.display()));
        // `build` has read the object back: it defines these symbols and no other.
        let symbols = sealed.exports.symbols().len();
        lines.push(format!("rustc-env=TRIFOLD_SEALED_SYMBOLS={symbols}"));
        lines.extend(link_lines(&sealed)?);
        for folder in &sealed.local_sources {
            lines.push(format!("rerun-if-changed={}", folder.display()));
        }
    }
    lines.push("rustc-check-cfg=cfg(trifold_no_engine)".into());
    Ok(lines)
}

/// An empty file: without an engine there is nothing that a plugin could fit.
fn no_fingerprint() -> Result<PathBuf, BuildError> {
    let folder = std::env::var_os("OUT_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let path = folder.join("no-fingerprint.txt");
    fs_err::write(&path, "").map_err(BuildError::io("Could not write", &path))?;
    Ok(path)
}

fn link_lines(sealed: &Sealed) -> Result<Vec<String>, BuildError> {
    let folder = sealed.archive.parent().unwrap_or(&sealed.archive);
    let runtime = Toolchain::find()?.static_cpp_runtime()?;
    let mut lines = vec![
        // Another compiler: its libstdc++ lies elsewhere.
        format!("rerun-if-changed={}", runtime.join("libstdc++.a").display()),
        // Gone from the cache: build again.
        format!("rerun-if-changed={}", sealed.archive.display()),
        format!("rustc-link-search=native={}", folder.display()),
        // -bundle: the archive is large, and is read once, at the final link.
        format!("rustc-link-lib=static:-bundle=trifold_{}", sealed.engine),
        format!("rustc-link-search=native={}", runtime.display()),
        "rustc-link-lib=static:-bundle=stdc++".into(),
        format!("metadata=archive={}", sealed.archive.display()),
    ];
    if let Some(vocabularies) = &sealed.vocabularies {
        lines.push(format!(
            "rustc-env=TRIFOLD_PACKED_VOCABULARIES={}",
            vocabularies.display()
        ));
    }
    Ok(lines)
}

#[expect(clippy::print_stdout, reason = "how a build script talks to cargo")]
fn print(lines: &[String]) {
    for line in lines {
        println!("cargo::{line}");
    }
}

/// `error: …`, `  Caused by: …`, `hint: …`, as the program itself reports errors.
#[expect(
    clippy::print_stderr,
    reason = "cargo shows the standard error of a build script that fails"
)]
fn report(error: &BuildError) {
    eprintln!("error: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        eprintln!("  Caused by: {error}");
        cause = error.source();
    }
    if let Some(hint) = error.hint() {
        eprintln!("\nhint: {hint}");
    }
}
