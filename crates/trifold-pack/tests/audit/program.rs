//! The program, as a user runs it.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Compiled, WheelFile, clean_extension};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trifold-pack"));
    command
        .arg("audit")
        .args(arguments)
        .env_remove("VIRTUAL_ENV")
        .env("PATH", "");
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn leaking() -> Compiled {
    Compiled::new(
        "libggml.so",
        "__attribute__((visibility(\"default\"))) void ggml_init(void) {}",
        &[],
    )
}

#[test]
fn what_is_clean() {
    let extension = clean_extension();
    let path = extension.path.to_str().unwrap();
    let output = run(&[path]);
    assert_eq!(output.status.code(), Some(0));
    let shown = text(&output.stdout);
    assert!(shown.contains("exports   PyInit_m\n"), "{shown}");
    assert!(
        shown.contains("hardening RELRO full, BIND_NOW, NX, PIE, stack protector\n"),
        "{shown}"
    );
    assert!(
        shown.ends_with("\n  no findings\n\n0 errors, 0 warnings, 0 notes; 0 denied\n"),
        "{shown}"
    );
    assert!(!shown.contains('\x1b'), "colours in a file");
}

#[test]
fn what_is_denied() {
    let library = leaking();
    let path = library.path.to_str().unwrap();
    let output = run(&[path]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    insta::assert_snapshot!(shown[shown.find("  error").unwrap()..], @r"
      error TP001 exported-engine: libggml.so exports 1 function of an engine: 1 ggml_*
          ggml_init
          → Link with a version script (`{ global: PyInit_*; local: *; };`) and compile with -fvisibility=hidden
      note TP060 ggml-inside: libggml.so has ggml of unknown version, exported

    1 error, 0 warnings, 1 note; 1 denied
    ");
}

#[test]
fn rules_are_denied_and_allowed() {
    let library = leaking();
    let path = library.path.to_str().unwrap();
    let config = library.folder().join("audit.toml");
    let with = |text: &str, more: &[&str]| {
        fs_err::write(&config, text).unwrap();
        run(&[&[path, "--config", config.to_str().unwrap()], more].concat())
    };
    assert_eq!(with("deny = []", &[]).status.code(), Some(0));
    assert_eq!(
        with("deny = []", &["--deny", "exported-engine"])
            .status
            .code(),
        Some(1)
    );
    assert_eq!(
        with("deny = []", &["--deny", "TP002"]).status.code(),
        Some(0)
    );
    let allow =
        "[[allow]]\nrule = \"TP001\"\nfiles = \"lib*.so\"\nreason = \"It is the engine itself\"\n";
    let output = with(allow, &["--deny", "warnings"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("allowed: It is the engine itself"));
    let other = allow.replace("lib*.so", "x*");
    assert_eq!(with(&other, &[]).status.code(), Some(1));
}

#[test]
fn a_baseline_that_is_higher() {
    let source = "__attribute__((visibility(\"default\"),target(\"avx2\"))) void run(int *x) { for (int i = 0; i < 64; i++) x[i] *= 3; }";
    let library = Compiled::new("libx.so", source, &["-O3"]);
    let path = library.path.to_str().unwrap();
    assert_eq!(run(&[path]).status.code(), Some(1));
    let config = library.folder().join("audit.toml");
    fs_err::write(&config, "baseline = \"x86-64-v3\"").unwrap();
    assert_eq!(
        run(&[path, "--config", config.to_str().unwrap()])
            .status
            .code(),
        Some(0)
    );
}

#[test]
fn a_baseline_is_no_finding_beside_what_is_above_it() {
    let source = "__attribute__((visibility(\"default\"))) int run(int *x) { x[0]++; __asm__(\"vpaddd %ymm0, %ymm0, %ymm0; vpaddd %zmm0, %zmm0, %zmm0\"); return 0; }\n__attribute__((visibility(\"default\"))) int old(int *x) { __asm__(\"vpaddd %ymm0, %ymm0, %ymm0\"); return 0; }";
    let library = Compiled::new("libx.so", source, &[]);
    let config = library.folder().join("audit.toml");
    let path = library.path.to_str().unwrap();
    let messages = |baseline: &str| {
        fs_err::write(&config, format!("baseline = \"{baseline}\"")).unwrap();
        let report = json(&run(&[path, "--json", "--config", config.to_str().unwrap()]).stdout);
        let findings = report["packages"][0]["findings"]
            .as_array()
            .unwrap()
            .clone();
        let found = findings
            .iter()
            .find(|finding| finding["rule"] == "TP021")
            .unwrap();
        found["message"].as_str().unwrap().to_owned()
    };
    let words = "needs x86-64-v4 to call it: AVX2, AVX512F in 2 of ";
    assert!(
        messages("x86-64").starts_with(words),
        "{}",
        messages("x86-64")
    );
    let words = "needs x86-64-v4 to call it: AVX512F in 1 of ";
    assert!(
        messages("x86-64-v3").starts_with(words),
        "{}",
        messages("x86-64-v3")
    );
}

#[test]
fn hints_are_there_and_name_what_is() {
    let error = "exported-private"
        .parse::<trifold_pack::Selector>()
        .unwrap_err();
    let hint = error.hint().unwrap();
    let names = hint.split([' ', ';', ',', '`']);
    let names: Vec<&str> = names
        .filter(|word| word.starts_with("TP") || word.starts_with("exported-"))
        .collect();
    assert_eq!(names.len(), 2, "{hint}");
    for name in names {
        name.parse::<trifold_pack::Selector>().unwrap();
    }
    for kind in [
        std::io::ErrorKind::NotFound,
        std::io::ErrorKind::InvalidData,
        std::io::ErrorKind::Other,
    ] {
        let error = trifold_pack::PackError::io("Could not read", "x")(kind.into());
        assert!(error.hint().is_some(), "{kind}");
    }
}

#[test]
fn wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("audit.toml");
    fs_err::write(&config, "denied = [\"errors\"]").unwrap();
    for (arguments, expected) in [
        (
            vec!["no-such-package"],
            "error: Nothing to audit at: no-such-package (no such file, and no such package in no folder: no Python was found)\n",
        ),
        (
            vec!["x.whl", "--deny", "TP999"],
            "error: Unknown rule: TP999\n",
        ),
        (
            vec!["x.whl", "--config", config.to_str().unwrap()],
            "error: Invalid configuration: ",
        ),
        (
            vec![],
            "error: the following required arguments were not provided",
        ),
    ] {
        let output = run(&arguments);
        let shown = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {shown}");
        assert!(shown.starts_with(expected), "{shown}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.so");
    let expect = |expected: &str| {
        let output = run(&[path.to_str().unwrap()]);
        let shown = text(&output.stderr).replace(folder.path().to_str().unwrap(), "[FOLDER]");
        assert_eq!(output.status.code(), Some(1), "{shown}");
        assert!(shown.starts_with(expected), "{shown}");
        assert!(shown.contains("\nhint: "), "{shown}");
    };
    expect("error: Could not open: [FOLDER]/x.so\n  Caused by: ");
    fs_err::write(&path, "text").unwrap();
    expect(
        "error: Not supported: a file of another kind at [FOLDER]/x.so (expected an ELF file for x86-64, a static archive, a wheel or a folder)\n",
    );
    fs_err::write(&path, &clean_extension().bytes()[..100]).unwrap();
    expect("error: Damaged ELF file: [FOLDER]/x.so: the ");
}

#[test]
fn the_report_as_json() {
    let library = leaking();
    let output = run(&[library.path.to_str().unwrap(), "--json"]);
    let report = json(&output.stdout);
    assert_eq!(report["schema"], 1);
    assert_eq!(report["denied"], 1);
    let native = &report["packages"][0]["natives"][0];
    assert_eq!(native["facts"]["exports"][0]["owner"], "ggml_*");
    assert_eq!(native["owners"][0]["class"], "engine");
    assert_eq!(native["cpu"]["called"]["level"], "x86-64");
    assert_eq!(
        output.stdout,
        run(&[library.path.to_str().unwrap(), "--json"]).stdout,
        "the same bytes each time"
    );
}

#[test]
fn findings_as_sarif() {
    let library = leaking();
    let output = run(&[library.path.to_str().unwrap(), "--sarif", "-"]);
    let sarif = json(&output.stdout);
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let result = &run["results"][0];
    assert_eq!(result["ruleId"], "TP001");
    assert_eq!(result["level"], "error");
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(run["tool"]["driver"]["rules"][index]["id"], "TP001");
    let uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        .as_str()
        .unwrap();
    assert_eq!(uri, format!("file://{}", library.path.display()));
}

#[test]
fn a_bill_of_materials() {
    let mut wheel = WheelFile::new();
    wheel
        .entries
        .push(("p.libs/libggml-0a1b2c3d.so.1.2".into(), leaking().bytes()));
    let (folder, path) = wheel.write();
    let file = folder.path().join("bom.json");
    run(&[path.to_str().unwrap(), "--sbom", file.to_str().unwrap()]);
    let bom = json(&fs_err::read(file).unwrap());
    assert_eq!(
        (&bom["bomFormat"], &bom["specVersion"]),
        (&"CycloneDX".into(), &"1.5".into())
    );
    let package = &bom["components"][0];
    assert_eq!(package["purl"], "pkg:pypi/p@1.0");
    let names: Vec<&str> = package["components"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|part| part["name"].as_str())
        .collect();
    assert_eq!(names, ["libggml", "ggml", "m.abi3"]);
    assert_eq!(package["components"][0]["version"], "1.2");
    assert_eq!(
        package["components"][0]["hashes"][0]["content"]
            .as_str()
            .unwrap()
            .len(),
        64
    );
}
