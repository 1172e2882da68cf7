use std::{io::Write as _, path::PathBuf, time::Duration};

use trifold_pack::{
    PackError,
    align::{Options, Tolerances, align, human, markdown, schema, to_json},
};

use super::print;
use crate::Outcome;

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Engines to look at, by their names in engines.toml [default: all].
    #[arg(value_name = "ENGINE")]
    engines: Vec<String>,

    /// Try the ggml of this engine; may be given several times [default: the newest, as engines.toml says].
    #[arg(long, value_name = "ENGINE")]
    candidate: Vec<String>,

    /// Other revisions: a file in the form of engines.toml.
    #[arg(long, value_name = "FILE")]
    revisions: Option<PathBuf>,

    /// A checkout of trifold, from which the engines are built [default: the one that this program is of].
    #[arg(long, value_name = "FOLDER")]
    workspace: Option<PathBuf>,

    /// How large differences may be: a TOML file with some of logits_max, logits_mean, probability_max,
    /// same_text and psnr_min.
    #[arg(long, value_name = "FILE")]
    tolerances: Option<PathBuf>,

    /// How long each engine may run.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    time_limit: u64,

    /// Write the report as Markdown, too.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,

    /// Print the report as JSON.
    #[arg(long)]
    json: bool,

    /// Print the schema of the JSON report.
    #[arg(long, exclusive = true)]
    schema: bool,
}

const EXAMPLES: &str = "\
Examples:
  trifold-pack align
  trifold-pack align whisper diffusion --candidate diffusion
  trifold-pack align --revisions newer.toml --markdown report.md

The engines are built twice, with their own ggml and with the candidate, which takes minutes the first
time. Then both run the same models, and what they give is compared.

Exit code: 0 if all engines may share one ggml, 1 if not, 2 if that cannot be measured.";

pub(crate) fn run(args: &Args) -> Result<Outcome, PackError> {
    if args.schema {
        print(&schema())?;
        return Ok(Outcome::Clean);
    }
    let mut options = Options {
        engines: args.engines.clone(),
        candidates: args.candidate.clone(),
        revisions: args.revisions.clone(),
        time_limit: Duration::from_secs(args.time_limit),
        progress,
        ..Options::default()
    };
    if let Some(folder) = &args.workspace {
        options.workspace.clone_from(folder);
    }
    if let Some(path) = &args.tolerances {
        options.tolerances = Tolerances::read(path)?;
    }
    let report = align(&options)?;
    if let Some(path) = &args.markdown {
        fs_err::write(path, markdown(&report)).map_err(|source| PackError::Io {
            what: "Could not write",
            path: path.clone(),
            source,
        })?;
    }
    print(&if args.json {
        to_json(&report)
    } else {
        human(&report)
    })?;
    Ok(if report.all_may_share() {
        Outcome::Clean
    } else {
        Outcome::Denied
    })
}

/// Who has closed standard error wants no progress.
fn progress(what: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{what} …");
}
