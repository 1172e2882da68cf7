use std::ops::RangeInclusive;

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Indexing, Resampler as _};

use super::SAMPLE_RATE;
use crate::WhisperError;
use crate::options::invalid;

/// Sample rates that are resampled, in Hz.
pub(super) const RATES: RangeInclusive<u32> = 1_000..=768_000;

/// Resamples mono audio to the model's 16 kHz, for instance what a microphone gives. The result has
/// `samples.len() × 16000 / rate` samples, rounded up, without delay.
///
/// ```
/// use trifold_whisper::audio;
///
/// let a_second: Vec<f32> = (0..44_100).map(|i| (i as f32 * 0.05).sin()).collect();
/// assert_eq!(audio::resample(&a_second, 44_100)?.len(), 16_000);
/// # Ok::<_, trifold_whisper::WhisperError>(())
/// ```
///
/// # Errors
/// [`WhisperError::Option`] if the rate is not between 1000 and 768000 Hz.
pub fn resample(samples: &[f32], rate: u32) -> Result<Vec<f32>, WhisperError> {
    let mut output = Vec::new();
    let mut resampler = Resampler::new(rate)?;
    resampler.push(samples, &mut output)?;
    resampler.finish(&mut output)?;
    Ok(output)
}

/// Resamples audio that comes in pieces.
pub(super) struct Resampler {
    rate: u32,
    /// Nothing if the rate is right already.
    fft: Option<Fft<f32>>,
    /// What does not fill a block yet.
    pending: Vec<f32>,
    /// Room for one block.
    block: Vec<f32>,
    /// Samples at the beginning of the output that are only the filter's delay.
    delay: usize,
    /// Samples in and out.
    taken: u64,
    given: u64,
}

impl Resampler {
    pub(super) fn new(rate: u32) -> Result<Self, WhisperError> {
        if !RATES.contains(&rate) {
            let expected = format!("{} to {} Hz", RATES.start(), RATES.end());
            return Err(invalid("rate", rate, expected));
        }
        let mut resampler = Self {
            rate,
            fft: None,
            pending: Vec::new(),
            block: Vec::new(),
            delay: 0,
            taken: 0,
            given: 0,
        };
        if rate != SAMPLE_RATE {
            let fft = Fft::new(
                rate as usize,
                SAMPLE_RATE as usize,
                block(rate),
                1,
                FixedSync::Both,
            )
            .map_err(|error| invalid("rate", rate, error.to_string()))?;
            resampler.block = vec![0.0; fft.output_frames_max()];
            resampler.delay = fft.output_delay();
            resampler.fft = Some(fft);
        }
        Ok(resampler)
    }

    pub(super) fn push(
        &mut self,
        samples: &[f32],
        output: &mut Vec<f32>,
    ) -> Result<(), WhisperError> {
        self.taken += samples.len() as u64;
        let Some(fft) = &self.fft else {
            output.extend_from_slice(samples);
            return Ok(());
        };
        let block = fft.input_frames_next();
        self.pending.extend_from_slice(samples);
        let mut start = 0;
        while self.pending.len() - start >= block {
            self.process(start, None, output)?;
            start += block;
        }
        self.pending.drain(..start);
        Ok(())
    }

    pub(super) fn finish(mut self, output: &mut Vec<f32>) -> Result<(), WhisperError> {
        let Some(fft) = &self.fft else { return Ok(()) };
        let wanted = (self.taken * u64::from(SAMPLE_RATE)).div_ceil(u64::from(self.rate));
        let left = self.pending.len();
        self.pending.resize(fft.input_frames_next(), 0.0);
        let mut partial = left;
        // The last of it is still in the filter.
        while self.given < wanted {
            self.process(0, Some(partial), output)?;
            partial = 0;
        }
        let surplus = usize::try_from(self.given - wanted).unwrap_or(0);
        output.truncate(output.len() - surplus);
        Ok(())
    }

    /// Resamples one block of what is pending; of a partial one, the rest counts as silence.
    fn process(
        &mut self,
        start: usize,
        partial: Option<usize>,
        output: &mut Vec<f32>,
    ) -> Result<(), WhisperError> {
        let Some(fft) = &mut self.fft else {
            return Ok(());
        };
        let rate = self.rate;
        let failed = |error: &dyn std::fmt::Display| invalid("rate", rate, error.to_string());
        let input = &self.pending[start..];
        let input = SequentialSlice::new(input, 1, input.len()).map_err(|error| failed(&error))?;
        let room = self.block.len();
        let mut block =
            SequentialSlice::new_mut(&mut self.block, 1, room).map_err(|error| failed(&error))?;
        let indexing = Indexing {
            partial_len: partial,
            ..Indexing::default()
        };
        let (_, count) = fft
            .process_into_buffer(&input, &mut block, Some(&indexing))
            .map_err(|error| failed(&error))?;
        let skipped = self.delay.min(count);
        self.delay -= skipped;
        output.extend_from_slice(&self.block[skipped..count]);
        self.given += (count - skipped) as u64;
        Ok(())
    }
}

/// How many samples to take at once. The filter is as long.
fn block(rate: u32) -> usize {
    let common = greatest_common_divisor(rate, SAMPLE_RATE);
    let smallest = (rate / common) as usize;
    // 1024 on the side that has fewer make a sharp filter.
    let wanted = 1024 * rate.div_ceil(SAMPLE_RATE) as usize;
    // An even number: of an odd one, the filter's middle would lie between two samples.
    wanted.div_ceil(smallest).next_multiple_of(2) * smallest
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}
