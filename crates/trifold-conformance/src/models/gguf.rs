//! Random models as GGUF files.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use trifold_formats::{GgmlType, Gguf, ModelFile};

use super::{
    CONFIDENCE, SEED, Size,
    random::{Aim, Random},
};

const ALIGNMENT: usize = 32;
const STRING: u32 = 8;
const F32: u32 = 6;
const U32: u32 = 4;

/// The dimensions of a text model, all in blocks of 256, which the k-quants need.
struct TextShape {
    width: u64,
    heads: u32,
    heads_kv: u32,
    feed_forward: u64,
    layers: u32,
    /// Of most matrices.
    dtype: GgmlType,
    /// Of the matrices behind attention and behind the gate.
    outputs: GgmlType,
    /// Of the gate.
    gate: GgmlType,
}

impl TextShape {
    fn of(size: Size) -> Self {
        match size {
            Size::Small => Self {
                width: 256,
                heads: 4,
                heads_kv: 2,
                feed_forward: 512,
                layers: 4,
                dtype: GgmlType::Q4K,
                outputs: GgmlType::Q5K,
                gate: GgmlType::Q5_0,
            },
            Size::Large => Self {
                width: 2048,
                heads: 16,
                heads_kv: 4,
                feed_forward: 5632,
                layers: 24,
                dtype: GgmlType::Q4K,
                outputs: GgmlType::Q6K,
                gate: GgmlType::Q4K,
            },
        }
    }
}

/// Logits follow from what this gives.
const LAST_NORM: &str = "output_norm.weight";

/// A model of the architecture qwen2, which has biases and another kind of rotation than llama, with the demo
/// model's tokenizer.
pub(super) fn random_text(demo: &Path, size: Size) -> Result<Vec<u8>> {
    let shape = TextShape::of(size);
    let (width, feed_forward) = (shape.width, shape.feed_forward);
    let source = Source::open(demo)?;
    let vocabulary = source
        .header
        .metadata
        .get("tokenizer.ggml.tokens")
        .and_then(|value| value.as_array())
        .context("Expected a tokenizer in the demo model")?
        .len() as u64;
    let mut out = Writer::default();
    out.text("general.architecture", "qwen2");
    out.text("general.name", "random");
    out.number("qwen2.context_length", 1024);
    out.number("qwen2.embedding_length", u32::try_from(width)?);
    out.number("qwen2.block_count", shape.layers);
    out.number("qwen2.feed_forward_length", u32::try_from(feed_forward)?);
    out.number("qwen2.attention.head_count", shape.heads);
    out.number("qwen2.attention.head_count_kv", shape.heads_kv);
    out.fraction("qwen2.attention.layer_norm_rms_epsilon", 1e-6);
    out.fraction("qwen2.rope.freq_base", 10_000.0);
    out.copied(&source, |key| key.starts_with("tokenizer."))?;

    let kv = width / u64::from(shape.heads) * u64::from(shape.heads_kv);
    let mut random = Random::new(SEED);
    let mut add = |name: &str, dims: &[u64], dtype| out.random(&mut random, name, dims, dtype);
    add("token_embd.weight", &[width, vocabulary], GgmlType::Q6K)?;
    add(LAST_NORM, &[width], GgmlType::F32)?;
    for layer in 0..shape.layers {
        for (name, outputs, dtype) in [
            ("attn_q", width, shape.dtype),
            ("attn_k", kv, shape.dtype),
            ("attn_v", kv, GgmlType::Q6K),
            ("attn_output", width, shape.outputs),
            ("ffn_gate", feed_forward, shape.gate),
            ("ffn_up", feed_forward, shape.dtype),
        ] {
            add(
                &format!("blk.{layer}.{name}.weight"),
                &[width, outputs],
                dtype,
            )?;
        }
        add(
            &format!("blk.{layer}.ffn_down.weight"),
            &[feed_forward, width],
            shape.outputs,
        )?;
        for (name, size) in [
            ("attn_norm.weight", width),
            ("ffn_norm.weight", width),
            ("attn_q.bias", width),
            ("attn_k.bias", kv),
            ("attn_v.bias", kv),
        ] {
            add(&format!("blk.{layer}.{name}"), &[size], GgmlType::F32)?;
        }
    }
    Ok(out.finish())
}

