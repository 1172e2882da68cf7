//! Reports: for people, as JSON, as SARIF, and a bill of materials.

mod human;
mod sarif;
mod sbom;

pub use human::human;
pub use sarif::sarif;
pub use sbom::sbom;

use crate::Report;

/// The report as JSON, as [`schema`] has it.
pub fn json(report: &Report) -> String {
    pretty(report)
}

/// The JSON schema of [`json`].
pub fn schema() -> String {
    pretty(schemars::schema_for!(Report).as_value())
}

/// Reports have text for keys, and nothing that fails to be written.
fn pretty(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
