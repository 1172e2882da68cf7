//! Transcripts as text, subtitles and JSON.

mod common;

use std::time::Duration;

use common::{model, options, sample};
use proptest::prelude::*;
use trifold_whisper::{Options, Segment, SpokenLanguage, Timings, Transcript};

#[test]
fn a_real_transcript() {
    let transcript = model()
        .transcriber()
        .unwrap()
        .transcribe_file(sample("two-sentences.wav"), &options())
        .unwrap();
    insta::assert_snapshot!(transcript.to_srt(), @r"
    1
    00:00:00,200 --> 00:00:02,060
    Tell me a story about a hungry duck.

    2
    00:00:02,440 --> 00:00:04,140
    Play the next song, please.
    ");
    insta::assert_snapshot!(transcript.to_vtt(), @r"
    WEBVTT

    00:00:00.200 --> 00:00:02.060
    Tell me a story about a hungry duck.

    00:00:02.440 --> 00:00:04.140
    Play the next song, please.
    ");
    insta::assert_snapshot!(transcript.to_text(), @r"
    Tell me a story about a hungry duck.
    Play the next song, please.
    ");
}

#[test]
fn hours_minutes_and_rounding() {
    let times = [
        (0, 1),
        (999_499_999, 999_500_000),
        (59_999_600_000, 60_000_000_000),
        (3_599_999_999_999, 3_600_001_000_000),
        (359_999_999_000_000, 360_000_000_000_000),
        (3_600_000_000_000_000, 3_600_000_500_000_000),
    ];
    let transcript = made_of(times.map(|(start, end)| segment(start, end, "x")).to_vec());
    insta::assert_snapshot!(transcript.to_srt(), @r"
    1
    00:00:00,000 --> 00:00:00,001
    x

    2
    00:00:00,999 --> 00:00:01,000
    x

    3
    00:01:00,000 --> 00:01:00,001
    x

    4
    01:00:00,000 --> 01:00:00,001
    x

    5
    99:59:59,999 --> 100:00:00,000
    x

    6
    1000:00:00,000 --> 1000:00:00,500
    x
    ");
}

#[test]
fn text_that_means_something_in_the_format() {
    let transcript = made_of(vec![
        segment(0, 1_000_000_000, "<b>R&D</b> --> \"done\""),
        segment(
            1_000_000_000,
            2_000_000_000,
            "one\n\n2\n00:00:00,000 --> 00:00:01,000\r\ntwo\0",
        ),
        segment(2_000_000_000, 3_000_000_000, "  Füße – 日本語 "),
    ]);
    insta::assert_snapshot!(transcript.to_srt(), @r#"
    1
    00:00:00,000 --> 00:00:01,000
    <b>R&D</b> --> "done"

    2
    00:00:01,000 --> 00:00:02,000
    one 2 00:00:00,000 --> 00:00:01,000 two�

    3
    00:00:02,000 --> 00:00:03,000
    Füße – 日本語
    "#);
    insta::assert_snapshot!(transcript.to_text(), @r#"
    <b>R&D</b> --> "done"
    one 2 00:00:00,000 --> 00:00:01,000 two�
    Füße – 日本語
    "#);
    insta::assert_snapshot!(transcript.to_vtt(), @r#"
    WEBVTT

    00:00:00.000 --> 00:00:01.000
    &lt;b&gt;R&amp;D&lt;/b&gt; --&gt; "done"

    00:00:01.000 --> 00:00:02.000
    one 2 00:00:00,000 --&gt; 00:00:01,000 two�

    00:00:02.000 --> 00:00:03.000
    Füße – 日本語
    "#);
}

#[test]
fn nothing_was_said() {
    let transcript = made_of(Vec::new());
    assert_eq!(transcript.to_text(), "");
    assert_eq!(transcript.to_srt(), "");
    assert_eq!(transcript.to_vtt(), "WEBVTT\n\n");
}

#[test]
fn json_has_everything_in_seconds() {
    let options = Options {
        word_timestamps: true,
        ..options()
    };
    let mut transcript = model()
        .transcriber()
        .unwrap()
        .transcribe_file(sample("kitchen-light.wav"), &options)
        .unwrap();
    transcript.timings = Timings::default();
    let json: serde_json::Value = serde_json::from_str(&transcript.to_json()).unwrap();
    assert_eq!(json["segments"][0]["words"].as_array().unwrap().len(), 5);
    assert_eq!(json["segments"][0]["tokens"][0]["text"], " Turn");
    assert_eq!(json["timings"]["audio"], serde_json::Value::Null);
    transcript.segments[0].words.truncate(1);
    transcript.segments[0].tokens.truncate(1);
    insta::with_settings!({ filters => vec![(r"0\.\d{5,}|\d\.\d+e-\d+", "[probability]")] }, {
        insta::assert_snapshot!(transcript.to_json(), @r#"
        {
          "text": "Turn on the kitchen light.",
          "language": {
            "code": "en",
            "name": "english",
            "probability": null
          },
          "segments": [
            {
              "start": 0.2,
              "end": 1.36,
              "text": "Turn on the kitchen light.",
              "no_speech_probability": [probability],
              "words": [
                {
                  "start": 0.21,
                  "end": 0.38,
                  "text": "Turn",
                  "probability": [probability]
                }
              ],
              "tokens": [
                {
                  "id": 7956,
                  "text": " Turn",
                  "probability": [probability]
                }
              ]
            }
          ],
          "duration": 1.75,
          "timings": {
            "audio": null,
            "detection": null,
            "engine": 0.0,
            "total": 0.0,
            "real_time_factor": 0.0,
            "threads": 0
          }
        }
        "#);
    });
}

proptest! {
    #[test]
    fn any_times_are_written_and_read_back(start in 0_u64..400_000_000_000_000, length in 0_u64..1 << 40) {
        let transcript = made_of(vec![segment(start, start + length, "x")]);
        for (subtitles, point) in [(transcript.to_srt(), ','), (transcript.to_vtt(), '.')] {
            let line = subtitles.lines().find(|line| line.contains(" --> ")).unwrap();
            let (from, to) = line.split_once(" --> ").unwrap();
            let (from, to) = (read_time(from, point), read_time(to, point));
            prop_assert_eq!(from, (start + 500_000) / 1_000_000);
            prop_assert_eq!(to, ((start + length + 500_000) / 1_000_000).max(from + 1));
        }
    }

    #[test]
    fn any_text_stays_in_its_cue(texts in prop::collection::vec(".*", 1..5)) {
        let segments: Vec<Segment> =
            texts.iter().map(|text| segment(0, 1_000_000_000, text)).collect();
        let transcript = made_of(segments);
        // Every cue is a time, a line of text (of which no format has two meanings), and an empty line.
        let vtt = transcript.to_vtt();
        prop_assert_eq!(vtt.matches(" --> ").count(), texts.len());
        prop_assert_eq!(vtt.split('\n').count(), 3 + 3 * texts.len());
        prop_assert!(!vtt.contains(['\0', '\r']));
        prop_assert_eq!(transcript.to_srt().split('\n').count(), 1 + 4 * texts.len());
        prop_assert_eq!(transcript.to_text().split('\n').count(), 1 + texts.len());
        let json: serde_json::Value = serde_json::from_str(&transcript.to_json()).unwrap();
        prop_assert_eq!(json["segments"][0]["text"].as_str(), Some(texts[0].as_str()));
    }
}

/// A time in milliseconds.
fn read_time(text: &str, point: char) -> u64 {
    let (clock, milliseconds) = text.split_once(point).unwrap();
    let parts: Vec<u64> = clock
        .split(':')
        .map(|part| {
            assert!(part.len() >= 2);
            part.parse().unwrap()
        })
        .collect();
    let [hours, minutes, seconds] = parts[..] else {
        panic!("{text}")
    };
    assert!(
        minutes < 60 && seconds < 60 && milliseconds.len() == 3,
        "{text}"
    );
    ((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds.parse::<u64>().unwrap()
}

/// Times in nanoseconds.
fn segment(start: u64, end: u64, text: &str) -> Segment {
    Segment {
        start: Duration::from_nanos(start),
        end: Duration::from_nanos(end),
        text: text.to_owned(),
        no_speech_probability: 0.0,
        words: Vec::new(),
        tokens: Vec::new(),
    }
}

fn made_of(segments: Vec<Segment>) -> Transcript {
    Transcript {
        text: String::new(),
        language: SpokenLanguage {
            code: "en".into(),
            name: "english".into(),
            probability: None,
        },
        duration: segments
            .last()
            .map_or(Duration::ZERO, |segment| segment.end),
        segments,
        timings: Timings::default(),
    }
}
