//! Where trifold's own source is: layouts are built from it.

use std::path::{Path, PathBuf};

use crate::PackError;

/// A clone of trifold.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The one that a folder is in.
    ///
    /// # Errors
    /// [`PackError::NoWorkspace`]
    pub fn around(folder: &Path) -> Result<Self, PackError> {
        let folder = std::path::absolute(folder)
            .map_err(PackError::io("Could not find the folder", folder))?;
        let root = folder.ancestors().find(|folder| {
            folder.join("engines.toml").is_file() && folder.join("python/trifold-llama").is_dir()
        });
        match root {
            Some(root) => Ok(Self {
                root: root.to_owned(),
            }),
            None => Err(PackError::NoWorkspace { folder }),
        }
    }

    /// Its folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo keeps packages.
    pub(super) fn cargo_home(&self) -> PathBuf {
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"));
        std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(home)
            .unwrap_or_else(|| self.root.join(".cargo"))
    }
}
