//! Comparing layouts: one engine for real, in the layout with nothing sealed and in the one with everything
//! sealed.
//!
//! Slow: wheels of both are built, installed and tested.

use std::{
    io::Read as _,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

fn compare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trifold-pack"));
    command
        .arg("compare")
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    command
}

fn run(arguments: &[&str]) -> Output {
    compare(arguments).output().unwrap()
}

#[test]
fn a_monolith_and_a_sealed_layout_of_one_engine() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (page, plot) = (place("table.md"), place("plot.svg"));
    let output = run(&[
        "monolith",
        "shared-ggml",
        "--engines",
        "whisper",
        "--quick",
        "--tour",
        "--json",
        "--output",
        &place("built"),
        "--markdown",
        &page,
        "--svg",
        &plot,
    ]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["engines"], serde_json::json!(["whisper"]));
    let [monolith, shared] = report["rows"].as_array().unwrap().as_slice() else {
        panic!("{report:#}");
    };
    assert_eq!(monolith["layout"], "monolith");
    assert_eq!(shared["layout"], "shared-ggml");
    for row in [monolith, shared] {
        assert_eq!(row["tests"]["failed"], 0, "{row:#}");
        assert!(row["tests"]["passed"].as_u64().unwrap() > 10, "{row:#}");
        let [wheel] = row["wheels"].as_array().unwrap().as_slice() else {
            panic!("{row:#}");
        };
        let installed = row["installed_bytes"].as_u64().unwrap();
        assert!(wheel["bytes"].as_u64().unwrap() < installed, "{row:#}");
        assert!(row["start_ms"]["works"].as_f64().unwrap() > 0.0, "{row:#}");
        assert!(
            row["resident_bytes"]["works"].as_u64().unwrap() > 1 << 24,
            "{row:#}"
        );
        assert_eq!(
            row["ggml"]["works"],
            serde_json::json!(["0.26.0"]),
            "{row:#}"
        );
    }
    assert!(
        monolith["private_exports"].as_u64().unwrap() > 1000,
        "{monolith:#}"
    );
    // The field's own way is to compile speech against the ggml of text.
    assert_eq!(monolith["own_ggml"]["works"], monolith["ggml"]["works"]);
    // Only ggml is visible there; it has some hundred functions.
    let exports = shared["private_exports"].as_u64().unwrap();
    assert!((1..1000).contains(&exports), "{shared:#}");
    // However it goes with an engine that was compiled against another ggml: it does not get that one.
    let own = shared["own_ggml"].as_object().unwrap();
    assert_eq!(own.len(), 1, "{shared:#}");
    assert_ne!(
        own.get("works"),
        Some(&serde_json::json!(["0.9.5"])),
        "{shared:#}"
    );

    let page = fs_err::read_to_string(page).unwrap();
    assert!(page.contains("| shared-ggml | –, "), "{page}");
    let plot = fs_err::read_to_string(plot).unwrap();
    assert!(plot.contains(">shared-ggml</text>"), "{plot}");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    for (arguments, message) in [
        (
            &["monolit"][..],
            "Unknown layout: monolit. The layouts are monolith, ",
        ),
        (&["--engines", "lama"], "Unknown engine: lama"),
        (&["--workspace", "/"], "No source of trifold around: /"),
        (
            &["--python", "/no/such/python"],
            "Could not run: /no/such/python",
        ),
        (
            &["--python", "false"],
            "Could not find Python's version: false says: exit code 1",
        ),
        // Any program that starts another one is taken for a compiler cache.
        (
            &["--cold"],
            "Expected to compile without a compiler cache (found: /",
        ),
    ] {
        let output = compare(&["--output", out])
            .args(arguments)
            .env("TRIFOLD_COMPILER_LAUNCHER", "env")
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
    }
}

#[test]
fn an_interrupt_ends_what_was_started() {
    let folder = tempfile::tempdir().unwrap();
    let (python, id) = (folder.path().join("python"), folder.path().join("id"));
    let script = format!(
        "#!/bin/sh\necho $$ > '{0}.new' && mv '{0}.new' '{0}'\nexec sleep 600\n",
        id.display()
    );
    fs_err::write(&python, script).unwrap();
    fs_err::set_permissions(&python, PermissionsExt::from_mode(0o755)).unwrap();
    let mut comparing = compare(&["--python", python.to_str().unwrap(), "--output"])
        .arg(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !id.exists() && Instant::now() < until {
        thread::sleep(Duration::from_millis(10));
    }
    let started: i32 = fs_err::read_to_string(&id).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_child(&comparing), Signal::INT).unwrap();
    assert_eq!(comparing.wait().unwrap().code(), Some(2));
    let mut stderr = String::new();
    comparing
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert!(stderr.ends_with("error: Interrupted\n"), "{stderr}");
    test_kill_process(Pid::from_raw(started).unwrap()).unwrap_err();
}
