//! The backend plugin beside the engines: installed like any package, there while all is measured, and then
//! removed.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use trifold_build::plugin::{ENTRIES, SCORE};

use super::{Outcome, Wheel, environment::Environment, measure};
use crate::{PackError, wheel::FileName};

/// A plugin beside the engines.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Beside {
    /// Its name in `engines.toml`.
    pub name: String,
    /// Its wheel.
    pub wheel: Wheel,
    /// Bytes that it takes when installed, without what it depends on.
    pub installed_bytes: u64,
    /// After it was uninstalled: the engines that answer as they did before it was installed, if all do.
    pub removed: Outcome<Vec<String>>,
}

/// A plugin that is installed beside engines.
pub(super) struct Installed {
    name: String,
    wheel: PathBuf,
    /// Of it, as it was installed.
    bytes: u64,
    /// What the engines answered before it was there.
    pub(super) before: Outcome<Map<String, Value>>,
}

impl Installed {
    /// Asks the engines, and then installs the plugin.
    pub(super) fn new(
        name: &str,
        wheel: PathBuf,
        environment: &Environment,
        engines: &[String],
    ) -> Result<Self, PackError> {
        let before = environment.answers(engines)?;
        environment.install(None, [&wheel])?;
        Ok(Self {
            name: name.to_owned(),
            bytes: environment.installed_bytes(&package(&wheel))?,
            wheel,
            before,
        })
    }

    /// What it shows besides its entry points.
    pub(super) fn private_exports(&self) -> Result<usize, PackError> {
        let entries = [&ENTRIES[..], &[SCORE]].concat();
        measure::private_exports(std::slice::from_ref(&self.wheel), &entries)
    }

    /// Removes it, and asks the engines again.
    pub(super) fn remove(
        &self,
        environment: &Environment,
        engines: &[String],
    ) -> Result<Beside, PackError> {
        let mut wheels = measure::wheels(std::slice::from_ref(&self.wheel))?;
        let package = package(&self.wheel);
        environment.uninstall(&package)?;
        let removed = match environment.installed_bytes(&package)? {
            0 => back(&self.before, environment.answers(engines)?),
            left => Outcome::Fails(format!("{left} bytes of it are still there")),
        };
        Ok(Beside {
            name: self.name.clone(),
            wheel: wheels.remove(0),
            installed_bytes: self.bytes,
            removed,
        })
    }
}

/// The package of a wheel, as its files are named: `trifold_rpc`.
fn package(wheel: &Path) -> String {
    let stem = wheel.file_stem().unwrap_or_default().to_string_lossy();
    FileName::from_stem(&stem).map_or_else(|| stem.into_owned(), |name| name.name)
}

/// Whether the engines answer as before.
fn back(
    before: &Outcome<Map<String, Value>>,
    after: Outcome<Map<String, Value>>,
) -> Outcome<Vec<String>> {
    let before = match before {
        Outcome::Works(before) => before,
        Outcome::Fails(words) => return Outcome::Fails(format!("before it: {words}")),
    };
    let after = match after {
        Outcome::Works(after) => after,
        Outcome::Fails(words) => return Outcome::Fails(words),
    };
    let other = before
        .iter()
        .filter(|(name, answer)| after.get(*name) != Some(answer));
    let names: Vec<&str> = other.map(|(name, _)| name.as_str()).collect();
    if names.is_empty() {
        Outcome::Works(before.keys().cloned().collect())
    } else {
        Outcome::Fails(format!("other answers: {}", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn works(value: Value) -> Outcome<Map<String, Value>> {
        let Value::Object(map) = value else {
            panic!("no map: {value}")
        };
        Outcome::Works(map)
    }

    #[test]
    fn a_removed_plugin_leaves_the_answers_as_they_were() {
        let before = works(json!({"llama": [1, 2], "whisper": "yes"}));
        let Outcome::Works(engines) = back(&before, before.clone()) else {
            panic!("the same answers are the same")
        };
        assert_eq!(engines, ["llama", "whisper"]);
        let fails = |before, after| match back(before, after) {
            Outcome::Works(engines) => panic!("{engines:?}"),
            Outcome::Fails(words) => words,
        };
        assert_eq!(
            fails(&before, works(json!({"llama": [1, 3]}))),
            "other answers: llama, whisper"
        );
        let broken = Outcome::Fails("SIGSEGV".to_owned());
        assert_eq!(fails(&before, broken.clone()), "SIGSEGV");
        assert_eq!(fails(&broken, before.clone()), "before it: SIGSEGV");
    }
}
