//! A random model in whisper.cpp's own format.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use trifold_formats::{GgmlType, ModelFile};

use super::{CONFIDENCE, SEED, random::Random};

/// Where the file type lies: behind the magic number and ten hyperparameters.
const FTYPE: std::ops::Range<usize> = 44..48;

/// The file type of `q8_0`, with the version of ggml's quantised types.
const Q8_0: u32 = 2007;

/// Logits follow from what this gives.
const LAST_NORM: &str = "decoder.ln.weight";

/// A model with the demo model's dimensions, filters and vocabulary.
pub(super) fn random(demo: &Path) -> Result<Vec<u8>> {
    let file = ModelFile::open(demo)?;
    let header = file
        .whisper()
        .with_context(|| format!("Expected a whisper file at: {}", demo.display()))?;
    let source = fs_err::read(demo)?;
    let matrices = header.hparams.weight_type();
    let first = header.tensors.first().context("Expected tensors")?;
    let mut bytes = source
        .get(..usize::try_from(first.header_offset)?)
        .context("Expected a header")?
        .to_vec();
    ensure!(
        bytes.get(FTYPE) == Some(&header.hparams.ftype.to_le_bytes()),
        "Expected the file type behind the hyperparameters"
    );
    bytes[FTYPE].copy_from_slice(&Q8_0.to_le_bytes());
    let mut random = Random::new(SEED);
    for tensor in &header.tensors {
        let dtype = if Some(tensor.dtype) == matrices {
            GgmlType::Q8_0
        } else {
            tensor.dtype
        };
        for number in [
            u32::try_from(tensor.dims.len())?,
            u32::try_from(tensor.name.len())?,
            dtype.id(),
        ] {
            bytes.extend(number.to_le_bytes());
        }
        for dim in &tensor.dims {
            bytes.extend(u32::try_from(*dim)?.to_le_bytes());
        }
        bytes.extend(tensor.name.as_bytes());
        let gain = if tensor.name == LAST_NORM {
            CONFIDENCE
        } else {
            1.0
        };
        bytes.extend(random.tensor(&tensor.name, &tensor.dims, dtype, gain)?);
    }
    Ok(bytes)
}
