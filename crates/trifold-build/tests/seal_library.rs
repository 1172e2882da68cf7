//! Sealing libraries that are no engine: small ones, written here.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use trifold_build::{
    BuildError, elf,
    seal::{Export, Library},
    toolchain::Toolchain,
};

/// A library with a public function, a private one, a common symbol and a variable.
const COUNTER: &str = "
    int counter_common;
    int counter_start = START;
    int counter_private(void) { return counter_start + counter_common++; }
    int counter_next(void) { return counter_private(); }
";

#[test]
fn two_versions_of_a_library_live_in_one_program() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let mut objects = Vec::new();
    for start in [10, 200] {
        let source = COUNTER.replace("START", &start.to_string());
        let object = compile(place, &format!("counter{start}.c"), &source, &["-fcommon"]);
        let archive = place.join(format!("libcounter{start}.a"));
        run(Command::new("ar").arg("crs").arg(&archive).arg(&object));
        let sealed = place.join(format!("counter{start}-sealed.o"));
        let report = Library {
            inputs: vec![archive],
            keep: vec!["counter_next".into()],
            prefix: Some(format!("v{start}_")),
            outside: Some(Vec::new()),
        }
        .seal(&Toolchain::find().unwrap(), &sealed)
        .unwrap();
        let export = Export {
            name: "counter_next".into(),
            sealed: format!("v{start}_counter_next"),
        };
        assert_eq!(report.exports, [export]);
        assert_eq!(report.hidden, 3);
        assert_eq!(report.outside, [""; 0]);
        assert_eq!(
            report.header(),
            format!("#pragma once\n#define counter_next v{start}_counter_next\n")
        );
        let symbols = elf::symbols(&sealed).unwrap();
        assert_eq!(symbols.global, [format!("v{start}_counter_next")]);
        objects.push(sealed);
    }
    let main = "
        #include <stdio.h>
        int v10_counter_next(void), v200_counter_next(void);
        int main(void) {
            v10_counter_next();
            printf(\"%d \", v10_counter_next());
            printf(\"%d\", v200_counter_next());
        }
    ";
    objects.push(compile(place, "main.c", main, &[]));
    let program = place.join("main");
    run(Command::new("cc").args(&objects).arg("-o").arg(&program));
    let output = Command::new(&program).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "11 200");
}

#[test]
fn an_inline_function_of_two_revisions_stays_two() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let mut objects = Vec::new();
    for revision in [1, 2] {
        // A COMDAT group each, with one signature: a linker keeps the first it sees.
        let source = format!(
            "struct R {{ static __attribute__((noinline)) int number() {{ return {revision}; }} }};
             extern \"C\" int revision{revision}() {{ return R::number(); }}"
        );
        let object = compile(place, &format!("r{revision}.cpp"), &source, &[]);
        let sealed = place.join(format!("r{revision}-sealed.o"));
        let library = Library {
            inputs: vec![object],
            keep: vec!["revision?".into()],
            ..Library::default()
        };
        library.seal(&Toolchain::find().unwrap(), &sealed).unwrap();
        objects.push(sealed);
    }
    let main = "int revision1(void), revision2(void); int main(void) { return revision1() * 10 + revision2(); }";
    objects.push(compile(place, "main.c", main, &[]));
    let program = place.join("main");
    run(Command::new("cc").args(&objects).arg("-o").arg(&program));
    assert_eq!(Command::new(&program).status().unwrap().code(), Some(12));
}

