//! `trifold transcribe` and `trifold draw`, run as a user runs them.

mod support;

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use fs_err as fs;
use serde_json::Value;
use support::{Outcome, Run, model_file, snapshot, trifold};
use tempfile::TempDir;

fn sample(name: &str) -> String {
    path(&model_file("speech/samples").join(name))
}

fn fixture(name: &str) -> String {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trifold-whisper/tests/fixtures");
    path(&fixtures.join(name).canonicalize().unwrap())
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn folder() -> TempDir {
    TempDir::new().unwrap()
}

fn files(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// One thread: several wait for each other by spinning, and other tests run at the same time.
fn transcribe<'a>(args: impl IntoIterator<Item = &'a str>) -> Run {
    trifold(["transcribe", "--threads", "1"].into_iter().chain(args))
}

fn draw<'a>(args: impl IntoIterator<Item = &'a str>) -> Run {
    trifold(["draw", "--threads", "1"].into_iter().chain(args))
}

/// Quick to draw.
const ROUGH: [&str; 4] = ["--steps", "2", "--guidance", "1"];

/// A failure that says what failed, on standard error alone.
fn refused(outcome: &Outcome, expected: &str) {
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert_eq!(outcome.stdout, "", "{outcome}");
    let message = outcome
        .stderr
        .strip_prefix("error: ")
        .unwrap_or_else(|| panic!("{outcome}"));
    assert!(message.contains(expected), "No {expected:?} in: {outcome}");
}

