//! Developer tasks: `cargo xtask test`, `lint`, `wheels`, `engines` and `bindings`.
#![expect(clippy::print_stderr, reason = "a program for a developer's terminal")]

mod bindings;
mod checks;
mod engines;
mod examples;
mod interpreters;
mod libclang;
mod licences;
mod packages;
mod python;
mod release;
mod squeeze;
mod wheels;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use trifold_build::BuildError;

/// Developer tasks of trifold.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Run all tests, of both ggml modes, and check that generated files are up to date.
    Test {
        /// Only these.
        part: Option<checks::Part>,
    },
    /// Check formatting, lints, documentation and dependencies.
    Lint,
    /// Build and seal engines, and print where the sealed objects are.
    Engines {
        /// The engines; all of them if none is named.
        names: Vec<String>,
    },
    /// Generate the bindings and guarded calls of the engines.
    Bindings {
        /// Change nothing; fail if what is committed differs from what would be generated.
        #[arg(long)]
        check: bool,
    },
    /// Build all Python packages, wheels and sources, and check them.
    Wheels(wheels::Options),
}

fn main() -> ExitCode {
    match run(&Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  Caused by: {cause}");
            }
            if let Some(hint) = error.downcast_ref().and_then(BuildError::hint) {
                eprintln!("\nhint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<()> {
    match task {
        Task::Test { part } => checks::test(*part),
        Task::Lint => checks::lint(),
        Task::Engines { names } => engines::build(names),
        Task::Bindings { check } => bindings::run(*check),
        Task::Wheels(options) => wheels::run(checks::root(), options),
    }
}
