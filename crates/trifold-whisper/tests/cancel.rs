//! Cancelled in the middle of the engine's work: the call ends there, and the transcriber is as new.

mod common;

use std::time::Duration;

use common::{model, options, sample};
use trifold_whisper::{
    CancelToken, Hooks, Language, Options, SpokenLanguage, Transcriber, WhisperError, audio,
};

fn fresh() -> Transcriber {
    model().transcriber().unwrap()
}

/// Cancels after a while, while `call` runs.
fn cancelled_after<R>(delay: Duration, call: impl FnOnce(&CancelToken) -> R) -> R {
    let cancel = CancelToken::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(delay);
            cancel.cancel();
        });
        call(&cancel)
    })
}

#[test]
fn a_spectrogram_is_not_finished() {
    let samples = audio::load(sample("two-sentences.wav")).unwrap();
    // It takes seconds to make one of half an hour.
    let long: Vec<f32> = samples
        .iter()
        .copied()
        .cycle()
        .take(1800 * 16_000)
        .collect();
    let mut transcriber = fresh();
    for threads in [1, 2] {
        let options = Options {
            threads: Some(threads),
            ..options()
        };
        let mut heard = Vec::new();
        let error = cancelled_after(Duration::from_millis(50), |cancel| {
            let mut hooks = Hooks::new()
                .on_progress(|percent| heard.push(percent))
                .cancelled_by(cancel);
            transcriber
                .transcribe_with(&long, &options, &mut hooks)
                .unwrap_err()
        });
        assert!(matches!(error, WhisperError::Cancelled), "{error}");
        // The engine says 0 % when it has a spectrogram.
        assert_eq!(heard, [0_u8; 0]);
    }
    assert_eq!(
        transcriber
            .transcribe(&samples, &options())
            .unwrap()
            .segments,
        fresh().transcribe(&samples, &options()).unwrap().segments
    );
}

#[test]
fn at_whatever_moment_it_is_cancelled_the_next_call_is_as_the_first() {
    let samples = audio::load(sample("two-sentences.wav")).unwrap();
    let options = Options {
        language: Language::Detect,
        threads: Some(2),
        ..options()
    };
    let expected = fresh().transcribe(&samples, &options).unwrap();
    let mut transcriber = fresh();
    let mut cancelled = 0;
    for delay in (0..200).step_by(20).map(Duration::from_millis) {
        let result = cancelled_after(delay, |cancel| {
            let mut hooks = Hooks::new().cancelled_by(cancel);
            transcriber.transcribe_with(&samples, &options, &mut hooks)
        });
        match result {
            Ok(transcript) => assert_eq!(transcript.segments, expected.segments),
            Err(WhisperError::Cancelled) => {
                cancelled += 1;
                let transcript = transcriber.transcribe(&samples, &options).unwrap();
                assert_eq!(transcript.segments, expected.segments, "after {delay:?}");
                assert_eq!(transcript.language, expected.language, "after {delay:?}");
            }
            Err(error) => panic!("{error}"),
        }
    }
    // The first is cancelled before the engine has done anything.
    assert!(cancelled > 0);
}

#[test]
fn detecting_the_language_is_cancelled() {
    let samples = audio::load(sample("two-sentences.wav")).unwrap();
    let expected = fresh().detect_language(&samples, Some(1)).unwrap();
    let mut transcriber = fresh();
    let mut detect = |delay| {
        cancelled_after(delay, |cancel| {
            if delay.is_zero() {
                cancel.cancel();
            }
            let hooks = Hooks::new().cancelled_by(cancel);
            transcriber.detect_language_with(&samples, Some(1), &hooks)
        })
    };
    let is_cancelled = |result: &Result<Vec<SpokenLanguage>, WhisperError>| {
        matches!(result, Err(WhisperError::Cancelled))
    };
    assert!(is_cancelled(&detect(Duration::ZERO)));
    for delay in [10, 30, 60, 100] {
        let result = detect(Duration::from_millis(delay));
        assert!(is_cancelled(&result) || result.unwrap() == expected);
    }
    assert_eq!(
        transcriber.detect_language(&samples, Some(1)).unwrap(),
        expected
    );
}
