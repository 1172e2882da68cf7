//! Transcribing with the demo model.

mod common;

use std::time::Duration;

use common::{assert_close, assert_matches, model, options, sample, truth};
use trifold_whisper::{
    CancelToken, Decoding, Hooks, Language, Model, Options, Segment, Transcript, WhisperError,
    audio,
};

#[test]
fn every_sample_is_transcribed_word_for_word_and_in_time() {
    let mut transcriber = model().transcriber().unwrap();
    for (name, expected) in truth() {
        let transcript = transcriber
            .transcribe_file(sample(&name), &options())
            .unwrap();
        assert_matches(&transcript, &expected, &name);
        assert_eq!(transcript.language.code, "en");
        assert_eq!(transcript.language.probability, None, "it was given");
        let length = audio::duration(audio::load(sample(&name)).unwrap().len());
        assert_eq!(transcript.duration, length);
    }
}

#[test]
fn a_language_is_detected() {
    let mut transcriber = model().transcriber().unwrap();
    let path = sample("draw-a-house.wav");
    let options = Options {
        language: Language::Detect,
        ..options()
    };
    let transcript = transcriber.transcribe_file(&path, &options).unwrap();
    assert_eq!(transcript.language.code, "en");
    // All of its training was English.
    assert!(transcript.language.probability.unwrap() > 0.99);
    assert!(transcript.timings.detection.is_some());
    assert_eq!(transcript.text, "Draw a red house on a blue background.");

    let samples = audio::load(&path).unwrap();
    let guesses = transcriber.detect_language(&samples, Some(1)).unwrap();
    assert_eq!(guesses.len(), 99, "as many as the model has tokens for");
    assert!(
        guesses.is_sorted_by_key(|guess| std::cmp::Reverse(guess.probability.map(f32::to_bits)))
    );
    let sum: f32 = guesses.iter().filter_map(|guess| guess.probability).sum();
    assert!((sum - 1.0).abs() < 1e-3, "{sum}");
}

#[test]
fn languages_have_codes_and_names_in_any_case() {
    let mut transcriber = model().transcriber().unwrap();
    let samples = audio::load(sample("kitchen-light.wav")).unwrap();
    for name in ["en", "English", "EN"] {
        let options = Options {
            language: Language::from(name),
            ..options()
        };
        assert_eq!(
            transcriber
                .transcribe(&samples, &options)
                .unwrap()
                .language
                .code,
            "en"
        );
    }
    for name in ["klingon", "", "e", "yue"] {
        // The engine knows Cantonese, but this model has no token for it.
        let options = Options {
            language: Language::Given(name.into()),
            ..options()
        };
        let error = transcriber.transcribe(&samples, &options).unwrap_err();
        assert!(
            error.to_string().starts_with(&format!(
                "Invalid option language: {name} (expected one of en, zh,"
            )),
            "{error}"
        );
    }
}

#[test]
fn decoding_options_find_the_same_words() {
    let mut transcriber = model().transcriber().unwrap();
    let expected = &truth()["time-in-london.wav"];
    let base = options();
    for options in [
        Options {
            decoding: Decoding::Beam {
                size: 5,
                best_of: 5,
            },
            ..base.clone()
        },
        Options {
            decoding: Decoding::Greedy { best_of: 1 },
            temperature_step: 0.0,
            ..base.clone()
        },
        Options {
            initial_prompt: Some("Turn on the light.".into()),
            ..base.clone()
        },
        Options {
            suppress_non_speech: true,
            suppress_blank: false,
            ..base.clone()
        },
        Options {
            translate: true,
            ..base.clone()
        },
        Options {
            threads: Some(2),
            ..base.clone()
        },
        Options {
            threads: None,
            ..base.clone()
        },
    ] {
        let transcript = transcriber
            .transcribe_file(sample("time-in-london.wav"), &options)
            .unwrap();
        assert_matches(&transcript, expected, &format!("{options:?}"));
    }
}

#[test]
fn sampling_with_several_decoders_keeps_times() {
    // Decoders run at once on threads of the engine here.
    let options = Options {
        temperature: 0.1,
        decoding: Decoding::Greedy { best_of: 4 },
        threads: Some(2),
        ..options()
    };
    let name = "two-sentences.wav";
    let transcript = model()
        .transcriber()
        .unwrap()
        .transcribe_file(sample(name), &options)
        .unwrap();
    assert_matches(&transcript, &truth()[name], name);
}