/// A model with the demo model's dimensions, or wider and with more layers.
pub(super) fn random_picture(demo: &Path, size: Size) -> Result<Vec<u8>> {
    let source = Source::open(demo)?;
    let mut out = Writer::default();
    out.copied(&source, |_| true)?;
    let mut random = Random::new(SEED);
    let copies = match size {
        Size::Small => 1,
        Size::Large => LARGE_PICTURE_COPIES,
    };
    for tensor in &source.header.tensors {
        let dtype = match tensor.dtype {
            GgmlType::Q4_0 => GgmlType::Q8_0,
            GgmlType::Q8_0 => GgmlType::Q5_0,
            other => other,
        };
        let dims = match size {
            Size::Small => tensor.dims.clone(),
            Size::Large => widened(&tensor.name, &tensor.dims),
        };
        let layer = tensor.name.strip_prefix(PICTURE_LAYERS);
        let Some((number, rest)) = layer.and_then(|layer| layer.split_once('.')) else {
            out.random(&mut random, &tensor.name, &dims, dtype)?;
            continue;
        };
        let number: u32 = number.parse()?;
        for copy in 0..copies {
            let name = format!("{PICTURE_LAYERS}{}.{rest}", number * copies + copy);
            out.random(&mut random, &name, &dims, dtype)?;
        }
    }
    Ok(out.finish())
}

/// What pictures come out of. Values, which grow on their way through the autoencoder, are made small here, around
/// the middle of what a picture can show: else nearly all are cut off to black or white, and where that is
/// decided by the last digit, a pixel differs by as much as it can.
const LAST_CONVOLUTION: (&str, &str) =
    ("tae.decoder.layers.18.weight", "tae.decoder.layers.18.bias");
const CONTRAST: f32 = 0.01;
const GREY: f32 = 0.5;

/// What a tensor's weights aim at.
fn aim(name: &str) -> Aim {
    let mut aim = Aim::INSIDE;
    if name == LAST_NORM {
        aim.gain = CONFIDENCE;
    } else if name == LAST_CONVOLUTION.0 {
        aim.gain = CONTRAST;
    } else if name == LAST_CONVOLUTION.1 {
        aim.bias = GREY;
    }
    aim
}

/// Where the layers of the picture model's transformer begin.
const PICTURE_LAYERS: &str = "model.diffusion_model.layers.";
/// How many layers a large picture model has for one of the demo model.
const LARGE_PICTURE_COPIES: u32 = 3;
/// The width of the demo picture model, and of a large one.
const PICTURE_WIDTH: u64 = 256;
const LARGE_PICTURE_WIDTH: u64 = 2048;

/// The dimensions that a tensor of a `z_image` transformer has in a wider one: what the engine computes from
/// the width (`src/model/diffusion/z_image.hpp` of stable-diffusion.cpp).
fn widened(name: &str, dims: &[u64]) -> Vec<u64> {
    let Some(name) = name.strip_prefix("model.diffusion_model.") else {
        return dims.to_vec();
    };
    let wide = |dim: u64| dim / PICTURE_WIDTH * LARGE_PICTURE_WIDTH;
    // What is embedded is as wide as before: 256, also in wide models.
    let embedding = 256;
    // Two thirds of four times the width, in steps of 256.
    let feed_forward = (LARGE_PICTURE_WIDTH * 8 / 3).next_multiple_of(256);
    match (name, dims) {
        ("t_embedder.mlp.0.weight", _) => vec![embedding, LARGE_PICTURE_WIDTH.min(1024)],
        ("t_embedder.mlp.0.bias", _) => vec![LARGE_PICTURE_WIDTH.min(1024)],
        ("t_embedder.mlp.2.weight", _) => vec![LARGE_PICTURE_WIDTH.min(1024), embedding],
        ("t_embedder.mlp.2.bias", _) => vec![embedding],
        (_, [_, outputs]) if name.contains("adaLN_modulation") => vec![embedding, wide(*outputs)],
        (_, [_, _]) if name.ends_with("w1.weight") || name.ends_with("w3.weight") => {
            vec![LARGE_PICTURE_WIDTH, feed_forward]
        }
        (_, [_, _]) if name.ends_with("w2.weight") => vec![feed_forward, LARGE_PICTURE_WIDTH],
        _ => dims
            .iter()
            .map(|&dim| {
                if dim % PICTURE_WIDTH == 0 {
                    wide(dim)
                } else {
                    dim
                }
            })
            .collect(),
    }
}

