//! Pictures, and what cannot be drawn.

use fs_err as fs;

use crate::{ROUGH, draw, files, folder, refused, support::snapshot};

#[test]
fn pictures_are_the_same_for_the_same_seed() {
    let here = folder();
    snapshot!(draw(["a red circle on a blue background", "--seed", "7", "-o", "circle.png"]).folder(&here), @r"
    exit code: 0
    ----- stdout -----
    circle.png
    ----- stderr -----
    128x128, seed 7, 12 steps of [TIME], [TIME] in all
    ");
    let circle = trifold_diffusion::read_png(here.path().join("circle.png")).unwrap();
    assert_eq!((circle.width, circle.height), (128, 128));
    let middle = &circle.rgb8[(64 * 128 + 64) * 3..][..3];
    assert!(
        middle[0] > 150 && middle[1] < 100 && middle[2] < 100,
        "{middle:?}"
    );
    let corner = &circle.rgb8[..3];
    assert!(corner[2] > 120 && corner[0] < 110, "{corner:?}");
    let parameters = circle.parameters.clone().unwrap();
    assert_eq!(parameters.prompt, "a red circle on a blue background");
    assert_eq!(parameters.seed(), Some(7));
    assert_eq!(parameters.get("Steps"), Some("12"));

    // From standard input, and told as JSON; a picture with that name gives way to the new one.
    fs::write(here.path().join("again.png"), "something else").unwrap();
    let report = draw(["-", "--seed", "7", "--output", "again.png", "--json"])
        .stdin("a red circle on a blue background\n")
        .folder(&here)
        .run()
        .json();
    assert_eq!(report["model"], "demo:picture");
    assert_eq!(report["pictures"][0]["file"], "again.png");
    assert_eq!(report["pictures"][0]["seed"], 7);
    assert_eq!(report["pictures"][0]["parameters"]["Sampler"], "lcm");
    assert!(report["timings"]["step"].as_f64().unwrap() > 0.0);
    assert_eq!(
        trifold_diffusion::read_png(here.path().join("again.png")).unwrap(),
        circle
    );
}

#[test]
fn names_of_pictures() {
    let here = folder();
    let batch = [
        "a tree",
        "--seed",
        "4",
        "--batch",
        "2",
        "-o",
        "trees.png",
        "-q",
    ]
    .into_iter()
    .chain(ROUGH);
    let outcome = draw(batch).folder(&here).run();
    assert_eq!(
        (outcome.code, &*outcome.stdout, &*outcome.stderr),
        (Some(0), "trees-1.png\ntrees-2.png\n", "")
    );
    // Never over a picture that nobody named.
    for expected in ["trifold-5.png\n", "trifold-5-2.png\n"] {
        let outcome = draw(["a tree", "--seed", "5"].into_iter().chain(ROUGH))
            .folder(&here)
            .run();
        assert_eq!(
            (outcome.code, &*outcome.stdout),
            (Some(0), expected),
            "{outcome}"
        );
    }
    assert_eq!(
        files(&here),
        [
            "trees-1.png",
            "trees-2.png",
            "trifold-5-2.png",
            "trifold-5.png"
        ]
    );
    // The second of a batch has the next seed, and is what that seed gives alone.
    let read = |name| trifold_diffusion::read_png(here.path().join(name)).unwrap();
    assert_eq!(read("trees-2.png").rgb8, read("trifold-5.png").rgb8);
    assert_ne!(read("trees-1.png").rgb8, read("trifold-5.png").rgb8);

    let init = [
        "the same",
        "--init",
        "trees-1.png",
        "--strength",
        "0.5",
        "-o",
        "new.png",
    ]
    .into_iter()
    .chain(ROUGH);
    let outcome = draw(init).folder(&here).run();
    assert_eq!(
        (outcome.code, &*outcome.stdout),
        (Some(0), "new.png\n"),
        "{outcome}"
    );
    assert_eq!(
        read("new.png")
            .parameters
            .unwrap()
            .get("Denoising strength"),
        Some("0.5")
    );
}

#[test]
fn options_of_draw_that_cannot_be() {
    let here = folder();
    for (options, expected) in [
        (
            &["--width", "0"][..],
            "Invalid value of --width: 0 (expected 64 to 8192)",
        ),
        (
            &["--height", "100000"],
            "Invalid value of --height: 100000 (expected 64 to 8192)",
        ),
        (
            &["--width", "100"],
            "Invalid value of --width: 100 (expected a multiple of 8 for this model)",
        ),
        (
            &["--steps", "0"],
            "Invalid value of --steps: 0 (expected 1 to 1000)",
        ),
        (
            &["--seed", "-1"],
            "Invalid value of --seed: -1 (expected random, or 0 to 9223372036854775807)",
        ),
        (
            &["--batch", "0"],
            "Invalid value of --batch: 0 (expected 1 to 64)",
        ),
        (
            &["--guidance", "NaN"],
            "Invalid value of --guidance: NaN (expected 0 to 100)",
        ),
        (
            &["--clip-skip", "99"],
            "Invalid value of --clip-skip: 99 (expected 1 to 11)",
        ),
        (
            &["--scheduler", "ays"],
            "Invalid value of --scheduler: ays (expected another for this model",
        ),
        (&["--init", "nothing.png"], "No picture at: nothing.png"),
        (&["--vae", "nothing.gguf"], "No model file at: nothing.gguf"),
        (&["--model", "demo:speech"], "Expected a picture model"),
        (
            &["--output", "circle.jpg"],
            "Expected the name of a PNG file (found: circle.jpg)",
        ),
        (
            &["--output", "-"],
            "Expected the name of a PNG file (found: -)",
        ),
        (
            &["--output", "no/such/circle.png"],
            "Could not write to the folder: no/such\n  Caused by: No such file",
        ),
        (
            &["--output", "."],
            "Could not write: .\n  Caused by: is a directory",
        ),
    ] {
        refused(
            &draw(["a circle"].into_iter().chain(options.iter().copied()))
                .folder(&here)
                .run(),
            expected,
        );
    }
    for (model, hint) in [
        ("demo:story", "use `trifold generate` or `trifold chat`."),
        ("demo:speech", "use `trifold transcribe`."),
    ] {
        let outcome = draw(["a circle", "--model", model]).folder(&here).run();
        assert!(outcome.stderr.contains(hint), "{outcome}");
    }
    snapshot!(draw(["a circle", "--width", "0"]).folder(&here), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Invalid value of --width: 0 (expected 64 to 8192)

    hint: Give a value in the range named above.
    ");
    let outcome = draw(["a circle", "--sampler", "eulr"]).folder(&here).run();
    assert_eq!(outcome.code, Some(2));
    for expected in [
        "invalid value 'eulr' for '--sampler <NAME>'",
        "euler_a, heun,",
        "lcm",
        "a similar value",
    ] {
        assert!(
            outcome.stderr.contains(expected),
            "No {expected:?} in: {outcome}"
        );
    }
    assert_eq!(files(&here), [""; 0]);
}

#[test]
fn prompts_that_cannot_be() {
    snapshot!(draw([""]), @r#"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected a prompt (found: an empty text)

    hint: Say what to draw: trifold draw "a red circle"
    "#);
    snapshot!(draw(["-"]).stdin(b"a \xff circle"), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected UTF-8 text from: standard input (found: 0xff at byte 2)

    hint: Convert it first, for example with `iconv -f latin1 -t utf-8`.
    ");
    refused(
        &draw(["-"]).stdin("a b ".repeat(2_500_000)).run(),
        "prompt: 10000000 bytes (expected at most 4096 bytes)",
    );
    refused(
        &draw(["a", "--negative", &"b".repeat(5000)]).run(),
        "--negative: 5000 bytes (expected at most",
    );
}