#[test]
fn a_single_segment_has_all_of_the_text() {
    let options = Options {
        single_segment: true,
        ..options()
    };
    let name = "two-sentences.wav";
    let transcript = model()
        .transcriber()
        .unwrap()
        .transcribe_file(sample(name), &options)
        .unwrap();
    assert_eq!(transcript.segments.len(), 1);
    assert_eq!(transcript.text, truth()[name].text);
    assert_eq!(transcript.segments[0].text, transcript.text);
}

#[test]
fn words_have_times_in_order_within_their_segment() {
    let options = Options {
        word_timestamps: true,
        ..options()
    };
    let mut transcriber = model().transcriber().unwrap();
    for (name, expected) in truth() {
        let transcript = transcriber
            .transcribe_file(sample(&name), &options)
            .unwrap();
        assert_matches(&transcript, &expected, &name);
        for segment in &transcript.segments {
            let words: Vec<&str> = segment
                .words
                .iter()
                .map(|word| word.text.as_str())
                .collect();
            assert_eq!(words.join(" "), segment.text, "{name}");
            let mut now = segment.start;
            for word in &segment.words {
                assert!(
                    now <= word.start && word.start < word.end,
                    "{name}: {word:?}"
                );
                assert!(
                    word.probability > 0.5 && word.probability <= 1.0,
                    "{name}: {word:?}"
                );
                now = word.end;
            }
            assert!(now <= segment.end);
            assert_close(segment.words[0].start, segment.start.as_secs_f64(), &name);
            assert_close(
                segment.words.last().unwrap().end,
                segment.end.as_secs_f64(),
                &name,
            );
        }
    }
}

#[test]
fn tokens_spell_the_text() {
    let transcript = transcript_of("draw-a-house.wav", &options());
    assert!(
        transcript.segments[0].words.is_empty(),
        "they were not asked for"
    );
    let tokens = &transcript.segments[0].tokens;
    let spelled: String = tokens.iter().map(|token| token.text.as_str()).collect();
    assert_eq!(spelled.trim(), transcript.text);
    assert!(
        tokens
            .iter()
            .all(|token| (0.0..=1.0).contains(&token.probability))
    );
}

#[test]
fn long_segments_are_split_between_words() {
    let options = Options {
        max_segment_chars: Some(12),
        ..options()
    };
    let transcript = transcript_of("two-sentences.wav", &options);
    assert_eq!(transcript.text, truth()["two-sentences.wav"].text);
    let texts: Vec<&str> = transcript
        .segments
        .iter()
        .map(|segment| segment.text.as_str())
        .collect();
    assert_eq!(
        texts,
        [
            "Tell me a",
            "story about",
            "a hungry",
            "duck.",
            "Play the",
            "next song,",
            "please."
        ]
    );
    let mut now = Duration::ZERO;
    for segment in &transcript.segments {
        assert!(
            now <= segment.start && segment.start < segment.end,
            "{segment:?}"
        );
        assert!(!segment.tokens.is_empty() && segment.words.is_empty());
        now = segment.end;
    }
    // A word longer than that stays whole.
    let options = Options {
        max_segment_chars: Some(1),
        ..options
    };
    let words = transcript_of("kitchen-light.wav", &options).segments;
    assert_eq!(words.len(), 5);
    assert_eq!(words[3].text, "kitchen");
}

#[test]
fn a_part_keeps_the_times_of_the_whole() {
    let expected = &truth()["two-sentences.wav"].segments;
    let second = Options {
        offset: Duration::from_millis(2200),
        ..options()
    };
    let transcript = transcript_of("two-sentences.wav", &second);
    assert_eq!(transcript.text, expected[1].text);
    assert_close(
        transcript.segments[0].start,
        expected[1].start,
        "the second",
    );
    assert_close(transcript.segments[0].end, expected[1].end, "the second");

    let first = Options {
        duration: Some(Duration::from_millis(2200)),
        ..options()
    };
    let transcript = transcript_of("two-sentences.wav", &first);
    assert_eq!(transcript.text, expected[0].text);
    assert_close(transcript.segments[0].end, expected[0].end, "the first");

    let longer = Options {
        duration: Some(Duration::from_secs(9999)),
        ..options()
    };
    assert_eq!(
        transcript_of("two-sentences.wav", &longer).segments.len(),
        2
    );
}

