//! One program for every CPU: the kernels of each level, and what chooses between them.

mod support;

use support::{Answers, STORY, trifold};

const VARIABLE: &str = "TRIFOLD_CPU_LEVEL";

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
    let answers = |level: &str| Answers::given(|run| run.env(VARIABLE, level));
    let levels = levels();
    assert!(levels.contains(&"x86-64-v2".to_owned()), "{levels:?}");
    let expected = Answers::given(|run| run);
    for level in &levels {
        let given = answers(level);
        given.assert_like(&expected, level);
        // Vectors of another width add up in another order: the last digits tell which kernels ran.
        let same = level == levels.last().unwrap();
        let segments = &given.segments;
        assert_eq!(*segments == expected.segments, same, "{level}: {segments}");
        assert_eq!(given.picture == expected.picture, same, "{level}");
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
