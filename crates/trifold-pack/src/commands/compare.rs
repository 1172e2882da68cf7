use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use trifold_build::glibc::Floor;
use trifold_pack::{
    PackError,
    compare::{Options, Suite, compare, human, markdown, schema, svg, to_json},
    layout::{Layout, Workspace},
};

use super::{
    layout::{PluginArgs, absolute, engines, floor_of, layout_of},
    print, show_progress,
};
use crate::Outcome;

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags of a command line are independent of each other"
)]
pub(crate) struct Args {
    /// The layouts; all if none is named.
    #[arg(value_name = "LAYOUT", value_parser = layout_of)]
    layouts: Vec<Layout>,

    /// The engines; all of trifold's if none is named.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    engines: Vec<String>,

    /// The interpreter to make environments with.
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: PathBuf,

    /// Where everything is built.
    #[arg(long, short, value_name = "FOLDER", default_value = "target/compare")]
    output: PathBuf,

    /// The oldest glibc that the wheels run on.
    #[arg(long, value_name = "VERSION", default_value = "2.28", value_parser = floor_of)]
    glibc: Floor,

    #[command(flatten)]
    plugin: PluginArgs,

    /// Compile the Rust half fast instead of small: sizes say little then.
    #[arg(long)]
    quick: bool,

    /// Also compile the engines from nothing, to tell how long that takes.
    #[arg(long)]
    cold: bool,

    /// Run the tours of the packages only, instead of all their tests.
    #[arg(long)]
    tour: bool,

    /// The clone of trifold to build from; the one around the current folder if it is not given.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    workspace: PathBuf,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// Write the table, as Markdown, to this file.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,

    /// Write a plot of the figures to this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Print the schema of the JSON, and do nothing else.
    #[arg(long)]
    schema: bool,
}

const EXAMPLES: &str = "\
Examples:
  trifold-pack compare
  trifold-pack compare --cold --markdown layouts.md --svg layouts.svg
  trifold-pack compare monolith split --engines whisper --quick --tour
  trifold-pack compare split split-plugin --plugin cuda13 --toolkit /usr/local/cuda --architectures 90

Every wheel is built, installed into a fresh environment and tested there; docs/layouts.md says how
each figure is measured.

Exit code: 0, 1 if a layout fails its tests, 2 if that cannot be measured or after Ctrl-C.";

pub(crate) fn run(args: &Args) -> Result<Outcome, PackError> {
    if args.schema {
        print(&schema())?;
        return Ok(Outcome::Clean);
    }
    let workspace = Workspace::around(&args.workspace)?;
    let options = Options {
        layouts: if args.layouts.is_empty() {
            Layout::ALL.to_vec()
        } else {
            args.layouts.clone()
        },
        engines: engines(&args.engines)?,
        python: args.python.clone(),
        out: absolute(&args.output)?,
        floor: args.glibc,
        plugin: args.plugin.choice()?,
        quick: args.quick,
        cold: args.cold,
        suite: if args.tour { Suite::Tour } else { Suite::All },
        interrupted: Arc::default(),
    };
    let interrupted = Arc::clone(&options.interrupted);
    // Fails only if it is set twice; without it, what was started in another process group would go on.
    let _ = ctrlc::set_handler(move || interrupted.store(true, Ordering::Relaxed));
    let report = compare(&workspace, &options, &show_progress)?;
    for (path, text) in [
        (&args.markdown, markdown(&report)),
        (&args.svg, svg(&report)),
    ] {
        if let Some(path) = path {
            fs_err::write(path, text).map_err(PackError::io("Could not write", path))?;
        }
    }
    print(&if args.json {
        to_json(&report)
    } else {
        human(&report)
    })?;
    Ok(Outcome::of(report.is_sound()))
}
