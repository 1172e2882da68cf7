use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use trifold_pack::{
    PackError,
    coload::{Flags, Options, coload, render, schema, to_json},
};

use super::print;
use crate::Outcome;

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Python modules, named as in `import`; wheels; or shared libraries: paths with a `/`, or names
    /// that end in `.so`, which are opened by `ctypes.CDLL`. Two or more.
    #[arg(required_unless_present = "schema", value_name = "PACKAGE")]
    packages: Vec<String>,

    /// The interpreter, or its environment's folder [default: python3]. With it, wheels are unpacked
    /// beside what it has installed. Without it, they are installed into a new environment with what they
    /// depend on, by pip, which may use the network.
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,

    /// How many orders of all packages to try; both orders of each pair are always tried.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    orders: u16,

    /// How long each process may take.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    time_limit: Duration,

    /// How to open what is loaded: RTLD_LOCAL, as Python does, or RTLD_GLOBAL.
    #[arg(
        long,
        value_name = "FLAGS",
        value_enum,
        value_delimiter = ',',
        default_value = "local,global"
    )]
    #[arg(hide_possible_values = true)]
    flags: Vec<Flags>,

    /// Python code to run after loading. It sees modules by name, and libraries by path in the
    /// dictionary `libraries`; an exception is a failure.
    #[arg(long, value_name = "CODE")]
    check: Option<String>,

    /// Print the report as JSON.
    #[arg(long)]
    json: bool,

    /// Print the schema of the JSON report.
    #[arg(long, exclusive = true)]
    schema: bool,
}

const EXAMPLES: &str = "\
Examples:
  trifold-pack coload numpy onnxruntime
  trifold-pack coload dist/ours.whl theirs --python .venv/bin/python
  trifold-pack coload ./libfirst.so ./libsecond.so --flags global
  trifold-pack coload numpy torch --check 'assert numpy.ones(3).sum() == torch.ones(3).sum()'

The packages are loaded, and so their code runs. Each order is tried in a process of its own, with
each of the flags; and once more with LD_DEBUG=bindings and LD_BIND_NOW=1, with which the loader
tells every symbol that it resolves.

Exit code: 0 if all are safe together, 1 if not, 2 if that cannot be measured.";

pub(crate) fn run(args: &Args) -> Result<Outcome, PackError> {
    if args.schema {
        print(&schema())?;
        return Ok(Outcome::Clean);
    }
    let options = Options {
        python: args.python.clone(),
        orders: args.orders.into(),
        time_limit: args.time_limit,
        flags: args.flags.clone(),
        check: args.check.clone(),
        ..Options::default()
    };
    let interrupted = Arc::clone(&options.interrupted);
    // Fails only if it is set twice; without it, an interrupt leaves the folder of the run behind.
    let _ = ctrlc::set_handler(move || interrupted.store(true, Ordering::Relaxed));
    let report = coload(&args.packages, &options)?;
    print(&if args.json {
        to_json(&report)
    } else {
        render(&report)
    })?;
    Ok(Outcome::of(report.is_safe()))
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|seconds| (0.1..=86_400.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "expected seconds, from 0.1 to 86400".into())
}
