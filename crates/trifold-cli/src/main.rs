//! The `trifold` program: text, speech and pictures, three sealed engines in one process.

mod commands;
mod error;
mod interrupt;
mod ui;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use trifold_backend::{DeviceOptions, DeviceRequest, Search};

use crate::{
    error::CliError,
    ui::{Compute, Ui},
};

/// Text, speech and pictures on your own machine: llama.cpp, whisper.cpp and stable-diffusion.cpp
/// in one program, each sealed with its own ggml.
#[derive(Parser)]
#[command(name = "trifold", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Print the result as JSON.
    #[arg(long, global = true, help_heading = HEADING)]
    json: bool,

    /// Show no progress and no notes.
    #[arg(long, short, global = true, help_heading = HEADING)]
    quiet: bool,

    /// Show what the engines log; twice for all of it.
    #[arg(long, short, global = true, action = clap::ArgAction::Count, help_heading = HEADING)]
    verbose: u8,

    #[command(flatten)]
    compute: ComputeArgs,
}

/// What to compute on.
#[derive(clap::Args)]
#[command(next_help_heading = COMPUTE_HEADING)]
struct ComputeArgs {
    /// What to compute on: auto (an accelerator if there is one), cpu, cuda, cuda:1, or for text models
    /// several with commas.
    #[arg(
        long,
        global = true,
        value_name = "DEVICE",
        default_value = "auto",
        hide_default_value = true
    )]
    device: DeviceRequest,

    /// A backend plugin, or a folder of them, that comes before all others.
    #[arg(long, global = true, value_name = "PATH")]
    backend: Vec<PathBuf>,

    /// How many layers of a text model the accelerators compute [default: all].
    #[arg(long, global = true, value_name = "N")]
    gpu_layers: Option<u32>,

    /// The share of each device in a text model, with commas [default: by their free memory].
    #[arg(long, global = true, value_name = "SHARES", value_delimiter = ',')]
    tensor_split: Vec<f32>,
}

impl ComputeArgs {
    fn compute(&self) -> Compute {
        let mut search = Search::default();
        // What somebody types is relative to where they are.
        search.paths = self
            .backend
            .iter()
            .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()))
            .collect();
        Compute {
            devices: DeviceOptions {
                device: self.device.clone(),
                search,
            },
            gpu_layers: self.gpu_layers,
            tensor_split: self.tensor_split.clone(),
        }
    }
}

/// Apart from the options of a command, which would otherwise stand between them.
const HEADING: &str = "Output";
const COMPUTE_HEADING: &str = "Devices";

const EXAMPLES: &str = "\
Examples:
  trifold demo                                  speech → text → picture, with the built-in models
  trifold generate \"Once upon a time\"           go on with a text
  trifold chat --model model.gguf               talk to a model of your own
  trifold transcribe talk.mp3 --format srt      subtitles
  trifold draw \"a red circle\" -o circle.png     a picture
  trifold devices                               what can be computed on
  trifold doctor                                what is inside, and whether all is well";

#[derive(Subcommand)]
enum Command {
    /// Speech to text, text to story, text to picture: all three engines, offline.
    Demo(commands::demo::Args),
    /// Go on with a text.
    Generate(commands::generate::Args),
    /// Talk to a model.
    Chat(commands::chat::Args),
    /// Turn texts into vectors.
    Embed(commands::embed::Args),
    /// Turn speech into text or subtitles.
    Transcribe(commands::transcribe::Args),
    /// Turn text into a picture.
    Draw(commands::draw::Args),
    /// Show what is in a model file.
    Inspect(commands::inspect::Args),
    /// Show what each engine can compute on, and which backend plugins cannot be used.
    Devices(commands::devices::Args),
    /// Lend this computer to text models elsewhere, in a network where everybody is trusted.
    RpcServer(commands::rpc_server::Args),
    /// Show the engines, their seals, this machine, and the models at hand.
    Doctor(commands::doctor::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ui = Ui::new(cli.quiet, cli.json, cli.compute.compute());
    ui::log_to_stderr(cli.verbose);
    let result = interrupt::install().and_then(|()| run(&cli.command, &ui));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(CliError::Interrupted) => ExitCode::from(interrupt::EXIT_CODE),
        // The reader of our output has gone, as `head` does: nothing is wrong.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            ui::report(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command, ui: &Ui) -> Result<(), CliError> {
    match command {
        Command::Demo(args) => commands::demo::run(args, ui),
        Command::Generate(args) => commands::generate::run(args, ui),
        Command::Chat(args) => commands::chat::run(args, ui),
        Command::Embed(args) => commands::embed::run(args, ui),
        Command::Transcribe(args) => commands::transcribe::run(args, ui),
        Command::Draw(args) => commands::draw::run(args, ui),
        Command::Inspect(args) => commands::inspect::run(args, ui),
        Command::Devices(args) => commands::devices::run(args, ui),
        Command::RpcServer(args) => commands::rpc_server::run(args, ui),
        Command::Doctor(args) => commands::doctor::run(args, ui),
    }
}
