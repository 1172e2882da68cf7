use std::path::PathBuf;

use trifold_build::{
    Builder, Mode,
    config::Config,
    glibc::Floor,
    plugin::{Options, Recipe},
};
use trifold_pack::{
    PackError,
    plugin::{Report, schema, to_json, wheel, wheel_of_groups},
};

use super::{
    layout::{BackendArgs, absolute, floor_of, mode_of},
    print,
};
use crate::Outcome;

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The plugin: a [plugin.NAME] table of engines.toml.
    #[arg(value_name = "NAME", required_unless_present = "schema")]
    name: Option<String>,

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

    #[command(flatten)]
    building: BackendArgs,

    /// One of the recipe's groups of GPUs, as a plugin of its own. With --wheel the default is all of them, each
    /// in a package, and a package that requires these.
    #[arg(long, value_name = "NAME", conflicts_with = "architectures")]
    group: Option<String>,

    /// Also pack it into a Python package, and put that wheel here: once installed, all engines find the plugin.
    #[arg(long, value_name = "FOLDER")]
    wheel: Option<PathBuf>,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// Print the schema of the JSON, and do nothing else.
    #[arg(long)]
    schema: bool,
}

const EXAMPLES: &str = "\
Examples:
  trifold-pack plugin twin
  trifold-pack plugin twin --ggml pinned --engine whisper
  trifold-pack plugin cuda13 --toolkit /usr/local/cuda --architectures 90
  trifold-pack plugin rpc --wheel dist

CONTRIBUTING.md, \"Adding a backend\", says how a recipe is written.";

pub(crate) fn run(args: &Args) -> Result<Outcome, PackError> {
    let Some(name) = args.name.as_ref().filter(|_| !args.schema) else {
        return print(&schema()).map(|()| Outcome::Clean);
    };
    let mode = mode_of(&args.ggml);
    let mut builder = Builder::new(mode)?;
    if let Some(path) = &args.engines_file {
        builder.config = Config::read(path)?;
    }
    if args.wheel.is_some() && mode == Mode::Pinned {
        return Err(PackError::OneEngine {
            plugin: name.clone(),
            engine: args.engine.clone().unwrap_or_default(),
        });
    }
    let mut reports = Vec::new();
    let groups = groups(args, builder.config.plugin(name)?);
    for group in groups
        .iter()
        .cloned()
        .map(Some)
        .chain(groups.is_empty().then_some(None))
    {
        reports.push(build(args, &builder, name, group)?);
    }
    if let (Some(folder), None, false) = (&args.wheel, &args.group, groups.is_empty()) {
        let wheel = wheel_of_groups(&builder, name, &absolute(folder)?)?;
        for report in &mut reports {
            report.all_groups = Some(wheel.clone());
        }
    }
    print(&if args.json {
        to_json(&reports)
    } else {
        reports.iter().map(Report::human).collect()
    })?;
    Ok(Outcome::Clean)
}

/// The groups to build; none for the whole.
fn groups(args: &Args, recipe: &Recipe) -> Vec<String> {
    if let Some(group) = &args.group {
        return vec![group.clone()];
    }
    if args.wheel.is_none() || !args.building.options().architectures.is_empty() {
        return Vec::new();
    }
    recipe.groups().into_iter().map(str::to_owned).collect()
}

fn build(
    args: &Args,
    builder: &Builder,
    name: &str,
    group: Option<String>,
) -> Result<Report, PackError> {
    let options = Options {
        engine: args.engine.clone(),
        glibc: Some(args.glibc),
        group,
        ..args.building.options()
    };
    let plugin = builder.plugin(name, &options, &absolute(&args.output)?)?;
    let wheel = match &args.wheel {
        Some(folder) => Some(wheel(builder, &plugin, args.glibc, &absolute(folder)?)?),
        None => None,
    };
    Ok(Report::new(&plugin, wheel))
}
