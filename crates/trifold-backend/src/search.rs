//! Where plugins are looked for, in this order: paths that are named, `TRIFOLD_BACKEND_PATH`, what packages
//! offer, beside the program, the user's data folder. Never the working directory.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use trifold_runtime::install;

use crate::{BackendError, Refusal, load::Failure};

/// Plugins, or folders of plugins, with colons between: searched after those that the program names itself.
pub const PATH: &str = "TRIFOLD_BACKEND_PATH";

/// Set to `1` to take plugins that belong to others than root and the user, or that everybody can change.
pub const TRUST: &str = "TRIFOLD_BACKEND_TRUST";

/// How long a plugin may take to say what it finds. A driver that starts, on a machine with several GPUs, has
/// been seen to need seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// Where plugins are looked for, and what is asked of them.
///
/// ```
/// use trifold_backend::Search;
///
/// let everywhere = Search::default();
/// let here_only = Search::only(["/opt/trifold/libtrifold-backend-cuda13.so"]);
/// # let _ = (everywhere, here_only);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Search {
    /// Plugins, or folders of plugins, that come before all others. Full paths.
    pub paths: Vec<PathBuf>,
    /// What packages offer, such as entry points of Python.
    pub packages: Vec<Packaged>,
    /// Whether to look in the places that every program has: the environment, beside the program, the user's
    /// data folder.
    pub standard_places: bool,
    /// Whether Python packages are among the places beside the program. Not where the program is Python: it
    /// knows its packages, and an interpreter has some that are none of a virtual environment's.
    pub python_packages: bool,
    /// Whether to take plugins that belong to others, or that everybody can change.
    pub trust_anyone: bool,
    /// How long a plugin may take when it is tried.
    pub limit: Duration,
}

/// A plugin that a package offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packaged {
    /// The plugin. A full path.
    pub path: PathBuf,
    /// Its SHA-256 in hexadecimal digits, if the package states one.
    pub sha256: Option<String>,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            packages: Vec::new(),
            standard_places: true,
            python_packages: true,
            trust_anyone: std::env::var_os(TRUST).is_some_and(|value| value == "1"),
            limit: LIMIT,
        }
    }
}

impl Search {
    /// Nowhere but there.
    pub fn only<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        Self {
            paths: paths.into_iter().map(Into::into).collect(),
            standard_places: false,
            ..Self::default()
        }
    }

    /// All plugins that are there, each once, and the places that could not be looked at.
    pub(crate) fn candidates(&self) -> Candidates {
        let mut found = Candidates::default();
        for path in &self.paths {
            found.place("the program's own list", path, true);
        }
        if self.standard_places {
            let value = std::env::var_os(PATH).unwrap_or_default();
            for path in std::env::split_paths(&value).filter(|path| !path.as_os_str().is_empty()) {
                found.place(PATH, &path, true);
            }
        }
        for package in &self.packages {
            found.package(package.clone(), Named::No);
        }
        if self.standard_places {
            let program = std::env::current_exe();
            let beside = program.map_or_else(
                |_| Vec::new(),
                |program| beside(&program, self.python_packages),
            );
            for folder in beside.into_iter().chain(data_folder()) {
                found.place("the program's folder", &folder, false);
            }
        }
        found
    }
}

/// A plugin to look at.
pub(crate) struct Candidate {
    pub(crate) plugin: Packaged,
    pub(crate) named: Named,
}

/// Whether somebody has named a plugin: who does so wants to know what becomes of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    No,
    ByFolder,
    Itself,
}

/// A plugin, or a place, that was looked at in vain.
pub(crate) struct Missed {
    pub(crate) refusal: Refusal,
    pub(crate) named: Named,
}

impl Missed {
    pub(crate) fn new(candidate: &Candidate, failure: Failure) -> Self {
        let refusal = Refusal::new(&candidate.plugin.path, failure.error);
        Self {
            refusal: refusal.of_kind(failure.kind),
            named: candidate.named,
        }
    }
}

/// What a search has found.
#[derive(Default)]
pub(crate) struct Candidates {
    pub(crate) plugins: Vec<Candidate>,
    pub(crate) missed: Vec<Missed>,
    /// All that were looked at.
    pub(crate) places: Vec<PathBuf>,
    /// Files, and where they are in `plugins`.
    known: BTreeMap<PathBuf, usize>,
}