#[test]
fn what_cannot_be_sealed_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let good = compile(place, "good.c", "int good(void) { return 1; }", &[]);
    let lto = compile(
        place,
        "lto.c",
        "int lto(void) { return 1; }",
        &["-flto", "-fno-fat-lto-objects"],
    );
    let shared = place.join("libgood.so");
    run(Command::new("cc")
        .arg("-shared")
        .arg(&good)
        .arg("-o")
        .arg(&shared));
    let text = place.join("text.o");
    std::fs::write(&text, "not an object").unwrap();
    let empty = place.join("empty.a");
    std::fs::write(&empty, "").unwrap();
    let cut = place.join("cut.o");
    let bytes = std::fs::read(&good).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let thin = place.join("thin.a");
    std::fs::write(&thin, "!<thin>\n").unwrap();
    let cut_archive = place.join("cut.a");
    std::fs::write(&cut_archive, "!<arch>\ngood.o/         0    ").unwrap();

    let message = |inputs: &[&Path], keep: &str| refused(inputs, keep, &place.join("out.o"));
    for (input, expected) in [
        (&lto, "(LTO)"),
        (&shared, "a linked program or shared library"),
        (&text, "neither an object nor an archive"),
        (&empty, "an empty file"),
        (&cut, "damaged"),
        (&thin, "a thin archive"),
        (&cut_archive, "a damaged archive"),
    ] {
        let message = message(&[input], "*");
        assert!(message.contains(expected), "{message}");
        let name = input.file_name().unwrap().to_str().unwrap();
        assert!(message.contains(name), "{message}");
    }
    let found = message(&[&good], "bad_*");
    assert_eq!(
        found,
        "No symbol to keep matches: bad_* (the 1 defined ones begin with: good)"
    );
    let missing = message(&[&place.join("missing.o")], "*");
    assert!(missing.starts_with("Could not read: "), "{missing}");
    assert!(!place.join("out.o").exists());
}

#[test]
fn a_unique_symbol_cannot_be_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let source =
        "template <class T> struct S { static int n; }; template <class T> int S<T>::n = 3;
                  int unique() { return S<int>::n; }";
    let object = compile(folder.path(), "unique.cpp", source, &["-fgnu-unique"]);
    let other = compile(
        folder.path(),
        "other.c",
        "int other(void) { return 1; }",
        &[],
    );
    let message = refused(&[&other, &object], "*", &folder.path().join("out.o"));
    assert!(message.contains("unique.o (found: "), "{message}");
    assert!(
        message.contains("STB_GNU_UNIQUE symbols, such as _ZN1SIiE1nE"),
        "{message}"
    );
}

#[test]
fn what_it_may_need_from_outside_can_be_said() {
    let folder = tempfile::tempdir().unwrap();
    let source = "#include <stdlib.h>\nvoid set(void) { setenv(\"A\", \"B\", 1); } void *get(void) { return malloc(1); }";
    let object = compile(folder.path(), "outside.c", source, &[]);
    let library = |outside: Option<Vec<String>>| {
        Library {
            inputs: vec![object.clone()],
            keep: vec!["?et".into()],
            prefix: None,
            outside,
        }
        .seal(&Toolchain::find().unwrap(), &folder.path().join("out.o"))
    };
    assert_eq!(library(None).unwrap().outside, ["malloc", "setenv"]);
    let error = library(Some(vec!["mall*".into()])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "The seal of out.o does not hold: needs symbols that are not on the list: setenv"
    );
}

fn refused(inputs: &[&Path], keep: &str, out: &Path) -> String {
    let error = Library {
        inputs: inputs.iter().map(|path| path.to_path_buf()).collect(),
        keep: vec![keep.into()],
        ..Library::default()
    }
    .seal(&Toolchain::find().unwrap(), out)
    .unwrap_err();
    assert!(error.hint().is_some(), "{error}");
    if let BuildError::Command { output, .. } = &error {
        return output.clone();
    }
    error.to_string()
}

fn compile(folder: &Path, name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, source).unwrap();
    let object = file.with_extension("o");
    let cpp = file.extension().is_some_and(|extension| extension == "cpp");
    let compiler = if cpp { "c++" } else { "cc" };
    run(Command::new(compiler)
        .args(["-O0", "-fPIC", "-c"])
        .args(flags)
        .arg(&file)
        .arg("-o")
        .arg(&object));
    object
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}");
}
