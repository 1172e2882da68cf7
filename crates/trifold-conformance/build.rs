//! Links the program for the glibc that the environment asks for.

use std::process::ExitCode;

fn main() -> ExitCode {
    trifold_build::script::run_program()
}
