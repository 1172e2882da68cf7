//! What the speech engine needs beyond a sound file: exactly the tensors that the hyperparameters ask
//! for. It allocates them before it reads any, so that nothing else bounds their size.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::source::invalid;
use crate::{FormatError, GgmlType, TensorInfo, WhisperFile};

pub(crate) fn check(path: &Path, file: &WhisperFile) -> Result<(), FormatError> {
    let found: HashMap<&str, &TensorInfo> = file
        .tensors
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor))
        .collect();
    let expected = expected_tensors(file);
    for tensor in &expected {
        let Some(&other) = found.get(tensor.name.as_str()) else {
            return Err(FormatError::Missing {
                path: path.to_owned(),
                expected: format!("tensor {:?}", tensor.name),
            });
        };
        compare(path, tensor, other)?;
    }
    let wanted: HashSet<&str> = expected.iter().map(|tensor| tensor.name.as_str()).collect();
    match file
        .tensors
        .iter()
        .find(|tensor| !wanted.contains(tensor.name.as_str()))
    {
        None => Ok(()),
        Some(extra) => Err(invalid(
            path,
            extra.header_offset,
            "name of a tensor",
            "the name of a tensor of a whisper model with these numbers of layers",
            format_args!("{:?}", extra.name),
        )),
    }
}

fn compare(path: &Path, expected: &Expected, found: &TensorInfo) -> Result<(), FormatError> {
    // Trailing dimensions of one do not count.
    let mut dims = found.dims.as_slice();
    while let [rest @ .., 1] = dims
        && dims.len() > expected.dims.len()
    {
        dims = rest;
    }
    if dims != expected.dims {
        return Err(invalid(
            path,
            found.header_offset,
            format_args!("dimensions of tensor {:?}", found.name),
            format_args!("{:?}", expected.dims),
            format_args!("{:?}", found.dims),
        ));
    }
    if found.dtype != expected.dtype {
        return Err(invalid(
            path,
            found.header_offset,
            format_args!("type of tensor {:?}", found.name),
            expected.dtype,
            found.dtype,
        ));
    }
    Ok(())
}

struct Expected {
    name: String,
    dims: Vec<u64>,
    dtype: GgmlType,
}

/// Every tensor that the engine makes room for.
fn expected_tensors(file: &WhisperFile) -> Vec<Expected> {
    let hparams = &file.hparams;
    // The file type was checked when it was read.
    let matrix = hparams.weight_type().unwrap_or(GgmlType::F32);
    let conv = if matrix == GgmlType::F32 {
        GgmlType::F32
    } else {
        GgmlType::F16
    };
    let state = u64::from(hparams.n_audio_state);
    let mut list = List {
        matrix,
        state,
        tensors: Vec::new(),
    };

    list.push(
        "encoder.positional_embedding",
        &[state, hparams.n_audio_ctx.into()],
        GgmlType::F32,
    );
    list.push(
        "encoder.conv1.weight",
        &[3, hparams.n_mels.into(), state],
        conv,
    );
    list.push("encoder.conv1.bias", &[1, state], GgmlType::F32);
    list.push("encoder.conv2.weight", &[3, state, state], conv);
    list.push("encoder.conv2.bias", &[1, state], GgmlType::F32);
    list.push_norm("encoder.ln_post");
    for i in 0..hparams.n_audio_layer {
        list.push_mlp(&format!("encoder.blocks.{i}"));
        list.push_attention(&format!("encoder.blocks.{i}.attn"));
    }
    list.push(
        "decoder.positional_embedding",
        &[state, hparams.n_text_ctx.into()],
        GgmlType::F32,
    );
    list.push(
        "decoder.token_embedding.weight",
        &[state, hparams.n_vocab.into()],
        matrix,
    );
    list.push_norm("decoder.ln");
    for i in 0..hparams.n_text_layer {
        list.push_mlp(&format!("decoder.blocks.{i}"));
        list.push_attention(&format!("decoder.blocks.{i}.attn"));
        list.push_attention(&format!("decoder.blocks.{i}.cross_attn"));
    }
    list.tensors
}

struct List {
    matrix: GgmlType,
    state: u64,
    tensors: Vec<Expected>,
}

impl List {
    fn push(&mut self, name: &str, dims: &[u64], dtype: GgmlType) {
        self.tensors.push(Expected {
            name: name.to_owned(),
            dims: dims.to_vec(),
            dtype,
        });
    }

    fn push_linear(&mut self, name: &str, from: u64, to: u64) {
        self.push(&format!("{name}.weight"), &[from, to], self.matrix);
        self.push(&format!("{name}.bias"), &[to], GgmlType::F32);
    }

    fn push_norm(&mut self, name: &str) {
        self.push(&format!("{name}.weight"), &[self.state], GgmlType::F32);
        self.push(&format!("{name}.bias"), &[self.state], GgmlType::F32);
    }

    fn push_mlp(&mut self, block: &str) {
        self.push_norm(&format!("{block}.mlp_ln"));
        self.push_linear(&format!("{block}.mlp.0"), self.state, 4 * self.state);
        self.push_linear(&format!("{block}.mlp.2"), 4 * self.state, self.state);
    }

    fn push_attention(&mut self, name: &str) {
        self.push_norm(&format!("{name}_ln"));
        self.push_linear(&format!("{name}.query"), self.state, self.state);
        // The bias of the keys would cancel out.
        self.push(
            &format!("{name}.key.weight"),
            &[self.state, self.state],
            self.matrix,
        );
        self.push_linear(&format!("{name}.value"), self.state, self.state);
        self.push_linear(&format!("{name}.out"), self.state, self.state);
    }
}
