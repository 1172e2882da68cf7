//! Text that arrives in pieces of bytes: whole characters out of it, and stop strings across the
//! borders of pieces.

/// Puts bytes together to text without ever splitting a character.
///
/// The text is the same as [`String::from_utf8_lossy`] makes of all bytes at once, wherever the
/// bytes were split.
#[derive(Debug, Default)]
pub(crate) struct Utf8Assembler {
    /// The beginning of a character whose end has not come yet: at most three bytes.
    incomplete: Vec<u8>,
}

impl Utf8Assembler {
    /// Takes bytes and gives the text that is complete by now; U+FFFD stands for invalid bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.incomplete.extend_from_slice(bytes);
        let mut text = String::new();
        let mut taken = 0;
        loop {
            match std::str::from_utf8(&self.incomplete[taken..]) {
                Ok(valid) => {
                    text.push_str(valid);
                    taken = self.incomplete.len();
                    break;
                }
                Err(error) => {
                    let valid_to = taken + error.valid_up_to();
                    text.push_str(&String::from_utf8_lossy(&self.incomplete[taken..valid_to]));
                    taken = valid_to;
                    // Without a length the input ended in the middle of a character.
                    let Some(invalid) = error.error_len() else {
                        break;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    taken += invalid;
                }
            }
        }
        self.incomplete.drain(..taken);
        text
    }

    /// Ends the text: what is still incomplete will never be a character.
    pub(crate) fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.incomplete)).into_owned()
    }
}

/// Looks for stop strings in text that comes in pieces.
///
/// The stop string that is complete first wins; of two that end at the same place, the longer one.
/// So the result does not depend on where the text was split.
#[derive(Debug)]
pub(crate) struct StopMatcher {
    stops: Vec<String>,
    /// Text that may turn out to be the beginning of a stop string.
    held: String,
}

/// What [`StopMatcher::push`] knows by now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Matched {
    /// Text that is certainly before any stop string.
    pub(crate) text: String,
    /// The stop string that was found, by its place in the list. Nothing comes after it.
    pub(crate) stop: Option<usize>,
}

impl StopMatcher {
    /// `stops` must not have empty strings in it.
    pub(crate) fn new(stops: Vec<String>) -> Self {
        Self {
            stops,
            held: String::new(),
        }
    }

    pub(crate) fn stops(&self) -> &[String] {
        &self.stops
    }

    pub(crate) fn push(&mut self, text: &str) -> Matched {
        self.held.push_str(text);
        let first = self
            .stops
            .iter()
            .enumerate()
            .filter_map(|(index, stop)| {
                let start = self.held.find(stop.as_str())?;
                Some((start + stop.len(), start, index))
            })
            .min();
        if let Some((_, start, index)) = first {
            self.held.truncate(start);
            return Matched {
                text: std::mem::take(&mut self.held),
                stop: Some(index),
            };
        }
        let rest = self.held.split_off(self.held.len() - self.suspicious());
        Matched {
            text: std::mem::replace(&mut self.held, rest),
            stop: None,
        }
    }

    /// Ends the text: what was held back was no stop string after all.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// The length of the longest end of the held text that is the beginning of a stop string.
    fn suspicious(&self) -> usize {
        let held = self.held.as_bytes();
        self.stops
            .iter()
            .filter_map(|stop| {
                let longest = held.len().min(stop.len() - 1);
                (1..=longest)
                    .rev()
                    .find(|&n| stop.is_char_boundary(n) && held.ends_with(&stop.as_bytes()[..n]))
            })
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assembled(pieces: &[&[u8]]) -> Vec<String> {
        let mut assembler = Utf8Assembler::default();
        let mut texts: Vec<String> = pieces.iter().map(|piece| assembler.push(piece)).collect();
        texts.push(assembler.finish());
        texts
    }

    #[test]
    fn a_character_comes_whole() {
        assert_eq!(
            assembled(&[b"a\xf0\x9f", b"\x90", b"\xb6b"]),
            ["a", "", "🐶b", ""]
        );
    }

    #[test]
    fn invalid_bytes_become_replacement_characters() {
        assert_eq!(
            assembled(&[b"a\xff", b"\xc3", b"(", b"\xe2\x82"]),
            ["a\u{fffd}", "", "\u{fffd}(", "", "\u{fffd}"]
        );
    }

    #[test]
    fn a_stop_string_is_found_across_pieces_and_not_given_out() {
        let mut matcher = StopMatcher::new(vec!["END".into()]);
        assert_eq!(
            matcher.push("the E"),
            Matched {
                text: "the ".into(),
                stop: None
            }
        );
        assert_eq!(
            matcher.push("NN E"),
            Matched {
                text: "ENN ".into(),
                stop: None
            }
        );
        assert_eq!(
            matcher.push("ND or"),
            Matched {
                text: String::new(),
                stop: Some(0)
            }
        );
    }

    #[test]
    fn what_was_held_back_comes_out_at_the_end() {
        let mut matcher = StopMatcher::new(vec!["\n\nQ:".into()]);
        assert_eq!(matcher.push("one\n\n").text, "one");
        assert_eq!(matcher.finish(), "\n\n");
    }

    /// Splits at the given places, whatever they are.
    fn split<'a, T>(all: &'a [T], cuts: &[prop::sample::Index]) -> Vec<&'a [T]> {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(all.len() + 1)).collect();
        places.extend([0, all.len()]);
        places.sort_unstable();
        places
            .windows(2)
            .map(|pair| &all[pair[0]..pair[1]])
            .collect()
    }

    /// What matching the whole text at once gives, said in the simplest way.
    fn expected(text: &str, stops: &[String]) -> (String, Option<usize>) {
        for end in 0..=text.len() {
            let longest = stops
                .iter()
                .enumerate()
                .filter(|(_, stop)| text.as_bytes()[..end].ends_with(stop.as_bytes()))
                .max_by_key(|(index, stop)| (stop.len(), std::cmp::Reverse(*index)));
            if let Some((index, stop)) = longest {
                return (text[..end - stop.len()].to_owned(), Some(index));
            }
        }
        (text.to_owned(), None)
    }

    proptest! {
        #[test]
        fn bytes_give_the_same_text_wherever_they_are_split(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..60),
                any::<String>().prop_map(String::into_bytes),
            ],
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let pieces = split(&bytes, &cuts);
            prop_assert_eq!(assembled(&pieces).concat(), String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn stop_strings_are_found_wherever_the_text_is_split(
            text in "[abcé]{0,30}",
            stops in prop::collection::vec("[abcé]{1,4}", 0..4),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let characters: Vec<char> = text.chars().collect();
            let mut matcher = StopMatcher::new(stops.clone());
            let mut out = String::new();
            let mut stop = None;
            for piece in split(&characters, &cuts) {
                let matched = matcher.push(&piece.iter().collect::<String>());
                out.push_str(&matched.text);
                stop = matched.stop;
                if stop.is_some() {
                    break;
                }
            }
            if stop.is_none() {
                out.push_str(&matcher.finish());
            }
            prop_assert_eq!((out, stop), expected(&text, &stops));
        }
    }
}
