//! Developer tasks: `cargo xtask test`, `lint` and `bindings`.

mod bindings;
mod libclang;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// Developer tasks of trifold.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Generate the bindings and guarded calls of the engines.
    Bindings {
        /// Change nothing; fail if what is committed differs from what would be generated.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    match run(Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  Caused by: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Bindings { check } => bindings::run(check),
    }
}
