//! Reads 64-bit little-endian ELF files for x86-64, as the loader sees them.
//!
//! What is dynamic is found through the program headers, as the loader does, so that files without
//! section headers are read as well. Tables are read one by one into memory, never a whole file.

mod facts;
mod image;
mod notes;
mod symbols;

pub use facts::{Facts, Hardening, Kind, Relro, SectionSize};
pub(crate) use image::{Image, Section};
pub(crate) use symbols::Symbol;
pub use symbols::{Binding, Export, NeededVersion};
