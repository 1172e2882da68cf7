use std::path::PathBuf;

use serde_json::json;
use trifold_build::{
    Builder, Mode,
    config::Config,
    glibc::Floor,
    plugin::{Options, Plugin},
};
use trifold_pack::PackError;

use super::{
    layout::{absolute, floor_of},
    print,
};
use crate::Outcome;

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The plugin: a [plugin.NAME] table of engines.toml.
    #[arg(value_name = "NAME")]
    name: String,

    /// Where the plugin goes.
    #[arg(long, short, value_name = "FOLDER", default_value = "target/plugins")]
    output: PathBuf,

    /// Another engines.toml.
    #[arg(long, value_name = "FILE")]
    engines_file: Option<PathBuf>,

    /// Which ggml it is compiled from: the newest one, for all engines, or what one engine ships.
    #[arg(long, value_name = "MODE", default_value = "aligned", value_parser = Mode::NAMES)]
    ggml: String,

    /// The engine that it is for, if that is one with a ggml of its own.
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,

    /// The oldest glibc that it runs on.
    #[arg(long, value_name = "VERSION", default_value = "2.28", value_parser = floor_of)]
    glibc: Floor,

    /// The folder of a compiler's toolkit, with bin/nvcc inside. Default: the nvcc in PATH.
    #[arg(long, value_name = "FOLDER")]
    toolkit: Option<PathBuf>,

    /// GPUs to compile for, instead of those of the recipe: 90 is machine code, 120-virtual PTX.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    architectures: Vec<String>,

    /// Where libraries are that it is linked with.
    #[arg(long, value_name = "FOLDER")]
    library_folder: Vec<PathBuf>,

    /// Print what was built as JSON: `name`, `path`, `kind`, `version`, `size`, `needed`, `engine`.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  trifold-pack plugin twin
  trifold-pack plugin twin --ggml pinned --engine whisper
  trifold-pack plugin cuda13 --toolkit /usr/local/cuda --architectures 90

CONTRIBUTING.md, \"Adding a backend\", says how a recipe is written.";

pub(crate) fn run(args: &Args) -> Result<Outcome, PackError> {
    let mode = if args.ggml == Mode::Pinned.name() {
        Mode::Pinned
    } else {
        Mode::Aligned
    };
    let mut builder = Builder::new(mode)?;
    if let Some(path) = &args.engines_file {
        builder.config = Config::read(path)?;
    }
    let options = Options {
        engine: args.engine.clone(),
        glibc: Some(args.glibc),
        toolkit: args.toolkit.clone(),
        architectures: args.architectures.clone(),
        library_folders: args.library_folder.clone(),
    };
    let plugin = builder.plugin(&args.name, &options, &absolute(&args.output)?)?;
    print(&if args.json {
        as_json(&plugin)
    } else {
        as_text(&plugin)
    })?;
    Ok(Outcome::Clean)
}

fn as_json(plugin: &Plugin) -> String {
    let note = &plugin.note;
    let engine = (!note.engine.is_empty()).then_some(&note.engine);
    let report = json!({
        "name": plugin.name,
        "path": plugin.path,
        "kind": note.kind,
        "version": note.version,
        "size": plugin.size,
        "needed": plugin.needed,
        "engine": engine,
    });
    format!("{report:#}\n")
}

fn as_text(plugin: &Plugin) -> String {
    let note = &plugin.note;
    let engines = match note.engine.as_str() {
        "" => "every engine of the same ggml",
        engine => engine,
    };
    format!(
        "{}: {} {}\n  for    {engines}\n  needs  {}\n  size   {}  {}\n",
        plugin.name,
        note.title,
        note.version,
        plugin.needed.join(", "),
        trifold_pack::human_bytes(plugin.size),
        plugin.path.display()
    )
}
