//! The program on other CPUs, which QEMU emulates. It has no AVX-512 to give, so newer ones than Haswell get the kernels
//! for AVX2.

mod support;

use support::{Answers, STORY, can_emulate, trifold};

const CPUS: [(&str, &str); 5] = [
    ("Nehalem", "x86-64-v2"),
    ("Haswell", "x86-64-v3"),
    ("Skylake-Server", "x86-64-v3"),
    ("Icelake-Server", "x86-64-v3"),
    ("max", "x86-64-v3"),
];

#[test]
fn every_cpu_gets_the_kernels_that_it_can_run() {
    if !can_emulate() {
        return;
    }
    for (cpu, level) in CPUS {
        let doctor = trifold(["doctor", "--json"]).on_cpu(cpu).run().json();
        let engines = doctor["engines"].as_array().unwrap();
        assert_eq!(engines.len(), 3, "{cpu}");
        for engine in engines {
            assert_eq!(engine["cpu_level"], level, "{cpu}: {engine}");
        }
    }
}

/// A test for each CPU: they take a minute or so, most of which is work of one core.
fn every_engine_gives_its_known_answer(cpu: &str) {
    if can_emulate() {
        let expected = Answers::given(|run| run);
        Answers::given(|run| run.on_cpu(cpu)).assert_like(&expected, cpu);
    }
}

#[test]
fn all_engines_on_nehalem() {
    every_engine_gives_its_known_answer("Nehalem");
}

#[test]
fn all_engines_on_haswell() {
    every_engine_gives_its_known_answer("Haswell");
}

#[test]
fn all_engines_on_skylake_server() {
    every_engine_gives_its_known_answer("Skylake-Server");
}

#[test]
fn all_engines_on_icelake_server() {
    every_engine_gives_its_known_answer("Icelake-Server");
}

#[test]
fn all_engines_on_the_best_that_there_is() {
    every_engine_gives_its_known_answer("max");
}

#[test]
fn a_level_above_the_cpu_and_a_cpu_below_all_levels_are_told() {
    if !can_emulate() {
        return;
    }
    let above = trifold(STORY)
        .env("TRIFOLD_CPU_LEVEL", "x86-64-v3")
        .on_cpu("Nehalem")
        .run();
    assert_eq!(above.code, Some(1), "{above}");
    let words = "TRIFOLD_CPU_LEVEL is x86-64-v3, but this CPU has no avx, avx2";
    assert!(above.stderr.contains(words), "{above}");
    // The first CPUs of x86-64: not even an illegal instruction on the way to the message.
    let old = trifold(STORY)
        .on_cpu("qemu64,-ssse3,-sse4.1,-sse4.2,-popcnt")
        .run();
    assert_eq!(old.code, Some(1), "{old}");
    assert!(
        old.stderr.contains("This CPU is too old for the engines"),
        "{old}"
    );
}
