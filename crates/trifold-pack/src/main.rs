//! The `trifold-pack` program: looks into native packages, loads them together, seals libraries.

mod commands;

use std::{error::Error as _, io::Write as _, process::ExitCode};

use clap::{Parser, Subcommand};
use trifold_pack::PackError;

/// Looks into native packages, anybody's: wheels, libraries, programs; and seals libraries.
#[derive(Parser)]
#[command(name = "trifold-pack", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find out which engines can share one ggml, and so one backend plugin.
    Align(commands::align::Args),
    /// Say what native files export, need, and carry, and what is wrong with that.
    Audit(commands::audit::Args),
    /// Load packages together in one process, in every order, and say what happens.
    Coload(commands::coload::Args),
    /// Build trifold's engines in all layouts, and measure what each costs and gives.
    Compare(commands::compare::Args),
    /// Measure what a backend costs that every engine has inside, and one plugin for all.
    Inside(commands::inside::Args),
    /// Link trifold's engines in one of the ways that there are.
    Layout(commands::layout::Args),
    /// Build a backend plugin, for every engine of the same ggml.
    Plugin(commands::plugin::Args),
    /// Make one object of a C or C++ library that defines what you name and nothing else.
    Seal(commands::seal::Args),
    /// Build the wheels of layouts.
    Wheel(commands::layout::WheelArgs),
}

/// How a command ended.
enum Outcome {
    /// Nothing to complain about.
    Clean,
    /// There are findings that the user does not want.
    Denied,
}

impl Outcome {
    fn of(clean: bool) -> Self {
        if clean { Self::Clean } else { Self::Denied }
    }
}

/// The command line, or the configuration, means nothing.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Align(args) => commands::align::run(args),
        Command::Audit(args) => commands::audit::run(args),
        Command::Coload(args) => commands::coload::run(args),
        Command::Compare(args) => commands::compare::run(args),
        Command::Inside(args) => commands::inside::run(args),
        Command::Layout(args) => commands::layout::run(args),
        Command::Plugin(args) => commands::plugin::run(args),
        Command::Seal(args) => commands::seal::run(args),
        Command::Wheel(args) => commands::layout::wheel(args),
    };
    match result {
        Ok(Outcome::Clean) => ExitCode::SUCCESS,
        Ok(Outcome::Denied) => ExitCode::FAILURE,
        // The reader of our output has gone, as `head` does: nothing is wrong.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            // Where 1 is a verdict, whatever keeps it from being reached is not.
            let verdict = matches!(cli.command, Command::Align(_) | Command::Compare(_));
            if verdict || error.is_usage() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// `error: …`, `  Caused by: …`, a blank line, `hint: …`.
fn report(error: &PackError) {
    let mut out = anstream::stderr().lock();
    let _ = writeln!(out, "\x1b[1;31merror\x1b[0m: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = writeln!(out, "  Caused by: {}", error.to_string().trim_end());
        cause = error.source();
    }
    if let Some(hint) = error.hint() {
        let _ = writeln!(out, "\n\x1b[1;36mhint\x1b[0m: {hint}");
    }
}
