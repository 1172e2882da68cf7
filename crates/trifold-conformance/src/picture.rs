//! What stable-diffusion.cpp gives.

use anyhow::{Context as _, Result};
use trifold_diffusion::{Model, ModelOptions, Seed};

use crate::{
    Place,
    answers::{Answers, Case, Output},
    models::Files,
};

const PROMPTS: [(&str, u64); 3] = [
    ("a house and a tree", 5),
    ("a red circle on a blue background", 1),
    ("a yellow sun over green hills", 2),
];

pub(crate) fn answers(files: &Files, on: &Place) -> Result<Answers> {
    let mut cases = Vec::new();
    for file in files.picture()? {
        let mut options = ModelOptions::new(&file.path);
        options.threads = Some(on.threads);
        options.devices = on.devices.clone();
        let mut model = Model::load_with(&options)?;
        let count = if file.random { 1 } else { PROMPTS.len() };
        for (prompt, seed) in &PROMPTS[..count] {
            cases.push(Case {
                model: file.name,
                random: file.random,
                sha256: file.sha256.clone(),
                input: format!("{prompt} (seed {seed})"),
                output: output(&mut model, prompt, *seed)
                    .with_context(|| format!("{}: {prompt}", file.name))?,
            });
        }
    }
    Ok(Answers {
        engine: "diffusion",
        ggml_version: trifold_diffusion::ggml_version()?,
        cases,
    })
}

fn output(model: &mut Model, prompt: &str, seed: u64) -> Result<Output> {
    let mut options = model.default_options(prompt);
    options.seed = Seed::Fixed(seed);
    let picture = model
        .generate(&options)?
        .into_iter()
        .next()
        .context("Expected a picture")?;
    Ok(Output::Picture {
        width: picture.width,
        height: picture.height,
        rgb8: picture.rgb8,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::models::Size;

    #[test]
    fn few_pixels_of_the_random_picture_are_cut_off() {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        let files = Files::make(&demo, Size::Small).unwrap();
        let random = files.picture().unwrap().pop().unwrap();
        let mut model = Model::load(&random.path).unwrap();
        let (prompt, seed) = PROMPTS[0];
        let Output::Picture { rgb8, .. } = output(&mut model, prompt, seed).unwrap() else {
            panic!("expected a picture");
        };
        let is_cut = |value: &&u8| matches!(**value, 0 | u8::MAX);
        let cut = rgb8.iter().filter(is_cut).count();
        assert!(cut < rgb8.len() / 4, "{cut} of {} values", rgb8.len());
    }
}
