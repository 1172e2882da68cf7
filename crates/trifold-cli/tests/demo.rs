//! `trifold demo`, run as a user runs it.

mod support;

use support::{model_file, trifold};

#[test]
fn a_spoken_request_of_the_users_is_heard_first_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let (speech, output) = (model_file("speech/samples/draw-a-house.wav"), folder.path());
    let arguments = ["demo", "--json", "--quiet", "--speak"]
        .map(String::from)
        .into_iter()
        .chain([
            speech.to_str().unwrap().to_owned(),
            "--output".to_owned(),
            output.to_str().unwrap().to_owned(),
        ]);
    let report = trifold(arguments).run().json();
    assert_eq!(
        report["spoken"][0]["text"],
        "Draw a red house on a blue background."
    );
    let picture = trifold_diffusion::read_png(output.join("picture.png")).unwrap();
    let parameters = picture.parameters.unwrap();
    assert_eq!(parameters.prompt, "a red house on a blue background");
    // The built-in recording asks for the story.
    assert!(
        report["story"]
            .as_str()
            .unwrap()
            .to_lowercase()
            .contains("dog"),
        "{}",
        report["story"]
    );
}

#[test]
fn a_recording_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = trifold(
        ["demo", "--quiet", "--speak", "no-such.wav", "--output"]
            .into_iter()
            .chain(folder.path().to_str()),
    )
    .run();
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.starts_with("error: ") && outcome.stderr.contains("no-such.wav"),
        "{outcome}"
    );
    assert!(!folder.path().join("picture.png").exists());
}

#[test]
fn doctor_says_where_the_models_are() {
    let cache = tempfile::tempdir().unwrap();
    let doctor = |json: &[&str]| {
        let arguments = ["doctor"].into_iter().chain(json.iter().copied());
        trifold(arguments).env("TRIFOLD_CACHE", cache.path())
    };
    let before = doctor(&[]).run();
    assert!(
        before.stdout.contains("5.6 MB, inside the program\n"),
        "{before}"
    );
    let used = trifold(["inspect", "demo:story"]).env("TRIFOLD_CACHE", cache.path());
    assert_eq!(used.run().code, Some(0));
    let after = doctor(&[]).run();
    assert!(
        after
            .stdout
            .contains("5.6 MB, inside the program, unpacked to the cache\n"),
        "{after}"
    );
    let models = doctor(&["--json"]).run().json()["demo_models"].take();
    assert_eq!(
        (&models[0]["place"], &models[1]["place"]),
        (&"inside".into(), &"inside".into())
    );
    let path = models[0]["path"].as_str().unwrap();
    assert!(fs_err::read(path).unwrap().starts_with(b"GGUF"));
    assert!(models[1]["path"].is_null() && models[0]["hint"].is_null());
}
