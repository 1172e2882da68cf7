//! Looks into wheels and ELF files, without running them: what they export, what they ask of the system
//! and of the CPU, how they are linked, and what they carry.
//!
//! ```no_run
//! use trifold_pack::{Config, Input, audit, report};
//!
//! let report = audit(&[Input::Path("dist/package.whl".into())], &Config::default())?;
//! for finding in &report.packages[0].findings {
//!     println!("{} {}", finding.rule, finding.message);
//! }
//! println!("{}", report::human(&report, false));
//! # Ok::<(), trifold_pack::PackError>(())
//! ```
//!
//! Everything that is read from a file is bounded by [`limits`]; an audit reads nothing into memory as a whole,
//! and unpacks nothing under a name that a file gives ([`coload`] unpacks wheels, into a folder of its own, to load
//! what is in them). 64-bit little-endian ELF files for x86-64 are
//! audited; other native files are named and counted.

pub mod align;
mod archive;
mod audit;
mod checks;
mod child;
pub mod coload;
pub mod compare;
mod config;
mod cpu;
mod data;
mod elf;
mod error;
mod fields;
mod format;
mod ggml;
mod input;
pub mod inside;
pub mod layout;
pub mod limits;
mod manylinux;
mod owners;
mod parallel;
pub mod plugin;
pub mod report;
mod required;
mod rules;
pub mod seal;
mod text;
mod wheel;
mod workspace;

pub use audit::{Finding, Native, Package, PackageKind, Report, SCHEMA, audit, of_data};
pub use config::{Allow, Config};
pub use cpu::{Cpu, Example, Features, Level, Need};
pub use data::Data;
pub use elf::{Binding, Export, Facts, Hardening, Kind, NeededVersion, Relro, SectionSize};
pub use error::PackError;
pub use ggml::{Fingerprint, Ggml};
pub use input::{Input, site_packages};
pub use manylinux::Floor;
pub use owners::{Class, Owner};
pub use required::Required;
pub use rules::{RULES, Rule, Selector, Severity, markdown};
pub use text::bytes as human_bytes;
pub use wheel::{Metadata, PackageFile};
