//! From the engine's segments to ours: words, splitting, times within the audio.

use std::ops::Range;
use std::time::Duration;

use crate::ffi::{RawSegment, RawToken};
use crate::timing::word_times;
use crate::{Segment, Token, Word};

/// How to convert segments.
#[derive(Debug)]
pub(crate) struct Layout<'s> {
    /// What the engine was given.
    pub(crate) samples: &'s [f32],
    /// The part of the audio that it is.
    pub(crate) window: Range<Duration>,
    /// Tokens from this on are special.
    pub(crate) first_special_token: i32,
    /// Whether every character is a word, because the language is written without blanks.
    pub(crate) characters: bool,
    /// Whether the result has words.
    pub(crate) word_timestamps: bool,
    /// The most characters of a segment.
    pub(crate) max_chars: Option<usize>,
}

/// Chinese, Japanese, Thai, Lao, Burmese and Cantonese.
pub(crate) fn is_written_without_blanks(language: &str) -> bool {
    matches!(language, "zh" | "ja" | "th" | "lo" | "my" | "yue")
}

impl Layout<'_> {
    fn needs_word_timestamps(&self) -> bool {
        self.word_timestamps || self.max_chars.is_some()
    }

    /// Converts one of the engine's segments, into several where it is too long, and into none where it
    /// is blank.
    pub(crate) fn convert(&self, raw: &RawSegment) -> Vec<Segment> {
        let mut segments = self.split(raw);
        segments.retain(|segment| !segment.text.is_empty());
        segments
    }

    fn split(&self, raw: &RawSegment) -> Vec<Segment> {
        let start = self.time(raw.start);
        let end = self.time(raw.end).max(start);
        let words = self.words(raw, start..end);
        let mut pieces: Vec<Piece> = Vec::new();
        for word in words {
            match pieces.last_mut() {
                Some(piece) if self.fits(piece, &word) => piece.push(word),
                _ => pieces.push(Piece::from(word)),
            }
        }
        if self.max_chars.is_none() || pieces.is_empty() {
            let words: Vec<RawWord> = pieces.into_iter().flat_map(|piece| piece.words).collect();
            let text = trimmed(&raw.text);
            return vec![self.segment(start..end, text, raw, &words)];
        }
        let last = pieces.len() - 1;
        pieces
            .into_iter()
            .enumerate()
            .map(|(index, piece)| {
                let from = if index == 0 { start } else { piece.start() };
                let to = if index == last { end } else { piece.end() };
                self.segment(from..to.max(from), trimmed(&piece.bytes), raw, &piece.words)
            })
            .collect()
    }

    fn segment(
        &self,
        time: Range<Duration>,
        text: String,
        raw: &RawSegment,
        words: &[RawWord],
    ) -> Segment {
        let tokens = words
            .iter()
            .flat_map(|word| &word.tokens)
            .map(|&token| convert(token))
            .collect();
        let words = if self.word_timestamps {
            words.iter().filter_map(RawWord::finish).collect()
        } else {
            Vec::new()
        };
        Segment {
            start: time.start,
            end: time.end,
            text,
            no_speech_probability: raw.no_speech_probability,
            words,
            tokens,
        }
    }

    /// Whether a word still fits into a piece.
    fn fits(&self, piece: &Piece, word: &RawWord) -> bool {
        let Some(max) = self.max_chars else {
            return true;
        };
        let mut bytes = piece.bytes.clone();
        bytes.extend_from_slice(&word.bytes);
        trimmed(&bytes).chars().count() <= max
    }

    /// The words of a segment, with their times.
    fn words<'a>(&self, raw: &'a RawSegment, segment: Range<Duration>) -> Vec<RawWord<'a>> {
        let mut words: Vec<RawWord> = Vec::new();
        for token in raw
            .tokens
            .iter()
            .filter(|token| token.id < self.first_special_token)
        {
            match words.last_mut() {
                Some(word) if !self.begins_word(word, token) => word.push(token),
                _ => words.push(RawWord::from(token)),
            }
        }
        if self.needs_word_timestamps() {
            let lengths: Vec<f32> = words.iter().map(|word| length(&word.bytes)).collect();
            let inside = segment.start.saturating_sub(self.window.start)
                ..segment.end.saturating_sub(self.window.start);
            let times = word_times(self.samples, inside, &lengths);
            for (word, time) in words.iter_mut().zip(times) {
                word.time = self.window.start + time.start..self.window.start + time.end;
            }
        }
        words
    }

    fn begins_word(&self, word: &RawWord, token: &RawToken) -> bool {
        // A character can take several tokens.
        let is_whole = std::str::from_utf8(&word.bytes)
            .err()
            .is_none_or(|error| error.error_len().is_some());
        is_whole && (token.text.starts_with(b" ") || self.characters)
    }

    /// The engine's 10 ms, counted from the beginning of the audio, and within what the engine was given.
    fn time(&self, centiseconds: i64) -> Duration {
        let since =
            Duration::from_millis(u64::try_from(centiseconds).unwrap_or(0).saturating_mul(10));
        self.window.start.saturating_add(since).min(self.window.end)
    }
}

/// How long a word is to say, as far as its letters tell.
#[expect(clippy::cast_precision_loss, reason = "words are short")]
fn length(word: &[u8]) -> f32 {
    let text = String::from_utf8_lossy(word);
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let letters = text
        .chars()
        .filter(|letter| letter.is_alphanumeric())
        .count()
        - digits;
    // A digit is a word. What has neither is still something.
    (letters + 4 * digits).max(1) as f32
}

fn convert(token: &RawToken) -> Token {
    let text = String::from_utf8_lossy(&token.text).into_owned();
    Token {
        id: token.id,
        text,
        probability: token.probability,
    }
}

pub(crate) fn trimmed(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

struct RawWord<'a> {
    bytes: Vec<u8>,
    time: Range<Duration>,
    tokens: Vec<&'a RawToken>,
}

impl<'a> RawWord<'a> {
    fn from(token: &'a RawToken) -> Self {
        let time = Duration::ZERO..Duration::ZERO;
        Self {
            bytes: token.text.clone(),
            time,
            tokens: vec![token],
        }
    }

    fn push(&mut self, token: &'a RawToken) {
        self.bytes.extend_from_slice(&token.text);
        self.tokens.push(token);
    }

    /// Nothing if it is blank.
    fn finish(&self) -> Option<Word> {
        let text = trimmed(&self.bytes);
        #[expect(clippy::cast_precision_loss, reason = "words have few tokens")]
        let probability = self
            .tokens
            .iter()
            .map(|token| token.probability)
            .sum::<f32>()
            / self.tokens.len() as f32;
        (!text.is_empty()).then_some(Word {
            start: self.time.start,
            end: self.time.end,
            text,
            probability,
        })
    }
}

/// A part of a segment that is to be a segment of its own.
struct Piece<'a> {
    bytes: Vec<u8>,
    words: Vec<RawWord<'a>>,
}

impl<'a> Piece<'a> {
    fn from(word: RawWord<'a>) -> Self {
        Self {
            bytes: word.bytes.clone(),
            words: vec![word],
        }
    }

    fn push(&mut self, word: RawWord<'a>) {
        self.bytes.extend_from_slice(&word.bytes);
        self.words.push(word);
    }

    fn start(&self) -> Duration {
        self.words
            .first()
            .map_or(Duration::ZERO, |word| word.time.start)
    }

    fn end(&self) -> Duration {
        self.words
            .last()
            .map_or(Duration::ZERO, |word| word.time.end)
    }
}
