use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use trifold_pack::{Config, Input, PackError, RULES, Selector, audit, report, site_packages};

use super::print;
use crate::Outcome;

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub(crate) struct Args {
    /// Wheels, folders, shared libraries, programs, static archives, or names of installed packages.
    #[arg(required_unless_present_any = ["rules", "schema"])]
    paths: Vec<String>,

    /// Print the report as JSON.
    #[arg(long)]
    json: bool,

    /// Show all files and details.
    #[arg(long, short)]
    all: bool,

    /// Fail for this rule, too: its number or name, or `errors`, `warnings`, `all`. Errors always fail,
    /// unless the configuration says otherwise.
    #[arg(long, value_name = "RULE")]
    deny: Vec<String>,

    /// What to deny, to allow, and where limits are.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Write the findings as SARIF 2.1.0; `-` is standard output, in place of the report.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    sarif: Option<PathBuf>,

    /// Write a bill of materials (CycloneDX 1.5); `-` is standard output, in place of the report.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    sbom: Option<PathBuf>,

    /// The interpreter, or its environment's folder, whose packages are looked up by name. It is not run.
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,

    /// List the rules.
    #[arg(long, exclusive = true)]
    rules: bool,

    /// Print the schema of the JSON report.
    #[arg(long, exclusive = true)]
    schema: bool,
}

const EXAMPLES: &str = "\
Examples:
  trifold-pack audit dist/*.whl
  trifold-pack audit --deny warnings --sarif findings.sarif dist/*.whl
  trifold-pack audit --python .venv numpy
  trifold-pack audit --json libexample.so | jq '.packages[0].natives[0].owners'

Exit code: 0 without denied findings, 1 with some or if something cannot be read, 2 for wrong usage.";

pub(crate) fn run(args: &Args) -> Result<Outcome, PackError> {
    if args.rules {
        print(&rules())?;
        return Ok(Outcome::Clean);
    }
    if args.schema {
        print(&report::schema())?;
        return Ok(Outcome::Clean);
    }
    let mut config = match &args.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    for name in &args.deny {
        config.deny.push(name.parse::<Selector>()?);
    }
    let folders = site_packages(args.python.as_deref());
    let inputs = args
        .paths
        .iter()
        .map(|path| Input::find(path, &folders))
        .collect::<Result<Vec<_>, _>>()?;
    let found = audit(&inputs, &config)?;
    let mut shown = false;
    for (path, write) in [
        (&args.sarif, report::sarif as fn(&_) -> String),
        (&args.sbom, report::sbom),
    ] {
        if let Some(path) = path {
            shown |= save(path, &write(&found))?;
        }
    }
    if args.json {
        print(&report::json(&found))?;
    } else if !shown {
        print(&report::human(&found, args.all))?;
    }
    Ok(if found.denied == 0 {
        Outcome::Clean
    } else {
        Outcome::Denied
    })
}

/// Writes a file; whether it was standard output.
fn save(path: &Path, text: &str) -> Result<bool, PackError> {
    if path == Path::new("-") {
        return print(text).map(|()| true);
    }
    fs_err::write(path, text)
        .map(|()| false)
        .map_err(|source| PackError::Io {
            what: "Could not write",
            path: path.into(),
            source,
        })
}

fn rules() -> String {
    let mut text = String::new();
    for rule in RULES {
        let severity = rule.severity.name();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{} {severity:<7} {:<20} {}",
            rule.id, rule.name, rule.summary
        );
    }
    text
}