#[test]
fn windows_follow_each_other() {
    // 70 s: the sentences of a sample, again and again.
    let samples = audio::load(sample("two-sentences.wav")).unwrap();
    let long: Vec<f32> = samples.iter().copied().cycle().take(70 * 16_000).collect();
    let mut percents = Vec::new();
    let mut seen = Vec::new();
    let mut hooks = Hooks::new()
        .on_progress(|percent| percents.push(percent))
        .on_segment(|segment: &Segment| seen.push(segment.clone()));
    let mut transcriber = model().transcriber().unwrap();
    let options = Options {
        word_timestamps: true,
        ..options()
    };
    let transcript = transcriber
        .transcribe_with(&long, &options, &mut hooks)
        .unwrap();
    drop(hooks);
    assert_eq!(seen, transcript.segments, "the hook saw all of them");
    assert!(percents.is_sorted_by(|a, b| a < b), "{percents:?}");
    assert_eq!((percents[0], percents.last()), (0, Some(&100)));
    assert!(percents.len() >= 4, "{percents:?}");
    assert!(transcript.segments.len() > 20, "{}", transcript.to_text());
    let mut now = Duration::ZERO;
    for segment in &transcript.segments {
        assert!(
            now <= segment.start && segment.start <= segment.end,
            "{segment:?} after {now:?}"
        );
        now = segment.end;
    }
    assert!(now <= transcript.duration && now > Duration::from_secs(60));
}

#[test]
fn cancelling_ends_the_call_and_not_the_transcriber() {
    let samples = audio::load(sample("two-sentences.wav")).unwrap();
    let long: Vec<f32> = samples.iter().copied().cycle().take(120 * 16_000).collect();
    let mut transcriber = model().transcriber().unwrap();

    // Before it begins, with and without a language to detect.
    let cancel = CancelToken::new();
    cancel.cancel();
    for language in [Language::Detect, Language::from("en")] {
        let options = Options {
            language,
            ..options()
        };
        let mut hooks = Hooks::new().cancelled_by(&cancel);
        let error = transcriber
            .transcribe_with(&long, &options, &mut hooks)
            .unwrap_err();
        assert!(matches!(error, WhisperError::Cancelled), "{error}");
        let path = sample("kitchen-light.wav");
        let error = transcriber
            .transcribe_file_with(path, &options, &mut hooks)
            .unwrap_err();
        assert!(matches!(error, WhisperError::Cancelled), "{error}");
    }

    // In the middle, from another thread.
    let cancel = CancelToken::new();
    let (found, first) = std::sync::mpsc::channel();
    let elsewhere = cancel.clone();
    let other = std::thread::spawn(move || {
        first.recv().unwrap();
        elsewhere.cancel();
    });
    let mut count = 0;
    let mut hooks = Hooks::new().cancelled_by(&cancel).on_segment(|_| {
        count += 1;
        found.send(()).ok();
    });
    let error = transcriber
        .transcribe_with(&long, &options(), &mut hooks)
        .unwrap_err();
    drop(hooks);
    other.join().unwrap();
    assert!(matches!(error, WhisperError::Cancelled), "{error}");
    assert_eq!(error.to_string(), "The call was cancelled");
    assert!(
        (1..100).contains(&count),
        "{count} segments of more than 100"
    );

    assert_eq!(
        transcriber
            .transcribe(&samples, &options())
            .unwrap()
            .segments
            .len(),
        2
    );
}

#[test]
fn loading_is_watched_and_cancelled() {
    let mut heard = Vec::new();
    let mut hooks = Hooks::new().on_progress(|percent| heard.push(percent));
    let loaded = Model::load_with(common::model_path(), &mut hooks).unwrap();
    drop(hooks);
    assert_eq!(loaded.info().file_bytes, model().info().file_bytes);
    assert!(
        heard.len() > 10 && heard.is_sorted_by(|a, b| a < b),
        "{heard:?}"
    );
    assert_eq!((heard[0], heard.last()), (0, Some(&100)));

    let cancel = CancelToken::new();
    let mut last = 0;
    let mut hooks = Hooks::new().cancelled_by(&cancel).on_progress(|percent| {
        last = percent;
        if percent >= 20 {
            cancel.cancel();
        }
    });
    let error = Model::load_with(common::model_path(), &mut hooks).unwrap_err();
    drop(hooks);
    assert!(matches!(error, WhisperError::Cancelled), "{error}");
    assert!((20..100).contains(&last), "{last} %");

    let hooks = Hooks::new().cancelled_by(&cancel);
    let error = audio::load_with(sample("kitchen-light.wav"), &hooks).unwrap_err();
    assert!(matches!(error, WhisperError::Cancelled), "{error}");
}

