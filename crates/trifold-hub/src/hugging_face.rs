//! The cache of Hugging Face's own tools: what was downloaded with them is found again.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{HubError, ModelKind, Repository, env};

/// Files of a repository that are looked at, and folders below each other.
const MAX_FILES: usize = 10_000;
const MAX_DEPTH: usize = 8;

impl Repository {
    /// The path of the model's file, if it was downloaded before with Hugging Face's own tools: in the
    /// version that the branch `main` had when they last asked. Nothing is downloaded.
    ///
    /// Their cache is the folder that `HF_HUB_CACHE` names, else `hub` in `HF_HOME`, else
    /// `huggingface/hub` in the user's cache folder. Which file it is [`select`](Self::select) says, of
    /// those that are there.
    ///
    /// # Errors
    /// [`HubError::NotDownloaded`], [`HubError::SeveralModels`], [`HubError::PartMissing`] and
    /// [`HubError::NoCacheFolder`].
    ///
    /// ```no_run
    /// use trifold_hub::{ModelKind, Source};
    ///
    /// if let Source::HuggingFace(repository) = Source::parse("hf:owner/repo:Q4_K_M")? {
    ///     println!("{}", repository.downloaded(Some(ModelKind::Text))?.display());
    /// }
    /// # Ok::<(), trifold_hub::HubError>(())
    /// ```
    pub fn downloaded(&self, kind: Option<ModelKind>) -> Result<PathBuf, HubError> {
        self.downloaded_in(kind, &cache_from(|name| std::env::var_os(name))?)
    }

    /// [`downloaded`](Self::downloaded) with a cache folder of your choice.
    ///
    /// # Errors
    /// As [`downloaded`](Self::downloaded), but for [`HubError::NoCacheFolder`].
    pub fn downloaded_in(
        &self,
        kind: Option<ModelKind>,
        cache: &Path,
    ) -> Result<PathBuf, HubError> {
        let (snapshot, files) = self.snapshot(cache).unwrap_or_default();
        match self.select(kind, &files) {
            Ok(files) => Ok(snapshot.join(&files[0])),
            // There may be one in the repository.
            Err(HubError::NoSuchModel { name, models, .. }) => Err(HubError::NotDownloaded {
                name,
                id: self.id(),
                models,
                cache: cache.into(),
            }),
            Err(error) => Err(error),
        }
    }

    /// The folder of the version that was downloaded last, and the files in it.
    fn snapshot(&self, cache: &Path) -> Option<(PathBuf, Vec<String>)> {
        let folder = cache.join(format!("models--{}--{}", self.owner, self.repo));
        let commit = fs_err::read_to_string(folder.join("refs/main")).ok()?;
        // Not what would lead out of the cache.
        if commit.is_empty() || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let snapshot = folder.join("snapshots").join(commit);
        let mut files = Vec::new();
        list(&snapshot, "", MAX_DEPTH, &mut files);
        Some((snapshot, files))
    }
}

/// The files in a folder and in the folders in it, with `/` between their names. A link to nothing, such
/// as to a file that was removed, is none.
fn list(folder: &Path, prefix: &str, depth: usize, files: &mut Vec<String>) {
    for entry in fs_err::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        // The files are links to where their content is.
        let Ok(found) = fs_err::metadata(entry.path()) else {
            continue;
        };
        if files.len() == MAX_FILES {
            return;
        }
        let path = format!("{prefix}{name}");
        if found.is_file() {
            files.push(path);
        } else if found.is_dir() && depth > 0 {
            list(&entry.path(), &format!("{path}/"), depth - 1, files);
        }
    }
}

/// The folder of the cache, by the rules of Hugging Face's own tools.
fn cache_from(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, HubError> {
    let home = || variable(env::HOME).map(PathBuf::from);
    let path = |name| {
        let path = PathBuf::from(variable(name).filter(|value| !value.is_empty())?);
        match (path.strip_prefix("~"), home()) {
            (Ok(rest), Some(home)) => Some(home.join(rest)),
            _ => Some(path),
        }
    };
    let in_home = || {
        path(env::HF_HOME).or_else(|| {
            let cache = path(env::XDG_CACHE_HOME).or_else(|| Some(home()?.join(".cache")))?;
            Some(cache.join("huggingface"))
        })
    };
    path(env::HF_HUB_CACHE)
        .or_else(|| path(env::HUGGINGFACE_HUB_CACHE))
        .or_else(|| Some(in_home()?.join("hub")))
        .ok_or(HubError::NoCacheFolder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_that_of_hugging_faces_tools() {
        type Variables = &'static [(&'static str, &'static str)];
        let cases: [(Variables, Option<&str>); 8] = [
            (&[("HF_HUB_CACHE", "/a"), ("HF_HOME", "/b")], Some("/a")),
            (
                &[("HUGGINGFACE_HUB_CACHE", "/a"), ("HOME", "/h")],
                Some("/a"),
            ),
            (
                &[("HF_HOME", "/b"), ("XDG_CACHE_HOME", "/c")],
                Some("/b/hub"),
            ),
            (&[("HF_HOME", "~/b"), ("HOME", "/h")], Some("/h/b/hub")),
            (
                &[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")],
                Some("/c/huggingface/hub"),
            ),
            (
                &[("HF_HUB_CACHE", ""), ("HOME", "/h")],
                Some("/h/.cache/huggingface/hub"),
            ),
            (&[("HOME", "/h")], Some("/h/.cache/huggingface/hub")),
            (&[], None),
        ];
        for (variables, expected) in cases {
            let found = cache_from(|name| {
                let value = variables.iter().find(|(set, _)| *set == name);
                value.map(|(_, value)| value.into())
            });
            assert_eq!(
                found.ok().as_deref(),
                expected.map(Path::new),
                "{variables:?}"
            );
        }
    }
}
