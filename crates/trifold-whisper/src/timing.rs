//! When words are spoken, within a segment whose times the model gave.
//!
//! Nothing but the segment's own times is known for certain. Its sounding part is shared out among the
//! words by their length in letters; pauses belong to no word; and the borders between words move to where
//! it is quietest nearby.

use std::ops::Range;
use std::time::Duration;

use crate::audio::{self, SAMPLE_RATE};

/// Samples of a frame: 10 ms.
const FRAME: usize = SAMPLE_RATE as usize / 100;

/// A border moves by at most so many frames.
const REACH: usize = 5;

/// The times of words with these lengths, in the part `range` of the samples.
pub(crate) fn word_times(
    samples: &[f32],
    range: Range<Duration>,
    lengths: &[f32],
) -> Vec<Range<Duration>> {
    let start = audio::samples_in(range.start).min(samples.len());
    let end = audio::samples_in(range.end).clamp(start, samples.len());
    let frames: Vec<f32> = samples[start..end].chunks(FRAME).map(loudness).collect();
    let sounding = sounding(&frames);
    if lengths.is_empty() {
        return Vec::new();
    }
    let borders = borders(&frames, &sounding, lengths);
    let time = |frame: usize| (range.start + audio::duration(frame * FRAME)).min(range.end);
    borders
        .windows(2)
        .map(|pair| {
            let (first, last) = (pair[0], pair[1]);
            // Without the silence around it.
            let is_sounding = |frame: &usize| sounding[*frame];
            let from = (first..last).find(is_sounding).unwrap_or(first);
            let to = (first..last)
                .rfind(is_sounding)
                .map_or(last, |frame| frame + 1);
            time(from)..time(to)
        })
        .collect()
}

/// The root of the mean square.
#[expect(clippy::cast_precision_loss, reason = "frames are short")]
fn loudness(frame: &[f32]) -> f32 {
    (frame.iter().map(|sample| sample * sample).sum::<f32>() / frame.len() as f32).sqrt()
}

/// In which frames something sounds, rather than only noise.
fn sounding(frames: &[f32]) -> Vec<bool> {
    let mut sorted = frames.to_vec();
    sorted.sort_by(f32::total_cmp);
    let at = |percent: usize| {
        sorted
            .get(sorted.len() * percent / 100)
            .copied()
            .unwrap_or(0.0)
    };
    let (noise, speech) = (at(5), at(90));
    let threshold = noise + 0.05 * (speech - noise);
    frames
        .iter()
        .map(|loudness| *loudness > threshold)
        .collect()
}

/// The frames at which words begin, and the number of frames: one more than there are words.
fn borders(frames: &[f32], sounding: &[bool], lengths: &[f32]) -> Vec<usize> {
    // How much has sounded before each frame.
    let mut heard = Vec::with_capacity(frames.len() + 1);
    heard.push(0_usize);
    for &sounds in sounding {
        heard.push(heard.last().copied().unwrap_or(0) + usize::from(sounds));
    }
    let all = heard.last().copied().unwrap_or(0);
    let total: f32 = lengths.iter().sum();
    let mut borders = vec![0];
    let mut length = 0.0;
    for (index, word) in lengths
        .iter()
        .enumerate()
        .take(lengths.len().saturating_sub(1))
    {
        length += word;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a segment has some hundred frames"
        )]
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most `all`"
        )]
        let wanted = (length / total.max(f32::MIN_POSITIVE) * all as f32).round() as usize;
        let border = heard.partition_point(|heard| *heard < wanted);
        // Every word has a frame at least, as far as there are enough.
        let first = borders[index] + 1;
        let last = frames.len().saturating_sub(lengths.len() - 1 - index);
        borders.push(if first <= last {
            quietest(frames, border.clamp(first, last), first..last + 1)
        } else {
            borders[index].min(frames.len())
        });
    }
    borders.push(frames.len());
    borders
}

/// The quietest frame near a border, among those that are allowed.
fn quietest(frames: &[f32], border: usize, allowed: Range<usize>) -> usize {
    let from = border.saturating_sub(REACH).max(allowed.start);
    let to = (border + REACH + 1).min(allowed.end).min(frames.len());
    (from..to)
        .min_by(|a, b| frames[*a].total_cmp(&frames[*b]))
        .unwrap_or(border)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::word_times;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// A tone with a gap: 0.2 s of silence, 0.3 s of sound, 0.4 s of silence, 0.6 s of sound.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn two_sounds() -> Vec<f32> {
        let sounds = |i: usize| (3200..8000).contains(&i) || (14_400..24_000).contains(&i);
        (0..24_000)
            .map(|i| {
                if sounds(i) {
                    (i as f32 * 0.3).sin()
                } else {
                    0.0
                }
            })
            .collect()
    }

    #[test]
    fn pauses_belong_to_no_word() {
        let times = word_times(&two_sounds(), ms(0)..ms(1500), &[3.0, 6.0]);
        assert_eq!(times, [ms(200)..ms(500), ms(900)..ms(1500)]);
    }

    #[test]
    fn a_part_of_the_samples_is_looked_at() {
        let times = word_times(&two_sounds(), ms(850)..ms(1500), &[1.0, 1.0]);
        assert_eq!(times[0].start, ms(900));
        assert_eq!(times[1].end, ms(1500));
        assert_eq!(times[0].end, times[1].start);
        assert!(times[0].end.abs_diff(ms(1200)) <= ms(50), "{times:?}");
    }

    proptest! {
        #[test]
        fn times_stay_in_order_and_in_the_segment(
            samples in prop::collection::vec(-1.0_f32..1.0, 0..5000),
            lengths in prop::collection::vec(0.0_f32..20.0, 0..40),
            start in 0_u64..500,
            length in 0_u64..500,
        ) {
            let segment = ms(start)..ms(start + length);
            let times = word_times(&samples, segment.clone(), &lengths);
            prop_assert_eq!(times.len(), lengths.len());
            let mut now = segment.start;
            for time in times {
                prop_assert!(now <= time.start && time.start <= time.end && time.end <= segment.end);
                now = time.end;
            }
        }
    }
}
