use std::ops::RangeInclusive;

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{
    Async, FixedAsync, Indexing, Resampler as _, SincInterpolationParameters,
    SincInterpolationType, WindowFunction,
};

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

/// Samples of the filter at 16 kHz: enough for a sharp edge, and none of what lies above it.
const FILTER: usize = 256;

/// Samples that are taken at once, at 16 kHz.
const BLOCK: usize = 1024;

/// Positions between two samples for which a filter is kept. More than that are interpolated.
const MOST_POSITIONS: usize = 2048;

/// Resamples audio that comes in pieces, with a windowed sinc. (rubato's other way, by Fourier
/// transform, is faster, and brings 0.4 MB of code.)
pub(super) struct Resampler {
    rate: u32,
    /// Nothing if the rate is right already.
    sinc: Option<Async<f32>>,
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
            sinc: None,
            pending: Vec::new(),
            block: Vec::new(),
            delay: 0,
            taken: 0,
            given: 0,
        };
        if rate != SAMPLE_RATE {
            let sinc = sinc(rate).map_err(|error| invalid("rate", rate, error.to_string()))?;
            resampler.block = vec![0.0; sinc.output_frames_max()];
            let (silence, delay) = delay(rate);
            resampler.pending = vec![0.0; silence];
            resampler.delay = delay;
            resampler.sinc = Some(sinc);
        }
        Ok(resampler)
    }

    pub(super) fn push(
        &mut self,
        samples: &[f32],
        output: &mut Vec<f32>,
    ) -> Result<(), WhisperError> {
        self.taken += samples.len() as u64;
        let Some(sinc) = &self.sinc else {
            output.extend_from_slice(samples);
            return Ok(());
        };
        let block = sinc.input_frames_next();
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
        let Some(sinc) = &self.sinc else {
            return Ok(());
        };
        let wanted = (self.taken * u64::from(SAMPLE_RATE)).div_ceil(u64::from(self.rate));
        let left = self.pending.len();
        self.pending.resize(sinc.input_frames_next(), 0.0);
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
        let Some(sinc) = &mut self.sinc else {
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
        let (_, count) = sinc
            .process_into_buffer(&input, &mut block, Some(&indexing))
            .map_err(|error| failed(&error))?;
        let skipped = self.delay.min(count);
        self.delay -= skipped;
        output.extend_from_slice(&self.block[skipped..count]);
        self.given += (count - skipped) as u64;
        Ok(())
    }
}

fn sinc(rate: u32) -> Result<Async<f32>, rubato::ResamplerConstructionError> {
    let exact = positions(rate) <= MOST_POSITIONS;
    let mut parameters =
        SincInterpolationParameters::new(filter(rate), WindowFunction::BlackmanHarris2);
    parameters.oversampling_factor = if exact {
        positions(rate)
    } else {
        MOST_POSITIONS
    };
    parameters.interpolation = if exact {
        SincInterpolationType::Nearest
    } else {
        SincInterpolationType::Linear
    };
    Async::new_sinc(
        f64::from(SAMPLE_RATE) / f64::from(rate),
        1.0,
        &parameters,
        BLOCK * rate.div_ceil(SAMPLE_RATE) as usize,
        1,
        FixedAsync::Input,
    )
}

/// Between two samples of the input, the output has samples at this many places at most.
fn positions(rate: u32) -> usize {
    (SAMPLE_RATE / greatest_common_divisor(rate, SAMPLE_RATE)) as usize
}

/// How much silence goes before the input, and how many samples of the output come before it: the
/// silence makes that a whole number.
///
/// rubato's filter of `n` samples looks `n / 2` ahead, less one position; its first output lies one step
/// after that. In positions, with `step` of them from one output sample to the next:
/// `(delay + 1) × step = (n / 2 + silence) × positions - 1`.
fn delay(rate: u32) -> (usize, usize) {
    let step = (rate / greatest_common_divisor(rate, SAMPLE_RATE)) as usize;
    let ahead = |silence| (filter(rate) / 2 + silence) * positions(rate) - 1;
    // The two have no common divisor, so one of `step` lengths fits.
    let silence = (0..step)
        .find(|silence| ahead(*silence) % step == 0)
        .unwrap_or(0);
    (silence, ahead(silence) / step - 1)
}

/// The filter's length: the same time at every rate above 16 kHz. A multiple of 8, as rubato wants it.
fn filter(rate: u32) -> usize {
    FILTER * rate.div_ceil(SAMPLE_RATE) as usize
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}
