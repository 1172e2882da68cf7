//! What an argument names: a path, or an installed package.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

use crate::{PackError, limits, wheel};

/// Something to audit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input {
    /// A wheel, a folder with native files or wheels, an ELF file or a static archive.
    Path(PathBuf),
    /// An installed package.
    Installed {
        /// Its name.
        name: String,
        /// The folder that it is installed in, such as `site-packages`.
        folder: PathBuf,
        /// Its files, relative to the folder.
        files: Vec<PathBuf>,
    },
}

impl Input {
    /// What an argument names: a path if there is such a file or folder, else an installed package in one
    /// of the `folders`.
    ///
    /// # Errors
    /// If there is neither.
    pub fn find(argument: &str, folders: &[PathBuf]) -> Result<Self, PackError> {
        let path = Path::new(argument);
        let is_wheel = path.extension().is_some_and(|extension| extension == "whl");
        let looks_like_path = argument.contains('/') || is_wheel;
        if looks_like_path || path.exists() {
            return Ok(Self::Path(path.into()));
        }
        for folder in folders {
            if let Some(input) = installed(argument, folder)? {
                return Ok(input);
            }
        }
        let searched = if folders.is_empty() {
            "no folder: no Python was found".to_owned()
        } else {
            let shown = folders.iter().map(|folder| folder.display().to_string());
            shown.collect::<Vec<_>>().join(", ")
        };
        Err(PackError::NoPackage {
            name: argument.into(),
            searched,
        })
    }
}

/// The folders that an interpreter imports packages from, found beside it without running it: `python` is
/// an interpreter, or the folder of an environment. Without one: the active environment, else the
/// `python3` of `PATH`.
pub fn site_packages(python: Option<&Path>) -> Vec<PathBuf> {
    let mut roots = Vec::new();
    match python {
        Some(path) if path.is_dir() => roots.push(path.to_owned()),
        Some(path) => roots.extend(prefixes(path)),
        None => {
            if let Some(path) = std::env::var_os("VIRTUAL_ENV") {
                roots.push(path.into());
            } else if let Some(path) = std::env::var_os("PATH") {
                let found = std::env::split_paths(&path)
                    .filter(|folder| folder.is_absolute())
                    .map(|folder| folder.join("python3"))
                    .find(|program| program.is_file());
                roots.extend(found.iter().flat_map(|program| prefixes(program)));
            }
        }
    }
    let mut folders = BTreeSet::new();
    for root in roots {
        for lib in ["lib", "lib64", "local/lib"] {
            let entries = fs_err::read_dir(root.join(lib))
                .into_iter()
                .flatten()
                .flatten();
            for entry in entries {
                if entry.file_name().to_string_lossy().starts_with("python3") {
                    folders.extend([
                        entry.path().join("site-packages"),
                        entry.path().join("dist-packages"),
                    ]);
                }
            }
        }
        folders.insert(root);
    }
    folders
        .into_iter()
        .filter(|folder| folder.is_dir())
        .collect()
}

/// `bin/python3` → its prefix, and that of what it links to.
fn prefixes(program: &Path) -> Vec<PathBuf> {
    let above = |path: &Path| path.parent().and_then(Path::parent).map(Path::to_owned);
    let mut found: Vec<PathBuf> = above(program).into_iter().collect();
    found.extend(
        fs_err::canonicalize(program)
            .ok()
            .as_deref()
            .and_then(above),
    );
    found.dedup();
    found
}

fn installed(name: &str, folder: &Path) -> Result<Option<Input>, PackError> {
    let Ok(entries) = fs_err::read_dir(folder) else {
        return Ok(None);
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let dist = [".dist-info", ".egg-info"]
                .iter()
                .find_map(|end| file.strip_suffix(end))
                .and_then(|file| file.split_once('-'));
            dist.is_some_and(|(dist, _)| wheel::plain(dist) == wheel::plain(name)) && path.is_dir()
        })
        .collect();
    found.sort();
    let Some(about) = found.pop() else {
        return Ok(None);
    };
    let mut files = if about.extension().is_some_and(|end| end == "egg-info") {
        of_egg(folder, &about)?
    } else {
        let text = read(&about.join("RECORD"))?;
        text.lines()
            .filter_map(|line| wheel::fields(line).into_iter().next())
            .map(PathBuf::from)
            .collect()
    };
    files.retain(|file| {
        // Programs lie above; what lies elsewhere is no part of the package.
        let up = file
            .components()
            .filter(|part| *part == Component::ParentDir)
            .count();
        file.is_relative() && up <= 3 && folder.join(file).is_file()
    });
    files.sort();
    files.dedup();
    Ok(Some(Input::Installed {
        name: name.into(),
        folder: folder.into(),
        files,
    }))
}

