//! What a newcomer sees when something is missing: the name of it, and what to do.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// Builds the smallest engine with an empty cache and one thing wrong.
fn build(wrong: &[(&str, &str)]) -> String {
    let cache = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .args(["engines", "whisper"])
        .env("TRIFOLD_CACHE", cache.path());
    for (name, value) in wrong {
        command.env(name, value);
    }
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("error: "), "{stderr}");
    assert!(stderr.contains("\nhint: "), "{stderr}");
    stderr
}

fn says(stderr: &str, words: &[&str]) {
    for word in words {
        assert!(stderr.contains(word), "no {word:?} in: {stderr}");
    }
}

/// A program that answers as told.
fn program(folder: &TempDir, name: &str, script: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A compiler that answers questions about itself, and compiles nothing.
fn compiler(folder: &TempDir, error: &str) -> String {
    let script = format!(
        "case \"$*\" in\n--version|-print-*|*-dM*) exec g++ \"$@\";;\nesac\necho '{error}' >&2\nexit 1"
    );
    program(folder, "g++", &script)
}

#[test]
fn missing_compilers_and_binutils() {
    says(
        &build(&[("CXX", "/missing/g++")]),
        &["Missing program: g++", "apt-get install g++"],
    );
    says(
        &build(&[("CC", "/missing/gcc")]),
        &["Missing program: gcc", "apt-get install g++"],
    );
    says(
        &build(&[("LD", "/missing/ld")]),
        &["Missing program: ld", "apt-get install binutils"],
    );
    says(
        &build(&[("OBJCOPY", "/missing/objcopy")]),
        &["Missing program: objcopy", "binutils"],
    );
    says(
        &build(&[("AR", "/missing/ar")]),
        &["Missing program: ar", "binutils"],
    );
}

#[test]
fn tools_that_are_too_old_or_of_another_make() {
    let folder = TempDir::new().unwrap();
    let old = program(&folder, "ld", "echo 'GNU ld version 2.27-44.base.el7'");
    says(
        &build(&[("LD", &old)]),
        &["ld is too old", "2.29", "2.27-44"],
    );
    let other = program(
        &folder,
        "objcopy",
        "echo 'llvm-objcopy, compatible with GNU objcopy'",
    );
    says(
        &build(&[("OBJCOPY", &other)]),
        &["expected GNU binutils", "llvm-objcopy"],
    );
    let old = program(
        &folder,
        "g++",
        "echo 'g++ (GCC) 8.5.0 20210514 (Red Hat 8.5.0-28)'",
    );
    says(
        &build(&[("CXX", &old)]),
        &["g++ is too old", "GCC 9", "8.5.0"],
    );
}

#[test]
fn a_full_disk() {
    let folder = TempDir::new().unwrap();
    let full = compiler(
        &folder,
        "fatal error: error writing to a.o: No space left on device",
    );
    let stderr = build(&[("CXX", &full), ("TRIFOLD_COMPILER_LAUNCHER", "none")]);
    says(
        &stderr,
        &[
            "Could not compile ",
            "No space left on device",
            "he disk is full",
            "TRIFOLD_CACHE",
        ],
    );
}

#[test]
fn a_compiler_error_shows_the_command_and_its_words() {
    let folder = TempDir::new().unwrap();
    let broken = compiler(&folder, "whisper.cpp:1: error: no such thing");
    let stderr = build(&[("CXX", &broken), ("TRIFOLD_COMPILER_LAUNCHER", "none")]);
    says(
        &stderr,
        &["no such thing", "-fno-gnu-unique", "GGML_MAX_NAME=128"],
    );
}

#[test]
fn a_cache_that_cannot_be_made() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("cache");
    let stderr = build(&[("TRIFOLD_CACHE", below.to_str().unwrap())]);
    says(
        &stderr,
        &[
            "Could not create the cache folder",
            "file/cache",
            "et TRIFOLD_CACHE",
        ],
    );
    says(
        &build(&[("TRIFOLD_CACHE", ""), ("XDG_CACHE_HOME", ""), ("HOME", "")]),
        &["No folder for the build cache"],
    );
}

#[test]
fn no_network() {
    let home = TempDir::new().unwrap();
    let stderr = build(&[
        ("CARGO_HOME", home.path().to_str().unwrap()),
        ("CARGO_NET_OFFLINE", "true"),
    ]);
    says(
        &stderr,
        &["No source for whisper", "whisper-rs-sys", "cargo fetch"],
    );
}

#[test]
fn wrong_values_and_other_systems() {
    says(
        &build(&[("TRIFOLD_GGML", "newest")]),
        &["TRIFOLD_GGML", "newest", "`aligned` or `pinned`"],
    );
    says(
        &build(&[("TARGET", "aarch64-apple-darwin")]),
        &["not supported yet", "aarch64-apple-darwin"],
    );
    says(
        &build(&[("TRIFOLD_COMPILER_LAUNCHER", "no-such-launcher")]),
        &["no-such-launcher", "in PATH"],
    );
}

#[test]
fn other_revisions() {
    says(
        &build(&[("TRIFOLD_ALIGNED_TO", "tetris")]),
        &["Unknown engine: tetris", "diffusion, llama, whisper"],
    );
    says(
        &build(&[("TRIFOLD_ENGINES", "/missing/engines.toml")]),
        &["Could not read: /missing/engines.toml"],
    );
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("engines.toml");
    let text = include_str!("../../engines.toml");
    let whisper = "{ crate = \"whisper-rs-sys\", version = \"0.15.0\", dir = \"whisper.cpp\" }";
    assert!(text.contains(whisper));
    std::fs::write(
        &file,
        text.replace(whisper, "{ path = \"/missing/whisper\" }"),
    )
    .unwrap();
    says(
        &build(&[("TRIFOLD_ENGINES", file.to_str().unwrap())]),
        &["/missing/whisper"],
    );
}

#[test]
fn an_unknown_engine_is_told_the_known_ones() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["engines", "wisper"])
        .output()
        .unwrap();
    says(
        &String::from_utf8_lossy(&output.stderr),
        &["wisper", "diffusion, llama, whisper"],
    );
    assert!(!output.status.success());
}

#[test]
fn the_engines_are_where_it_says() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["engines", "whisper"])
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let path = stdout.trim().rsplit(": ").next().unwrap();
    assert!(
        Path::new(path).is_file() && PathBuf::from(path).extension().is_some(),
        "{stdout}"
    );
}
