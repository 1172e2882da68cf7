//! A writer of whisper files.

use trifold_formats::GgmlType;

#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) name: Vec<u8>,
    pub(crate) dims: Vec<i32>,
    pub(crate) dtype: i32,
    pub(crate) size: usize,
}

impl Tensor {
    pub(crate) fn new(name: &str, dims: &[i32], dtype: GgmlType) -> Self {
        let elements: i32 = dims.iter().product();
        let blocks =
            usize::try_from(elements).unwrap() / usize::try_from(dtype.block_size()).unwrap();
        Self {
            name: name.as_bytes().to_vec(),
            dims: dims.to_vec(),
            dtype: dtype.id().cast_signed(),
            size: blocks * usize::try_from(dtype.type_size()).unwrap(),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) hparams: [i32; 11],
    pub(crate) filters: [i32; 2],
    pub(crate) tokens: Vec<Vec<u8>>,
    pub(crate) tensors: Vec<Tensor>,
}

impl Writer {
    pub(crate) fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors
            .iter_mut()
            .find(|tensor| tensor.name == name.as_bytes())
            .expect("no such tensor")
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = b"lmgg".to_vec();
        out.extend(
            self.hparams
                .iter()
                .chain(&self.filters)
                .flat_map(|number| number.to_le_bytes()),
        );
        let filters = self.hparams[9].clamp(0, 99) * 201 * 4;
        out.resize(out.len() + usize::try_from(filters).unwrap(), 0x11);
        out.extend(u32::try_from(self.tokens.len()).unwrap().to_le_bytes());
        for token in &self.tokens {
            out.extend(u32::try_from(token.len()).unwrap().to_le_bytes());
            out.extend(token);
        }
        for tensor in &self.tensors {
            out.extend(u32::try_from(tensor.dims.len()).unwrap().to_le_bytes());
            out.extend(u32::try_from(tensor.name.len()).unwrap().to_le_bytes());
            out.extend(tensor.dtype.to_le_bytes());
            out.extend(tensor.dims.iter().flat_map(|dim| dim.to_le_bytes()));
            out.extend(&tensor.name);
            out.resize(out.len() + tensor.size, 0x55);
        }
        out
    }
}

/// A speech model, four numbers wide, with one layer each, that every check accepts.
pub(crate) fn tiny() -> Writer {
    const STATE: i32 = 4;
    let (f16, f32) = (GgmlType::F16, GgmlType::F32);
    let mut tensors = vec![
        Tensor::new("encoder.positional_embedding", &[STATE, 3], f32),
        Tensor::new("encoder.conv1.weight", &[3, 2, STATE], f16),
        Tensor::new("encoder.conv1.bias", &[1, STATE], f32),
        Tensor::new("encoder.conv2.weight", &[3, STATE, STATE], f16),
        Tensor::new("encoder.conv2.bias", &[1, STATE], f32),
        Tensor::new("decoder.positional_embedding", &[STATE, 16], f32),
        Tensor::new("decoder.token_embedding.weight", &[STATE, 51864], f16),
    ];
    let mut vectors = vec!["encoder.ln_post".to_owned(), "decoder.ln".to_owned()];
    let mut matrices = Vec::new();
    for (block, attentions) in [
        ("encoder.blocks.0", &["attn"][..]),
        ("decoder.blocks.0", &["attn", "cross_attn"]),
    ] {
        vectors.push(format!("{block}.mlp_ln"));
        matrices.push((format!("{block}.mlp.0"), STATE, 4 * STATE));
        matrices.push((format!("{block}.mlp.2"), 4 * STATE, STATE));
        for attention in attentions {
            vectors.push(format!("{block}.{attention}_ln"));
            for part in ["query", "value", "out"] {
                matrices.push((format!("{block}.{attention}.{part}"), STATE, STATE));
            }
            let name = format!("{block}.{attention}.key.weight");
            tensors.push(Tensor::new(&name, &[STATE, STATE], f16));
        }
    }
    for name in vectors {
        tensors.push(Tensor::new(&format!("{name}.weight"), &[STATE], f32));
        tensors.push(Tensor::new(&format!("{name}.bias"), &[STATE], f32));
    }
    for (name, from, to) in matrices {
        tensors.push(Tensor::new(&format!("{name}.weight"), &[from, to], f16));
        tensors.push(Tensor::new(&format!("{name}.bias"), &[to], f32));
    }
    Writer {
        hparams: [51864, 3, STATE, 2, 1, 16, STATE, 2, 1, 2, 1],
        filters: [2, 201],
        tokens: vec![b"a".to_vec(), b"".to_vec(), b"\xff\xfe".to_vec()],
        tensors,
    }
}
