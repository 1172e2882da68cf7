//! Where an engine's source lies: a Cargo registry package, a folder, or a git checkout.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use serde::Deserialize;

use crate::{
    BuildError,
    cache::{Cache, Key},
    config::{Config, Source, Version},
};

/// A source tree and what identifies it.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The engine that the tree belongs to.
    pub engine: String,
    /// Its root.
    pub root: PathBuf,
    /// Equal for equal content: a registry checksum, a commit, or a digest of all files.
    pub id: String,
    /// What to call it in a version string, such as `llama-cpp-sys-2-0.1.161`.
    pub label: String,
    /// The upstream version.
    pub version: String,
    /// The root of the ggml inside.
    pub ggml: PathBuf,
    /// The version of that ggml.
    pub ggml_version: String,
}

/// Finds the source of an engine, fetching it if needed.
pub fn locate(config: &Config, cache: &Cache, name: &str) -> Result<Tree, BuildError> {
    let engine = config.engine(name)?;
    let (root, id, label) = match &engine.source {
        Source::Crate {
            name: package,
            version,
            dir,
        } => {
            let folder = package_folder(config, name, package, version)?;
            let id = registry_checksum(config, package, version)?
                .map_or_else(|| digest_folder(&folder.join(dir)), Ok)?;
            (folder.join(dir), id, format!("{package}-{version}"))
        }
        Source::Path { path } => (path.clone(), digest_folder(path)?, "local".into()),
        Source::Git { git, rev } => (checkout(cache, name, git, rev)?, rev.clone(), rev.clone()),
    };
    let ggml = root.join(&engine.ggml);
    if !ggml.is_dir() {
        return Err(BuildError::Source {
            engine: name.into(),
            what: format!("Expected a ggml folder at: {}", ggml.display()),
            hint: "see `source` and `ggml` of this engine in engines.toml".into(),
        });
    }
    let version = match &engine.version {
        Version::Prefix { cmake, prefix } => prefix_version(&root.join(cmake), prefix)?,
        Version::Project { cmake, project } => project_version(&root.join(cmake), project)?,
        Version::Crate { .. } => match &engine.source {
            Source::Crate { version, .. } => version.clone(),
            Source::Path { .. } | Source::Git { .. } => label.clone(),
        },
    };
    let ggml_version = prefix_version(&ggml.join("CMakeLists.txt"), "GGML")?;
    Ok(Tree {
        engine: name.into(),
        root,
        id,
        label,
        version,
        ggml,
        ggml_version,
    })
}

/// The part of `cargo metadata`'s answer that is used here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    version: String,
    manifest_path: PathBuf,
}

/// The folder of a package in the Cargo.lock of the workspace that `config` names, such as one that only
/// carries sources.
///
/// # Errors
/// [`BuildError::Source`] if cargo does not answer, or does not know the package.
pub fn package(config: &Config, name: &str, version: &str) -> Result<PathBuf, BuildError> {
    package_folder(config, name, name, version)
}

fn package_folder(
    config: &Config,
    engine: &str,
    package: &str,
    version: &str,
) -> Result<PathBuf, BuildError> {
    // One answer tells all of a workspace.
    static ANSWERS: Mutex<BTreeMap<PathBuf, Vec<Package>>> = Mutex::new(BTreeMap::new());
    let mut answers = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
    if !answers.contains_key(&config.package) {
        let packages = packages(&config.package, engine, package, version)?;
        answers.insert(config.package.clone(), packages);
    }
    answers
        .get(&config.package)
        .into_iter()
        .flatten()
        .find(|found| found.name == package && found.version == version)
        .and_then(|found| found.manifest_path.parent().map(Path::to_path_buf))
        .ok_or_else(|| BuildError::Source {
            engine: engine.into(),
            what: format!("package {package} {version} is not in Cargo.lock"),
            hint: "the version in engines.toml and the one in Cargo.toml, under \
                   [target.'cfg(any())'.dependencies], must be equal"
                .into(),
        })
}

