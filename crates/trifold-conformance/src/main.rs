//! Runs an engine on fixed inputs and writes down every number that comes out, for `trifold-pack align`
//! to compare: the same engine compiled against another ggml has to give the same numbers, or nearly so.
//!
//! Each engine gets two models: its demo model, and one with random weights of another quantisation,
//! made anew each time from a fixed seed ([`models`]). One thread, no sampling, fixed seeds.

#[cfg(not(any(feature = "diffusion", feature = "llama", feature = "whisper")))]
compile_error!("Choose engines with the features diffusion, llama and whisper");

mod answers;
mod models;
#[cfg(feature = "diffusion")]
mod picture;
#[cfg(feature = "whisper")]
mod speech;
#[cfg(feature = "llama")]
mod text;

use std::{
    io::Write as _,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use trifold_backend::{BackendError, DeviceOptions, DeviceRequest, Search};

use crate::{
    answers::Answers,
    models::{Files, Size},
};

/// The exit code for a device that cannot be used.
const FAILED: u8 = 1;

/// The exit code for a plugin that works, but finds nothing here to compute on.
const NO_DEVICE: u8 = 3;

/// Runs an engine on fixed inputs and writes down every number that comes out.
///
/// Exit code: 3 if the plugin works, but finds nothing here to compute on.
#[derive(Parser)]
#[command(name = "trifold-conformance", version)]
struct Arguments {
    /// The engine.
    engine: Engine,

    /// The folder of the demo models: `models` of the repository.
    #[arg(long)]
    models: PathBuf,

    /// Which models to run.
    #[arg(long, value_enum, default_value_t)]
    size: Size,

    /// What to compute on.
    #[arg(long, default_value = "cpu")]
    device: DeviceRequest,

    /// The backend plugin of that device.
    #[arg(long)]
    backend: Option<PathBuf>,

    /// Of the CPU. With one, sums are made in the same order every time.
    #[arg(long, default_value = "1")]
    threads: NonZeroUsize,

    /// The file to write, as JSON; with `--save-models` the folder.
    #[arg(long, short)]
    output: PathBuf,

    /// Only write the random models of this engine into a folder.
    #[arg(long)]
    save_models: bool,
}

/// The engines that this program was compiled with.
#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    /// stable-diffusion.cpp: pictures.
    #[cfg(feature = "diffusion")]
    Diffusion,
    /// llama.cpp: log probabilities and text.
    #[cfg(feature = "llama")]
    Llama,
    /// whisper.cpp: transcripts.
    #[cfg(feature = "whisper")]
    Whisper,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.save_models {
        let files = Files::make(&arguments.models, arguments.size)?;
        save(arguments.engine, &files, &arguments.output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let on = Place {
        devices: DeviceOptions {
            device: arguments.device,
            search: Search::only(arguments.backend),
        },
        threads: arguments.threads,
    };
    if let Err(error) = available(arguments.engine, &on) {
        let hint = error.hint().unwrap_or_default();
        writeln!(std::io::stderr(), "{error}\nhint: {hint}")?;
        let without = is_without_device(&error);
        return Ok(ExitCode::from(if without { NO_DEVICE } else { FAILED }));
    }
    let files = Files::make(&arguments.models, arguments.size)?;
    let answers = run(arguments.engine, &files, &on)?;
    let json = serde_json::to_vec(&answers).context("Could not write JSON")?;
    fs_err::write(&arguments.output, json)?;
    Ok(ExitCode::SUCCESS)
}

fn available(engine: Engine, on: &Place) -> Result<(), BackendError> {
    let found = match engine {
        #[cfg(feature = "diffusion")]
        Engine::Diffusion => on.devices.select(trifold_diffusion::host()),
        #[cfg(feature = "llama")]
        Engine::Llama => on.devices.select(trifold_llama::host()),
        #[cfg(feature = "whisper")]
        Engine::Whisper => on.devices.select(trifold_whisper::host()),
    };
    found.map(drop)
}

/// Whether nothing is wrong with the plugin: it has said that it cannot be used here, or it is loaded and has no
/// device at all.
fn is_without_device(error: &BackendError) -> bool {
    let BackendError::NoDevice { there, tried, .. } = error else {
        return false;
    };
    match &tried[..] {
        [] => *there == ["cpu"],
        [one] => matches!(*one.error, BackendError::Refused { .. }),
        _ => false,
    }
}

fn save(engine: Engine, files: &Files, folder: &Path) -> Result<()> {
    let models = match engine {
        #[cfg(feature = "diffusion")]
        Engine::Diffusion => files.picture()?,
        #[cfg(feature = "llama")]
        Engine::Llama => files.text()?,
        #[cfg(feature = "whisper")]
        Engine::Whisper => files.speech()?,
    };
    fs_err::create_dir_all(folder)?;
    for model in models.iter().filter(|model| model.random) {
        let name = model.path.file_name().context("Expected a file name")?;
        fs_err::copy(&model.path, folder.join(name))?;
    }
    Ok(())
}

/// What to compute on.
struct Place {
    devices: DeviceOptions,
    threads: NonZeroUsize,
}

fn run(engine: Engine, files: &Files, on: &Place) -> Result<Answers> {
    match engine {
        #[cfg(feature = "diffusion")]
        Engine::Diffusion => picture::answers(files, on),
        #[cfg(feature = "llama")]
        Engine::Llama => text::answers(files, on),
        #[cfg(feature = "whisper")]
        Engine::Whisper => speech::answers(files, on),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_device(there: &[&str]) -> BackendError {
        BackendError::NoDevice {
            request: "cuda:0".into(),
            there: there.iter().map(|name| (*name).into()).collect(),
            tried: Vec::new(),
            searched: Vec::new(),
        }
    }

    #[test]
    fn a_plugin_without_device_is_one_that_works() {
        assert!(is_without_device(&no_device(&["cpu"])));
        // One that is there and is asked for otherwise.
        assert!(!is_without_device(&no_device(&["cpu", "blas:0"])));
        let (path, said) = (PathBuf::from("/plugin.so"), String::new());
        let failed = BackendError::Failed { path, said };
        assert!(!is_without_device(&failed));
    }
}
