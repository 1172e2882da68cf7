//! What a model name means.

use std::{ffi::OsStr, fmt, path::PathBuf, str::FromStr};

use crate::{DemoModel, HubError, Repository, demo_models};

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// One of the [demo models](demo_models).
    Demo(&'static DemoModel),
    /// A repository at Hugging Face. [`resolve`](crate::resolve) finds what was downloaded from it.
    HuggingFace(Repository),
    /// A file.
    Path(PathBuf),
}

impl Source {
    /// Reads a model name.
    ///
    /// `demo:` and `hf:` (lower case) begin the names of demo models and repositories; everything
    /// else is a path, whether or not it exists. For a file whose name begins so, put `./` before it.
    ///
    /// # Errors
    /// [`HubError::EmptyName`], [`HubError::UnknownDemo`] and [`HubError::HuggingFaceName`].
    ///
    /// ```
    /// use trifold_hub::Source;
    ///
    /// assert!(matches!(Source::parse("demo:speech")?, Source::Demo(model) if model.name == "speech"));
    /// assert!(matches!(Source::parse("models/llama.gguf")?, Source::Path(_)));
    /// let Source::HuggingFace(repository) = Source::parse("hf:owner/repo:Q4_K_M")? else {
    ///     panic!("not a repository");
    /// };
    /// assert_eq!((&*repository.id(), repository.file.as_deref()), ("owner/repo", Some("Q4_K_M")));
    /// # Ok::<(), trifold_hub::HubError>(())
    /// ```
    pub fn parse(name: impl AsRef<OsStr>) -> Result<Self, HubError> {
        let name = name.as_ref();
        if name.is_empty() {
            return Err(HubError::EmptyName);
        }
        // Lossy only for the two prefixes: a path keeps its bytes.
        let text = name.to_string_lossy();
        if let Some(demo) = text.strip_prefix("demo:") {
            let model = demo_models().iter().find(|model| model.name == demo);
            return model.map(Self::Demo).ok_or_else(|| HubError::UnknownDemo {
                name: text.clone().into_owned(),
            });
        }
        if let Some(rest) = text.strip_prefix("hf:") {
            let repository =
                Repository::parse(rest).map_err(|reason| HubError::HuggingFaceName {
                    name: text.clone().into_owned(),
                    reason,
                })?;
            return Ok(Self::HuggingFace(repository));
        }
        Ok(Self::Path(name.into()))
    }
}

impl FromStr for Source {
    type Err = HubError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::parse(name)
    }
}

/// The name that [`Source::parse`] reads.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Demo(model) => write!(f, "demo:{}", model.name),
            Self::HuggingFace(repository) => repository.fmt(f),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}
