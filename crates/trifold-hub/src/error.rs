//! The error of this crate.

use std::{io, path::PathBuf};

use crate::{ModelKind, demo_models, env};

/// Why a name is no model, or a model no file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The model name is empty.
    #[error("Expected a model name (found an empty one)")]
    EmptyName,
    /// `demo:` with a name that no demo model has.
    #[error("Unknown demo model: {name}")]
    UnknownDemo {
        /// The name, with `demo:`.
        name: String,
    },
    /// The demo models are neither inside this program (feature `demo-models`) nor installed beside it.
    #[error("Demo model not installed: {name}")]
    DemoNotIncluded {
        /// The name, with `demo:`.
        name: String,
    },
    /// A name that begins with `hf:` but does not go on as it should.
    #[error("Expected a Hugging Face name such as `hf:owner/repo:Q4_K_M`: {name} ({reason})")]
    HuggingFaceName {
        /// The name, with `hf:`.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// What a name that begins with `hf:` means was not downloaded before.
    #[error("Not downloaded from Hugging Face: {name} (looked in: {})", cache.display())]
    NotDownloaded {
        /// The name, with `hf:`.
        name: String,
        /// The repository, `owner/repo`.
        id: String,
        /// Models of the repository that were.
        models: Vec<String>,
        /// The cache of Hugging Face's own tools.
        cache: PathBuf,
    },
    /// None of a repository's files is what the name means.
    #[error("No {}model for this name in the repository: {name}", kind.map(|kind| format!("{kind} ")).unwrap_or_default())]
    NoSuchModel {
        /// The name, with `hf:`.
        name: String,
        /// Whose model it should be.
        kind: Option<ModelKind>,
        /// The models that there are, to go by their names.
        models: Vec<String>,
        /// All files that there are.
        files: Vec<String>,
    },
    /// Several of a repository's files may be meant.
    #[error("More than one model for this name in the repository: {name}")]
    SeveralModels {
        /// The name, with `hf:`.
        name: String,
        /// They.
        models: Vec<String>,
    },
    /// A model in several files of which one is not there.
    #[error("A file of the model is missing: {name} (part {part} of {count})")]
    PartMissing {
        /// The name, with `hf:`.
        name: String,
        /// Which of its parts, from 1 on.
        part: usize,
        /// How many there are.
        count: usize,
    },
    /// There is no file of this name.
    #[error("No model file at: {}", path.display())]
    NotFound {
        /// The path asked for.
        path: PathBuf,
        /// Names that may have been meant, the nearest first: file names of the same folder, or demo
        /// models.
        similar: Vec<String>,
    },
    /// A symbolic link to nothing.
    #[error("No model file at: {} (a link to: {})", path.display(), target.display())]
    BrokenLink {
        /// The path asked for.
        path: PathBuf,
        /// What the link names.
        target: PathBuf,
    },
    /// A folder or a device, not a file.
    #[error("Expected a model file at: {} (found: a {found})", path.display())]
    NotAFile {
        /// The path asked for.
        path: PathBuf,
        /// What is there: `folder`, `device`, `pipe` or `socket`.
        found: &'static str,
        /// Names of model files in it, if it is a folder.
        inside: Vec<String>,
    },
    /// The path could not be looked up.
    #[error("Could not look up the model file: {}", path.display())]
    Unreadable {
        /// The path asked for.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// None of the variables that name the cache folder is of use.
    #[error(
        "No cache folder (none of these is set to an absolute path: {}, {}, {})",
        env::CACHE,
        env::XDG_CACHE_HOME,
        env::HOME
    )]
    NoCacheFolder,
    /// A demo model could not be written to the cache.
    #[error("Could not write the demo model to the cache: {}", path.display())]
    Cache {
        /// The file that was to be written.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl HubError {
    /// What the user can do about it, in one sentence.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::EmptyName => Some(format!(
                "Pass the path of a model file, or {}.",
                demo_names()
            )),
            Self::UnknownDemo { .. } => Some(format!("The demo models are {}.", demo_names())),
            Self::DemoNotIncluded { .. } => Some(format!(
                "Install them with `pip install trifold-demo-models`, or name their folder in {}.",
                env::DEMO_MODELS
            )),
            Self::HuggingFaceName { .. } => {
                Some("For a file of that name, put a folder before it, such as `./`.".into())
            }
            Self::NotDownloaded { id, models, .. } => {
                let mut hint = format!(
                    "Download it with `hf download {id} FILE`, a program of the Python package \
                     huggingface_hub, or use trifold's Python packages, which do so themselves"
                );
                if !models.is_empty() {
                    hint = format!("{hint}; there is {}", list_some(models));
                }
                Some(hint + ".")
            }
            Self::NoSuchModel { models, files, .. } => Some(match (&models[..], &files[..]) {
                ([], []) => "The repository is empty.".into(),
                ([], files) => format!("Its files are {}.", list_some(files)),
                (models, _) => format!("Write one of these behind it: {}.", list_some(models)),
            }),
            Self::SeveralModels { models, .. } => Some(format!(
                "Write one of these behind it: {}.",
                list_some(models)
            )),
            Self::PartMissing { .. } => {
                Some("Download all files of the model, or choose another.".into())
            }
            Self::NotFound { path, similar } => not_found_hint(path, similar),
            Self::BrokenLink { .. } => Some("Restore the file that the link names.".into()),
            Self::NotAFile { inside, .. } if !inside.is_empty() => Some(format!(
                "Pass a file of that folder, such as {}.",
                list(inside)
            )),
            Self::NotAFile { .. } => Some("Pass the path of a model file.".into()),
            Self::Unreadable { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    Some("Check the permissions of the file and of the folders above it.".into())
                }
                io::ErrorKind::NotADirectory => {
                    Some("A part of the path before the last is a file, not a folder.".into())
                }
                _ => None,
            },
            Self::NoCacheFolder => Some(format!(
                "Set {} to a folder that can be written.",
                env::CACHE
            )),
            Self::Cache { size, .. } => Some(format!(
                "Set {} to a folder that can be written and has {} MB free.",
                env::CACHE,
                size.div_ceil(1_000_000)
            )),
        }
    }
}

fn not_found_hint(path: &std::path::Path, similar: &[String]) -> Option<String> {
    if path.to_str().is_some_and(|text| text.contains("://")) {
        return Some("Addresses are not fetched: download the file and pass its path.".into());
    }
    if !similar.is_empty() {
        return Some(format!("Did you mean {}?", list(similar)));
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())?;
    (!folder.exists()).then(|| format!("There is no folder {}.", folder.display()))
}

fn demo_names() -> String {
    let names: Vec<_> = demo_models()
        .iter()
        .map(|model| format!("demo:{}", model.name))
        .collect();
    list(&names)
}

/// `a`, `b` and 7 more.
fn list_some(names: &[String]) -> String {
    const MOST: usize = 8;
    let shown: Vec<_> = names
        .iter()
        .take(MOST)
        .map(|name| format!("`{}`", name.escape_debug()))
        .collect();
    match names.len().saturating_sub(MOST) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// `a`, `b` or `c`.
fn list(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
