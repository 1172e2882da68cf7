//! What three engines leave alone: the process that they run in.
//!
//! `cargo xtask test` runs this in both modes.
#![allow(unsafe_code)] // calls one raw function, to see it abort, and asks for a C++ handler

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Command, Output},
};

use trifold_build::elf;
use trifold_runtime::process::Snapshot;

mod support;

/// SIGABRT.
const ABORTED: i32 = 6;

#[test]
fn the_program_exports_nothing_and_needs_only_glibc() {
    let linked = elf::linked(env!("CARGO_BIN_EXE_trifold").as_ref()).unwrap();
    assert_eq!(linked.exported, [""; 0]);
    let known = [
        "libc.so.6",
        "libm.so.6",
        "libgcc_s.so.1",
        "ld-linux-x86-64.so.2",
    ];
    let foreign: Vec<_> = linked
        .needed
        .iter()
        .filter(|name| !known.contains(&name.as_str()))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    assert!(
        linked.needed.contains(&"libc.so.6".into()),
        "were the entries read? {:?}",
        linked.needed
    );
}

#[test]
fn all_engines_run_and_print_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().to_str().unwrap();
    let outcome = support::trifold(["demo", "--json", "--quiet", "--output", output]).run();
    // One document, and not a byte beside it.
    let report = outcome.json();
    assert_eq!(outcome.stderr, "");
    assert_eq!(report["leaks"], serde_json::json!([]));
    assert_eq!(report["engines"].as_array().map(Vec::len), Some(3));
    for name in ["picture.png", "story.txt", "transcript.txt"] {
        assert!(
            folder.path().join(name).metadata().unwrap().len() > 20,
            "{name}"
        );
    }
}

#[test]
fn terminate_handler_signals_locale_and_environment_stay() {
    unsafe extern "C" {
        // What every C++ program has until somebody sets another.
        #[link_name = "_ZN9__gnu_cxx27__verbose_terminate_handlerEv"]
        fn default_terminate_handler();
    }
    let default = default_terminate_handler as *const () as usize;
    // The engines' static initialisers have run by now.
    assert_eq!(trifold_llama_sys::terminate_handler(), default);
    assert_eq!(trifold_whisper_sys::terminate_handler(), default);
    assert_eq!(trifold_diffusion_sys::terminate_handler(), default);

    let before = Snapshot::take(default);
    trifold_llama::system_info().unwrap();
    trifold_whisper::system_info().unwrap();
    trifold_diffusion::system_info().unwrap();
    let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let model = trifold_llama::Model::load(models.join("story/trifold-story.gguf")).unwrap();
    drop(
        model
            .context(&trifold_llama::ContextOptions::default())
            .unwrap(),
    );
    drop(
        trifold_whisper::Model::load(models.join("speech/trifold-speech.bin"))
            .unwrap()
            .transcriber()
            .unwrap(),
    );
    drop(trifold_diffusion::Model::load(models.join("picture/trifold-picture.gguf")).unwrap());
    assert_eq!(
        before.changes(&Snapshot::take(trifold_llama_sys::terminate_handler())),
        [""; 0]
    );
}

/// The last resort, for a failed check that no caller can be told of: it ends the process, but it
/// prints nothing and starts no debugger.
#[test]
fn an_abort_starts_no_debugger_and_prints_nothing() {
    const NAME: &str = "an_abort_starts_no_debugger_and_prints_nothing";
    const CHILD: &str = "TRIFOLD_TEST_ABORT";
    const READY: &str = "TRIFOLD_TEST_READY";
    if let Ok(engine) = std::env::var(CHILD) {
        // Without this our abort callback is not set, and ggml goes its own way: it prints a
        // backtrace and forks a debugger, unless the seal keeps it from that.
        if std::env::var_os(READY).is_some() {
            trifold_llama_sys::ENGINE.ready().unwrap();
            trifold_whisper_sys::ENGINE.ready().unwrap();
            trifold_diffusion_sys::ENGINE.ready().unwrap();
        }
        let nothing = std::ptr::null_mut();
        // Raw, so there is no guard that could catch it; GGML_ASSERT(device) fails.
        // SAFETY: the function checks its argument and aborts, which is what the test is about.
        unsafe {
            match engine.as_str() {
                "llama" => trifold_llama_sys::raw::ggml_backend_dev_name(nothing),
                "whisper" => trifold_whisper_sys::raw::ggml_backend_dev_name(nothing.cast()),
                _ => trifold_diffusion_sys::raw::ggml_backend_dev_name(nothing.cast()),
            };
        }
        panic!("ggml_backend_dev_name(NULL) came back");
    }
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("a-debugger-ran");
    for debugger in ["gdb", "lldb"] {
        let path = folder.path().join(debugger);
        fs_err::write(&path, format!("#!/bin/sh\ntouch {}\n", marker.display())).unwrap();
        fs_err::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
    }
    for (engine, ready) in ["llama", "whisper", "diffusion"]
        .into_iter()
        .flat_map(|name| [(name, false), (name, true)])
    {
        let path = format!(
            "{}:{}",
            folder.path().display(),
            std::env::var("PATH").unwrap()
        );
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args([NAME, "--exact", "--nocapture"])
            .env(CHILD, engine)
            .env("PATH", path);
        if ready {
            child.env(READY, "1");
        }
        let Output { status, stderr, .. } = child.output().unwrap();
        assert_eq!(status.signal(), Some(ABORTED), "{engine}: {status}");
        assert_eq!(String::from_utf8_lossy(&stderr).trim(), "", "{engine}");
        assert!(!marker.exists(), "{engine} started a debugger");
    }
}
