//! How cargo compiles what is shipped in wheels, the same for whoever links them.

use std::path::Path;

/// The profile.
pub const PROFILE: &str = "wheel";

/// Variables that make it compile fast instead of small, for tests of what does not depend on that.
pub const QUICK: [(&str, &str); 3] = [
    ("CARGO_PROFILE_WHEEL_LTO", "off"),
    ("CARGO_PROFILE_WHEEL_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_WHEEL_OPT_LEVEL", "1"),
];

/// The value of `CARGO_ENCODED_RUSTFLAGS`: no path of the machine that builds is to be in what is shipped.
#[must_use]
pub fn rust_flags(root: &Path, cargo_home: &Path) -> String {
    let flags = [(root, "trifold"), (cargo_home, "cargo")]
        .map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display()));
    flags.join("\x1f")
}
