//! The demo model, and pictures of it.
#![allow(dead_code)] // each test program uses its own part of this

use std::num::NonZeroUsize;

use trifold_diffusion::{GenerateOptions, Model, ModelOptions, Picture, Progress, Sampler, Seed};

pub(crate) const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../models/picture/trifold-picture.gguf"
);
pub(crate) const STORY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../models/story/trifold-story.gguf"
);
pub(crate) const SPEECH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../models/speech/trifold-speech.bin"
);

/// One thread: several tests run at once, and ggml's threads wait for each other by spinning.
pub(crate) fn one_thread(path: impl Into<std::path::PathBuf>) -> ModelOptions {
    let mut options = ModelOptions::new(path);
    options.threads = NonZeroUsize::new(1);
    options
}

pub(crate) fn demo_model() -> Model {
    Model::load_with(&one_thread(MODEL)).unwrap()
}

/// What suits the demo model.
pub(crate) fn good(prompt: &str, seed: u64) -> GenerateOptions {
    let mut options = GenerateOptions::new(prompt);
    (options.width, options.height) = (128, 128);
    options.sampler = Some(Sampler::Lcm);
    options.steps = 12;
    options.guidance = 2.5;
    options.seed = Seed::Fixed(seed);
    options
}

/// The least work that gives some picture.
pub(crate) fn quick(prompt: &str, seed: u64) -> GenerateOptions {
    let mut options = good(prompt, seed);
    (options.steps, options.guidance) = (2, 1.0);
    options
}

/// A quarter of that again; the demo model draws mud in this size, but it draws.
pub(crate) fn tiny(prompt: &str, seed: u64) -> GenerateOptions {
    let mut options = quick(prompt, seed);
    (options.width, options.height) = (64, 64);
    options
}

pub(crate) fn draw(model: &mut Model, options: &GenerateOptions) -> Picture {
    let mut pictures = model.generate(options).unwrap();
    assert_eq!(pictures.len(), 1);
    pictures.remove(0)
}

/// The mean red, green and blue of a square of 16 pixels whose middle is at (x, y).
pub(crate) fn mean(picture: &Picture, x: u32, y: u32) -> [u32; 3] {
    let mut sum = [0; 3];
    for (x, y) in (x - 8..x + 8).flat_map(|x| (y - 8..y + 8).map(move |y| (x, y))) {
        let pixel = picture.pixel(x, y).unwrap();
        for (sum, value) in sum.iter_mut().zip(pixel) {
            *sum += u32::from(value);
        }
    }
    sum.map(|sum| sum / 256)
}

pub(crate) fn is_red([red, green, blue]: [u32; 3]) -> bool {
    red > 150 && green < 110 && blue < 110
}

pub(crate) fn is_blue([red, green, blue]: [u32; 3]) -> bool {
    blue > 130 && red < 110 && blue > green + 40
}

pub(crate) fn is_yellow([red, green, blue]: [u32; 3]) -> bool {
    red > 170 && green > 140 && blue < 130
}

/// The steps that were reported, as (picture, step, steps).
pub(crate) fn steps(progress: &[Progress]) -> Vec<(u32, u32, u32)> {
    progress
        .iter()
        .filter_map(|progress| match *progress {
            Progress::Step {
                picture,
                step,
                steps,
                ..
            } => Some((picture, step, steps)),
            _ => None,
        })
        .collect()
}
