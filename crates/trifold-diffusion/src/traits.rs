//! What the tensors of a model say about it, where the engine does not tell.

use trifold_formats::ModelFile;

/// What is known of a model before it is loaded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Traits {
    /// The model file has a tiny autoencoder (TAESD) inside, and no full one.
    pub(crate) own_tiny_vae: bool,
    /// Sizes of pictures are multiples of this. The engine rounds others up silently: a UNet halves
    /// its latents three times, and one family of autoencoders makes latents 16 times smaller.
    pub(crate) size_step: u32,
    /// "Align your steps" has tables for Stable Diffusion 1 and XL. With others the engine has no
    /// noise levels: it draws noise, or reads beyond an empty table.
    pub(crate) takes_ays: bool,
}

impl Traits {
    pub(crate) fn of<'a>(files: impl IntoIterator<Item = &'a ModelFile>) -> Self {
        let tensors: Vec<Tensor<'a>> = files.into_iter().flat_map(tensors).collect();
        let any = |test: &dyn Fn(&str) -> bool| tensors.iter().any(|tensor| test(tensor.name));
        let tiny_vae = any(&|name| name.starts_with("tae."));
        let full_vae =
            any(&|name| name.starts_with("first_stage_model.") || name.starts_with("vae."));
        let unet =
            any(&|name| name.contains("input_blocks.") || name.contains("unet.down_blocks."));
        let large_latents = any(&|name| LARGE_LATENTS.iter().any(|part| name.contains(part)));
        let size_step = match (unet, large_latents) {
            (true, _) => 64,
            (false, true) => 16,
            (false, false) => 8,
        };
        let takes_ays = unet
            && tensors.iter().any(|tensor| {
                tensor.name.contains("attn2.to_k.weight") && matches!(tensor.columns, 768 | 2048)
            });
        Self {
            own_tiny_vae: tiny_vae && !full_vae,
            size_step,
            takes_ays,
        }
    }
}

/// Parts of names by which the engine tells Flux 2, Ernie, Lens and Ideogram 4.
const LARGE_LATENTS: [&str; 4] = [
    "double_stream_modulation_img.lin.weight",
    "layers.0.adaLN_sa_ln.weight",
    "transformer_blocks.0.img_mlp.w1.weight",
    "embed_image_indicator.weight",
];

struct Tensor<'a> {
    name: &'a str,
    /// The dimension that is contiguous in memory.
    columns: u64,
}

fn tensors(file: &ModelFile) -> Vec<Tensor<'_>> {
    let gguf = file.gguf().into_iter().flat_map(|gguf| &gguf.tensors);
    let gguf = gguf.map(|tensor| (tensor.name.as_str(), tensor.dims.first()));
    let safetensors = file
        .safetensors()
        .into_iter()
        .flat_map(|file| &file.tensors);
    let safetensors = safetensors.map(|tensor| (tensor.name.as_str(), tensor.dims.last()));
    gguf.chain(safetensors)
        .map(|(name, columns)| Tensor {
            name,
            columns: columns.copied().unwrap_or(1),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, io::Cursor};

    use super::*;

    /// A safetensors file of f32 tensors.
    fn file(tensors: &[(&str, &[u64])]) -> ModelFile {
        let mut header = String::new();
        let mut end = 0;
        for (name, dims) in tensors {
            let start = end;
            end += dims.iter().product::<u64>() * 4;
            let comma = if header.is_empty() { "" } else { "," };
            write!(header, "{comma}\"{name}\":{{\"dtype\":\"F32\",\"shape\":{dims:?},\"data_offsets\":[{start},{end}]}}")
                .unwrap();
        }
        let header = format!("{{{header}}}");
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + usize::try_from(end).unwrap(), 0);
        let length = bytes.len() as u64;
        ModelFile::read(Cursor::new(bytes), length, "test.safetensors").unwrap()
    }

    #[test]
    fn stable_diffusion_1() {
        let model = file(&[
            ("first_stage_model.encoder.conv_in.weight", &[1]),
            (
                "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
                &[2, 768],
            ),
        ]);
        assert_eq!(
            Traits::of([&model]),
            Traits {
                own_tiny_vae: false,
                size_step: 64,
                takes_ays: true
            }
        );
    }

    #[test]
    fn stable_diffusion_2_has_no_table_of_steps() {
        let model = file(&[(
            "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight",
            &[1, 1024],
        )]);
        assert_eq!(
            Traits::of([&model]),
            Traits {
                own_tiny_vae: false,
                size_step: 64,
                takes_ays: false
            }
        );
    }

    #[test]
    fn transformers_with_large_and_with_usual_latents() {
        let flux2 = file(&[(
            "model.diffusion_model.double_stream_modulation_img.lin.weight",
            &[1],
        )]);
        assert_eq!(Traits::of([&flux2]).size_step, 16);
        let flux = file(&[(
            "model.diffusion_model.double_blocks.0.img_mod.lin.weight",
            &[1],
        )]);
        assert_eq!(Traits::of([&flux]).size_step, 8);
    }

    #[test]
    fn a_tiny_autoencoder_counts_where_there_is_no_other() {
        let tiny: (&str, &[u64]) = ("tae.decoder.layers.0.weight", &[1]);
        let full: (&str, &[u64]) = ("vae.decoder.conv_in.weight", &[1]);
        assert!(Traits::of([&file(&[tiny])]).own_tiny_vae);
        assert!(!Traits::of([&file(&[tiny, full])]).own_tiny_vae);
        assert!(!Traits::of([&file(&[full])]).own_tiny_vae);
    }
}
