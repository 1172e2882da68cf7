//! Reports: for people, as JSON, as SARIF, and a bill of materials.

mod human;
mod sarif;
mod sbom;

pub use human::human;
pub use sarif::sarif;
pub use sbom::sbom;

use crate::{Report, text};

/// The report as JSON, as [`schema`] has it.
pub fn json(report: &Report) -> String {
    text::pretty(report)
}

/// The JSON schema of [`json`].
pub fn schema() -> String {
    text::schema::<Report>()
}
