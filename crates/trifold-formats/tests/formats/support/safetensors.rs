//! A writer of safetensors files.

/// A file with this JSON and so many bytes of data.
pub(crate) fn file(json: &str, data: usize) -> Vec<u8> {
    let mut out = (json.len() as u64).to_le_bytes().to_vec();
    out.extend(json.as_bytes());
    out.resize(out.len() + data, 0x55);
    out
}

/// The JSON of a tensor.
pub(crate) fn tensor(name: &str, dtype: &str, shape: &[u64], begin: u64, end: u64) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{begin},{end}]}}"#)
}

/// A picture model that every check accepts: three tensors of 24, 8 and 2 bytes.
pub(crate) fn tiny() -> Vec<u8> {
    let json = [
        r#""__metadata__":{"format":"pt"}"#.to_owned(),
        tensor("model.diffusion_model.out.bias", "F32", &[2], 24, 32),
        tensor("model.diffusion_model.out.weight", "F16", &[2, 3, 2], 0, 24),
        tensor("scale", "BF16", &[], 32, 34),
    ];
    file(&format!("{{{}}}", json.join(",")), 34)
}
