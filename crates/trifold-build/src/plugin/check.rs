//! What a plugin must be: reads the file itself, never runs it.

use std::path::Path;

use super::{ENTRIES, Recipe, SCORE};
use crate::{
    BuildError,
    audit::{self, Audit},
    glibc::Floor,
    pattern::matches,
};

/// Checks a plugin: it exports its entry points and nothing else, asks for parts of glibc not newer than
/// `floor`, libgcc_s and what its recipe says, and is linked with all hardening.
///
/// # Errors
/// [`BuildError::Plugin`] with everything that is wrong with it.
pub fn check(name: &str, recipe: &Recipe, path: &Path, floor: Floor) -> Result<Audit, BuildError> {
    let score = recipe.score.as_ref().map(|_| SCORE);
    let exports = ENTRIES
        .into_iter()
        .chain(score)
        .map(str::to_owned)
        .collect();
    let known = |library: &str| recipe.needs.iter().any(|pattern| matches(pattern, library));
    let rules = audit::Rules {
        exports,
        floor: Some(floor),
        known_library: &known,
        search_path: !recipe.search_path.is_empty(),
        python: false,
    };
    let audit = rules.check(path)?;
    if audit.findings.is_empty() {
        return Ok(audit);
    }
    Err(BuildError::Plugin {
        plugin: name.into(),
        what: audit.findings.join("; "),
    })
}