fn read(path: &Path) -> Result<String, PackError> {
    fs_err::read_to_string(path).map_err(PackError::io("Could not read", path))
}

/// The files of a package that was installed without a wheel, as Linux distributions do: there is no list
/// of files, only one of modules.
fn of_egg(folder: &Path, about: &Path) -> Result<Vec<PathBuf>, PackError> {
    let mut files = Vec::new();
    for module in read(&about.join("top_level.txt"))?.lines() {
        let module = module.trim();
        if module.is_empty() || module.contains('/') || module.starts_with('.') {
            continue;
        }
        let inside = folder.join(module);
        if inside.is_dir() {
            files.extend(
                walk(&inside)?
                    .files
                    .iter()
                    .map(|file| Path::new(module).join(file)),
            );
        }
        let begin = format!("{module}.");
        let beside = fs_err::read_dir(folder).map_err(PackError::io("Could not read", folder))?;
        let beside = beside
            .flatten()
            .map(|entry| PathBuf::from(entry.file_name()));
        files.extend(beside.filter(|file| file.to_string_lossy().starts_with(&begin)));
    }
    Ok(files)
}

/// What is in a folder.
pub(crate) struct Tree {
    /// All files, relative to the folder, sorted.
    pub(crate) files: Vec<PathBuf>,
    /// Names of links to some of them.
    pub(crate) aliases: BTreeSet<String>,
}

/// All files of a folder. Links to folders are not followed; links to files are, once for each file, if
/// they lead out of the folder.
pub(crate) fn walk(folder: &Path) -> Result<Tree, PackError> {
    let mut files = Vec::new();
    let mut links = Vec::new();
    let mut open = vec![(PathBuf::new(), 0)];
    while let Some((inside, depth)) = open.pop() {
        let place = folder.join(&inside);
        for entry in fs_err::read_dir(&place).map_err(PackError::io("Could not read", &place))? {
            let entry = entry.map_err(PackError::io("Could not read", &place))?;
            let kind = entry
                .file_type()
                .map_err(PackError::io("Could not read", entry.path()))?;
            let inside = inside.join(entry.file_name());
            if kind.is_dir() {
                limit(folder, "the depth", limits::FOLDER_DEPTH, depth + 1)?;
                open.push((inside, depth + 1));
                continue;
            }
            if kind.is_file() {
                files.push(inside);
            } else if kind.is_symlink() && folder.join(&inside).is_file() {
                links.push(inside);
            }
            limit(
                folder,
                "the number of files",
                limits::FOLDER_FILES,
                files.len() + links.len(),
            )?;
        }
    }
    let real =
        |path: &Path| fs_err::canonicalize(path).map_err(PackError::io("Could not read", path));
    let root = real(folder)?;
    let (mut aliases, mut targets) = (BTreeSet::new(), BTreeSet::new());
    links.sort();
    for link in links {
        let target = real(&folder.join(&link))?;
        if target.starts_with(&root) || !targets.insert(target) {
            aliases.extend(
                link.file_name()
                    .map(|name| name.to_string_lossy().into_owned()),
            );
        } else {
            files.push(link);
        }
    }
    files.sort();
    Ok(Tree { files, aliases })
}

fn limit(folder: &Path, what: &str, limit: usize, found: usize) -> Result<(), PackError> {
    if found <= limit {
        return Ok(());
    }
    Err(PackError::Limit {
        place: folder.display().to_string(),
        what: what.into(),
        limit: limit as u64,
        found: found as u64,
    })
}
