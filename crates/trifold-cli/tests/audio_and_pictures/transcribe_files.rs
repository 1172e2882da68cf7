//! Recordings that become text.

use fs_err as fs;
use serde_json::Value;

use crate::{fixture, folder, sample, support::snapshot, transcribe};

#[test]
fn samples_are_written_down_word_for_word() {
    let expected: Value =
        serde_json::from_slice(&fs::read(sample("transcripts.json")).unwrap()).unwrap();
    let expected = expected.as_object().unwrap();
    let names: Vec<String> = expected.keys().map(|name| sample(name)).collect();
    let found = transcribe(names.iter().map(String::as_str).chain(["--json"]))
        .run()
        .json();
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), expected.len());
    for (found, (name, expected)) in found.iter().zip(expected) {
        assert!(found["file"].as_str().unwrap().ends_with(name));
        assert_eq!(found["text"], expected["text"], "{name}");
        assert_eq!(found["language"]["code"], "en");
        let (found, expected) = (
            found["segments"].as_array().unwrap(),
            expected["segments"].as_array().unwrap(),
        );
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found["text"], expected["text"], "{name}");
            for time in ["start", "end"] {
                let off = found[time].as_f64().unwrap() - expected[time].as_f64().unwrap();
                assert!(off.abs() < 0.05, "{name}: {time} is off by {off} s");
            }
        }
    }
}

#[test]
fn text_of_one_and_of_several() {
    snapshot!(transcribe([&*sample("kitchen-light.wav")]), @r"
    exit code: 0
    ----- stdout -----
    Turn on the kitchen light.
    ----- stderr -----
    [TIME] of audio (en) in [TIME], [SPEED] × real time
    ");
    snapshot!(transcribe([&*sample("kitchen-light.wav"), &sample("two-sentences.wav"), "-t"]), @r"
    exit code: 0
    ----- stdout -----
    [MODELS]/speech/samples/kitchen-light.wav:
    [00:00.20 → 00:01.36] Turn on the kitchen light.

    [MODELS]/speech/samples/two-sentences.wav:
    [00:00.20 → 00:02.06] Tell me a story about a hungry duck.
    [00:02.44 → 00:04.14] Play the next song, please.
    ----- stderr -----
    [TIME] of audio (2 recordings) in [TIME], [SPEED] × real time
    ");
}

#[test]
fn words_with_their_times() {
    snapshot!(transcribe([&*sample("two-sentences.wav"), "--word-timestamps", "--quiet", "--offset", "0:02.2"]), @r"
    exit code: 0
    ----- stdout -----
    [00:02.44 → 00:04.12] Play the next song, please.
        00:02.45 → 00:02.67  Play
        00:02.68 → 00:02.95  the
        00:02.99 → 00:03.24  next
        00:03.24 → 00:03.52  song,
        00:03.72 → 00:04.12  please.
    ----- stderr -----
    ");
    let found = transcribe([&*sample("kitchen-light.wav"), "--word-timestamps", "--json"])
        .run()
        .json();
    let words = found["segments"][0]["words"].as_array().unwrap();
    assert_eq!(words.len(), 5);
    assert_eq!(words[4]["text"], "light.");
}

#[test]
fn subtitles() {
    let speech = sample("two-sentences.wav");
    snapshot!(transcribe([&*speech, "--format", "srt", "-q"]), @r"
    exit code: 0
    ----- stdout -----
    1
    00:00:00,200 --> 00:00:02,060
    Tell me a story about a hungry duck.

    2
    00:00:02,440 --> 00:00:04,140
    Play the next song, please.

    ----- stderr -----
    ");
    snapshot!(transcribe([&*speech, "--format", "vtt", "-q", "--max-segment-chars", "20"]), @r"
    exit code: 0
    ----- stdout -----
    WEBVTT

    00:00:00.200 --> 00:00:00.970
    Tell me a story

    00:00:00.970 --> 00:00:02.060
    about a hungry duck.

    00:00:02.440 --> 00:00:03.520
    Play the next song,

    00:00:03.720 --> 00:00:04.140
    please.

    ----- stderr -----
    ");
}

#[test]
fn output_files_are_named_by_format_or_the_other_way_round() {
    let here = folder();
    let speech = sample("kitchen-light.wav");
    snapshot!(transcribe([&*speech, "-o", "light.srt"]).folder(&here), @r"
    exit code: 0
    ----- stdout -----
    ----- stderr -----
    [TIME] of audio (en) in [TIME], [SPEED] × real time
    Wrote light.srt
    ");
    assert!(
        fs::read_to_string(here.path().join("light.srt"))
            .unwrap()
            .starts_with("1\n00:00:00,200 --> ")
    );

    fs::create_dir(here.path().join("all")).unwrap();
    let other = sample("time-in-london.wav");
    let outcome = transcribe([&*speech, &other, "--format", "vtt", "-o", "all", "-q"])
        .folder(&here)
        .run();
    assert_eq!(
        (outcome.code, &*outcome.stdout, &*outcome.stderr),
        (Some(0), "", "")
    );
    for name in ["all/kitchen-light.vtt", "all/time-in-london.vtt"] {
        assert!(
            fs::read_to_string(here.path().join(name))
                .unwrap()
                .starts_with("WEBVTT\n"),
            "{name}"
        );
    }
}

#[test]
fn compressed_audio_and_standard_input() {
    let names =
        ["mp3", "flac", "ogg", "m4a"].map(|format| fixture(&format!("kitchen-light.{format}")));
    let found = transcribe(
        names
            .iter()
            .map(String::as_str)
            .chain(["--json", "--language", "en"]),
    )
    .run()
    .json();
    for (found, name) in found.as_array().unwrap().iter().zip(&names) {
        assert_eq!(found["text"], "Turn on the kitchen light.", "{name}");
    }
    snapshot!(transcribe(["-", "-t"]).stdin(fs::read(fixture("kitchen-light.mp3")).unwrap()), @r"
    exit code: 0
    ----- stdout -----
    [00:00.20 → 00:01.36] Turn on the kitchen light.
    ----- stderr -----
    [TIME] of audio (en) in [TIME], [SPEED] × real time
    ");
}
