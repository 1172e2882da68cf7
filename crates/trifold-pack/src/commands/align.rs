use std::{
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

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

    /// Try this backend plugin with the engines that it is made for; may be given several times.
    #[arg(long, value_name = "FILE")]
    plugin: Vec<PathBuf>,

    /// What to compute on with the plugins of its kind, such as rpc:127.0.0.1:50052 or cuda:1 [default: the first
    /// of each plugin's].
    #[arg(long, value_name = "NAME", requires = "plugin")]
    device: Vec<String>,

    /// Other revisions: a file in the form of engines.toml.
    #[arg(long, value_name = "FILE")]
    revisions: Option<PathBuf>,

    /// A checkout of trifold, from which the engines are built [default: the one that this program is of].
    #[arg(long, value_name = "FOLDER")]
    workspace: Option<PathBuf>,

    /// How large differences may be: a TOML file, see docs/align.md.
    #[arg(long, value_name = "FILE")]
    tolerances: Option<PathBuf>,

    /// How long each engine may run.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    time_limit: u64,

    /// Write the report as Markdown, too. In a file that has the lines `<!-- align -->` and
    /// `<!-- end of align -->`, it takes the place of what is between them.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,

    /// Print the report as JSON.
    #[arg(long)]
    json: bool,

    /// Print the schema of the JSON report.
    #[arg(long, exclusive = true)]
    schema: bool,
}

const START: &str = "<!-- align -->\n";
const END: &str = "<!-- end of align -->\n";

const EXAMPLES: &str = "\
Examples:
  trifold-pack align
  trifold-pack align whisper diffusion --candidate diffusion
  trifold-pack align --revisions newer.toml --markdown report.md
  trifold-pack align --plugin libtrifold-backend-rpc.so --device rpc:127.0.0.1:50052

The engines are built twice, with their own ggml and with the candidate, which takes minutes the
first time. Then both run the same models, and what they give is compared; so is what the CPU and the
first device of a plugin give.

Exit code: 0 if all engines may share one ggml, and every plugin serves the engines that it is made
for; 1 if not, 2 if that cannot be measured.";

pub(crate) fn run(args: &Args) -> Result<Outcome, PackError> {
    if args.schema {
        print(&schema())?;
        return Ok(Outcome::Clean);
    }
    let mut options = Options {
        engines: args.engines.clone(),
        candidates: args.candidate.clone(),
        plugins: args.plugin.clone(),
        devices: args.device.clone(),
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
        write_page(path, &markdown(&report))?;
    }
    print(&if args.json {
        to_json(&report)
    } else {
        human(&report)
    })?;
    Ok(Outcome::of(report.all_may_share() && report.all_serve()))
}

fn write_page(path: &Path, report: &str) -> Result<(), PackError> {
    let page = match fs_err::read_to_string(path) {
        Ok(page) => page,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(PackError::io("Could not read", path)(error)),
    };
    let parts = page.split_once(START).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let text = match parts {
        Some((before, after)) => format!("{before}{START}\n{report}\n{END}{after}"),
        None => report.to_owned(),
    };
    fs_err::write(path, text).map_err(PackError::io("Could not write", path))
}

/// Who has closed standard error wants no progress.
fn progress(what: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{what} …");
}
