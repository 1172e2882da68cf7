//! A backend inside an engine, and the same backend as a plugin.
//!
//! With the one that is compiled in seconds: what is linked and started is the same for all.

use std::{path::Path, process::Command};

use serde_json::Value;

#[test]
fn a_backend_inside_an_engine_is_measured_beside_its_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_trifold-pack"))
        .args(["inside", "rpc", "--engines", "whisper", "--json", "-o"])
        .arg(folder.path())
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .env("TRIFOLD_COMPILER_LAUNCHER", "none")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [whisper] = report["engines"].as_array().unwrap().as_slice() else {
        panic!("{report:#}");
    };
    assert_eq!(whisper["ggml"], "0.9.5", "{report:#}");
    assert_eq!(whisper["backends"], serde_json::json!(["CPU", "RPC"]));
    for cost in [&whisper["cost"], &report["plugin"]] {
        let number = |name: &str| cost[name].as_f64().unwrap();
        assert!(number("compile_seconds") > 0.0, "{report:#}");
        assert!(number("compressed_bytes") > 1000.0, "{report:#}");
        assert!(number("compressed_bytes") < number("bytes"), "{report:#}");
    }
    // A plugin has a ggml-base of its own besides.
    let bytes = |cost: &Value| cost["bytes"].as_u64().unwrap();
    assert!(
        bytes(&whisper["cost"]) < bytes(&report["plugin"]),
        "{report:#}"
    );
    assert_eq!(bytes(&report["together"]), bytes(&whisper["cost"]));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
