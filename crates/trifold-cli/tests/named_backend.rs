//! Plugins that are named and are not there: the program goes on where it may, but says so.

mod support;

use std::path::Path;

use support::trifold;

#[test]
fn what_is_named_in_vain_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.so");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/story/trifold-story.gguf");
    let generate = |device: &str, backend: &[&str]| {
        let model = model.to_str().unwrap();
        let begin = ["generate", "Once", "--max-tokens", "1", "--model", model];
        let device = ["--device", device];
        trifold([&begin[..], &device, backend].concat())
            .env("XDG_DATA_HOME", folder.path())
            .env("TRIFOLD_BACKEND_PATH", "")
    };
    let named = generate("auto", &["--backend", missing.to_str().unwrap()]).run();
    let by_environment = generate("auto", &[])
        .env("TRIFOLD_BACKEND_PATH", &missing)
        .run();
    for outcome in [named, by_environment] {
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let expected = format!("not used: Could not find: {}: ", missing.display());
        assert!(outcome.stderr.contains("WARN"), "{outcome}");
        assert!(outcome.stderr.contains(&expected), "{outcome}");
        assert!(outcome.stderr.contains("No such file"), "{outcome}");
    }
    let silent = generate("auto", &[]).run();
    assert!(!silent.stderr.contains("WARN"), "{silent}");
    let trusting = generate("auto", &[])
        .env("TRIFOLD_BACKEND_TRUST", "true")
        .run();
    let expected = "Expected 1 in TRIFOLD_BACKEND_TRUST, or nothing (found: true)";
    assert!(trusting.stderr.contains(expected), "{trusting}");

    // Where nothing was: all places.
    let nothing = generate("cuda", &[]).run();
    assert_eq!(nothing.code, Some(1), "{nothing}");
    let place = folder.path().join("trifold/backends");
    let expected = format!("\n  no plugin in: {}\n", place.display());
    assert!(nothing.stderr.contains(&expected), "{nothing}");
    assert!(nothing.stderr.contains("trifold-cuda13"), "{nothing}");
    assert_eq!(generate("cuda:0,cuda:0", &[]).run().code, Some(2));
}
