//! Aligning engines: one engine for real, and what is refused.
//!
//! Slow the first time: the engine is built with its own ggml and with the newest one.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use trifold_build::{Builder, Mode, plugin::Options};

/// A CPU under another name, and one that has no device without a server.
#[test]
fn whisper_may_use_the_newest_ggml_and_its_plugins() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("align.md");
    let (twin, rpc) = (plugin("twin"), plugin("rpc"));
    let mut arguments = vec!["whisper", "--json", "--markdown", page.to_str().unwrap()];
    arguments.extend(["--plugin", twin.to_str().unwrap()]);
    arguments.extend(["--plugin", rpc.to_str().unwrap()]);
    let output = run(&arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema"], 1);
    assert_eq!(report["engines"][0]["ggml_version"], "0.9.5");

    let candidate = &report["candidates"][0];
    assert_eq!(candidate["engine"], "llama");
    assert_eq!(candidate["ggml_version"], "0.26.0");
    assert_eq!(candidate["group"], serde_json::json!(["whisper"]));
    let attempt = &candidate["attempts"][0];
    assert_eq!(attempt["problem"], Value::Null, "{attempt:#}");
    let fields: Vec<&str> = list(&attempt["differences"])
        .iter()
        .map(|difference| difference["field"].as_str().unwrap())
        .collect();
    assert!(fields.contains(&"GGML_BACKEND_API_VERSION"), "{fields:?}");
    assert_eq!(list(&attempt["compiled"]["errors"]), [Value::Null; 0]);
    assert!(attempt["compiled"]["files"].as_u64().unwrap() > 1);

    let cases = list(&attempt["cases"]);
    let trained: Vec<&Value> = cases
        .iter()
        .filter(|case| case["random"] == false)
        .collect();
    assert!(trained.len() > 3, "{cases:#?}");
    assert!(cases.len() > trained.len(), "{cases:#?}");
    for case in trained {
        let measure = &case["measure"];
        assert_eq!(measure["kind"], "transcript");
        assert_eq!(measure["expected"], measure["found"]);
        assert!(measure["tokens"].as_u64().unwrap() > 3, "{case:#}");
    }
    let page = fs_err::read_to_string(page).unwrap();
    assert!(
        page.contains("### Against the ggml of llama, 0.26.0"),
        "{page}"
    );
    assert!(
        page.contains("Only whisper may use a backend for ggml 0.26.0"),
        "{page}"
    );

    for (number, name, fitness) in [(0, "twin", "within"), (1, "rpc", "no-device")] {
        let plugin = &report["plugins"][number];
        assert_eq!(plugin["name"], name);
        let [fit] = list(&plugin["fits"]) else {
            panic!("{plugin:#}");
        };
        assert_eq!(fit["engine"], "whisper");
        assert_eq!(fit["candidate"], "llama");
        assert_eq!(fit["differences"], serde_json::json!([]));
        assert_eq!(fit["fitness"], fitness, "{fit:#}");
        assert_eq!(list(&fit["cases"]).is_empty(), name == "rpc", "{fit:#}");
        let heading = format!("### The plugin {name}");
        assert!(page.contains(&heading), "{page}");
    }
    assert!(page.contains("Device not found: rpc:0"), "{page}");
    let serves = "**Serves whisper with ggml 0.26.0**";
    assert_eq!(page.matches(serves).count(), 2, "{page}");
}

#[test]
fn plugins_that_do_not_serve_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let twin = plugin("twin");
    // The twin crashes under this name.
    fs_err::copy(&twin, place("twin-crash.so")).unwrap();
    let mut bytes = fs_err::read(&twin).unwrap();
    let field = b"ggml commit\t";
    let at = bytes.windows(field.len()).position(|part| part == field);
    bytes[at.unwrap() + field.len()] ^= 1;
    fs_err::write(place("other.so"), bytes).unwrap();
    let none = "logits_max = 0.0\nlogits_mean = 0.0\nprobability_max = 0.0\nsame_text = true\npsnr_min = 999.0\n";
    let tolerances = format!("[trained]\n{none}[random]\n{none}");
    fs_err::write(place("tolerances.toml"), tolerances).unwrap();

    let mut command = Command::new(env!("CARGO_BIN_EXE_trifold-pack"));
    command.args(["align", "whisper", "--json", "--tolerances"]);
    command.arg(place("tolerances.toml"));
    let plugins = [
        place("twin-crash.so"),
        place("other.so"),
        twin,
        plugin("rpc"),
    ];
    for plugin in &plugins {
        command.arg("--plugin").arg(plugin);
    }
    let output = command
        .args(["--device", "rpc:127.0.0.1:1"])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let fit = |number: usize| &report["plugins"][number]["fits"][0];
    let problem = |number: usize| fit(number)["problem"].as_str().unwrap();
    assert_eq!(fit(0)["fitness"], "does-not-run");
    assert!(problem(0).contains("SIGSEGV"), "{:#}", fit(0));
    assert!(problem(0).contains("hint: "), "{:#}", fit(0));
    assert_eq!(fit(1)["fitness"], "other-ggml");
    assert_eq!(fit(1)["differences"][0]["field"], "ggml commit");
    assert_eq!(fit(2)["fitness"], "beyond");
    assert_eq!(fit(3)["fitness"], "does-not-run");
    assert!(problem(3).contains("could not connect"), "{:#}", fit(3));
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let tolerances = folder.path().join("tolerances.toml");
    fs_err::write(&tolerances, "psnr = 40.0\n").unwrap();
    let tolerances = tolerances.to_str().unwrap();
    let rpc = plugin("rpc");
    let revisions = folder.path().join("engines.toml");
    fs_err::write(&revisions, "[common]\n").unwrap();
    for (arguments, message) in [
        (
            &["tetris"][..],
            "Unknown engine: tetris (expected one of: diffusion, llama, whisper)",
        ),
        (
            &["whisper", "--candidate", "tetris"],
            "Unknown engine: tetris",
        ),
        (&["--workspace", place], "No source of trifold around: "),
        (&["--tolerances", tolerances], "Invalid configuration: "),
        (
            &["--revisions", revisions.to_str().unwrap()],
            "Invalid engine description: ",
        ),
        (
            &["--revisions", "/no/such/file"],
            "Could not find: /no/such/file",
        ),
        (
            &["--plugin", "/no/such/plugin.so"],
            "Could not find: /no/such/plugin.so",
        ),
        (&["--plugin", tolerances], "Expected a backend plugin at: "),
        (
            &["--plugin", rpc.to_str().unwrap(), "--device", "cuda:1"],
            "Expected a device of one of the plugins, each kind once (kinds: rpc; found: cuda:1)",
        ),
    ] {
        let output = run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(
            stderr.contains(&format!("error: {message}")),
            "{arguments:?}: {stderr}"
        );
        assert!(stderr.contains("\nhint: "), "{stderr}");
    }
}

/// A plugin for all engines.
fn plugin(name: &str) -> PathBuf {
    let mut builder = Builder::from_env().unwrap();
    builder.mode = Mode::Aligned;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins");
    let built = builder.plugin(name, &Options::default(), &folder);
    built.unwrap().path
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trifold-pack"))
        .arg("align")
        .args(arguments)
        .output()
        .unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
