//! The configuration file: what fails, what is allowed and why.

use std::path::Path;

use serde::Deserialize;

use crate::{Level, PackError, Selector};

/// What to deny, what to allow, and where limits are.
#[derive(Clone, Debug)]
pub struct Config {
    /// Findings that fail the audit.
    pub deny: Vec<Selector>,
    /// Findings that are known and accepted.
    pub allow: Vec<Allow>,
    /// What every CPU that the package is meant for has.
    pub baseline: Level,
    /// Debug information up to this size is no finding.
    pub debug_bytes: u64,
    /// Copies of files below this size are no finding.
    pub duplicate_bytes: u64,
}

/// A finding that is known and accepted.
#[derive(Clone, Debug)]
pub struct Allow {
    /// Which rules.
    pub rule: Selector,
    /// In which files; `*` and `?` stand for anything.
    pub files: String,
    /// Why.
    pub reason: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            deny: vec![Selector::From(crate::Severity::Error)],
            allow: Vec::new(),
            baseline: Level::V1,
            debug_bytes: 0,
            duplicate_bytes: 4096,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    deny: Option<Vec<String>>,
    #[serde(default)]
    allow: Vec<FileAllow>,
    baseline: Option<Level>,
    debug_bytes: Option<u64>,
    duplicate_bytes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileAllow {
    rule: String,
    #[serde(default = "everything")]
    files: String,
    reason: String,
}

fn everything() -> String {
    "*".into()
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// If it cannot be read, has an unknown field or names an unknown rule.
    pub fn read(path: &Path) -> Result<Self, PackError> {
        let text = fs_err::read_to_string(path).map_err(PackError::io("Could not read", path))?;
        let file: File = toml::from_str(&text).map_err(|error| PackError::Config {
            path: path.into(),
            source: Box::new(error),
        })?;
        let mut config = Self::default();
        if let Some(deny) = file.deny {
            config.deny = deny
                .iter()
                .map(|name| name.parse())
                .collect::<Result<_, _>>()?;
        }
        for allow in file.allow {
            config.allow.push(Allow {
                rule: allow.rule.parse()?,
                files: allow.files,
                reason: allow.reason,
            });
        }
        config.baseline = file.baseline.unwrap_or(config.baseline);
        config.debug_bytes = file.debug_bytes.unwrap_or(config.debug_bytes);
        config.duplicate_bytes = file.duplicate_bytes.unwrap_or(config.duplicate_bytes);
        Ok(config)
    }
}