#[test]
fn help_of_transcribe() {
    snapshot!(trifold(["transcribe", "--help"]), @r"
    exit code: 0
    ----- stdout -----
    Turn speech into text or subtitles

    Usage: trifold transcribe [OPTIONS] <FILE>...

    Arguments:
      <FILE>...  Audio files: WAV, MP3, FLAC, Ogg Vorbis, M4A, AIFF, CAF or WebM, at any rate; `-` for
                 standard input

    Options:
      -m, --model <MODEL>              Speech model: a file, or demo:speech [default: demo:speech]
      -l, --language <LANGUAGE>        Language that is spoken, as in `en` or `german`; `auto` detects
                                       it [default: auto]
          --translate                  Write an English translation instead of what was said
          --words                      Find the time of every word (text and json)
      -f, --format <FORMAT>            What to write: text, srt, vtt or json. Default: what the name of
                                       the output file says, else text
      -t, --timestamps                 Put the times before each line of text
      -o, --output <FILE>              Write to this file, or into this folder, a file for each
                                       recording
          --prompt <TEXT>              What was said before, or names and words to expect, in their
                                       spelling
          --beam-size <COUNT>          Follow so many transcripts at once, 1 to 8: slower, sometimes
                                       better
          --best-of <COUNT>            Attempts at temperatures above 0, 1 to 8; the best one counts
                                       [default: 5]
          --temperature <TEMPERATURE>  Temperature of the first attempt, 0 to 1: 0 takes the likeliest
                                       words [default: 0]
          --offset <TIME>              How much of the beginning to skip: seconds, or as in 1:30
                                       [default: 0]
          --duration <TIME>            How much to transcribe: seconds, or as in 1:30. Default: all
          --max-segment-chars <COUNT>  The most characters of a line or subtitle; split between words
          --threads <COUNT>            Threads to use. Default: one for each core
      -h, --help                       Print help

    Output:
          --json        Print the result as JSON
      -q, --quiet       Show no progress and no notes
      -v, --verbose...  Show what the engines log; twice for all of it

    Examples:
      trifold transcribe talk.mp3                          the text
      trifold transcribe talk.mp3 --timestamps             with times
      trifold transcribe talk.mp3 -o talk.srt              subtitles (or .vtt)
      trifold transcribe *.wav --format srt -o subtitles/  a file for each, into a folder
      trifold transcribe talk.mp3 --json --words           everything, with the times of words
      trifold transcribe - < talk.wav                      from standard input
    ----- stderr -----
    ");
}

#[test]
fn help_of_draw() {
    snapshot!(trifold(["draw", "--help"]), @r#"
    exit code: 0
    ----- stdout -----
    Turn text into a picture

    Usage: trifold draw [OPTIONS] <PROMPT>

    Arguments:
      <PROMPT>  What to draw; `-` reads it from standard input

    Options:
      -o, --output <FILE.png>    File to write; with more than one picture, name-1.png and so on.
                                 Default: trifold-SEED.png, and never over a file that is there
      -n, --negative <TEXT>      What not to draw
      -W, --width <PIXELS>       Width in pixels. Default: 512, or 128 with demo:picture
      -H, --height <PIXELS>      Height in pixels. Default: 512, or 128 with demo:picture
          --steps <COUNT>        Steps of the sampler. Default: 20, or 12 with demo:picture
          --guidance <SCALE>     How closely to follow the prompt; 1 is not at all, and takes half the
                                 time. Default: 7, or 2.5 with demo:picture
      -s, --seed <SEED>          Seed of the noise: the same one gives the same picture [default:
                                 random]
      -b, --batch <COUNT>        How many pictures to draw, each with the next seed [default: 1]
          --sampler <NAME>       Sampler. Default: the model's, or lcm with demo:picture [possible
                                 values: euler, euler_a, heun, dpm2, dpm++2s_a, dpm++2m, dpm++2mv2,
                                 ipndm, ipndm_v, lcm, ddim_trailing, tcd, res_multistep, res_2s, er_sde,
                                 euler_cfg_pp, euler_a_cfg_pp, euler_ge]
          --scheduler <NAME>     Scheduler. Default: the one that suits model and sampler [possible
                                 values: discrete, karras, exponential, ays, gits, sgm_uniform, simple,
                                 smoothstep, kl_optimal, lcm, bong_tangent, ltx2]
          --clip-skip <COUNT>    How many of CLIP's last layers to leave out, plus one
          --init <FILE.png>      PNG picture to start from
          --strength <STRENGTH>  How far to go from the picture to start from: more than 0 (hardly) to 1
                                 [default: 0.75]
          --threads <COUNT>      Threads to use. Default: one for each core
      -h, --help                 Print help

    Model:
      -m, --model <MODEL>           Picture model: a file (GGUF or safetensors), or demo:picture
          --diffusion-model <FILE>  The diffusion model alone, for a model in parts
          --vae <FILE>              Autoencoder
          --taesd <FILE>            Tiny autoencoder, instead of the full one
          --clip-l <FILE>           Text encoder CLIP-L
          --clip-g <FILE>           Text encoder CLIP-G
          --t5xxl <FILE>            Text encoder T5-XXL
          --llm <FILE>              Language model as text encoder, such as Qwen
          --flash-attention         Compute attention with less memory, and slightly other numbers

    Output:
          --json        Print the result as JSON
      -q, --quiet       Show no progress and no notes
      -v, --verbose...  Show what the engines log; twice for all of it

    Examples:
      trifold draw "a red circle on a blue background"
      trifold draw "a house on a green hill" -o house.png --seed 42
      trifold draw "two yellow stars" --batch 4 -o stars.png    stars-1.png to stars-4.png
      trifold draw "the same at night" --init house.png --strength 0.6
      trifold draw "a cat" --model sd15.safetensors --sampler dpm++2m --scheduler karras
      trifold draw "a cat" --diffusion-model z.gguf --llm qwen3.gguf --vae ae.safetensors
      echo "a white moon" | trifold draw -
    ----- stderr -----
    "#);
}

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
    snapshot!(transcribe([&*sample("two-sentences.wav"), "--words", "--quiet", "--offset", "0:02.2"]), @r"
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
    let found = transcribe([&*sample("kitchen-light.wav"), "--words", "--json"])
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

/// A WAV file of 32-bit floats at 16 kHz.
fn wav(samples: &[f32]) -> Vec<u8> {
    let bytes = u32::try_from(samples.len() * 4).unwrap();
    let mut file = b"RIFF".to_vec();
    file.extend((36 + bytes).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([3_u16, 1].map(u16::to_le_bytes).concat());
    file.extend([16_000_u32, 64_000].map(u32::to_le_bytes).concat());
    file.extend([4_u16, 32].map(u16::to_le_bytes).concat());
    file.extend(b"data");
    file.extend(bytes.to_le_bytes());
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    file
}

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
            &["--words", "--format", "srt"],
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
    let outcome = transcribe([&*speech, "--offset", "-1"]).run();
    assert_eq!(outcome.code, Some(2));
    assert!(
        outcome
            .stderr
            .contains("expected seconds, or a time such as 1:30"),
        "{outcome}"
    );
}

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

/// The demo models are in the cache, so that only what a command writes meets the full disk.
fn fill_cache() {
    for name in ["demo:speech", "demo:picture"] {
        trifold_hub::resolve_in(
            &trifold_hub::Source::parse(name).unwrap(),
            &support::cache(),
        )
        .unwrap();
    }
}

#[test]
fn full_disks_leave_nothing() {
    fill_cache();
    let here = folder();
    let circle = ["a circle", "-o", "circle.png", "-q"]
        .into_iter()
        .chain(ROUGH);
    snapshot!(draw(circle).folder(&here).with_small_files(), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Could not write: circle.png
      Caused by: File too large (os error 27)

    hint: write to another disk, or raise the limit on the size of files
    ");
    let old = here.path().join("old.json");
    fs::write(&old, "as it was").unwrap();
    let outcome = transcribe([&*sample("kitchen-light.wav"), "-q", "-o", "old.json"])
        .folder(&here)
        .with_small_files();
    refused(
        &outcome.run(),
        "Could not write: old.json\n  Caused by: File too large",
    );
    assert_eq!(fs::read_to_string(old).unwrap(), "as it was");
    assert_eq!(files(&here), ["old.json"]);
    // Devices are written to as they are, and stay what they are.
    let outcome = transcribe([&*sample("kitchen-light.wav"), "-q", "-o", "/dev/full"]).run();
    refused(
        &outcome,
        "Could not write: /dev/full\n  Caused by: No space left on device",
    );
    let full = || {
        fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
            .into_parts()
            .0
    };
    refused(
        &transcribe([&*sample("kitchen-light.wav")]).run_into(full()),
        "Could not write to standard output",
    );
}

/// Some minutes of speech.
fn long_recording(folder: &TempDir) -> PathBuf {
    let samples = trifold_whisper::audio::load(sample("two-sentences.wav")).unwrap();
    let path = folder.path().join("long.wav");
    fs::write(&path, wav(&samples.repeat(200))).unwrap();
    path
}

#[test]
fn interrupted_while_transcribing() {
    let here = folder();
    let long = long_recording(&here);
    // Segments come while the work goes on.
    let mut running = transcribe([&*path(&long)]).start();
    assert_eq!(
        running.wait_for("\n"),
        "Tell me a story about a hungry duck.\n"
    );
    running.interrupt();
    let outcome = running.finish();
    assert_eq!(
        (outcome.code, &*outcome.stderr),
        (Some(130), ""),
        "{outcome}"
    );

    let mut running = transcribe([&*path(&long), "-o", "long.txt", "-v"])
        .folder(&here)
        .start();
    running.wait_for_stderr("whisper_");
    running.interrupt();
    let outcome = running.finish();
    assert_eq!(outcome.code, Some(130), "{outcome}");
    assert_eq!(files(&here), ["long.wav"]);
}

#[test]
fn interrupted_while_drawing() {
    let here = folder();
    let mut running = draw(["a circle", "--steps", "1000", "-v"])
        .folder(&here)
        .start();
    running.wait_for_stderr("sampling");
    running.interrupt();
    let outcome = running.finish();
    assert_eq!(
        (outcome.code, &*outcome.stdout),
        (Some(130), ""),
        "{outcome}"
    );
    assert_eq!(files(&here), [""; 0]);
}

/// A pipe that nobody writes to.
#[test]
fn interrupted_while_waiting_for_a_prompt() {
    let (reader, writer) = std::io::pipe().unwrap();
    let here = folder();
    let mut running = draw(["-", "-v"]).folder(&here).start_reading(reader);
    running.wait_for_stderr("Reading");
    running.interrupt();
    assert_eq!(running.finish().code, Some(130));
    drop(writer);
}
