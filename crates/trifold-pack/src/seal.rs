//! What `trifold-pack seal` tells; the work is done by [`trifold_build::seal`].

use schemars::JsonSchema;
use serde::Serialize;

use crate::text;

/// The version of the report's form; it grows when a field is removed or changes its meaning.
const SCHEMA: u32 = 1;

#[derive(Serialize, JsonSchema)]
#[schemars(title = "Report of trifold-pack seal")]
struct Report<'a> {
    /// The version of this form.
    schema: u32,
    /// The symbols that stay visible, sorted.
    exports: Vec<Export<'a>>,
    /// How many were hidden.
    hidden: usize,
    /// The symbols that it needs from elsewhere, sorted.
    outside: &'a [String],
}

#[derive(Serialize, JsonSchema)]
struct Export<'a> {
    /// Its name in the library.
    name: &'a str,
    /// Its name in the sealed object.
    sealed: &'a str,
}

/// What was sealed as JSON, as [`schema`] has it.
#[must_use]
pub fn to_json(report: &trifold_build::seal::Report) -> String {
    let exports = report.exports.iter();
    text::pretty(&Report {
        schema: SCHEMA,
        exports: exports
            .map(|export| Export {
                name: &export.name,
                sealed: &export.sealed,
            })
            .collect(),
        hidden: report.hidden,
        outside: &report.outside,
    })
}

/// The JSON schema of [`to_json`].
#[must_use]
pub fn schema() -> String {
    text::schema::<Report<'_>>()
}
