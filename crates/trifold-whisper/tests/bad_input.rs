//! Samples and options that cannot be transcribed.

mod common;

use std::time::Duration;

use common::{model, options, sample};
use proptest::prelude::*;
use trifold_whisper::{Decoding, Options, WhisperError, audio};

#[test]
fn no_samples() {
    let error = error_of(&[], &options());
    assert!(matches!(error, WhisperError::NoSamples));
    assert_eq!(error.to_string(), "Expected audio samples (found: none)");
    let error = model()
        .transcriber()
        .unwrap()
        .detect_language(&[], None)
        .unwrap_err();
    assert!(matches!(error, WhisperError::NoSamples));
}

#[test]
fn samples_that_are_no_numbers() {
    let error = error_of(&vec![f32::NAN; 160_000], &options());
    assert_eq!(
        error.to_string(),
        "Expected samples between -1 and 1 (found: NaN at index 0, 00:00:00.000)"
    );
    assert!(error.hint().unwrap().contains("no numbers"));

    let mut samples = vec![0.1; 160_000];
    samples[40_000] = f32::NEG_INFINITY;
    samples[50_000] = f32::NAN;
    let error = error_of(&samples, &options());
    assert_eq!(
        error.to_string(),
        "Expected samples between -1 and 1 (found: -inf at index 40000, 00:00:02.500)"
    );
    let error = model()
        .transcriber()
        .unwrap()
        .detect_language(&samples, None)
        .unwrap_err();
    assert!(matches!(error, WhisperError::Sample { index: 40_000, .. }));
}

#[test]
fn samples_that_were_not_scaled() {
    let samples = audio::load(sample("kitchen-light.wav")).unwrap();
    let raw: Vec<f32> = samples.iter().map(|sample| sample * 32768.0).collect();
    let error = error_of(&raw, &options());
    assert!(matches!(error, WhisperError::Sample { .. }));
    assert!(
        error.hint().unwrap().contains("divided by 32768"),
        "{error}"
    );

    // Clipping is no mistake in scaling.
    let loud: Vec<f32> = samples.iter().map(|sample| sample * 3.0).collect();
    assert!(loud.iter().any(|sample| *sample > 1.2));
    let transcript = model()
        .transcriber()
        .unwrap()
        .transcribe(&loud, &options())
        .unwrap();
    assert_eq!(transcript.text, common::KITCHEN_LIGHT);
}

#[test]
fn the_shortest_audio() {
    let mut transcriber = model().transcriber().unwrap();
    for count in [1, 2, 199, 200, 201, 400, 1599, 1600, 15_999] {
        let transcript = transcriber
            .transcribe(&vec![0.01; count], &options())
            .unwrap();
        assert_eq!(transcript.duration, audio::duration(count));
        for segment in transcript.segments {
            assert!(
                segment.end <= transcript.duration,
                "{segment:?} of {count} samples"
            );
        }
    }
    assert_eq!(
        transcriber.detect_language(&[0.01], None).unwrap().len(),
        99
    );
}

#[test]
fn silence_has_no_text() {
    let mut transcriber = model().transcriber().unwrap();
    for seconds in [1, 5, 40] {
        let transcript = transcriber
            .transcribe(&vec![0.0; seconds * 16_000], &options())
            .unwrap();
        assert_eq!(transcript.text, "");
        assert_eq!(transcript.to_text(), "");
    }
}

#[test]
fn decoding_options_outside_their_range() {
    let temperature = |value| move |options: &mut Options| options.temperature = value;
    for (value, shown) in [
        (-0.1, "-0.1"),
        (1.5, "1.5"),
        (0.001, "0.001"),
        (f32::NAN, "NaN"),
    ] {
        refuse(
            temperature(value),
            &format!("temperature: {shown} (expected 0, or 0.01 to 1)"),
        );
    }
    let step = |value| move |options: &mut Options| options.temperature_step = value;
    for (value, shown) in [(1e-4, "0.0001"), (f32::INFINITY, "inf"), (-1.0, "-1")] {
        refuse(
            step(value),
            &format!("temperature_step: {shown} (expected 0, or 0.05 to 1)"),
        );
    }
    refuse(
        |o| o.entropy_threshold = -1.0,
        "entropy_threshold: -1 (expected 0 to 10)",
    );
    refuse(
        |o| o.logprob_threshold = 0.5,
        "logprob_threshold: 0.5 (expected -100 to 0)",
    );
    refuse(
        |o| o.no_speech_threshold = 2.0,
        "no_speech_threshold: 2 (expected 0 to 1)",
    );
    let greedy = |best_of| move |o: &mut Options| o.decoding = Decoding::Greedy { best_of };
    refuse(greedy(0), "decoding.best_of: 0 (expected 1 to 8)");
    refuse(greedy(9), "decoding.best_of: 9 (expected 1 to 8)");
    let beam = |size, best_of| move |o: &mut Options| o.decoding = Decoding::Beam { size, best_of };
    refuse(beam(9, 1), "decoding.size: 9 (expected 1 to 8)");
    refuse(beam(0, 1), "decoding.size: 0 (expected 1 to 8)");
    refuse(beam(8, 9), "decoding.best_of: 9 (expected 1 to 8)");
    refuse(|o| o.threads = Some(0), "threads: 0 (expected 1 to 512)");
    refuse(
        |o| o.threads = Some(100_000),
        "threads: 100000 (expected 1 to 512)",
    );
}

