//! The Python package of a backend plugin: a wheel that all of trifold's packages find once it is installed.
//!
//! It has no code of its own but a function that tells the plugin's path and SHA-256, which the entry point group
//! `trifold.backends` names. So it is for every Python 3, and nothing of it is imported before an engine
//! looks for devices.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use trifold_build::{
    Builder,
    glibc::Floor,
    plugin::{Plugin, Recipe},
};

use crate::{PackError, data::hex, text, wheel::Writer};

/// The group of entry points in which packages offer plugins.
const GROUP: &str = "trifold.backends";

/// What was built.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(title = "Report of trifold-pack plugin")]
pub struct Report {
    /// The plugin's name in `engines.toml`.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// The file.
    pub path: PathBuf,
    /// What its devices are asked for by.
    pub kind: String,
    /// Its version.
    pub version: String,
    /// Its size in bytes.
    pub size: u64,
    /// The libraries that it asks the loader for.
    pub needed: Vec<String>,
    /// Features of its recipe that the shader compiler here does not know; it does without.
    pub without: Vec<String>,
    /// The one engine that it fits; none if it fits all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Its Python package, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wheel: Option<PathBuf>,
    /// The package that requires those of all groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_groups: Option<PathBuf>,
}

impl Report {
    /// Of a plugin and its wheel.
    #[must_use]
    pub fn new(plugin: &Plugin, wheel: Option<PathBuf>) -> Self {
        let note = &plugin.note;
        Self {
            name: plugin.name.clone(),
            title: note.title.clone(),
            path: plugin.path.clone(),
            kind: note.kind.clone(),
            version: note.version.clone(),
            size: plugin.size,
            needed: plugin.needed.clone(),
            without: plugin.without.clone(),
            engine: (!note.engine.is_empty()).then(|| note.engine.clone()),
            wheel,
            all_groups: None,
        }
    }

    /// For people.
    #[must_use]
    pub fn human(&self) -> String {
        let engines = self.engine.as_deref();
        let mut lines = vec![
            format!("{}: {} {}", self.name, self.title, self.version),
            format!(
                "  for    {}",
                engines.unwrap_or("every engine of the same ggml")
            ),
            format!("  needs  {}", self.needed.join(", ")),
            format!(
                "  size   {}  {}",
                text::bytes(self.size),
                self.path.display()
            ),
        ];
        if !self.without.is_empty() {
            let without = self.without.join(", ");
            lines.push(format!("  lacks  {without}: this glslc does not know them"));
        }
        let wheels = self.wheel.iter().chain(&self.all_groups);
        lines.extend(wheels.map(|wheel| format!("  wheel  {}", wheel.display())));
        lines.join("\n") + "\n"
    }
}

/// What was built, for programs.
#[must_use]
pub fn to_json(reports: &[Report]) -> String {
    text::pretty(&reports)
}

/// The schema of [`to_json`].
#[must_use]
pub fn schema() -> String {
    text::schema::<Vec<Report>>()
}

/// Packs a plugin that was built for a glibc into a wheel in a folder.
///
/// # Errors
/// [`PackError::OneEngine`] for a plugin that fits one engine only, and [`PackError::Io`].
pub fn wheel(
    builder: &Builder,
    plugin: &Plugin,
    floor: Floor,
    folder: &Path,
) -> Result<PathBuf, PackError> {
    let recipe = &plugin.recipe;
    if !plugin.note.engine.is_empty() {
        return Err(PackError::OneEngine {
            plugin: plugin.name.clone(),
            engine: plugin.note.engine.clone(),
        });
    }
    let bytes =
        fs_err::read(&plugin.path).map_err(PackError::io("Could not read", &plugin.path))?;
    let module = recipe.package.replace('-', "_");
    let library = plugin
        .path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let init = init(&recipe.title, &library, &hex(&Sha256::digest(&bytes)));
    let entry = format!("[{GROUP}]\n{} = {module}:plugin\n", plugin.name);
    let info = format!("{module}-{}.dist-info", recipe.version);
    let files = [
        (format!("{module}/__init__.py"), init.into_bytes()),
        (format!("{module}/py.typed"), Vec::new()),
        (format!("{module}/{library}"), bytes),
        (format!("{info}/entry_points.txt"), entry.into_bytes()),
    ];
    let licences = licences(builder, recipe)?;
    fs_err::create_dir_all(folder).map_err(PackError::io("Could not create", folder))?;
    let tag = format!("py3-none-manylinux_{}_{}_x86_64", floor.0, floor.1);
    let writer = Writer::new(folder, &module, &recipe.version, &tag)?;
    writer.write(&files, &metadata(recipe, &licences), &licences)
}

