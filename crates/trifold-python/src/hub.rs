//! Model names to files.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use pyo3::prelude::*;
use trifold_hub::{HubError, ModelKind, Repository, Source};

use crate::{Failure, Limits, call_method, package::Package};

/// The file of a model: of a path, or of a name such as `demo:story` or `hf:owner/repo:Q4_K_M`.
///
/// The demo models are not inside the extensions, but in a package of their own, whose folder is
/// `demo_models` if it is installed. What lies at Hugging Face is downloaded by the package's module
/// `_hub`: `limits` count from there on, and `progress` is told the fraction downloaded.
///
/// # Errors
/// A [`Failure`] of the class `ModelNotFoundError`, `ModelError` or `OptionError`, and what else ends a
/// download.
pub fn model_path(
    py: Python<'_>,
    name: &Path,
    kind: ModelKind,
    demo_models: Option<&Path>,
    limits: &mut Limits,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<PathBuf> {
    let source = Source::parse(name.as_os_str()).map_err(|error| failure(&error))?;
    if let Source::HuggingFace(repository) = source {
        limits.since.get_or_insert_with(Instant::now);
        let download = Download {
            repository,
            kind,
            limits: limits.clone(),
        };
        let hub = Package::current()?.module(py, "_hub")?;
        return call_method(&hub, "fetch", (download, progress))?.extract();
    }
    let resolve = || match demo_models {
        Some(folder) => trifold_hub::resolve_demo_in(&source, folder),
        None => trifold_hub::resolve(&source),
    };
    Ok(py.detach(resolve).map_err(|error| failure(&error))?)
}

/// What the module `_hub` has to know of a download.
#[pyclass(frozen, module = "trifold")]
struct Download {
    repository: Repository,
    kind: ModelKind,
    limits: Limits,
}

#[pymethods]
impl Download {
    /// The model's name, with `hf:`.
    #[getter]
    fn name(&self) -> String {
        self.repository.to_string()
    }

    /// The repository, `owner/repo`.
    #[getter]
    fn repository(&self) -> String {
        self.repository.id()
    }

    /// Which of the repository's files make up the model, the one to open first.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "PyO3 hands over what it has made of an argument"
    )]
    fn select(&self, files: Vec<String>) -> PyResult<Vec<String>> {
        let selected = self.repository.select(Some(self.kind), &files);
        Ok(selected.map_err(|error| failure(&error))?)
    }

    /// The path of the model's file, if it was downloaded before.
    fn downloaded(&self, py: Python<'_>) -> PyResult<PathBuf> {
        let found = py.detach(|| self.repository.downloaded(Some(self.kind)));
        Ok(found.map_err(|error| failure(&error))?)
    }

    /// Raises if the call was cancelled or its time is up; else gives the seconds left, if they are
    /// limited.
    fn check(&self) -> PyResult<Option<f64>> {
        let left = self.limits.check()?;
        Ok(left.map(|left| left.as_secs_f64()))
    }
}

fn failure(error: &HubError) -> Failure {
    use HubError as E;
    let class = match error {
        E::BrokenLink { .. }
        | E::NoSuchModel { .. }
        | E::NotDownloaded { .. }
        | E::NotFound { .. }
        | E::PartMissing { .. } => "ModelNotFoundError",
        E::EmptyName
        | E::HuggingFaceName { .. }
        | E::SeveralModels { .. }
        | E::UnknownDemo { .. } => "OptionError",
        _ => "ModelError",
    };
    let failure = Failure::of(class, error, error.hint());
    match error {
        E::BrokenLink { path, .. } | E::NotFound { path, .. } => failure.at(path),
        E::NoSuchModel { name, .. }
        | E::NotDownloaded { name, .. }
        | E::PartMissing { name, .. } => failure.at(name),
        _ => failure,
    }
}
