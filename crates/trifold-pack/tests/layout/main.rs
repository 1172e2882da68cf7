//! Layouts, as their users see them: a C program with two engines in it, and another language through its
//! FFI. (The layouts' Python packages are tested by `compare`.)

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/layout");

fn pack(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trifold-pack"))
        .args(arguments)
        .current_dir(ROOT)
        .output()
        .unwrap()
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:#?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The flags of a `.pc` file, read as pkg-config reads it, which not every machine has.
fn flags(prefix: &Path, package: &str) -> Vec<String> {
    let folder = prefix.join("lib/pkgconfig");
    let text = std::fs::read_to_string(folder.join(format!("{package}.pc"))).unwrap();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {text}"))
            .trim()
            .to_owned()
    };
    let place = field("prefix=").replace("${pcfiledir}", folder.to_str().unwrap());
    let all = format!("{} {}", field("Cflags:"), field("Libs:")).replace("${prefix}", &place);
    all.split(' ').map(str::to_owned).collect()
}

#[test]
fn sealed_libraries_are_called_from_c_and_from_another_language() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let built = pack(&[
        "layout",
        "sealed-shared",
        "--no-python",
        "--quick",
        "--json",
        "-o",
        out,
    ]);
    assert!(built.status.success(), "{built:#?}");
    let report: serde_json::Value = serde_json::from_slice(&built.stdout).unwrap();
    let prefix = PathBuf::from(report[0]["prefix"].as_str().unwrap());
    assert_eq!(report[0]["libraries"].as_array().unwrap().len(), 3);

    let mut compile = Command::new("cc");
    for name in ["main.c", "text.c", "picture.c"] {
        compile.arg(Path::new(SOURCES).join(name));
    }
    let program = folder.path().join("program");
    succeed(
        compile
            .args(["-std=c11", "-Wall", "-Werror", "-o"])
            .arg(&program)
            .args(flags(&prefix, "trifold-llama"))
            .args(flags(&prefix, "trifold-diffusion"))
            .arg(format!("-Wl,-rpath,{}", prefix.join("lib").display())),
    );
    let models = Path::new(ROOT).join("models");
    let said = succeed(
        Command::new(&program)
            .arg(models.join("story/trifold-story.gguf"))
            .arg(models.join("picture/trifold-picture.gguf")),
    );
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(
        lines[0].starts_with(", in a quiet village, there lived"),
        "{said}"
    );
    assert!(lines[1].starts_with("ggml 0."), "{said}");
    assert_eq!(lines[2], "64x64, red");

    let heard = succeed(
        Command::new("python3")
            .arg(Path::new(SOURCES).join("speech.py"))
            .arg(prefix.join("lib/libtrifold-whisper.so"))
            .arg(models.join("speech/trifold-speech.bin"))
            .arg(models.join("speech/samples/kitchen-light.wav")),
    );
    assert_eq!(heard.trim(), "Turn on the kitchen light.");

    for library in report[0]["libraries"].as_array().unwrap() {
        let audit = pack(&["audit", "--json", library.as_str().unwrap()]);
        let audit: serde_json::Value = serde_json::from_slice(&audit.stdout).unwrap();
        assert_eq!(audit["denied"], 0, "{audit:#}");
        let exports = &audit["packages"][0]["natives"][0]["facts"]["exports"];
        let exports = exports.as_array().unwrap();
        assert!(!exports.is_empty());
        for export in exports {
            let name = export["name"].as_str().unwrap();
            assert!(name.starts_with("trifold_"), "{name}");
        }
    }
    let packages: Vec<_> = std::fs::read_dir(prefix.join("lib/cmake"))
        .unwrap()
        .collect();
    assert_eq!(packages.len(), 3);
}

#[test]
fn what_cannot_be_shared_or_linked_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path();
    let refused = |arguments: &[&OsStr], code: i32| {
        let output = Command::new(env!("CARGO_BIN_EXE_trifold-pack"))
            .args(arguments)
            .arg("-o")
            .arg(out)
            .current_dir(ROOT)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:#?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let words = |text: &'static str| text.split(' ').map(OsStr::new).collect::<Vec<_>>();
    let error = refused(
        &words("layout shared-ggml --ggml pinned --engines whisper --quick"),
        1,
    );
    assert!(
        error.contains("expected an engine in the aligned mode"),
        "{error}"
    );
    let error = refused(&words("layout split --no-python"), 2);
    assert!(
        error.contains("split consists of Python extensions"),
        "{error}"
    );
    let error = refused(&words("layout monolit"), 2);
    assert!(
        error.contains("The layouts are monolith, sealed-static"),
        "{error}"
    );
    let error = refused(&words("layout split-plugin --ggml pinned --quick"), 2);
    assert!(
        error.contains("Expected engines with the ggml of the plugin rpc"),
        "{error}"
    );
    let error = refused(&words("layout split-plugin --plugin none"), 1);
    assert!(error.contains("Unknown plugin: none"), "{error}");
    let error = refused(&words("inside none"), 1);
    assert!(error.contains("Unknown plugin: none"), "{error}");
    let error = refused(&words("layout split --engines lama"), 1);
    assert!(error.contains("Unknown engine: lama"), "{error}");
    let error = refused(&words("layout split --workspace /"), 2);
    assert!(error.contains("No source of trifold around: /"), "{error}");
}
