//! What every fuzz target does with bytes.

use trifold_pack::{Config, Data, Report, SCHEMA, of_data, report};

/// Audits bytes as a file of this name, and writes the report in every form. Errors are fine; panics,
/// hangs and gigabytes are not.
pub fn audit(bytes: &[u8], name: &str) {
    let Ok(package) = of_data(&Data::from_bytes(bytes, name), &Config::default()) else {
        return;
    };
    let report = Report {
        schema: SCHEMA,
        tool: String::new(),
        packages: vec![package],
        denied: 0,
    };
    for text in [
        report::human(&report, true),
        report::json(&report),
        report::sarif(&report),
        report::sbom(&report),
    ] {
        assert!(!text.is_empty());
    }
}

/// The name that wheels are audited under.
pub const WHEEL: &str = "p-1.0-cp39-abi3-manylinux_2_28_x86_64.whl";
