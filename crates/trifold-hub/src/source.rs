//! What a model name means.

use std::{ffi::OsStr, fmt, path::PathBuf, str::FromStr};

use crate::{DemoModel, HubError, demo_models};

/// Longest owner and longest repository name at Hugging Face.
const MAX_PART: usize = 96;

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// One of the [demo models](demo_models).
    Demo(&'static DemoModel),
    /// A Hugging Face repository. [`resolve`](crate::resolve) does not fetch it in this version.
    HuggingFace {
        /// Whose it is.
        owner: String,
        /// Its name, without the owner.
        repo: String,
        /// Which of its files: a quantisation such as `Q4_K_M`, or a file name.
        file: Option<String>,
    },
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
    /// let Source::HuggingFace { owner, repo, file } = Source::parse("hf:owner/repo:Q4_K_M")? else {
    ///     panic!("not a repository");
    /// };
    /// assert_eq!((&*owner, &*repo, file.as_deref()), ("owner", "repo", Some("Q4_K_M")));
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
            return hugging_face(rest).map_err(|reason| HubError::HuggingFaceName {
                name: text.clone().into_owned(),
                reason,
            });
        }
        Ok(Self::Path(name.into()))
    }
}

/// `owner/repo` or `owner/repo:file`.
fn hugging_face(text: &str) -> Result<Source, &'static str> {
    let (repository, file) = match text.split_once(':') {
        Some((repository, file)) => (repository, Some(file)),
        None => (text, None),
    };
    let (owner, repo) = repository
        .split_once('/')
        .ok_or("no `/` between owner and repository")?;
    for (part, reason) in [
        (owner, "not an owner's name"),
        (repo, "not a repository's name"),
    ] {
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let ends = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let well_formed = part.chars().all(letters)
            && part.starts_with(ends)
            && part.ends_with(ends)
            && !part.contains("..")
            && part.len() <= MAX_PART;
        if !well_formed {
            return Err(reason);
        }
    }
    // A file may lie in a folder of the repository, but not outside.
    let outside = |file: &str| {
        file.contains(['\\', ':'])
            || file.chars().any(char::is_control)
            || file.split('/').any(|part| matches!(part, "" | "." | ".."))
    };
    if file.is_some_and(outside) {
        return Err("not a quantisation or a file name after the second `:`");
    }
    Ok(Source::HuggingFace {
        owner: owner.into(),
        repo: repo.into(),
        file: file.map(Into::into),
    })
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
            Self::HuggingFace {
                owner,
                repo,
                file: Some(file),
            } => {
                write!(f, "hf:{owner}/{repo}:{file}")
            }
            Self::HuggingFace {
                owner,
                repo,
                file: None,
            } => write!(f, "hf:{owner}/{repo}"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}
