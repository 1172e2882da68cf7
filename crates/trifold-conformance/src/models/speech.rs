//! A random model in whisper.cpp's own format.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use trifold_formats::{GgmlType, ModelFile};

use super::{
    CONFIDENCE, SEED, Size,
    random::{Aim, Random},
};

/// Where the hyperparameters lie, behind the magic number: eleven numbers of 32 bits.
const HPARAMS: std::ops::Range<usize> = 4..48;

/// The file type of `q8_0`, with the version of ggml's quantised types.
const Q8_0: u32 = 2007;

/// Logits follow from what this gives.
const LAST_NORM: &str = "decoder.ln.weight";

/// The dimensions of the model that whisper.cpp calls `base`.
const BASE: Shape = Shape {
    state: 512,
    heads: 8,
    layers: 6,
};

/// How large the encoder and the decoder are.
#[derive(Clone, Copy)]
struct Shape {
    state: u32,
    heads: u32,
    layers: u32,
}

impl Shape {
    /// The dimensions that a tensor has in this shape, which it has as `dims` in another: those of the state, and
    /// of what is four times as wide.
    fn resized(self, dims: &[u64], from: Self) -> Vec<u64> {
        let (old, new) = (u64::from(from.state), u64::from(self.state));
        dims.iter()
            .map(|&dim| match dim {
                dim if dim == old => new,
                dim if dim == 4 * old => 4 * new,
                dim => dim,
            })
            .collect()
    }
}

/// A model with the demo model's filters and vocabulary.
pub(super) fn random(demo: &Path, size: Size) -> Result<Vec<u8>> {
    let file = ModelFile::open(demo)?;
    let header = file
        .whisper()
        .with_context(|| format!("Expected a whisper file at: {}", demo.display()))?;
    let hparams = &header.hparams;
    let old = Shape {
        state: hparams.n_audio_state,
        heads: hparams.n_audio_head,
        layers: hparams.n_audio_layer,
    };
    let new = match size {
        Size::Small => None,
        Size::Large => Some(BASE),
    };
    let source = fs_err::read(demo)?;
    let first = header.tensors.first().context("Expected tensors")?;
    let mut bytes = source
        .get(..usize::try_from(first.header_offset)?)
        .context("Expected a header")?
        .to_vec();
    let numbers = |shape: Shape, ftype: u32| {
        [
            hparams.n_vocab,
            hparams.n_audio_ctx,
            shape.state,
            shape.heads,
            shape.layers,
            hparams.n_text_ctx,
            shape.state,
            shape.heads,
            shape.layers,
            hparams.n_mels,
            ftype,
        ]
        .map(u32::to_le_bytes)
        .concat()
    };
    ensure!(
        bytes.get(HPARAMS) == Some(&numbers(old, hparams.ftype)),
        "Expected an encoder and a decoder of the same shape"
    );
    bytes[HPARAMS].copy_from_slice(&numbers(new.unwrap_or(old), Q8_0));

    let matrices = hparams.weight_type();
    let mut random = Random::new(SEED);
    for tensor in &header.tensors {
        let dtype = if Some(tensor.dtype) == matrices {
            GgmlType::Q8_0
        } else {
            tensor.dtype
        };
        let Some(new) = new else {
            write(&mut bytes, &mut random, &tensor.name, &tensor.dims, dtype)?;
            continue;
        };
        let dims = new.resized(&tensor.dims, old);
        for name in names(&tensor.name, new.layers) {
            write(&mut bytes, &mut random, &name, &dims, dtype)?;
        }
    }
    Ok(bytes)
}

/// What a tensor is called in a model with so many layers: those of the first layer stand for all.
fn names(name: &str, layers: u32) -> Vec<String> {
    const MARK: &str = ".blocks.";
    let Some((front, rest)) = name.split_once(MARK) else {
        return vec![name.to_owned()];
    };
    match rest.strip_prefix("0.") {
        Some(rest) => (0..layers)
            .map(|layer| format!("{front}{MARK}{layer}.{rest}"))
            .collect(),
        None => Vec::new(),
    }
}

fn write(
    bytes: &mut Vec<u8>,
    random: &mut Random,
    name: &str,
    dims: &[u64],
    dtype: GgmlType,
) -> Result<()> {
    for number in [
        u32::try_from(dims.len())?,
        u32::try_from(name.len())?,
        dtype.id(),
    ] {
        bytes.extend(number.to_le_bytes());
    }
    for dim in dims {
        bytes.extend(u32::try_from(*dim)?.to_le_bytes());
    }
    bytes.extend(name.as_bytes());
    let mut aim = Aim::INSIDE;
    if name == LAST_NORM {
        aim.gain = CONFIDENCE;
    }
    bytes.extend(random.tensor(name, dims, dtype, aim)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_the_first_layer_stand_for_all() {
        assert_eq!(names("decoder.ln.weight", 2), ["decoder.ln.weight"]);
        assert_eq!(
            names("encoder.blocks.0.mlp.0.weight", 2),
            [
                "encoder.blocks.0.mlp.0.weight",
                "encoder.blocks.1.mlp.0.weight"
            ]
        );
        assert!(names("encoder.blocks.3.mlp.0.weight", 2).is_empty());
    }

    #[test]
    fn what_follows_from_the_state_is_resized() {
        let old = Shape { state: 128, ..BASE };
        assert_eq!(
            BASE.resized(&[128, 512, 1500, 3], old),
            [512, 2048, 1500, 3]
        );
    }
}
