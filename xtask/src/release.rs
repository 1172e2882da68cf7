//! What holds for a release: anyone can build the wheels from the source distributions, and gets the same
//! bytes wherever the repository lies.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    checks::step,
    python::{self, Environment},
    wheels::{self, Options, Site, is_wheel},
};

/// The package with the models that the others are tried with.
const DEMO_MODELS: &str = "trifold-demo-models";

/// Variables that a user does not have.
const OURS: [&str; 5] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTFLAGS",
    "TRIFOLD_GGML",
    "TRIFOLD_GLIBC",
];

/// Makes the source distributions, lets pip build wheels from them, and asks these something.
pub(crate) fn from_sdists(root: &Path, options: &Options) -> Result<()> {
    ensure!(!options.pinned, "A user's build is never pinned");
    let mut options = options.clone();
    if !options.packages.is_empty() && options.packages.iter().all(|name| name != DEMO_MODELS) {
        options.packages.push(DEMO_MODELS.to_owned());
    }
    let site = Site::here(root);
    let sources = wheels::build_at(&site, &options)?;
    let environment = Environment::new(root, "sdist", &python::default(), &["test.txt"])?;
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("wheels");
    for source in &sources {
        let mut pip = environment.python();
        // Each in a folder of its own that pip makes and removes, with the tools that its
        // `pyproject.toml` asks for.
        pip.args(["-m", "pip", "wheel", "--disable-pip-version-check"])
            .args(["--quiet", "--no-cache-dir", "--no-deps", "--wheel-dir"])
            .arg(&out)
            .arg(source)
            .current_dir(folder.path());
        for name in OURS {
            pip.env_remove(name);
        }
        let name = source.file_name().unwrap_or_default().to_string_lossy();
        step(&format!("Wheel from {name}"), &mut pip)?;
    }
    let mut built: Vec<PathBuf> = fs_err::read_dir(&out)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    built.retain(|file| is_wheel(file));
    built.sort();
    ensure!(
        built.len() == sources.len(),
        "Expected {} wheels (found: {built:?})",
        sources.len()
    );
    environment.install_trifold(&built)?;
    let mut tests = environment.python();
    tests
        .args(["-m", "pytest", "-q", "-c", "python/pytest.ini"])
        .arg("python/tests/built")
        .current_dir(root);
    step("The wheels that were built from source answer", &mut tests)
}

/// Builds all here, then in a copy of this tree, and compares.
pub(crate) fn twice(root: &Path, options: &Options) -> Result<()> {
    let temporary = tempfile::Builder::new()
        .prefix("trifold-elsewhere-")
        .tempdir()?;
    let first = temporary.path().join("first");
    fs_err::create_dir_all(&first)?;
    let here = Site::here(root);
    for file in wheels::build_at(&here, options)? {
        fs_err::copy(&file, first.join(file.file_name().unwrap_or_default()))?;
    }

    let copy = temporary.path().join("a/copy/of/trifold");
    copy_tree(root, &copy)?;
    ensure!(
        copy.as_os_str().len() != root.as_os_str().len(),
        "The copy's path is as long as: {}",
        root.display()
    );
    // What might find its way into what is built, and is another there: where packages and sources lie,
    // the compiled engines, the time zone.
    let cargo_home = temporary.path().join("home-of-cargo");
    std::os::unix::fs::symlink(here.cargo_home()?, &cargo_home)?;
    let second = temporary.path().join("second");
    let there = Site {
        root: &copy,
        environment: vec![
            ("CARGO_HOME", cargo_home),
            ("TRIFOLD_CACHE", temporary.path().join("cache")),
            ("TZ", "Pacific/Kiritimati".into()),
        ],
    };
    let options = Options {
        out: second.clone(),
        ..options.clone()
    };
    wheels::build_at(&there, &options)?;
    let tools = Environment::new(root, "build", &python::default(), &["build.txt"])?;
    let mut compare = tools.python();
    compare
        .arg(root.join("python/tools/archives.py"))
        .arg("compare")
        .args([first, second]);
    step("Both builds have the same bytes", &mut compare)
}

/// What git would commit, as it is now.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(from)
        .output()
        .context("Could not run git")?;
    ensure!(
        output.status.success(),
        "Expected a repository of git at: {}",
        from.display()
    );
    let names = String::from_utf8(output.stdout).context("A file's name is not UTF-8")?;
    for name in names.split_terminator('\0') {
        let (file, place) = (from.join(name), to.join(name));
        fs_err::create_dir_all(place.parent().unwrap_or(to))?;
        match fs_err::symlink_metadata(&file) {
            Ok(found) if found.is_symlink() => {
                std::os::unix::fs::symlink(fs_err::read_link(&file)?, &place)?;
            }
            Ok(_) => drop(fs_err::copy(&file, &place)?),
            // Deleted, and not committed yet.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_what_git_would_commit() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs_err::create_dir_all(from.join("a/b")).expect("folders");
        for name in ["a/b/new", "a/deleted", "a/ignored.log"] {
            fs_err::write(from.join(name), name).expect("a file");
        }
        fs_err::write(from.join(".gitignore"), "*.log\n").expect("a file");
        std::os::unix::fs::symlink("b/new", from.join("a/link")).expect("a link");
        let git = |arguments: &[&str]| {
            let done = Command::new("git")
                .args(arguments)
                .current_dir(&from)
                .output();
            assert!(done.expect("git").status.success(), "{arguments:?}");
        };
        git(&["init", "--quiet"]);
        git(&["add", "a/deleted"]);
        fs_err::remove_file(from.join("a/deleted")).expect("it was there");

        copy_tree(&from, &to).expect("a copy");
        assert_eq!(
            fs_err::read_to_string(to.join("a/b/new")).expect("a file"),
            "a/b/new"
        );
        assert_eq!(
            fs_err::read_link(to.join("a/link")).expect("a link"),
            Path::new("b/new")
        );
        assert!(to.join(".gitignore").is_file());
        for name in ["a/deleted", "a/ignored.log", ".git"] {
            assert!(!to.join(name).exists(), "{name}");
        }
    }

    #[test]
    fn without_git_it_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = copy_tree(folder.path(), &folder.path().join("to")).expect_err("no repository");
        assert!(
            error
                .to_string()
                .starts_with("Expected a repository of git at: "),
            "{error}"
        );
    }
}
