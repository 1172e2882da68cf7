//! `cargo xtask engines`: builds engines outside of any crate, for packagers and for tests.

use anyhow::Result;
use trifold_build::Builder;

#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(crate) fn build(names: &[String]) -> Result<()> {
    let builder = Builder::from_env()?;
    let all: Vec<String> = builder.config.engine.keys().cloned().collect();
    for name in if names.is_empty() { &all } else { names } {
        let sealed = builder.build(name)?;
        println!(
            "{name} {} (ggml {}): {}",
            sealed.version,
            sealed.ggml_version,
            sealed.object.display()
        );
    }
    Ok(())
}
