//! Model names to model files: paths, demo models, cache.
//!
//! A model name, as a user types it, becomes a [`Source`], and a source becomes the path of a model
//! file that an engine can open:
//!
//! | name | source |
//! | --- | --- |
//! | `demo:story`, `demo:speech`, `demo:picture` | a model inside the program, see [`demo_models`] |
//! | `hf:owner/repo:Q4_K_M` | a [repository](Repository) at Hugging Face: what was downloaded from it |
//! | anything else | a path |
//!
//! The engines open paths, so a demo model is written to the [cache](cache_dir) when it is first
//! used. Nothing here uses the network: the files of a repository are those that Hugging Face's own tools
//! (`hf download`, the Python package `huggingface_hub`) have in their cache.
//!
//! ```
//! # #[cfg(feature = "demo-models")] {
//! use trifold_hub::{Source, resolve_in};
//!
//! # let folder = tempfile::tempdir()?;
//! # let cache = folder.path();
//! let source = Source::parse("demo:story")?;
//! let path = resolve_in(&source, cache)?; // `resolve(&source)` uses the user's cache
//! assert_eq!(path.metadata()?.len(), 5_653_824);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cache;
mod demo;
pub mod env;
mod error;
mod hugging_face;
mod path;
mod repository;
mod source;

use std::path::{Path, PathBuf};

pub use cache::cache_dir;
pub use demo::{DemoModel, ModelKind, Sample, demo_models, samples};
pub use error::HubError;
pub use path::similar_files;
pub use repository::Repository;
pub use source::Source;

/// The path of a model's file.
///
/// A path is checked (a regular file must be there) and given back as it is. A demo model is written
/// to the user's [cache](cache_dir) if it is not there; if it is, every byte is compared, and a file
/// that differs is replaced with a warning in the log. Several threads and processes may do this at
/// once. Of a repository it is a file that was downloaded before, see [`Repository::downloaded`]. The
/// file's content is not judged: what is in it is for the engine's own reader to say.
///
/// # Errors
/// [`HubError::NotFound`], [`HubError::BrokenLink`], [`HubError::NotAFile`] and
/// [`HubError::Unreadable`] for a path; [`HubError::NoCacheFolder`], [`HubError::Cache`] and
/// [`HubError::DemoNotIncluded`] for a demo model; those of [`Repository::downloaded`] for a repository.
///
/// ```no_run
/// let path = trifold_hub::resolve(&"demo:picture".parse()?)?;
/// # Ok::<(), trifold_hub::HubError>(())
/// ```
pub fn resolve(source: &Source) -> Result<PathBuf, HubError> {
    resolve_with(source, cache_dir)
}

/// [`resolve`] with a cache folder of your choice, created if it is not there.
///
/// # Errors
/// As [`resolve`], but for [`HubError::NoCacheFolder`].
pub fn resolve_in(source: &Source, cache: &Path) -> Result<PathBuf, HubError> {
    resolve_with(source, || Ok(cache.to_owned()))
}

/// [`resolve`], with the demo models in a folder of their own instead of inside the program: for
/// programs that are shipped without them. Nothing is written.
///
/// # Errors
/// As [`resolve`] gives for paths.
///
/// ```no_run
/// let path = trifold_hub::resolve_demo_in(&"demo:story".parse()?, "models".as_ref())?;
/// assert!(path.ends_with("trifold-story.gguf"));
/// # Ok::<(), trifold_hub::HubError>(())
/// ```
pub fn resolve_demo_in(source: &Source, folder: &Path) -> Result<PathBuf, HubError> {
    match source {
        Source::Demo(model) => {
            let path = folder.join(model.file_name);
            path::check(&path).map(|()| path)
        }
        Source::HuggingFace(_) | Source::Path(_) => resolve(source),
    }
}

fn resolve_with(
    source: &Source,
    cache: impl FnOnce() -> Result<PathBuf, HubError>,
) -> Result<PathBuf, HubError> {
    match source {
        Source::Demo(model) if model.bytes().is_some() => cache::install(model, &cache()?),
        Source::Demo(model) => model.installed(),
        Source::HuggingFace(repository) => repository.downloaded(None),
        Source::Path(path) => path::check(path).map(|()| path.clone()),
    }
}
