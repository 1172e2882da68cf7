use std::path::PathBuf;

use trifold_build::{Mode, config::Config, glibc::Floor};
use trifold_pack::{
    PackError,
    inside::{Options, human, inside, schema, to_json},
    layout::PluginChoice,
};

use super::{
    layout::{BackendArgs, absolute, engines, floor_of, mode_of},
    print, show_progress,
};
use crate::Outcome;

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The backend: a [plugin.NAME] table of engines.toml.
    #[arg(value_name = "NAME", required_unless_present = "schema")]
    name: Option<String>,

    /// The engines; all of trifold's if none is named.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    engines: Vec<String>,

    /// Which ggml the engines have: each its own, as the field has it, or all that of the plugin.
    #[arg(long, value_name = "MODE", default_value = "pinned", value_parser = Mode::NAMES)]
    ggml: String,

    /// The oldest glibc that all of it runs on.
    #[arg(long, value_name = "VERSION", default_value = "2.28", value_parser = floor_of)]
    glibc: Floor,

    #[command(flatten)]
    building: BackendArgs,

    /// Where it is built; nothing of it stays there.
    #[arg(long, short, value_name = "FOLDER", default_value = "target/inside")]
    output: PathBuf,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// Print the schema of the JSON, and do nothing else.
    #[arg(long)]
    schema: bool,
}

const EXAMPLES: &str = "\
Examples:
  trifold-pack inside rpc
  trifold-pack inside cuda13 --toolkit /usr/local/cuda --architectures 90
  trifold-pack inside twin --engines llama,whisper --ggml aligned --json

docs/layouts.md says what is measured.";

pub(crate) fn run(args: &Args) -> Result<Outcome, PackError> {
    let Some(name) = args.name.as_ref().filter(|_| !args.schema) else {
        return print(&schema()).map(|()| Outcome::Clean);
    };
    Config::load()?.plugin(name)?;
    let options = Options {
        backend: PluginChoice {
            name: name.clone(),
            options: args.building.options(),
        },
        engines: engines(&args.engines)?,
        mode: mode_of(&args.ggml),
        floor: args.glibc,
        out: absolute(&args.output)?,
    };
    let report = inside(&options, &show_progress)?;
    print(&if args.json {
        to_json(&report)
    } else {
        human(&report)
    })?;
    Ok(Outcome::Clean)
}
