//! Keyword options into those of the safe crate.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use pyo3::{prelude::*, types::PyDict};
use trifold_diffusion::{DiffusionError, GenerateOptions, InitPicture, ModelOptions, Part, Seed};
use trifold_python::{Failure, Limits, ModelKind, Options, model_path};

use crate::failure::failure;

/// The parts of a model, by name.
const PARTS: [(&str, Part); 7] = [
    ("clip_g", Part::ClipG),
    ("clip_l", Part::ClipL),
    ("diffusion", Part::Diffusion),
    ("llm", Part::Llm),
    ("t5xxl", Part::T5xxl),
    ("tiny_vae", Part::TinyVae),
    ("vae", Part::Vae),
];

/// How a model is loaded; names of demo models stand for their files in `demo_models`. `progress` is told
/// the fraction downloaded of what has to be.
pub(crate) fn load(
    py: Python<'_>,
    model: Option<PathBuf>,
    demo_models: Option<PathBuf>,
    given: Option<&Bound<'_, PyDict>>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<(ModelOptions, Limits)> {
    let mut options = Options::new(given);
    let mut limits = options.limits()?;
    let parts = options.take::<BTreeMap<String, PathBuf>>("parts")?;
    let mut load = ModelOptions::default();
    load.threads = options.take("threads")?;
    options.set("mmap", &mut load.mmap)?;
    options.set("flash_attention", &mut load.flash_attention)?;
    load.devices = options.devices()?;
    options.finish()?;
    let parts: Vec<_> = parts
        .unwrap_or_default()
        .into_iter()
        .map(|(name, path)| Ok((part(&name)?, path)))
        .collect::<Result<_, Failure>>()?;
    let demo_models = demo_models.as_deref();
    let mut find = |path: PathBuf| {
        model_path(
            py,
            &path,
            ModelKind::Picture,
            demo_models,
            &mut limits,
            progress,
        )
    };
    load.model = model.map(&mut find).transpose()?;
    for (part, path) in parts {
        load.parts.insert(part, find(path)?);
    }
    Ok((load, limits))
}

fn part(name: &str) -> Result<Part, Failure> {
    let known = PARTS.iter().find(|(known, _)| *known == name);
    known.map(|(_, part)| *part).ok_or_else(|| {
        let known = PARTS.map(|(name, _)| name).join(", ");
        Failure::new(
            "OptionError",
            format!("Unknown part of a model: {name} (known: {known})"),
            None,
        )
    })
}

/// What to draw: the options of Python's `GenerateOptions`, over those that suit the model.
pub(crate) fn generate(
    defaults: &GenerateOptions,
    prompt: String,
    batch: u32,
    given: Option<&Bound<'_, PyDict>>,
) -> PyResult<(GenerateOptions, Limits)> {
    let mut options = Options::new(given);
    let limits = options.limits()?;
    let mut generate = defaults.clone();
    generate.prompt = prompt;
    generate.batch = batch;
    options.set("negative_prompt", &mut generate.negative_prompt)?;
    options.set("width", &mut generate.width)?;
    options.set("height", &mut generate.height)?;
    options.set("steps", &mut generate.steps)?;
    options.set("guidance", &mut generate.guidance)?;
    generate.sampler = named(&mut options, "sampler")?.or(generate.sampler);
    generate.scheduler = named(&mut options, "scheduler")?.or(generate.scheduler);
    generate.seed = options.take("seed")?.map_or(generate.seed, Seed::Fixed);
    generate.clip_skip = options.take("clip_skip")?.or(generate.clip_skip);
    let init = options.take::<(u32, u32, Vec<u8>, f32)>("init_image")?;
    generate.init =
        init.map(|(width, height, rgb8, strength)| InitPicture::new(width, height, rgb8, strength));
    options.finish()?;
    Ok((generate, limits))
}

/// A value that goes by a name.
fn named<T: FromStr<Err = DiffusionError>>(
    options: &mut Options<'_>,
    option: &'static str,
) -> PyResult<Option<T>> {
    let name = options.take::<String>(option)?;
    let value = name.map(|name| name.parse()).transpose();
    Ok(value.map_err(|error| failure(&error))?)
}
