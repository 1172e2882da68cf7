//! Virtual environments below `target/`, with what `python/requirements/` pins.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

/// A virtual environment.
pub(crate) struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// The environment of this name, made by `python` and holding what the files of requirements say:
    /// made anew when these, or the interpreter, have changed.
    pub(crate) fn new(
        root: &Path,
        name: &str,
        python: &Path,
        requirements: &[&str],
    ) -> Result<Self> {
        Self::make(root, name, python, requirements, &[])
    }

    /// The same, with what is installed beside the interpreter.
    pub(crate) fn with_system(
        root: &Path,
        name: &str,
        python: &Path,
        requirements: &[&str],
    ) -> Result<Self> {
        Self::make(
            root,
            name,
            python,
            requirements,
            &["--system-site-packages"],
        )
    }

    fn make(
        root: &Path,
        name: &str,
        python: &Path,
        requirements: &[&str],
        options: &[&str],
    ) -> Result<Self> {
        let folder = root.join("target/python").join(name);
        let mut wanted = format!("{}\n{options:?}\n", version(python)?);
        let mut install = Vec::new();
        for name in requirements {
            let file = root.join("python/requirements").join(name);
            wanted += &fs_err::read_to_string(&file)?;
            install.extend([PathBuf::from("-r"), file]);
        }
        fs_err::create_dir_all(root.join("target/python"))?;
        // Two tasks at once must not make the same environment.
        let lock = fs_err::File::create(root.join(format!("target/python/{name}.lock")))?;
        lock.file().lock()?;
        let stamp = folder.join("trifold-requirements.txt");
        let environment = Self { folder };
        if fs_err::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(environment);
        }
        eprintln!("    Python environment {name}: {}", requirements.join(", "));
        let folder = &environment.folder;
        let mut make = Command::new(python);
        make.args(["-m", "venv", "--clear"])
            .args(options)
            .arg(folder);
        quietly(&mut make).with_context(|| {
            "Could not make a virtual environment\nhint: on Debian: apt-get install python3-venv"
        })?;
        let install: Vec<&Path> = install.iter().map(PathBuf::as_path).collect();
        environment.install(&install)?;
        fs_err::write(stamp, wanted)?;
        Ok(environment)
    }

    /// Installs packages, as `pip install` takes them.
    pub(crate) fn install(&self, what: &[&Path]) -> Result<()> {
        let mut pip = self.python();
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args(what);
        quietly(&mut pip).context("Could not install Python packages\nhint: the network must be up")
    }

    /// Installs these wheels as a user does, by their names, unless just they are there already.
    pub(crate) fn install_trifold(&self, wheels: &[PathBuf]) -> Result<()> {
        let stamp = self.folder.join("trifold-wheels.txt");
        let mut wanted = String::new();
        for wheel in wheels {
            // Writing to a string does not fail.
            let _ = writeln!(wanted, "{} {:x}", wheel.display(), digest(wheel)?);
        }
        if fs_err::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(());
        }
        let folder = wheels.first().and_then(|wheel| wheel.parent());
        let names = [
            "trifold",
            "trifold-demo-models",
            "trifold-diffusion",
            "trifold-llama",
            "trifold-whisper",
        ];
        let built: Vec<&str> = names.into_iter().filter(|name| has(wheels, name)).collect();
        let wanted_names = if built.len() == names.len() {
            vec!["trifold[all,demo]"]
        } else {
            built
        };
        let mut remove = self.python();
        remove
            .args(["-m", "pip", "uninstall", "--quiet", "--yes"])
            .args(names);
        quietly(&mut remove)?;
        // Nothing from elsewhere: what else is needed is there.
        let from = [
            Path::new("--no-index"),
            Path::new("--find-links"),
            folder.unwrap_or(Path::new(".")),
        ];
        let what: Vec<&Path> = wanted_names.into_iter().map(Path::new).collect();
        self.install(&[&from[..], &what].concat())?;
        fs_err::write(stamp, wanted)?;
        Ok(())
    }

    /// A command line that begins with its interpreter.
    pub(crate) fn python(&self) -> Command {
        Command::new(self.interpreter())
    }

    /// Where its interpreter is.
    pub(crate) fn interpreter(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// A command line of a program that a package has brought.
    pub(crate) fn program(&self, name: &str) -> Command {
        Command::new(self.folder.join("bin").join(name))
    }
}

/// The interpreter that everything is built with.
pub(crate) fn default() -> PathBuf {
    std::env::var_os("PYTHON").map_or_else(|| "python3".into(), PathBuf::from)
}

/// Runs a command, and shows what it says only if it fails.
pub(crate) fn quietly(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("Could not run {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?} failed ({}):\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(())
}

/// Whether there is one of this package.
fn has(wheels: &[PathBuf], package: &str) -> bool {
    let start = format!("{}-", package.replace('-', "_"));
    wheels
        .iter()
        .filter_map(|wheel| wheel.file_name())
        .any(|name| name.to_string_lossy().starts_with(&start))
}

/// Changes when the file does: the same bytes are built again and again.
fn digest(file: &Path) -> Result<u64> {
    use std::hash::{DefaultHasher, Hasher as _};
    let mut hasher = DefaultHasher::new();
    hasher.write(&fs_err::read(file)?);
    Ok(hasher.finish())
}

fn version(python: &Path) -> Result<String> {
    let output = Command::new(python)
        .args(["-c", "import sys; print(sys.version, sys.executable)"])
        .output()
        .with_context(|| {
            format!(
                "Could not run {} (on Debian: apt-get install python3 python3-venv)",
                python.display()
            )
        })?;
    ensure!(
        output.status.success(),
        "Could not run {}",
        python.display()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
