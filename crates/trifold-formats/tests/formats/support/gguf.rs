//! A writer of GGUF files.

use trifold_formats::GgmlType;

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Bool(bool),
    F32(f32),
    F32s(Vec<f32>),
    I32(i32),
    I32s(Vec<i32>),
    String(String),
    Strings(Vec<Vec<u8>>),
    U16(u16),
    U32(u32),
    U32s(Vec<u32>),
    U64(u64),
    U8s(Vec<u8>),
    /// Type number and bytes.
    Raw(u32, Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::U32(number)
    }
}

impl From<f32> for Value {
    fn from(number: f32) -> Self {
        Self::F32(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dims: Vec<u64>,
    pub(crate) dtype: GgmlType,
}

impl Tensor {
    pub(crate) fn new(name: &str, dims: &[u64], dtype: GgmlType) -> Self {
        Self {
            name: name.to_owned(),
            dims: dims.to_vec(),
            dtype,
        }
    }

    fn size(&self) -> usize {
        let elements: u64 = self.dims.iter().product();
        usize::try_from(elements / self.dtype.block_size() * self.dtype.type_size()).unwrap()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) version: u32,
    pub(crate) alignment: usize,
    pub(crate) entries: Vec<(String, Value)>,
    pub(crate) tensors: Vec<Tensor>,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self {
            version: 3,
            alignment: 32,
            entries: Vec::new(),
            tensors: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.set(key, value);
        self
    }

    pub(crate) fn with_tensor(mut self, name: &str, dims: &[u64], dtype: GgmlType) -> Self {
        self.tensors.push(Tensor::new(name, dims, dtype));
        self
    }

    /// Adds an entry, or changes it.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.entries.iter_mut().find(|(other, _)| other == key) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((key.to_owned(), value)),
        }
    }

    pub(crate) fn remove(&mut self, key: &str) {
        let before = self.entries.len();
        self.entries.retain(|(other, _)| other != key);
        assert!(self.entries.len() < before, "there is no {key:?}");
    }

    pub(crate) fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors
            .iter_mut()
            .find(|tensor| tensor.name == name)
            .expect("there is no such tensor")
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.entries.len() as u64).to_le_bytes());
        for (key, value) in &self.entries {
            put_string(&mut out, key.as_bytes());
            put_value(&mut out, value);
        }
        let mut offset = 0;
        for tensor in &self.tensors {
            put_string(&mut out, tensor.name.as_bytes());
            out.extend(u32::try_from(tensor.dims.len()).unwrap().to_le_bytes());
            out.extend(tensor.dims.iter().flat_map(|dim| dim.to_le_bytes()));
            out.extend(tensor.dtype.id().to_le_bytes());
            out.extend((offset as u64).to_le_bytes());
            offset += tensor.size().next_multiple_of(self.alignment);
        }
        out.resize(out.len().next_multiple_of(self.alignment) + offset, 0x55);
        out
    }
}

fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text);
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    fn array<T, const N: usize>(
        out: &mut Vec<u8>,
        id: u32,
        values: &[T],
        bytes: fn(&T) -> [u8; N],
    ) {
        out.extend(9_u32.to_le_bytes());
        out.extend(id.to_le_bytes());
        out.extend((values.len() as u64).to_le_bytes());
        out.extend(values.iter().flat_map(bytes));
    }

    fn scalar(out: &mut Vec<u8>, id: u32, bytes: &[u8]) {
        out.extend(id.to_le_bytes());
        out.extend(bytes);
    }

    match value {
        Value::Bool(value) => scalar(out, 7, &[u8::from(*value)]),
        Value::F32(value) => scalar(out, 6, &value.to_le_bytes()),
        Value::F32s(values) => array(out, 6, values, |value| value.to_le_bytes()),
        Value::I32(value) => scalar(out, 5, &value.to_le_bytes()),
        Value::I32s(values) => array(out, 5, values, |value| value.to_le_bytes()),
        Value::String(text) => {
            scalar(out, 8, &[]);
            put_string(out, text.as_bytes());
        }
        Value::Strings(texts) => {
            array(out, 8, &[] as &[u8], |byte| [*byte]);
            let count_at = out.len() - 8;
            out[count_at..].copy_from_slice(&(texts.len() as u64).to_le_bytes());
            for text in texts {
                put_string(out, text);
            }
        }
        Value::U16(value) => scalar(out, 2, &value.to_le_bytes()),
        Value::U32(value) => scalar(out, 4, &value.to_le_bytes()),
        Value::U32s(values) => array(out, 4, values, |value| value.to_le_bytes()),
        Value::U64(value) => scalar(out, 10, &value.to_le_bytes()),
        Value::U8s(values) => array(out, 0, values, |value| [*value]),
        Value::Raw(id, bytes) => scalar(out, *id, bytes),
    }
}

/// Strings, for the value of a key.
pub(crate) fn strings(texts: &[&str]) -> Value {
    Value::Strings(texts.iter().map(|text| text.as_bytes().to_vec()).collect())
}

/// A text model of one layer that every check accepts.
pub(crate) fn tiny_llama() -> Writer {
    let f32 = GgmlType::F32;
    Writer::new()
        .with("general.architecture", "llama")
        .with("llama.context_length", 64)
        .with("llama.embedding_length", 32)
        .with("llama.block_count", 1)
        .with("llama.feed_forward_length", 64)
        .with("llama.attention.head_count", 4)
        .with("llama.attention.head_count_kv", 2)
        .with("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .with("llama.rope.dimension_count", 8)
        .with("tokenizer.ggml.model", "llama")
        .with(
            "tokenizer.ggml.tokens",
            strings(&["<unk>", "<s>", "</s>", "a", "b", ""]),
        )
        .with("tokenizer.ggml.scores", Value::F32s(vec![0.0; 6]))
        .with(
            "tokenizer.ggml.token_type",
            Value::I32s(vec![2, 3, 3, 1, 1, 5]),
        )
        .with("tokenizer.ggml.bos_token_id", 1)
        .with("tokenizer.ggml.add_bos_token", true)
        .with_tensor("token_embd.weight", &[32, 6], GgmlType::Q8_0)
        .with_tensor("blk.0.attn_norm.weight", &[32], f32)
        .with_tensor("blk.0.attn_q.weight", &[32, 32], f32)
        .with_tensor("blk.0.attn_k.weight", &[32, 16], f32)
        .with_tensor("blk.0.attn_v.weight", &[32, 16], f32)
        .with_tensor("blk.0.attn_output.weight", &[32, 32], f32)
        .with_tensor("blk.0.ffn_norm.weight", &[32], f32)
        .with_tensor("blk.0.ffn_gate.weight", &[32, 64], f32)
        .with_tensor("blk.0.ffn_up.weight", &[32, 64], f32)
        .with_tensor("blk.0.ffn_down.weight", &[64, 32], f32)
        .with_tensor("output_norm.weight", &[32], f32)
}
