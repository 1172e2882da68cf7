//! One program for every CPU: the kernels of each level, and what chooses between them.

use std::{path::Path, process::Command};

use serde_json::Value;

mod support;

use support::{Outcome, SAME_TO_THE_EYE, psnr, trifold};

const VARIABLE: &str = "TRIFOLD_CPU_LEVEL";

/// Token ids of a story that the demo model tells without any chance.
fn story(outcome: &Outcome) -> Vec<Value> {
    let tokens = outcome.json()["tokens"].take();
    let ids = tokens.as_array().unwrap().iter();
    ids.map(|token| token["id"].clone()).collect()
}

/// With this beginning no two tokens are nearly as likely as each other: there rounding would decide.
const STORY: [&str; 10] = [
    "generate",
    "Tell me a story about a little dog.",
    "--temperature",
    "0",
    "--max-tokens",
    "24",
    "--threads",
    "1",
    "--json",
    "--quiet",
];

/// The levels that this CPU can run, lowest first, the best one last.
fn levels() -> Vec<String> {
    let doctor = trifold(["doctor", "--json"]).run().json();
    let engine = &doctor["engines"][0];
    let inside: Vec<String> = serde_json::from_value(engine["cpu_levels"].clone()).unwrap();
    let best = engine["cpu_level"].as_str().unwrap();
    let place = inside.iter().position(|level| level == best).unwrap();
    inside[..=place].to_vec()
}

/// The best level of this CPU, found without any code of ours.
fn best_of_this_cpu() -> &'static str {
    macro_rules! has {
        ($($feature:tt)*) => { true $(&& std::is_x86_feature_detected!($feature))* };
    }
    let v3 = has!("avx" "avx2" "bmi1" "bmi2" "f16c" "fma" "lzcnt" "movbe");
    let v4 = has!("avx512f" "avx512bw" "avx512vl" "avx512dq" "avx512cd" "avx512vnni");
    match (v3, v4) {
        (true, true) => "x86-64-v4-vnni",
        (true, false) => "x86-64-v3",
        (false, _) => "x86-64-v2",
    }
}

#[test]
fn every_engine_uses_the_best_level_of_this_cpu() {
    let doctor = trifold(["doctor", "--json"]).run().json();
    let engines = doctor["engines"].as_array().unwrap();
    assert_eq!(engines.len(), 3);
    for engine in engines {
        assert_eq!(engine["cpu_level"], best_of_this_cpu(), "{engine}");
    }
}

#[test]
fn every_level_gives_the_same_answers() {
    let folder = tempfile::tempdir().unwrap();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../models/speech/samples/story-about-a-dog.wav");
    let draw = |level: &str| {
        let picture = folder.path().join(format!("{level}.png"));
        let place = picture.to_str().unwrap();
        let arguments = [
            "draw", "a house", "--seed", "5", "--steps", "4", "--quiet", "-o", place,
        ];
        let outcome = trifold(arguments).env(VARIABLE, level).run();
        assert_eq!(outcome.code, Some(0), "{outcome}");
        trifold_diffusion::read_png(&picture).unwrap().rgb8
    };
    let hear = |level: &str| {
        let sample = sample.to_str().unwrap();
        let arguments = ["transcribe", sample, "--quiet", "--json", "--threads", "1"];
        let outcome = trifold(arguments).env(VARIABLE, level).run();
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let mut transcript = outcome.json();
        (transcript["text"].take(), transcript["segments"].take())
    };
    let levels = levels();
    assert!(levels.contains(&"x86-64-v2".to_owned()), "{levels:?}");
    let best = levels.last().unwrap();
    let expected = story(&trifold(STORY).run());
    let ((heard, likely), drawn) = (hear(best), draw(best));
    assert!(heard.as_str().unwrap().contains("little dog"), "{heard}");
    for level in &levels {
        let answered = trifold(STORY).env(VARIABLE, level).run();
        assert_eq!(story(&answered), expected, "{level}");
        let (text, probabilities) = hear(level);
        assert_eq!(text, heard, "{level}");
        let picture = draw(level);
        let psnr = psnr(&picture, &drawn);
        assert!(
            psnr > SAME_TO_THE_EYE,
            "{level}: the picture differs by {psnr} dB"
        );
        // Vectors of another width add up in another order: the last digits tell which kernels ran.
        let same = level == best;
        assert_eq!(probabilities == likely, same, "{level}: {probabilities}");
        assert_eq!(picture == drawn, same, "{level}");
    }
}

#[test]
fn a_level_that_is_not_there_is_an_error() {
    let outcome = trifold(STORY).env(VARIABLE, "x86-64-v9").run();
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let levels = "x86-64-v2, x86-64-v3, x86-64-v4-vnni";
    let words =
        format!("Expected one of the CPU levels {levels} in TRIFOLD_CPU_LEVEL (found: x86-64-v9)");
    assert!(outcome.stderr.contains(&words), "{outcome}");
    assert!(
        outcome.stderr.contains("hint: Without TRIFOLD_CPU_LEVEL"),
        "{outcome}"
    );
}

/// Emulated CPUs. This one has no AVX-512 to give, so newer ones than Haswell get the kernels for AVX2.
#[test]
fn every_cpu_gets_the_kernels_that_it_can_run() {
    if Command::new(EMULATOR).arg("--version").output().is_err() {
        // Not on every machine; the other tests run the same kernels by name.
        support::note("left out: no qemu-x86_64 (Debian and Ubuntu have it in qemu-user)");
        return;
    }
    for (cpu, level) in [
        ("Nehalem", "x86-64-v2"),
        ("Haswell", "x86-64-v3"),
        ("Skylake-Server", "x86-64-v3"),
        ("Icelake-Server", "x86-64-v3"),
        ("max", "x86-64-v3"),
    ] {
        let doctor = emulated(cpu, &["doctor", "--json"], "").json();
        for engine in doctor["engines"].as_array().unwrap() {
            assert_eq!(engine["cpu_level"], level, "{cpu}: {engine}");
        }
    }
    let expected = story(&trifold(STORY).run());
    for cpu in ["Nehalem", "Haswell"] {
        assert_eq!(story(&emulated(cpu, &STORY, "")), expected, "{cpu}");
    }

    let above = emulated("Nehalem", &STORY, "x86-64-v3");
    assert_eq!(above.code, Some(1), "{above}");
    let words = "TRIFOLD_CPU_LEVEL is x86-64-v3, but this CPU has no avx, avx2";
    assert!(above.stderr.contains(words), "{above}");
    // The first CPUs of x86-64: not even an illegal instruction on the way to the message.
    let old = emulated("qemu64,-ssse3,-sse4.1,-sse4.2,-popcnt", &STORY, "");
    assert_eq!(old.code, Some(1), "{old}");
    assert!(
        old.stderr.contains("This CPU is too old for the engines"),
        "{old}"
    );
}

const EMULATOR: &str = "qemu-x86_64";

/// A run of the program on another CPU.
fn emulated(cpu: &str, arguments: &[&str], level: &str) -> Outcome {
    trifold(arguments)
        .env(VARIABLE, level)
        .on(EMULATOR, &["-cpu", cpu])
        .run()
}
