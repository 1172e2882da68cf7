//! Loading models by name, with a sign of life.

use std::{ops::ControlFlow, path::PathBuf};

use trifold_hub::{ModelKind, Source};

use crate::{error::CliError, interrupt, ui::Ui};

/// The path of a model's file; `kind` tells which of a repository's files it can be.
pub(crate) fn path(name: &str, kind: Option<ModelKind>) -> Result<PathBuf, CliError> {
    Ok(match Source::parse(name)? {
        Source::HuggingFace(repository) => repository.downloaded(kind)?,
        source => trifold_hub::resolve(&source)?,
    })
}

/// Loads a text model.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 100"
)]
pub(crate) fn text(name: &str, ui: &Ui) -> Result<trifold_llama::Model, CliError> {
    let path = path(name, Some(ModelKind::Text))?;
    let bar = ui.bar(100, format!("Loading {name}"));
    let compute = ui.compute();
    let mut options = trifold_llama::Model::options()
        .device(compute.devices.clone())
        .tensor_split(compute.tensor_split.clone())
        .cancel(interrupt::token())
        .progress({
            let bar = bar.clone();
            move |done| {
                bar.set_position((f64::from(done) * 100.0) as u64);
                ControlFlow::Continue(())
            }
        });
    if let Some(layers) = compute.gpu_layers {
        options = options.gpu_layers(layers);
    }
    let model = options.load(path);
    bar.finish_and_clear();
    interrupt::check()?;
    Ok(model?)
}

/// Loads a speech model.
pub(crate) fn speech(name: &str, ui: &Ui) -> Result<trifold_whisper::Model, CliError> {
    let path = path(name, Some(ModelKind::Speech))?;
    let spinner = ui.spinner(format!("Loading {name}"));
    let model =
        trifold_whisper::Model::load_on(path, ui.devices(), &mut trifold_whisper::Hooks::new());
    spinner.finish_and_clear();
    interrupt::check()?;
    Ok(model?)
}

/// Loads a picture model.
pub(crate) fn picture(
    name: &str,
    options: impl FnOnce(&mut trifold_diffusion::ModelOptions),
    ui: &Ui,
) -> Result<trifold_diffusion::Model, CliError> {
    let path = path(name, Some(ModelKind::Picture))?;
    let mut model_options = trifold_diffusion::ModelOptions::new(path);
    options(&mut model_options);
    picture_from(&model_options, name, ui)
}

/// Loads a picture model, which may come in parts.
pub(crate) fn picture_from(
    options: &trifold_diffusion::ModelOptions,
    name: &str,
    ui: &Ui,
) -> Result<trifold_diffusion::Model, CliError> {
    let spinner = ui.spinner(format!("Loading {name}"));
    let mut options = options.clone();
    options.devices = ui.devices().clone();
    let model = trifold_diffusion::Model::load_with(&options);
    spinner.finish_and_clear();
    interrupt::check()?;
    Ok(model?)
}
