//! A plugin built from a recipe: what it is, and that it runs.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Output},
};

use trifold_build::{
    Builder, elf,
    plugin::{ENTRIES, Nvcc, Options, Plugin},
};

/// Where the system's loader is.
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

#[test]
fn the_twin_is_hermetic_and_can_be_run() {
    let folder = tempfile::tempdir().unwrap();
    let builder = Builder::from_env().unwrap();
    // Of the engine that names it if each has a ggml of its own.
    let options = Options {
        engine: Some("llama".into()),
        ..Options::default()
    };
    let plugin = builder.plugin("twin", &options, folder.path()).unwrap();

    let found = elf::linked(&plugin.path).unwrap();
    let mut exported = found.exported.clone();
    exported.sort();
    assert_eq!(exported, ENTRIES);
    assert_eq!(found.needed, plugin.needed);
    assert!(found.needed.iter().all(|name| !name.contains("stdc++")));

    // Its note is the file's own bytes: whoever reads it need not load it.
    let bytes = fs_err::read(&plugin.path).unwrap();
    let note = plugin.note.text();
    assert!(
        bytes
            .windows(note.len())
            .any(|part| part == note.as_bytes())
    );
    assert_eq!(
        plugin.note.fingerprint,
        builder.fingerprint("llama").unwrap()
    );

    let ran = Command::new(LOADER).arg(&plugin.path).output().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{:?}: {said}", ran.status);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("backend\t"), "{said}");
    assert!(lines[1].starts_with("device\t") && lines[1].contains("\tTWIN0\t"));
    assert!(lines[2].contains("\tTWIN1\t"));
    assert_eq!(lines[3..], ["end"]);
}

#[test]
fn a_gpu_without_code_names_the_package_that_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = cuda_twin(folder.path());
    assert_eq!(plugin.name, "twin-old");
    assert_eq!(plugin.note.package, "trifold-twin-old");

    make_driver(folder.path());
    for (capability, package) in [
        ("75", None),
        ("89", None),
        ("90", Some("install trifold-twin-new")),
        ("103", Some("install trifold-twin-new")),
        // 12.0 has code of its own, 12.1 none but what the driver compiles.
        ("120", Some("install trifold-twin-new")),
        ("121", Some("install trifold-twin-new")),
        ("61", Some("no package has any")),
    ] {
        let ran = run(&plugin, folder.path(), &[capability]);
        let said = String::from_utf8(ran.stdout).unwrap();
        let log = String::from_utf8(ran.stderr).unwrap();
        let Some(package) = package else {
            assert!(said.ends_with("end\n"), "{capability}: {said}{log}");
            continue;
        };
        assert_eq!(said, "refused\n", "{capability}: {log}");
        assert!(log.contains(package), "{capability}: {log}");
        let (major, minor) = capability.split_at(capability.len() - 1);
        let words = format!(
            "no code for Fake (compute capability {major}.{minor}) in this plugin (it has 75 86)"
        );
        assert!(log.contains(&words), "{capability}: {log}");
    }
    // One that has code is enough; of the other it is said that it has none.
    let ran = run(&plugin, folder.path(), &["90", "86"]);
    assert!(String::from_utf8(ran.stdout).unwrap().ends_with("end\n"));
    assert!(
        String::from_utf8(ran.stderr)
            .unwrap()
            .contains("capability 9.0")
    );
    let ran = run(&plugin, folder.path(), &[]);
    assert!(
        String::from_utf8(ran.stderr)
            .unwrap()
            .contains("finds no GPU")
    );
}

/// The twin, as a part of a plugin for NVIDIA's GPUs.
fn cuda_twin(folder: &Path) -> Plugin {
    let mut builder = Builder::from_env().unwrap();
    let recipe = builder.config.plugin.get_mut("twin").unwrap();
    recipe.shim.push("cuda_driver.cpp".into());
    recipe.score = Some("trifold_cuda_score".into());
    recipe.outside.push("dlopen".into());
    recipe.outside.push("dlsym".into());
    let list = |names: &str| -> Vec<String> { names.split(' ').map(str::to_owned).collect() };
    recipe.nvcc = Some(Nvcc {
        architectures: list("75 86 90 100 120a 100-virtual"),
        groups: BTreeMap::from([
            ("old".into(), list("75 86")),
            ("new".into(), list("90 100 120a 100-virtual")),
        ]),
        flags: Vec::new(),
        host_flags: Vec::new(),
    });
    let options = Options {
        engine: Some("llama".into()),
        group: Some("old".into()),
        ..Options::default()
    };
    builder.plugin("twin", &options, folder).unwrap()
}

/// A driver of NVIDIA's with the GPUs that `CAPABILITIES` has.
fn make_driver(folder: &Path) {
    let source = folder.join("driver.c");
    let text = r#"
        #include <stdlib.h>
        #include <string.h>

        static int capability(int device) {
            const char * all = getenv("CAPABILITIES");
            for (; device > 0; device--) {
                all = strchr(all, ' ') + 1;
            }
            return atoi(all);
        }

        int cuInit(unsigned flags) { return (int) flags; }
        int cuDeviceGetCount(int * count) {
            const char * all = getenv("CAPABILITIES");
            *count = *all != 0;
            for (; *all != 0; all++) {
                *count += *all == ' ';
            }
            return 0;
        }
        int cuDeviceGet(int * device, int ordinal) { *device = ordinal; return 0; }
        int cuDeviceGetAttribute(int * value, int attribute, int device) {
            *value = attribute == 75 ? capability(device) / 10 : capability(device) % 10;
            return 0;
        }
        int cuDeviceGetName(char * name, int size, int device) { strncpy(name, "Fake", size); return device < 0; }
    "#;
    fs_err::write(&source, text).unwrap();
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(folder.join("libcuda.so.1"))
        .arg(&source)
        .status();
    assert!(status.unwrap().success());
}

fn run(plugin: &Plugin, drivers: &Path, capabilities: &[&str]) -> Output {
    Command::new(LOADER)
        .arg(&plugin.path)
        .env("LD_LIBRARY_PATH", drivers)
        .env("CAPABILITIES", capabilities.join(" "))
        .output()
        .unwrap()
}

#[test]
fn kinds_that_nobody_can_ask_for_are_refused() {
    let mut config = Builder::from_env().unwrap().config;
    config.plugin("rpc").unwrap();
    for kind in ["", "auto", "cpu", "CUDA", "2d", "a-b", "a:0"] {
        config.plugin.get_mut("rpc").unwrap().kind = kind.into();
        let error = config.plugin("rpc").unwrap_err().to_string();
        let expected = format!("(found: {kind:?})");
        assert!(
            error.contains("[plugin.rpc]: expected a kind") && error.ends_with(&expected),
            "{error}"
        );
    }
}
