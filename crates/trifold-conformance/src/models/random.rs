//! Random weights, in ggml's own types.

use anyhow::{Result, bail};
use trifold_formats::GgmlType;

/// Where a tensor's weights lie.
#[derive(Clone, Copy)]
pub(super) struct Aim {
    /// The mean of a norm's gains; of matrices, how large what they give is by comparison with what they get.
    pub(super) gain: f32,
    /// The mean of biases.
    pub(super) bias: f32,
}

impl Aim {
    /// For all but the last weights of a model.
    pub(super) const INSIDE: Self = Self {
        gain: 1.0,
        bias: 0.0,
    };
}

/// A stream of numbers that is the same everywhere (SplitMix64).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Of mean 0 and standard deviation 1, all equally probable in their range: no function of the
    /// system's mathematics library is in it, so that it is the same everywhere.
    #[expect(
        clippy::cast_precision_loss,
        reason = "24 random bits are exact in single precision"
    )]
    fn number(&mut self) -> f32 {
        let unit = (self.next() >> 40) as f32 / (1_u32 << 24) as f32;
        (unit - 0.5) * f32::sqrt(12.0)
    }

    /// The weights of a tensor: what suits its name and dimensions (in ggml's order), so that values
    /// neither vanish nor explode on their way.
    pub(super) fn tensor(
        &mut self,
        name: &str,
        dims: &[u64],
        dtype: GgmlType,
        aim: Aim,
    ) -> Result<Vec<u8>> {
        let count: u64 = dims.iter().product();
        let vector = dims.iter().filter(|dim| **dim > 1).count() < 2;
        if vector {
            let is_norm = name.ends_with("weight");
            let mean = if is_norm { aim.gain } else { aim.bias };
            return self.data(dtype, count, 0.1, mean);
        }
        let inputs: u64 = dims[..dims.len() - 1].iter().product();
        // Behind the convolutions of the autoencoder, half of all values are cut off.
        let gain = if dims.len() == 4 { 1.4 } else { 1.0 };
        #[expect(clippy::cast_precision_loss, reason = "far less than 2^24")]
        self.data(dtype, count, aim.gain * gain / (inputs as f32).sqrt(), 0.0)
    }

    fn data(&mut self, dtype: GgmlType, count: u64, deviation: f32, mean: f32) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match dtype {
            GgmlType::F32 => {
                for _ in 0..count {
                    bytes.extend((mean + deviation * self.number()).to_le_bytes());
                }
            }
            GgmlType::F16 => {
                for _ in 0..count {
                    bytes.extend(half(mean + deviation * self.number()).to_le_bytes());
                }
            }
            _ => {
                let scales = scales(dtype)?;
                let size = usize::try_from(dtype.type_size())?;
                for _ in 0..count / dtype.block_size() {
                    let start = bytes.len();
                    while bytes.len() < start + size {
                        bytes.extend(self.next().to_le_bytes());
                    }
                    bytes.truncate(start + size);
                    for (at, factor) in scales {
                        let scale = half(deviation * factor).to_le_bytes();
                        bytes[start + at..start + at + 2].copy_from_slice(&scale);
                    }
                }
            }
        }
        Ok(bytes)
    }
}

/// Where a block has its scales, as half floats, and what makes the deviation 1 if all other bits of the
/// block are random.
///
/// Of `q4_K` and `q5_K`, a weight is `d * scale * q - dmin * min`, with scales and minima of 6 bits.
fn scales(dtype: GgmlType) -> Result<&'static [(usize, f32)]> {
    Ok(match dtype {
        GgmlType::Q4_0 => &[(0, 1.0 / 4.6)],
        GgmlType::Q5_0 => &[(0, 1.0 / 9.2)],
        GgmlType::Q8_0 => &[(0, 1.0 / 73.9)],
        GgmlType::Q4K => &[(0, 1.0 / 258.0), (2, 7.5 / 258.0)],
        GgmlType::Q5K => &[(0, 1.0 / 527.0), (2, 15.5 / 527.0)],
        GgmlType::Q6K => &[(208, 1.0 / 1366.0)],
        other => bail!("Expected a type with known scales, found: {other}"),
    })
}

/// The bits of the nearest half float.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is cast has 16 bits at most and no sign"
)]
fn half(value: f32) -> u16 {
    /// The least number with all its digits.
    const NORMAL: f32 = 1.0 / 16_384.0;
    const STEP: f32 = NORMAL / 1024.0;
    let sign = ((value.to_bits() >> 31) as u16) << 15;
    if value.abs() < NORMAL {
        return sign | (value.abs() / STEP).round() as u16;
    }
    // Half a unit of what is cut off, for rounding.
    let magnitude = (value.to_bits() & 0x7fff_ffff) + 0x1000;
    // The exponents' biases are 127 and 15.
    let moved = (magnitude >> 13).saturating_sub(112 << 10);
    sign | moved.min(0x7c00) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves() {
        for (value, bits) in [
            (0.0, 0),
            (1.0, 0x3c00),
            (-2.0, 0xc000),
            (0.1, 0x2e66),
            (65504.0, 0x7bff),
            (1e9, 0x7c00),
            (-1e-9, 0x8000),
            (6e-8, 1),
            (-3e-5, 0x81f7),
            (6.1e-5, 0x03ff),
        ] {
            assert_eq!(half(value), bits, "{value}");
        }
    }

    #[test]
    fn random_weights_have_the_deviation_asked_for() {
        let data = Random::new(1)
            .data(GgmlType::F32, 100_000, 0.5, 1.0)
            .unwrap();
        let numbers: Vec<f64> = data
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f64::from(f32::from_le_bytes(*bytes)))
            .collect();
        let mean = numbers.iter().sum::<f64>() / 100_000.0;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 100_000.0;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!((variance.sqrt() - 0.5).abs() < 0.01, "{variance}");
    }

    #[test]
    fn blocks_have_their_size() {
        for dtype in [GgmlType::Q4_0, GgmlType::Q8_0, GgmlType::Q4K, GgmlType::Q6K] {
            let data = Random::new(1)
                .tensor("weight", &[256, 3], dtype, Aim::INSIDE)
                .unwrap();
            let blocks = 3 * 256 / dtype.block_size();
            assert_eq!(data.len() as u64, blocks * dtype.type_size(), "{dtype}");
        }
    }
}