/// The package of a plugin that has a package for each of its groups: it requires these, and nothing else.
///
/// # Errors
/// As [`wheel`].
pub fn wheel_of_groups(builder: &Builder, name: &str, folder: &Path) -> Result<PathBuf, PackError> {
    let mut recipe = builder.config.plugin(name)?.clone();
    recipe.requires = recipe
        .groups()
        .into_iter()
        .map(|group| format!("{}-{group}=={}", recipe.package, recipe.version))
        .collect();
    recipe.licence = None;
    fs_err::create_dir_all(folder).map_err(PackError::io("Could not create", folder))?;
    let module = recipe.package.replace('-', "_");
    let licences = licences(builder, &recipe)?;
    let writer = Writer::new(folder, &module, &recipe.version, "py3-none-any")?;
    writer.write(&[], &metadata(&recipe, &licences), &licences)
}

/// The module: found by its entry point, or by hand.
fn init(title: &str, library: &str, sha256: &str) -> String {
    format!(
        r#""""trifold's backend plugin {title}: once installed, ``device="auto"`` takes it in all engines."""

from __future__ import annotations

__all__ = ["plugin"]


def plugin() -> tuple[str, str]:
    """The path of the plugin, and its SHA-256 in hexadecimal digits."""
    from os.path import abspath, dirname, join

    path = join(dirname(abspath(__file__)), "{library}")
    return path, "{sha256}"
"#
    )
}

/// Our own, that of ggml, and a notice of what else is inside.
fn licences(builder: &Builder, recipe: &Recipe) -> Result<Vec<(String, Vec<u8>)>, PackError> {
    let (tree, _) = builder.trees(&builder.config.common.aligned_to)?;
    let engine = builder.config.engine(&builder.config.common.aligned_to)?;
    let mut licences = vec![
        (
            "LICENSE-APACHE".to_owned(),
            include_bytes!("../../../LICENSE-APACHE").to_vec(),
        ),
        (
            "LICENSE-MIT".to_owned(),
            include_bytes!("../../../LICENSE-MIT").to_vec(),
        ),
    ];
    // ggml comes with this engine's source, under its licence.
    if let Some(licence) = engine.licences.first() {
        let path = tree.root.join(licence);
        let text = fs_err::read(&path).map_err(PackError::io("Could not read", path))?;
        licences.push(("ggml.txt".into(), text));
    }
    if let Some(licence) = &recipe.licence {
        let text = format!("{}\n", licence.notice);
        licences.push(("NOTICE.txt".into(), text.into_bytes()));
    }
    Ok(licences)
}

fn metadata(recipe: &Recipe, licences: &[(String, Vec<u8>)]) -> String {
    let mut expression = "(MIT OR Apache-2.0) AND MIT".to_owned();
    if let Some(licence) = &recipe.licence {
        expression += " AND ";
        expression += &licence.expression;
    }
    let mut lines = vec![
        "Metadata-Version: 2.4".to_owned(),
        format!("Name: {}", recipe.package),
        format!("Version: {}", recipe.version),
        format!(
            "Summary: {} for trifold's engines, as a plugin",
            recipe.title
        ),
        format!("License-Expression: {expression}"),
        "Requires-Python: >=3.9".to_owned(),
    ];
    lines.extend(
        licences
            .iter()
            .map(|(path, _)| format!("License-File: {path}")),
    );
    let requires = recipe.requires.iter();
    lines.extend(requires.map(|package| format!("Requires-Dist: {package}")));
    lines.join("\n") + "\n"
}
