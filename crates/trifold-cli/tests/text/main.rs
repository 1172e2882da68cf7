//! `generate`, `chat` and `embed`, as a user runs them.

mod chat;
mod embed;
mod ends;
mod generate;
mod help;
mod refused;
#[path = "../support/mod.rs"]
mod support;

use support::trifold;

/// Runs long enough to be interrupted: the tokens that end a text are ruled out.
const ENDLESS: [&str; 9] = [
    "generate",
    "--threads=1",
    "--context=16384",
    "--logit-bias=0=-inf",
    "--logit-bias=2=-inf",
    "--min-p=0",
    "--top-p=1",
    "--seed=1",
    "Once upon a time",
];

/// One thread each, because tests run side by side; no chance.
fn generate(args: &[&str]) -> support::Run {
    trifold(
        ["generate", "--threads=1", "--temperature=0", "--seed=1"]
            .iter()
            .chain(args),
    )
}

fn chat(args: &[&str]) -> support::Run {
    trifold(
        ["chat", "--threads=1", "--temperature=0", "--seed=1"]
            .iter()
            .chain(args),
    )
}

fn embed(args: &[&str]) -> support::Run {
    trifold(["embed", "--threads=1"].iter().chain(args))
}
