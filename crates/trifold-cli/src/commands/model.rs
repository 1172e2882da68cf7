//! Loading models by name, with a sign of life.

use std::{ops::ControlFlow, path::PathBuf};

use trifold_hub::Source;

use crate::{error::CliError, interrupt, ui::Ui};

/// The path of a model's file.
pub(crate) fn path(name: &str) -> Result<PathBuf, CliError> {
    Ok(trifold_hub::resolve(&Source::parse(name)?)?)
}

/// Loads a text model.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 100"
)]
pub(crate) fn text(name: &str, ui: &Ui) -> Result<trifold_llama::Model, CliError> {
    let path = path(name)?;
    let bar = ui.bar(100, format!("Loading {name}"));
    let model = trifold_llama::Model::options()
        .cancel(interrupt::token())
        .progress({
            let bar = bar.clone();
            move |done| {
                bar.set_position((f64::from(done) * 100.0) as u64);
                ControlFlow::Continue(())
            }
        })
        .load(path);
    bar.finish_and_clear();
    interrupt::check()?;
    Ok(model?)
}

/// Loads a speech model.
pub(crate) fn speech(name: &str, ui: &Ui) -> Result<trifold_whisper::Model, CliError> {
    let path = path(name)?;
    let spinner = ui.spinner(format!("Loading {name}"));
    let model = trifold_whisper::Model::load(path);
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
    let mut model_options = trifold_diffusion::ModelOptions::new(path(name)?);
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
    let model = trifold_diffusion::Model::load_with(options);
    spinner.finish_and_clear();
    interrupt::check()?;
    Ok(model?)
}
