//! How people read and write times and transcripts.

use std::{fmt::Write as _, time::Duration};

use trifold_whisper::Segment;

pub(super) fn heading(file: &str, is_first: bool) -> String {
    format!("{}{file}:\n", if is_first { "" } else { "\n" })
}

/// A segment as text: one line, with its times if asked for, and one for each of its words.
pub(super) fn lines(segment: &Segment, times: bool) -> String {
    let text = segment
        .text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let mut lines = if times {
        format!(
            "[{} → {}] {text}\n",
            clock(segment.start),
            clock(segment.end)
        )
    } else {
        format!("{text}\n")
    };
    for word in &segment.words {
        // Writing to a String does not fail.
        let _ = writeln!(
            lines,
            "    {} → {}  {}",
            clock(word.start),
            clock(word.end),
            word.text
        );
    }
    lines
}

/// `01:02.35`, or with hours where there are any.
fn clock(time: Duration) -> String {
    let hundredths = (time.as_millis() + 5) / 10;
    let (seconds, hundredths) = (hundredths / 100, hundredths % 100);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let hours = if hours == 0 {
        String::new()
    } else {
        format!("{hours}:")
    };
    format!("{hours}{minutes:02}:{seconds:02}.{hundredths:02}")
}

/// `12.3 s of audio (en) in 0.52 s, 24 × real time`.
pub(super) fn speed(what: &str, audio: Duration, took: Duration) -> String {
    let factor = audio.as_secs_f64() / took.as_secs_f64().max(1e-9);
    let digits = usize::from(factor < 10.0);
    format!(
        "{} of audio ({what}) in {}, {factor:.digits$} × real time",
        length(audio),
        length(took)
    )
}

/// `1.75 s`, `12.3 s`, `4 min 5 s`, `1 h 20 min`.
fn length(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match time.as_secs() {
        0..10 => format!("{seconds:.2} s"),
        10..60 => format!("{seconds:.1} s"),
        whole @ 60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        whole => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `90`, `90.5`, `1:30` or `1:02:03.5`.
pub(super) fn parse_time(text: &str) -> Result<Duration, String> {
    let expected = || "expected seconds, or a time such as 1:30 or 1:02:03.5".to_owned();
    let (before, seconds) = match text.rsplit_once(':') {
        Some((before, seconds)) => (Some(before), seconds),
        None => (None, text),
    };
    if !seconds.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(expected());
    }
    let mut total: f64 = seconds.parse().map_err(|_| expected())?;
    let parts: Vec<&str> = before
        .into_iter()
        .flat_map(|before| before.split(':'))
        .collect();
    if parts.len() > 2 || (before.is_some() && total >= 60.0) {
        return Err(expected());
    }
    for (part, unit) in parts.iter().rev().zip([60.0, 3600.0]) {
        total += f64::from(part.parse::<u16>().map_err(|_| expected())?) * unit;
    }
    Duration::try_from_secs_f64(total).map_err(|_| expected())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, milliseconds) in [
            ("0", 0),
            ("90", 90_000),
            ("1.5", 1500),
            ("1:30", 90_000),
            ("0:00.25", 250),
            ("1:02:03.5", 3_723_500),
            ("100:00:00", 360_000_000),
        ] {
            assert_eq!(
                parse_time(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in [
            "", "-1", "+1", "NaN", "inf", "1e400", ":", "1:", ":30", "1:60", "1:2:3:4", "a",
            "1:-2:3", "1h",
        ] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_written_with_hours_only_where_there_are_any() {
        assert_eq!(clock(Duration::from_millis(62_345)), "01:02.35");
        assert_eq!(clock(Duration::from_secs(3_723)), "1:02:03.00");
        assert_eq!(clock(Duration::from_millis(59_996)), "01:00.00");
        assert_eq!(length(Duration::from_millis(1750)), "1.75 s");
        assert_eq!(length(Duration::from_secs(245)), "4 min 5 s");
        assert_eq!(length(Duration::from_secs(4800)), "1 h 20 min");
    }
}