impl Candidates {
    /// A plugin, or all plugins of a folder. One that somebody has named must be there.
    fn place(&mut self, place: &'static str, path: &Path, named: bool) {
        if !path.is_absolute() {
            return self.refuse_relative(place, path, named);
        }
        self.places.push(path.to_owned());
        // Our own errors have the path.
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => self.folder(path, named),
            Ok(_) => {
                let path = path.to_owned();
                let named = if named { Named::Itself } else { Named::No };
                self.package(Packaged { path, sha256: None }, named);
            }
            Err(source) if named => {
                let error = BackendError::io("Could not find", path, source);
                self.refuse(path, error, named);
            }
            Err(_) => {}
        }
    }

    fn folder(&mut self, folder: &Path, named: bool) {
        match std::fs::read_dir(folder) {
            Ok(entries) => {
                let mut plugins: Vec<PathBuf> = entries
                    .filter_map(|entry| Some(entry.ok()?.path()))
                    .filter(|path| is_plugin(path))
                    .collect();
                plugins.sort();
                if plugins.is_empty() && named {
                    let error = BackendError::NotAPlugin {
                        path: folder.to_owned(),
                        found: "a folder without any libtrifold-backend-*.so".into(),
                    };
                    self.refuse(folder, error, named);
                }
                let named = if named { Named::ByFolder } else { Named::No };
                for path in plugins {
                    self.package(Packaged { path, sha256: None }, named);
                }
            }
            Err(source) => {
                let error = BackendError::io("Could not read", folder, source);
                self.refuse(folder, error, named);
            }
        }
    }

    fn package(&mut self, plugin: Packaged, named: Named) {
        if !plugin.path.is_absolute() {
            return self.refuse_relative("a package", &plugin.path, false);
        }
        // The same file by another way is the same plugin.
        let real = fs_err::canonicalize(&plugin.path).unwrap_or_else(|_| plugin.path.clone());
        if let Some(&place) = self.known.get(&real) {
            // What its package states holds, however it was found first.
            let known = &mut self.plugins[place].plugin;
            known.sha256 = known.sha256.take().or(plugin.sha256);
        } else {
            self.known.insert(real, self.plugins.len());
            self.plugins.push(Candidate { plugin, named });
        }
    }

    fn refuse_relative(&mut self, place: &'static str, path: &Path, named: bool) {
        let error = BackendError::RelativePath {
            place,
            path: path.to_owned(),
        };
        self.refuse(path, error, named);
    }

    fn refuse(&mut self, path: &Path, error: BackendError, named: bool) {
        self.missed.push(Missed {
            refusal: Refusal::new(path, error),
            named: if named { Named::Itself } else { Named::No },
        });
    }
}

/// By its name: `libtrifold-backend-*.so`.
fn is_plugin(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.starts_with(b"libtrifold-backend-") && name.ends_with(b".so")
}

/// A program's folder, `lib/trifold` of its prefix, and Python packages installed there.
fn beside(program: &Path, python_packages: bool) -> Vec<PathBuf> {
    let Some(folder) = program.parent() else {
        return Vec::new();
    };
    let mut folders = vec![folder.to_owned()];
    if let Some(prefix) = folder.parent() {
        folders.push(prefix.join("lib/trifold"));
    }
    if !python_packages {
        return folders;
    }
    // An empty name: the folder of all packages.
    for packages in install::of_program(program, "") {
        let mut ours: Vec<PathBuf> = fs_err::read_dir(&packages)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().as_encoded_bytes();
                name.starts_with(b"trifold_") && path.is_dir()
            })
            .collect();
        ours.sort();
        folders.extend(ours);
    }
    folders
}

/// `trifold/backends` in `XDG_DATA_HOME` or `~/.local/share`.
pub fn data_folder() -> Option<PathBuf> {
    let variable = |name| -> Option<PathBuf> {
        let value: OsString = std::env::var_os(name)?;
        Some(PathBuf::from(value)).filter(|path| path.is_absolute())
    };
    let base = variable("XDG_DATA_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/share")))?;
    Some(base.join("trifold/backends"))
}

#[cfg(test)]
mod tests {
    use super::beside;

    #[test]
    fn an_interpreter_lends_no_packages() {
        let prefix = tempfile::tempdir().unwrap();
        let package = prefix
            .path()
            .join("lib/python3.12/site-packages/trifold_cuda13");
        fs_err::create_dir_all(&package).unwrap();
        let program = prefix.path().join("bin/program");
        let own = [prefix.path().join("bin"), prefix.path().join("lib/trifold")];
        assert_eq!(beside(&program, false), own);
        assert_eq!(beside(&program, true), [&own[..], &[package]].concat());
    }
}