#[test]
fn a_panic_in_a_hook_goes_on_from_the_call() {
    let samples = audio::load(sample("kitchen-light.wav")).unwrap();
    let mut transcriber = model().transcriber().unwrap();
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut hooks = Hooks::new().on_segment(|_| std::panic::panic_any(17_u8));
        transcriber.transcribe_with(&samples, &options(), &mut hooks)
    }))
    .unwrap_err();
    assert_eq!(payload.downcast_ref::<u8>(), Some(&17));
    assert_eq!(
        transcriber.transcribe(&samples, &options()).unwrap().text,
        common::KITCHEN_LIGHT
    );
}

#[test]
fn models_and_transcribers_work_at_once_on_threads() {
    let alone: Vec<Vec<Segment>> = truth()
        .keys()
        .map(|name| transcript_of(name, &options()).segments)
        .collect();
    let second = Model::load(common::model_path()).unwrap();
    std::thread::scope(|scope| {
        // Two transcribers of one model, and one of another, all at once.
        let models = [model(), model(), &second];
        let workers = models.map(|model| {
            scope.spawn(|| {
                let mut transcriber = model.transcriber().unwrap();
                let transcribe = |name| {
                    transcriber
                        .transcribe_file(sample(name), &options())
                        .unwrap()
                };
                truth()
                    .keys()
                    .map(String::as_str)
                    .map(transcribe)
                    .collect::<Vec<_>>()
            })
        });
        for worker in workers {
            let segments: Vec<_> = worker
                .join()
                .unwrap()
                .into_iter()
                .map(|transcript| transcript.segments)
                .collect();
            assert_eq!(segments, alone);
        }
    });
}

#[test]
fn a_transcriber_moves_and_outlives_its_model() {
    let model = Model::load(common::model_path()).unwrap();
    let mut transcriber = model.transcriber().unwrap();
    drop(model);
    let text = std::thread::spawn(move || {
        transcriber
            .transcribe_file(sample("kitchen-light.wav"), &options())
            .unwrap()
            .text
    });
    assert_eq!(text.join().unwrap(), common::KITCHEN_LIGHT);
}

#[test]
fn calls_do_not_depend_on_those_before() {
    let mut used = model().transcriber().unwrap();
    for options in [
        Options {
            decoding: Decoding::Beam {
                size: 8,
                best_of: 8,
            },
            ..options()
        },
        Options {
            initial_prompt: Some("The black cat is in the garden.".into()),
            ..options()
        },
        Options {
            language: Language::Detect,
            ..options()
        },
    ] {
        used.transcribe_file(sample("two-sentences.wav"), &options)
            .unwrap();
    }
    let again = used
        .transcribe_file(sample("two-sentences.wav"), &options())
        .unwrap();
    assert_eq!(
        again.segments,
        transcript_of("two-sentences.wav", &options()).segments
    );
}

#[test]
fn timings_add_up() {
    let transcript = transcript_of("kitchen-light.wav", &options());
    let timings = transcript.timings;
    assert_eq!(timings.threads, 1);
    assert!(timings.audio.is_some() && timings.detection.is_none());
    assert!(timings.engine <= timings.total);
    let factor = transcript.duration.as_secs_f64() / timings.engine.as_secs_f64();
    assert!((timings.real_time_factor / factor - 1.0).abs() < 0.01);
}

#[test]
fn the_engine_says_what_it_is() {
    let version = trifold_whisper::whisper_version().unwrap();
    assert_eq!(version.split('.').count(), 3, "{version}");
    assert!(trifold_whisper::ggml_version().unwrap().starts_with("0."));
    assert!(
        trifold_whisper::system_info()
            .unwrap()
            .starts_with("WHISPER : ")
    );
    assert!(["aligned", "pinned"].contains(&trifold_whisper::GGML_MODE));
}

fn transcript_of(name: &str, options: &Options) -> Transcript {
    model()
        .transcriber()
        .unwrap()
        .transcribe_file(sample(name), options)
        .unwrap()
}

/// They run on the plugin that `TRIFOLD_BACKEND_PATH` names, if it names one, and else on the CPU.
#[test]
fn the_tests_run_where_they_are_told_to() {
    let model = model();
    let used = model
        .device()
        .and_then(|device| Some(device.plugin.as_ref()?.path.clone()));
    let Some(named) = std::env::var_os("TRIFOLD_BACKEND_PATH") else {
        assert_eq!(used, None);
        return;
    };
    let used = used.expect("a device of the plugin that is named");
    let mut named = std::env::split_paths(&named).map(|path| fs_err::canonicalize(path).unwrap());
    assert!(
        named.any(|path| used.starts_with(path)),
        "{}",
        used.display()
    );
}
