//! The seal holds, on the real objects. `cargo xtask test` runs this in both modes.

use std::{collections::BTreeSet, path::Path, process::Command};

use trifold_build::{Builder, Sealed, elf};

#[test]
fn a_sealed_object_defines_its_api_and_nothing_else() {
    for sealed in engines() {
        let found = elf::symbols(&sealed.object).unwrap();
        assert_eq!(found.global, sealed.exports.symbols(), "{}", sealed.engine);
        assert!(
            found.global.len() > 100,
            "{}: only {} symbols",
            sealed.engine,
            found.global.len()
        );
        let prefix = &sealed.exports.prefix;
        assert!(
            found.global.iter().all(|name| name.starts_with(prefix)),
            "{}",
            sealed.engine
        );
    }
}

#[test]
fn nothing_is_unique_and_nothing_is_in_a_group() {
    for sealed in engines() {
        let found = elf::symbols(&sealed.object).unwrap();
        assert_eq!(found.unique, [""; 0], "{}", sealed.engine);
        assert_eq!(found.groups, 0, "{}", sealed.engine);
    }
}

#[test]
fn what_it_needs_is_libc_libm_pthread_and_the_cpp_runtime() {
    for sealed in engines() {
        let found = elf::symbols(&sealed.object).unwrap();
        let foreign: Vec<_> = found
            .undefined
            .iter()
            .filter(|name| !elf::is_allowed(name))
            .collect();
        assert!(foreign.is_empty(), "{}: {foreign:?}", sealed.engine);
        assert!(
            found.undefined.contains(&"malloc".into()),
            "{}: were symbols read?",
            sealed.engine
        );
    }
}

#[test]
fn the_allow_list_keeps_out_what_changes_the_process() {
    for name in [
        "setenv",
        "putenv",
        "setlocale",
        "signal",
        "sigaction",
        "fork",
        "execlp",
        "system",
        "exit",
        "atexit",
        "printf",
        "puts",
        "_ZSt13set_terminatePFvvE",
        "_ZNSt6locale6globalERKS_",
        "_ZSt4cout",
        "_ZSt4cerr",
        "GOMP_parallel",
        "llama_decode",
        "ggml_init",
    ] {
        assert!(!elf::is_allowed(name), "{name}");
    }
}

#[test]
fn two_engines_share_no_symbol() {
    let engines = engines();
    let mut all = BTreeSet::new();
    let mut count = 0;
    for sealed in &engines {
        let symbols = elf::symbols(&sealed.object).unwrap().global;
        count += symbols.len();
        all.extend(symbols);
    }
    assert_eq!(all.len(), count);
}

/// The check that runs at the end of every build, on an object that is not sealed.
#[test]
fn an_open_object_is_refused_with_the_offending_names() {
    let folder = tempfile::tempdir().unwrap();
    let object = compile(
        folder.path(),
        "inline int twice(int x) { static int calls; return x * 2 + calls++; }\n\
         extern \"C\" int leaked(int x) { return twice(x); }\n\
         extern \"C\" int setenv(const char *, const char *, int);\n\
         extern \"C\" int api(int x) { return leaked(x) + setenv(\"A\", \"B\", 1); }\n",
        &["-O0"],
    );
    let found = elf::symbols(&object).unwrap();
    assert!(found.groups > 0, "an inline function comes in a group");
    assert!(!found.unique.is_empty(), "its static variable is unique");

    let message = elf::check_sealed("toy", &object, &["api".into()])
        .unwrap_err()
        .to_string();
    assert!(message.contains("leaked"), "{message}");
    let everything = &found.global;
    let message = elf::check_sealed("toy", &object, everything)
        .unwrap_err()
        .to_string();
    assert!(message.contains("UNIQUE"), "{message}");
    let object = compile(
        folder.path(),
        "extern \"C\" int setenv(const char *, const char *, int);\n\
         extern \"C\" int api() { return setenv(\"A\", \"B\", 1); }\n",
        &[],
    );
    let message = elf::check_sealed("toy", &object, &["api".into()])
        .unwrap_err()
        .to_string();
    assert!(message.contains("setenv"), "{message}");
}

fn compile(folder: &Path, source: &str, flags: &[&str]) -> std::path::PathBuf {
    let (file, object) = (folder.join("toy.cpp"), folder.join("toy.o"));
    fs_err::write(&file, source).unwrap();
    let status = Command::new("g++")
        .args(flags)
        .arg("-c")
        .arg(&file)
        .arg("-o")
        .arg(&object)
        .status()
        .unwrap();
    assert!(status.success());
    object
}

fn engines() -> Vec<Sealed> {
    let builder = Builder::from_env().unwrap();
    let names: Vec<_> = builder.config.engine.keys().cloned().collect();
    names
        .iter()
        .map(|name| builder.build(name).unwrap())
        .collect()
}
