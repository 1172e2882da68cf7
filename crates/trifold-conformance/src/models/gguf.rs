//! Random models as GGUF files.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use trifold_formats::{GgmlType, Gguf, ModelFile};

use super::{CONFIDENCE, SEED, random::Random};

const ALIGNMENT: usize = 32;
const STRING: u32 = 8;
const F32: u32 = 6;
const U32: u32 = 4;

/// The text model: small, but in blocks of 256, which the k-quants need.
const WIDTH: u64 = 256;
const HEADS: u32 = 4;
const HEADS_KV: u32 = 2;
const FEED_FORWARD: u64 = 512;
const LAYERS: u32 = 4;

/// Logits follow from what this gives.
const LAST_NORM: &str = "output_norm.weight";

/// A model of the architecture qwen2, which has biases and another kind of rotation than llama, with the demo
/// model's tokenizer.
pub(super) fn random_text(demo: &Path) -> Result<Vec<u8>> {
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
    out.number("qwen2.embedding_length", u32::try_from(WIDTH)?);
    out.number("qwen2.block_count", LAYERS);
    out.number("qwen2.feed_forward_length", u32::try_from(FEED_FORWARD)?);
    out.number("qwen2.attention.head_count", HEADS);
    out.number("qwen2.attention.head_count_kv", HEADS_KV);
    out.fraction("qwen2.attention.layer_norm_rms_epsilon", 1e-6);
    out.fraction("qwen2.rope.freq_base", 10_000.0);
    out.copied(&source, |key| key.starts_with("tokenizer."))?;

    let kv = WIDTH / u64::from(HEADS) * u64::from(HEADS_KV);
    let mut random = Random::new(SEED);
    let mut add = |name: &str, dims: &[u64], dtype| out.random(&mut random, name, dims, dtype);
    add("token_embd.weight", &[WIDTH, vocabulary], GgmlType::Q6K)?;
    add(LAST_NORM, &[WIDTH], GgmlType::F32)?;
    for layer in 0..LAYERS {
        for (name, outputs, dtype) in [
            ("attn_q", WIDTH, GgmlType::Q4K),
            ("attn_k", kv, GgmlType::Q4K),
            ("attn_v", kv, GgmlType::Q6K),
            ("attn_output", WIDTH, GgmlType::Q5K),
            ("ffn_gate", FEED_FORWARD, GgmlType::Q5_0),
            ("ffn_up", FEED_FORWARD, GgmlType::Q4K),
        ] {
            add(
                &format!("blk.{layer}.{name}.weight"),
                &[WIDTH, outputs],
                dtype,
            )?;
        }
        add(
            &format!("blk.{layer}.ffn_down.weight"),
            &[FEED_FORWARD, WIDTH],
            GgmlType::Q5K,
        )?;
        for (name, size) in [
            ("attn_norm.weight", WIDTH),
            ("ffn_norm.weight", WIDTH),
            ("attn_q.bias", WIDTH),
            ("attn_k.bias", kv),
            ("attn_v.bias", kv),
        ] {
            add(&format!("blk.{layer}.{name}"), &[size], GgmlType::F32)?;
        }
    }
    Ok(out.finish())
}

/// A model with the demo model's dimensions.
pub(super) fn random_picture(demo: &Path) -> Result<Vec<u8>> {
    let source = Source::open(demo)?;
    let mut out = Writer::default();
    out.copied(&source, |_| true)?;
    let mut random = Random::new(SEED);
    for tensor in &source.header.tensors {
        let dtype = match tensor.dtype {
            GgmlType::Q4_0 => GgmlType::Q8_0,
            GgmlType::Q8_0 => GgmlType::Q5_0,
            other => other,
        };
        out.random(&mut random, &tensor.name, &tensor.dims, dtype)?;
    }
    Ok(out.finish())
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
        let gain = if name == LAST_NORM { CONFIDENCE } else { 1.0 };
        self.data.extend(random.tensor(name, dims, dtype, gain)?);
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
