//! Which CPU a file's code needs, by reading its instructions.
//!
//! An instruction is no need: libraries carry variants of a function for several CPUs, and choose one
//! when they run. What is reported, and how it is found:
//!
//! - *at load*: functions that run when the file is loaded or imported: constructors, `PyInit_*`, the
//!   functions of a module's slots, and whatever these reach by direct calls and jumps;
//! - *called*: the same from exported functions that themselves need no more than the baseline (one that
//!   does may be a variant that should have been hidden);
//! - *variants*: all others. They are reached through pointers only (tables, methods, callbacks), or
//!   from a function that looks at the CPU first.
//!
//! A function looks at the CPU if it runs `cpuid` or `xgetbv`, touches data that a function which does
//! has touched, or calls a small function that does so. A direct call from such a function to one
//! that needs more of the CPU than itself counts as chosen at run time.
//!
//! What this cannot see: calls through pointers, and whether a look at the CPU really decides. In a file
//! that never looks at the CPU nothing can be chosen, so there all code counts as called.

mod features;
pub(crate) mod frames;
mod functions;
mod graph;
mod scan;
mod seen;

use schemars::JsonSchema;
use serde::Serialize;

pub use features::{Features, Level};

use crate::{
    PackError,
    elf::{Image, Symbol},
};

/// What a file's code needs of a CPU.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Cpu {
    /// Functions that were told apart and read.
    pub functions: usize,
    /// Functions with any vector or floating-point instructions.
    pub vector_functions: usize,
    /// Functions with AVX encodings, as the compiler writes all such code for AVX and above.
    pub avx_functions: usize,
    /// Functions that look at the CPU.
    pub looks: usize,
    /// What is needed to load or import it.
    pub at_load: Need,
    /// What is needed to call what it exports.
    pub called: Need,
    /// What variants need, and what is reached through pointers only.
    pub variants: Need,
}

/// What some functions need.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Need {
    /// The lowest level of x86-64 that has them all, such as `x86-64-v3`.
    pub level: Level,
    /// What is needed above the configuration's baseline, such as `AVX2`.
    pub features: Vec<String>,
    /// How many functions need any of that.
    pub functions: usize,
    /// Some of them, those with names first, with the way to them.
    pub examples: Vec<Example>,
}

/// A function that needs more than the baseline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Example {
    /// Its name, or its address in a stripped file.
    pub function: String,
    /// What it needs.
    pub features: Vec<String>,
    /// From where it is reached, first to last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub route: Vec<String>,
}

/// Reads all code of a file, for CPUs that have at least the baseline.
pub(crate) fn read(
    image: &Image,
    dynamic: &[Symbol],
    symbols: &[Symbol],
    baseline: Level,
) -> Result<Cpu, PackError> {
    let code = scan::scan(image, dynamic, symbols)?;
    Ok(graph::judge(image, dynamic, &code, baseline))
}
