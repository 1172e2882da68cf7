use std::path::PathBuf;

use trifold_build::{seal::Library, toolchain::Toolchain};
use trifold_pack::{PackError, seal};

use super::print;
use crate::Outcome;

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Relocatable objects and static archives, compiled with -fPIC where a shared library is to be made
    /// of them, and C++ with -fno-gnu-unique.
    #[arg(required_unless_present = "schema", value_name = "FILE")]
    inputs: Vec<PathBuf>,

    /// Symbols that stay visible: a name, or a pattern with `*` and `?`. Each must match something.
    #[arg(long, required_unless_present = "schema", value_name = "PATTERN")]
    keep: Vec<String>,

    /// Where the sealed object goes.
    #[arg(long, short, required_unless_present = "schema", value_name = "FILE")]
    output: Option<PathBuf>,

    /// Put this before the names of the symbols that stay visible.
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,

    /// Fail if it needs another symbol from elsewhere than one that matches such a pattern.
    #[arg(long, value_name = "PATTERN")]
    outside: Vec<String>,

    /// Write a C header that gives the prefixed symbols their own names back; include it before the
    /// library's headers.
    #[arg(long, value_name = "FILE", requires = "prefix")]
    header: Option<PathBuf>,

    /// Print the report as JSON.
    #[arg(long)]
    json: bool,

    /// Print the schema of the JSON report.
    #[arg(long, exclusive = true)]
    schema: bool,
}

const EXAMPLES: &str = "\
Examples:
  trifold-pack seal --keep 'lua_*' --keep 'luaL_*' liblua.a -o lua.o
  trifold-pack seal --keep 'lua_*' --keep 'luaL_*' --prefix v51_ --header lua51.h liblua51.a -o lua51.o

The result is read back: it defines what was kept and nothing else, nothing in it is one per process
(STB_GNU_UNIQUE), and no section groups are left that a linker could merge with those of another.

Exit code: 0, or 1 if it could not be sealed, 2 for wrong usage.";

pub(crate) fn run(args: &Args) -> Result<Outcome, PackError> {
    if args.schema {
        print(&seal::schema())?;
        return Ok(Outcome::Clean);
    }
    let output = args.output.as_deref().expect("clap demands it");
    let library = Library {
        inputs: args.inputs.clone(),
        keep: args.keep.clone(),
        prefix: args.prefix.clone(),
        outside: (!args.outside.is_empty()).then(|| args.outside.clone()),
    };
    let report = library.seal(&Toolchain::find()?, output)?;
    if let Some(path) = &args.header {
        fs_err::write(path, report.header()).map_err(|source| PackError::Io {
            what: "Could not write",
            path: path.clone(),
            source,
        })?;
    }
    print(&if args.json {
        seal::to_json(&report)
    } else {
        format!(
            "Sealed: {}\n  visible  {}\n  hidden   {}\n  needs    {}\n",
            output.display(),
            report.exports.len(),
            report.hidden,
            some(&report.outside)
        )
    })?;
    Ok(Outcome::Clean)
}

/// The first names of a list, and how many more there are.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let first = names.iter().take(SHOWN).cloned().collect::<Vec<_>>();
    match (names.len(), names.len().saturating_sub(SHOWN)) {
        (0, _) => "nothing from elsewhere".into(),
        (_, 0) => first.join(", "),
        (_, more) => format!("{} and {more} more", first.join(", ")),
    }
}