/// A file that something is taken from.
struct Source {
    bytes: Vec<u8>,
    header: Gguf,
}

impl Source {
    fn open(path: &Path) -> Result<Self> {
        let header = ModelFile::open(path)?
            .gguf()
            .cloned()
            .with_context(|| format!("Expected a GGUF file at: {}", path.display()))?;
        Ok(Self {
            bytes: fs_err::read(path)?,
            header,
        })
    }
}

#[derive(Default)]
struct Writer {
    metadata: Vec<u8>,
    entries: u64,
    tensors: Vec<u8>,
    count: u64,
    data: Vec<u8>,
}

impl Writer {
    fn text(&mut self, key: &str, value: &str) {
        self.key(key, STRING);
        string(&mut self.metadata, value);
    }

    fn number(&mut self, key: &str, value: u32) {
        self.key(key, U32);
        self.metadata.extend(value.to_le_bytes());
    }

    fn fraction(&mut self, key: &str, value: f32) {
        self.key(key, F32);
        self.metadata.extend(value.to_le_bytes());
    }

    fn key(&mut self, key: &str, kind: u32) {
        self.entries += 1;
        string(&mut self.metadata, key);
        self.metadata.extend(kind.to_le_bytes());
    }

    /// Takes entries over as they are.
    fn copied(&mut self, source: &Source, wanted: impl Fn(&str) -> bool) -> Result<()> {
        // An entry is its key's length and text, the type, the value.
        let start = |offset: u64, key: &str| Ok(usize::try_from(offset)? - 4 - key.len() - 8);
        let entries: Vec<_> = source.header.metadata.iter().collect();
        let mut starts = entries
            .iter()
            .map(|entry| start(entry.offset, &entry.key))
            .collect::<Result<Vec<_>>>()?;
        let tensors = source.header.tensors.first();
        starts.push(usize::try_from(
            tensors.context("Expected tensors")?.header_offset,
        )?);
        for (entry, range) in entries.iter().zip(starts.windows(2)) {
            if wanted(&entry.key) {
                let bytes = source
                    .bytes
                    .get(range[0]..range[1])
                    .context("Expected an entry")?;
                ensure!(
                    bytes.starts_with(&(entry.key.len() as u64).to_le_bytes()),
                    "Expected an entry of the key: {}",
                    entry.key
                );
                self.metadata.extend(bytes);
                self.entries += 1;
            }
        }
        Ok(())
    }

    fn random(
        &mut self,
        random: &mut Random,
        name: &str,
        dims: &[u64],
        dtype: GgmlType,
    ) -> Result<()> {
        self.count += 1;
        string(&mut self.tensors, name);
        self.tensors
            .extend(u32::try_from(dims.len())?.to_le_bytes());
        for dim in dims {
            self.tensors.extend(dim.to_le_bytes());
        }
        self.tensors.extend(dtype.id().to_le_bytes());
        self.tensors.extend((self.data.len() as u64).to_le_bytes());
        self.data
            .extend(random.tensor(name, dims, dtype, aim(name))?);
        pad(&mut self.data);
        Ok(())
    }

    fn finish(self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(self.entries.to_le_bytes());
        bytes.extend(self.metadata);
        bytes.extend(self.tensors);
        pad(&mut bytes);
        bytes.extend(self.data);
        bytes
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_transformer_has_the_dimensions_that_the_engine_expects() {
        for (name, demo, wide) in [
            ("layers.1.attention.qkv.weight", [256, 768], [2048, 6144]),
            ("layers.1.feed_forward.w1.weight", [256, 768], [2048, 5632]),
            ("layers.1.feed_forward.w2.weight", [768, 256], [5632, 2048]),
            (
                "layers.1.adaLN_modulation.0.weight",
                [256, 1024],
                [256, 8192],
            ),
            ("t_embedder.mlp.2.weight", [256, 256], [1024, 256]),
            ("cap_embedder.1.weight", [32, 256], [32, 2048]),
        ] {
            let name = format!("model.diffusion_model.{name}");
            assert_eq!(widened(&name, &demo), wide, "{name}");
        }
        let text = "text_encoders.llm.model.embed_tokens.weight";
        assert_eq!(widened(text, &[32, 151_936]), [32, 151_936]);
    }
}
