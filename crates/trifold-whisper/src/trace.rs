//! When segments really begin.
//!
//! The model says when a piece of text begins and when it ends: `<0.20> Turn on the light. <1.35>
//! <2.45> Thank you. <3.10>`. The engine lets a segment begin where the one before it ends (at 1.35) and
//! drops the other time. It is found again in the tokens that the decoders had sampled until then,
//! which the engine shows to the callback that may change the logits.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The tokens of the window of 30 s that is being decoded.
#[derive(Debug)]
pub(crate) struct Trace {
    /// The token for 0 s; those after it stand for 20 ms more each.
    time_zero: i32,
    /// What each decoder sampled. The last token of a finished one may be missing.
    ///
    /// Decoders run on threads of the engine. They are told apart by where their logits lie.
    sequences: Mutex<HashMap<usize, Vec<i32>>>,
}

impl Trace {
    pub(crate) fn new(time_zero: i32) -> Self {
        Self {
            time_zero,
            sequences: Mutex::default(),
        }
    }

    /// A new window begins.
    pub(crate) fn clear(&self) {
        self.sequences().clear();
    }

    /// Remembers what a decoder has sampled so far.
    pub(crate) fn record(&self, decoder: usize, tokens: impl Iterator<Item = i32>) {
        let mut sequences = self.sequences();
        let sequence = sequences.entry(decoder).or_default();
        sequence.clear();
        sequence.extend(tokens);
    }

    /// How much later than the engine says a segment begins, in units of 10 ms. `before` are the
    /// segments of this window before it.
    pub(crate) fn delay(&self, before: &[Vec<i32>], segment: &[i32]) -> i64 {
        let sequences = self.sequences();
        let delay = sequences
            .values()
            .find_map(|sequence| self.delay_in(sequence, before, segment));
        delay.unwrap_or(0)
    }

    /// Nothing if the segments do not come from this sequence.
    fn delay_in(&self, sequence: &[i32], before: &[Vec<i32>], segment: &[i32]) -> Option<i64> {
        let mut at = 0;
        for earlier in before {
            at = self.skip_times(sequence, at);
            at += sequence
                .get(at..)?
                .starts_with(earlier)
                .then_some(earlier.len())?;
        }
        let begin = self.skip_times(sequence, at);
        let rest = &sequence[begin..];
        let known = rest.len().min(segment.len());
        if known + 1 < segment.len() || rest[..known] != segment[..known] {
            return None;
        }
        // The time that ended the segment before belongs to its tokens.
        let first = if at > 0 && self.is_time(sequence[at - 1]) {
            at - 1
        } else {
            at
        };
        let times = &sequence[first..begin];
        let (first, last) = (times.first()?, times.last()?);
        Some(2 * i64::from(last - first).max(0))
    }

    fn skip_times(&self, sequence: &[i32], from: usize) -> usize {
        let rest = sequence.get(from..).unwrap_or_default();
        from + rest
            .iter()
            .take_while(|&&token| self.is_time(token))
            .count()
    }

    /// As in the engine, 0 s is none.
    fn is_time(&self, token: i32) -> bool {
        token > self.time_zero
    }

    fn sequences(&self) -> MutexGuard<'_, HashMap<usize, Vec<i32>>> {
        self.sequences
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Trace;

    const ZERO: i32 = 1000;

    fn at(seconds: f32) -> i32 {
        #[expect(clippy::cast_possible_truncation, reason = "small numbers")]
        let steps = (seconds * 50.0).round() as i32;
        ZERO + steps
    }

    /// `<0.20> 1 2 <1.36> <2.44> 3 4 <4.14>`, of which the engine makes `1 2 <1.36>` and `3 4 <4.14>`.
    fn two_segments() -> Trace {
        let trace = Trace::new(ZERO);
        trace.record(7, [at(0.2), 9].into_iter());
        trace.record(8, [at(0.2), 1, 2, at(1.36), at(2.44), 3, 4].into_iter());
        trace
    }

    #[test]
    fn the_second_time_of_a_pair_begins_a_segment() {
        let trace = two_segments();
        let first = vec![1, 2, at(1.36)];
        assert_eq!(trace.delay(&[], &first), 0);
        assert_eq!(trace.delay(&[first], &[3, 4, at(4.14)]), 108);
    }

    #[test]
    fn a_segment_of_another_window_is_left_alone() {
        let trace = two_segments();
        assert_eq!(trace.delay(&[vec![1, 2, at(1.36)]], &[3, 5, at(4.14)]), 0);
        trace.clear();
        assert_eq!(trace.delay(&[vec![1, 2, at(1.36)]], &[3, 4, at(4.14)]), 0);
    }

    #[test]
    fn a_window_that_begins_at_zero() {
        let trace = Trace::new(ZERO);
        trace.record(1, [ZERO, 5, at(1.0), at(1.5), 6].into_iter());
        assert_eq!(trace.delay(&[], &[ZERO, 5, at(1.0)]), 0);
        assert_eq!(trace.delay(&[vec![ZERO, 5, at(1.0)]], &[6]), 50);
    }
}
