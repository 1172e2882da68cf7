//! Recordings and options that are refused.

use fs_err as fs;
use std::os::unix::fs::symlink;

use crate::{files, fixture, folder, refused, sample, support::snapshot, transcribe, wav};

#[test]
fn audio_that_is_none() {
    let here = folder();
    fs::write(here.path().join("empty.wav"), []).unwrap();
    fs::write(
        here.path().join("text.mp3"),
        "This is no music, but a text. ".repeat(100),
    )
    .unwrap();
    fs::write(here.path().join("nan.wav"), wav(&vec![f32::NAN; 160_000])).unwrap();
    fs::write(here.path().join("header.wav"), wav(&[])).unwrap();
    fs::create_dir(here.path().join("folder.wav")).unwrap();
    symlink("loop.wav", here.path().join("loop.wav")).unwrap();
    for (name, expected) in [
        ("empty.wav", "empty.wav (found: an empty file)"),
        ("text.mp3", "text.mp3"),
        (
            "nan.wav",
            "Expected samples between -1 and 1 (found: NaN at index 0, 00:00:00.000)",
        ),
        ("header.wav", "header.wav (found: a header without samples)"),
        ("folder.wav", "folder.wav (found: a directory)"),
        ("loop.wav", "Failed to read audio file: loop.wav"),
        ("missing.wav", "No audio file at: missing.wav"),
        ("/dev/zero", "/dev/zero (found: a pipe, socket or device)"),
    ] {
        let outcome = transcribe([name, "-o", "out.txt"]).folder(&here).run();
        refused(&outcome, expected);
        assert!(outcome.stderr.contains("\nhint: "), "{outcome}");
        assert!(!here.path().join("out.txt").exists());
    }
    snapshot!(transcribe(["heador.wav"]).folder(&here), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: No audio file at: heador.wav

    hint: Did you mean `header.wav`?
    ");
    snapshot!(transcribe(["-"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Expected audio in: standard input (found: an empty file)

    hint: Check that the file plays; if it does, convert it: ffmpeg -i INPUT -ar 16000 -ac 1 speech.wav
    ");
    let opus = "kitchen-light.opus (codec: expected PCM, ADPCM, MP3, FLAC, Vorbis, AAC-LC or ALAC, found Opus)";
    refused(&transcribe([&*fixture("kitchen-light.opus")]).run(), opus);
    assert_eq!(files(&here).len(), 6, "{:?}", files(&here));
}

#[test]
fn options_of_transcribe_that_cannot_be() {
    let speech = sample("kitchen-light.wav");
    for (options, expected) in [
        (
            &["--language", "klingon"][..],
            "Invalid value of --language: klingon (expected one of en, zh, ",
        ),
        (
            &["--beam-size", "9"],
            "Invalid value of --beam-size: 9 (expected 1 to 8)",
        ),
        (
            &["--best-of", "0"],
            "Invalid value of --best-of: 0 (expected 1 to 8)",
        ),
        (
            &["--temperature", "-1"],
            "Invalid value of --temperature: -1 (expected 0, or 0.01 to 1)",
        ),
        (
            &["--offset", "1:00"],
            "Invalid value of --offset: 60s (expected less than the audio's length of 1.75s)",
        ),
        (
            &["--duration", "0"],
            "Invalid value of --duration: 0ns (expected more than 0)",
        ),
        (
            &["--max-segment-chars", "0"],
            "Invalid value of --max-segment-chars: 0 (expected at least 1)",
        ),
        (&["--model", "nowhere.bin"], "No model file at: nowhere.bin"),
        (
            &["--model", "demo:story"],
            "Expected a speech model (whisper, ggml-*.bin) at: ",
        ),
        (
            &["--json", "--format", "srt"],
            "--json and --format srt exclude each other",
        ),
        (
            &["--word-timestamps", "--format", "srt"],
            "Times of words do not go into subtitles",
        ),
        (
            &["--timestamps", "--format", "vtt"],
            "--timestamps is for text (found: --format vtt)",
        ),
        (
            &["--format", "srt", &speech],
            "Expected one recording for subtitles (found: 2)",
        ),
        (
            &["--output", "no/such.txt"],
            "Could not write to the folder: no\n  Caused by: No such file",
        ),
    ] {
        refused(
            &transcribe([&*speech].into_iter().chain(options.iter().copied())).run(),
            expected,
        );
    }
    for (model, hint) in [
        ("demo:story", "use `trifold generate` or `trifold chat`."),
        ("demo:picture", "use `trifold draw`."),
    ] {
        let outcome = transcribe([&*speech, "--model", model]).run();
        assert!(outcome.stderr.contains(hint), "{outcome}");
    }
    let outcome = transcribe([&*speech, "--offset", "-1"]).run();
    assert_eq!(outcome.code, Some(2));
    assert!(
        outcome
            .stderr
            .contains("expected seconds, or a time such as 1:30"),
        "{outcome}"
    );
}