/// Asks cargo, which downloads packages on first use: they are declared as dependencies that no target
/// compiles, so a plain build does not fetch them.
fn packages(
    folder: &Path,
    engine: &str,
    package: &str,
    version: &str,
) -> Result<Vec<Package>, BuildError> {
    let fail = |what: String, hint: &str| BuildError::Source {
        engine: engine.into(),
        what,
        hint: hint.into(),
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args([
            "metadata",
            "--locked",
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(folder.join("Cargo.toml"));
    let output = command.output().map_err(|error| {
        fail(
            format!("cargo could not be started: {error}"),
            "see that cargo is in PATH",
        )
    })?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(fail(
            format!("cargo metadata failed for package {package} {version}: {words}"),
            "the source is downloaded once, from the package registry: connect to the network, or \
             run `cargo fetch --locked` where there is one and copy Cargo's home folder; \
             for an offline mirror see `cargo vendor`",
        ));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout).map_err(|error| {
        fail(
            format!("cargo metadata printed no metadata: {error}"),
            "update cargo",
        )
    })?;
    Ok(metadata.packages)
}

/// The package's checksum from the nearest Cargo.lock, if it is there.
fn registry_checksum(
    config: &Config,
    package: &str,
    version: &str,
) -> Result<Option<String>, BuildError> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Locked>,
    }
    #[derive(Deserialize)]
    struct Locked {
        name: String,
        version: String,
        checksum: Option<String>,
    }
    let Some(path) = config
        .package
        .ancestors()
        .map(|folder| folder.join("Cargo.lock"))
        .find(|path| path.is_file())
    else {
        return Ok(None);
    };
    let text = fs_err::read_to_string(&path).map_err(BuildError::io("Could not read", &path))?;
    let lock: Lock = toml::from_str(&text)
        .map_err(|error| BuildError::config(format!("{}: {error}", path.display())))?;
    Ok(lock
        .package
        .into_iter()
        .find(|found| found.name == package && found.version == version)
        .and_then(|found| found.checksum))
}

/// A digest of every file below a folder: for sources that nobody has checksummed.
fn digest_folder(root: &Path) -> Result<String, BuildError> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder).map_err(BuildError::io("Could not read", &folder))? {
            let path = entry
                .map_err(BuildError::io("Could not read", &folder))?
                .path();
            if path.file_name().is_some_and(|name| name == ".git") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut key = Key::new("folder");
    for path in files {
        let bytes = fs_err::read(&path).map_err(BuildError::io("Could not read", &path))?;
        key.text(&path.strip_prefix(root).unwrap_or(&path).to_string_lossy());
        key.bytes(&bytes);
    }
    Ok(key.finish())
}

/// A git checkout in the cache, made once for each commit.
fn checkout(cache: &Cache, engine: &str, url: &str, rev: &str) -> Result<PathBuf, BuildError> {
    let target = cache.folder("sources")?.join(format!("{engine}-{rev}"));
    let _lock = cache.lock(&format!("source-{engine}-{rev}"))?;
    if target.is_dir() {
        return Ok(target);
    }
    let work = tempfile::tempdir_in(cache.folder("sources")?)
        .map_err(BuildError::io("Could not create a folder in", cache.root()))?;
    let steps: [&[&str]; 4] = [
        &["init", "--quiet"],
        &["fetch", "--quiet", "--depth", "1", url, rev],
        &["checkout", "--quiet", "FETCH_HEAD"],
        &[
            "submodule",
            "update",
            "--quiet",
            "--init",
            "--recursive",
            "--depth",
            "1",
        ],
    ];
    for step in steps {
        let output = Command::new("git")
            .current_dir(work.path())
            .args(step)
            .output();
        let words = match output {
            Ok(output) if output.status.success() => continue,
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        return Err(BuildError::Source {
            engine: engine.into(),
            what: format!("git {} failed: {words}", step.join(" ")),
            hint: format!("see that {url} can be reached and that {rev} is a full commit id"),
        });
    }
    let made = work.keep();
    fs_err::rename(&made, &target)
        .map_err(BuildError::io("Could not move a checkout to", &target))?;
    Ok(target)
}

/// `x.y.z` from `set(PREFIX_VERSION_MAJOR x)` and its two neighbours.
fn prefix_version(cmake: &Path, prefix: &str) -> Result<String, BuildError> {
    let text = read_cmake(cmake)?;
    let part = |part: &str| {
        let start = format!("set({prefix}_VERSION_{part} ");
        text.lines()
            .find_map(|line| line.trim().strip_prefix(&start)?.strip_suffix(')'))
            .map(|value| value.trim().to_owned())
            .ok_or_else(|| {
                BuildError::config(format!("Expected `{start}…)` in: {}", cmake.display()))
            })
    };
    Ok(format!(
        "{}.{}.{}",
        part("MAJOR")?,
        part("MINOR")?,
        part("PATCH")?
    ))
}

/// `x.y.z` from `project("name" VERSION x.y.z)`.
fn project_version(cmake: &Path, project: &str) -> Result<String, BuildError> {
    let start = format!("project(\"{project}\" VERSION ");
    read_cmake(cmake)?
        .lines()
        .find_map(|line| line.trim().strip_prefix(&start)?.split([')', ' ']).next())
        .map(str::to_owned)
        .ok_or_else(|| BuildError::config(format!("Expected `{start}…)` in: {}", cmake.display())))
}

fn read_cmake(path: &Path) -> Result<String, BuildError> {
    fs_err::read_to_string(path).map_err(BuildError::io("Could not read", path))
}
