//! The Pythons that this machine has.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::python;

/// The versions 3.N that `python/requirements` has packages for.
pub(crate) const SUPPORTED: RangeInclusive<u32> = 9..=14;

/// Names one interpreter that is used for everything; then no other is looked for.
const OVERRIDE: &str = "PYTHON";

/// A CPython 3 that can make virtual environments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// Of version 3.N.P, N and P.
    pub(crate) version: (u32, u32),
    /// The program.
    pub(crate) path: PathBuf,
}

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "3.{}.{}", self.version.0, self.version.1)
    }
}

/// What there is.
pub(crate) struct Interpreters {
    /// What everything is built with: the one named by [`OVERRIDE`], or `python3`.
    pub(crate) default: Interpreter,
    /// All, the default among them, one for each 3.N, newest last.
    pub(crate) all: Vec<Interpreter>,
}

impl Interpreters {
    /// Those that are named by [`OVERRIDE`], that `PATH` has, and those of pyenv, uv and the system.
    pub(crate) fn find() -> Result<Self> {
        let default = look_at(&python::default()).with_context(|| {
            format!(
                "Expected a CPython 3 with the modules venv and ensurepip: {} (on Debian: apt-get \
                 install python3 python3-venv)",
                python::default().display()
            )
        })?;
        let mut all = BTreeMap::new();
        if std::env::var_os(OVERRIDE).is_none() {
            let programs: BTreeSet<PathBuf> = candidates()
                .into_iter()
                .filter_map(|path| path.canonicalize().ok())
                .collect();
            for found in programs.iter().filter_map(|path| look_at(path)) {
                let minor = found.version.0;
                let known = all.entry(minor).or_insert_with(|| found.clone());
                if known.version < found.version {
                    *known = found;
                }
            }
        }
        all.insert(default.version.0, default.clone());
        Ok(Self {
            default,
            all: all.into_values().collect(),
        })
    }

    /// The newest up to version 3.`newest`; the default if there is none.
    pub(crate) fn newest(&self, newest: u32) -> &Interpreter {
        let fits = |found: &&Interpreter| found.version.0 <= newest;
        self.all.iter().rfind(fits).unwrap_or(&self.default)
    }

    /// The oldest and the newest of the supported ones, without the default.
    pub(crate) fn extremes(&self) -> Vec<&Interpreter> {
        let supported: Vec<&Interpreter> = self
            .all
            .iter()
            .filter(|found| SUPPORTED.contains(&found.version.0))
            .collect();
        let mut extremes: Vec<&Interpreter> = [supported.first(), supported.last()]
            .into_iter()
            .flatten()
            .copied()
            .filter(|found| **found != self.default)
            .collect();
        extremes.dedup();
        extremes
    }

    /// The supported versions that this machine does not have.
    pub(crate) fn missing(&self) -> Vec<String> {
        SUPPORTED
            .filter(|minor| self.all.iter().all(|found| found.version.0 != *minor))
            .map(|minor| format!("3.{minor}"))
            .collect()
    }
}

/// Where interpreters usually are. Not everything here is one.
fn candidates() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    folders.push("/usr/bin".into());
    let pyenv = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| home.as_ref().map(|home| home.join(".pyenv")));
    let uv = std::env::var_os("UV_PYTHON_INSTALL_DIR")
        .map(PathBuf::from)
        .or_else(|| home.map(|home| home.join(".local/share/uv/python")));
    for versions in [pyenv.map(|folder| folder.join("versions")), uv]
        .into_iter()
        .flatten()
    {
        folders.extend(entries(&versions).map(|version| version.join("bin")));
    }
    folders
        .iter()
        .flat_map(|folder| entries(folder))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| is_python(&name.to_string_lossy()))
        })
        .collect()
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    // A folder that is not there has none.
    let entries = fs_err::read_dir(folder).ok();
    entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
}

fn is_python(name: &str) -> bool {
    let minor = name.strip_prefix("python3.");
    minor.is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Asks a program what it is; nothing if it is no interpreter for our purposes.
fn look_at(program: &Path) -> Option<Interpreter> {
    // Not those with free threads, for which there are no packages of ours, nor releases to come.
    let script =
        "import sys, sysconfig, ensurepip, venv; from platform import python_implementation as name
if name() == 'CPython' and sys.version_info.releaselevel == 'final' and sys.version_info.major == 3:
    if not sysconfig.get_config_var('Py_GIL_DISABLED'):
        print(*sys.version_info[1:3], sys.executable)";
    let output = Command::new(program)
        .args(["-I", "-c", script])
        .output()
        .ok()?;
    parse(std::str::from_utf8(&output.stdout).ok()?)
}

fn parse(answer: &str) -> Option<Interpreter> {
    let mut words = answer.trim_end().splitn(3, ' ');
    let version = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let path = words.next().filter(|path| !path.is_empty())?.into();
    Some(Interpreter { version, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpreters(versions: &[u32], default: u32) -> Interpreters {
        let one = |minor: u32| Interpreter {
            version: (minor, 1),
            path: format!("/usr/bin/python3.{minor}").into(),
        };
        Interpreters {
            default: one(default),
            all: versions.iter().copied().map(one).collect(),
        }
    }

    fn minors(found: &[&Interpreter]) -> Vec<u32> {
        found.iter().map(|found| found.version.0).collect()
    }

    #[test]
    fn the_extremes_are_supported_and_not_the_default() {
        assert_eq!(
            minors(&interpreters(&[8, 9, 11, 13, 99], 11).extremes()),
            [9, 13]
        );
        assert_eq!(minors(&interpreters(&[9, 11], 11).extremes()), [9]);
        assert_eq!(minors(&interpreters(&[10, 11], 10).extremes()), [11]);
        assert_eq!(minors(&interpreters(&[11, 12], 99).extremes()), [11, 12]);
        assert_eq!(minors(&interpreters(&[12], 99).extremes()), [12]);
        assert!(interpreters(&[11], 11).extremes().is_empty());
    }

    #[test]
    fn the_newest_has_an_upper_bound() {
        let found = interpreters(&[9, 11, 13, 14], 11);
        assert_eq!(found.newest(13).version.0, 13);
        assert_eq!(found.newest(12).version.0, 11);
        assert_eq!(found.newest(8).version.0, 11);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            interpreters(&[8, 9, 11, 12, 14], 11).missing(),
            ["3.10", "3.13"]
        );
    }

    #[test]
    fn answers_are_read() {
        let found = parse("13 0 /opt/my python/bin/python3.13\n").expect("an interpreter");
        assert_eq!(
            (found.version, found.to_string().as_str()),
            ((13, 0), "3.13.0")
        );
        assert_eq!(found.path, Path::new("/opt/my python/bin/python3.13"));
        for answer in ["", "\n", "13 0", "13 0 ", "x 0 /usr/bin/python3"] {
            assert_eq!(parse(answer), None, "{answer:?}");
        }
    }

    #[test]
    fn names_of_interpreters() {
        assert!(is_python("python3.9") && is_python("python3.13"));
        for name in [
            "python3",
            "python3.",
            "python3.13t",
            "python3.11-config",
            "python2.7",
        ] {
            assert!(!is_python(name), "{name}");
        }
    }

    #[test]
    fn this_machine_has_one() {
        let found = Interpreters::find().expect("the Python that the tests need");
        assert!(found.all.contains(&found.default));
        assert!(found.all.is_sorted_by_key(|found| found.version));
    }
}
