//! The `trifold` program.
fn main() {}
