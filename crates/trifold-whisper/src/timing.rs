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
    let borders = borders(&frames, &sounding, lengths);
    let time = |frame: usize| (range.start + audio::duration(frame * FRAME)).min(range.end);
    borders
        .windows(2)
        .map(|pair| {
            let (first, last) = (pair[0], pair[1]);
            // Without the silence around it.
            let is_sounding = |frame: &usize| sounding[*frame];
            let from = (first..last).find(is_sounding).unwrap_or(first);
            let to = (first..last).rfind(is_sounding).map_or(last, |frame| frame + 1);
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
    let at = |percent: usize| sorted.get(sorted.len() * percent / 100).copied().unwrap_or(0.0);
    let (noise, speech) = (at(5), at(90));
    let threshold = noise + 0.05 * (speech - noise);
    frames.iter().map(|loudness| *loudness > threshold).collect()
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
    for word in lengths.iter().take(lengths.len().saturating_sub(1)) {
        length += word;
        #[expect(clippy::cast_precision_loss, reason = "a segment has some hundred frames")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most `all`")]
        let wanted = (length / total.max(f32::MIN_POSITIVE) * all as f32).round() as usize;
        let border = heard.partition_point(|heard| *heard < wanted).min(frames.len());
        let before = borders.last().copied().unwrap_or(0);
        borders.push(quietest(frames, border, before));
    }
    borders.push(frames.len());
    borders
}

/// The quietest frame near a border, after the border before it.
fn quietest(frames: &[f32], border: usize, before: usize) -> usize {
    let nearby = border.saturating_sub(reach()).max(before)..(border + reach() + 1).min(frames.len());
    nearby.min_by(|a, b| frames[*a].total_cmp(&frames[*b])).unwrap_or(border.max(before))
}
fn reach() -> usize { std::env::var("REACH").map_or(5, |x| x.parse().unwrap()) }