#[test]
fn parts_and_prompts_outside_their_range() {
    const LENGTH: &str = "expected less than the audio's length of 10s";
    refuse(
        |o| o.max_segment_chars = Some(0),
        "max_segment_chars: 0 (expected at least 1)",
    );
    refuse(
        |o| (o.max_segment_chars, o.single_segment) = (Some(9), true),
        "single_segment: true (expected false with max_segment_chars)",
    );
    refuse(
        |o| o.offset = Duration::from_secs(10),
        &format!("offset: 10s ({LENGTH})"),
    );
    refuse(
        |o| o.offset = Duration::MAX,
        &format!("offset: 18446744073709551615.999999999s ({LENGTH})"),
    );
    refuse(
        |o| o.duration = Some(Duration::ZERO),
        "duration: 0ns (expected more than 0)",
    );
    let prompt = |text: String| move |o: &mut Options| o.initial_prompt = Some(text);
    refuse(
        prompt("a\0b".into()),
        "initial_prompt: \"a\\0b\" (expected a text without NUL)",
    );
    refuse(
        prompt("x".repeat(10_000_000)),
        "initial_prompt: 10000000 bytes (expected at most 2048 bytes)",
    );
    refuse(
        prompt("1 ".repeat(400)),
        "initial_prompt: 401 tokens (expected at most 223 tokens)",
    );
}

/// Ten seconds of silence and one option changed: the error says all of this.
fn refuse(change: impl FnOnce(&mut Options), message: &str) {
    let mut options = options();
    change(&mut options);
    let error = error_of(&vec![0.0; 160_000], &options);
    assert!(matches!(error, WhisperError::Option { .. }), "{error}");
    assert_eq!(error.to_string(), format!("Invalid option {message}"));
    assert!(error.hint().is_some());
}

#[test]
fn prompts_that_are_hard_on_the_tokenizer() {
    // On as little stack as a thread of Rust has; the engine's regular expressions recurse.
    let results = std::thread::spawn(|| {
        let samples = audio::load(sample("kitchen-light.wav")).unwrap();
        let mut transcriber = model().transcriber().unwrap();
        [
            "a".repeat(2048),
            " ".repeat(2048),
            "!".repeat(2048),
            "7".repeat(2048),
            "é".repeat(1024),
            "\u{1F600}".repeat(512),
            "\n\t\u{7f}\u{1}".repeat(400),
        ]
        .map(|prompt| {
            let options = Options {
                initial_prompt: Some(prompt),
                ..options()
            };
            transcriber
                .transcribe(&samples, &options)
                .map(|transcript| transcript.segments.len())
        })
    })
    .join()
    .unwrap();
    for result in results {
        // Either it fits or it is said that it does not.
        assert!(
            matches!(&result, Ok(_) | Err(WhisperError::Option { .. })),
            "{result:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_sound_gives_a_sound_transcript(
        samples in prop::collection::vec(-8.0_f32..8.0, 1..40_000),
        max_chars in prop::option::of(1_usize..20),
    ) {
        let options = Options { max_segment_chars: max_chars, word_timestamps: true, ..options() };
        let transcript = model().transcriber().unwrap().transcribe(&samples, &options).unwrap();
        let mut now = Duration::ZERO;
        for segment in &transcript.segments {
            prop_assert!(now <= segment.start && segment.start <= segment.end);
            prop_assert!(segment.end <= transcript.duration);
            prop_assert!((0.0..=1.0).contains(&segment.no_speech_probability));
            now = segment.end;
        }
    }
}

fn error_of(samples: &[f32], options: &Options) -> WhisperError {
    model()
        .transcriber()
        .unwrap()
        .transcribe(samples, options)
        .unwrap_err()
}
