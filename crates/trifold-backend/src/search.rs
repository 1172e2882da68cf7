//! Where plugins are looked for, in this order: paths that are named, `TRIFOLD_BACKEND_PATH`, what packages
//! offer, beside the program, the user's data folder. Never the working directory.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use trifold_runtime::install;

use crate::{BackendError, Refusal};

/// Plugins, or folders of plugins, with colons between: searched after those that the program names itself.
pub const PATH: &str = "TRIFOLD_BACKEND_PATH";

/// Set to `1` to take plugins that others than root and the user can change.
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
    /// Whether to take plugins that others can change.
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
    pub(crate) fn candidates(&self) -> (Vec<Packaged>, Vec<Refusal>) {
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
            found.package(package.clone());
        }
        if self.standard_places {
            for folder in beside_the_program().into_iter().chain(data_folder()) {
                found.place("the program's folder", &folder, false);
            }
        }
        (found.plugins, found.refused)
    }
}

#[derive(Default)]
struct Candidates {
    plugins: Vec<Packaged>,
    refused: Vec<Refusal>,
    known: BTreeSet<PathBuf>,
}

impl Candidates {
    /// A plugin, or all plugins of a folder. One that somebody has named must be there.
    fn place(&mut self, place: &'static str, path: &Path, named: bool) {
        if !path.is_absolute() {
            return self.refuse_relative(place, path);
        }
        match fs_err::metadata(path) {
            Ok(found) if found.is_dir() => self.folder(path),
            Ok(_) => self.package(Packaged {
                path: path.to_owned(),
                sha256: None,
            }),
            Err(source) if named => {
                self.refuse(path, BackendError::io("Could not find", path, source));
            }
            Err(_) => {}
        }
    }

    fn folder(&mut self, folder: &Path) {
        match fs_err::read_dir(folder) {
            Ok(entries) => {
                let mut plugins: Vec<PathBuf> = entries
                    .filter_map(|entry| Some(entry.ok()?.path()))
                    .filter(|path| is_plugin(path))
                    .collect();
                plugins.sort();
                for path in plugins {
                    self.package(Packaged { path, sha256: None });
                }
            }
            Err(source) => {
                self.refuse(folder, BackendError::io("Could not read", folder, source));
            }
        }
    }

    fn package(&mut self, package: Packaged) {
        if !package.path.is_absolute() {
            return self.refuse_relative("a package", &package.path);
        }
        // The same file by another way is the same plugin.
        let real = fs_err::canonicalize(&package.path).unwrap_or_else(|_| package.path.clone());
        if self.known.insert(real) {
            self.plugins.push(package);
        }
    }

    fn refuse_relative(&mut self, place: &'static str, path: &Path) {
        let error = BackendError::RelativePath {
            place,
            path: path.to_owned(),
        };
        self.refuse(path, error);
    }

    fn refuse(&mut self, path: &Path, error: BackendError) {
        self.refused.push(Refusal::new(path, error));
    }
}

/// By its name: `libtrifold-backend-*.so`.
fn is_plugin(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.starts_with(b"libtrifold-backend-") && name.ends_with(b".so")
}

/// The program's folder, `lib/trifold` of its prefix, and Python packages installed there.
fn beside_the_program() -> Vec<PathBuf> {
    let Ok(program) = std::env::current_exe() else {
        return Vec::new();
    };
    let Some(folder) = program.parent() else {
        return Vec::new();
    };
    let mut folders = vec![folder.to_owned()];
    if let Some(prefix) = folder.parent() {
        folders.push(prefix.join("lib/trifold"));
    }
    // An empty name: the folder of all packages.
    for packages in install::of_program(&program, "") {
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
