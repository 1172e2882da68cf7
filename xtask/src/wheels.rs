//! `wheels`: every Python package, as wheel and as source, the same bytes each time.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use trifold_build::{audit::audit, glibc::Floor, ship};

use crate::{
    licences,
    python::{self, Environment},
    release,
    squeeze::squeeze,
};

/// What the wheels of `cargo xtask wheels` are.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The packages; all of them if none is named.
    pub(crate) packages: Vec<String>,
    /// Where they go.
    #[arg(long, default_value = "dist")]
    pub(crate) out: PathBuf,
    /// Each engine with the ggml that its own upstream ships, instead of one version for all.
    #[arg(long)]
    pub(crate) pinned: bool,
    /// The oldest glibc that they run on. 2.17 works, too, and costs a few percent of speed.
    #[arg(long, default_value = "2.28")]
    pub(crate) glibc: String,
    /// How much time small wheels are worth.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) effort: Effort,
    /// Leave out the source distributions.
    #[arg(long)]
    pub(crate) no_sdist: bool,
    /// Prove that they are fit for a release. It takes long.
    #[arg(long, conflicts_with = "no_sdist")]
    pub(crate) prove: Option<Proof>,
}

/// How much time small wheels are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Effort {
    /// As much as it takes: for a release.
    #[default]
    Full,
    /// Packed no tighter than the budgets ask for; the content is the same.
    Enough,
    /// Compiled and packed fast: for tests of what does not depend on that.
    Little,
}

/// What is to be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Proof {
    /// Anyone can build them: make the source distributions only, then wheels from these as pip does for a
    /// user, aside, and try them.
    Sdist,
    /// Anyone gets the same bytes: build all a second time, in a copy of this tree elsewhere, with nothing
    /// that was built before, and compare.
    Twice,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            packages: Vec::new(),
            out: "dist".into(),
            pinned: false,
            glibc: "2.28".into(),
            effort: Effort::Full,
            no_sdist: false,
            prove: None,
        }
    }
}

impl Options {
    fn wheels(&self) -> bool {
        self.prove != Some(Proof::Sdist)
    }
}

/// A Python package of `python/`.
struct Package {
    /// Its folder and its name on PyPI.
    name: &'static str,
    /// The crate that is built into it; none for data.
    krate: Option<&'static str>,
    /// What is sealed inside.
    engines: &'static [&'static str],
    /// The file in the wheel that is checked, and the module that it is; none for a program.
    binary: Option<(&'static str, Option<&'static str>)>,
    /// How large the wheel may be, in bytes.
    budget: u64,
    /// And the source distribution.
    source_budget: u64,
}

const MB: u64 = 1_000_000;

const PACKAGES: [Package; 5] = [
    Package {
        name: "trifold-llama",
        krate: Some("trifold-llama-python"),
        engines: &["llama"],
        binary: Some(("trifold_llama/_native.abi3.so", Some("_native"))),
        budget: 45 * MB / 10,
        source_budget: MB,
    },
    Package {
        name: "trifold-whisper",
        krate: Some("trifold-whisper-python"),
        engines: &["whisper"],
        binary: Some(("trifold_whisper/_native.abi3.so", Some("_native"))),
        budget: 2 * MB,
        source_budget: MB,
    },
    Package {
        name: "trifold-diffusion",
        krate: Some("trifold-diffusion-python"),
        engines: &["diffusion"],
        binary: Some(("trifold_diffusion/_native.abi3.so", Some("_native"))),
        budget: 12 * MB,
        source_budget: MB,
    },
    Package {
        name: "trifold",
        krate: Some("trifold-cli"),
        engines: &["diffusion", "llama", "whisper"],
        binary: Some((
            concat!(
                "trifold-",
                env!("CARGO_PKG_VERSION"),
                ".data/scripts/trifold"
            ),
            None,
        )),
        budget: 10 * MB,
        source_budget: MB,
    },
    Package {
        name: "trifold-demo-models",
        krate: None,
        engines: &[],
        binary: None,
        budget: 30 * MB,
        source_budget: 30 * MB,
    },
];

/// The time that files in the archives bear: any fixed one, for the same bytes each time.
const TIME: &str = "1767225600";

/// Where packages are built.
pub(crate) struct Site<'a> {
    /// The root of the repository.
    pub(crate) root: &'a Path,
    /// Variables that are different there.
    pub(crate) environment: Vec<(&'static str, PathBuf)>,
}

impl<'a> Site<'a> {
    /// The repository as it is.
    pub(crate) fn here(root: &'a Path) -> Self {
        Self {
            root,
            environment: Vec::new(),
        }
    }

    fn variable(&self, name: &str) -> Option<PathBuf> {
        let own = self.environment.iter().find(|(known, _)| *known == name);
        own.map(|(_, value)| value.clone())
            .or_else(|| std::env::var_os(name).map(PathBuf::from))
    }

    pub(crate) fn cargo_home(&self) -> Result<PathBuf> {
        self.variable("CARGO_HOME")
            .or_else(|| Some(self.variable("HOME")?.join(".cargo")))
            .context("Neither CARGO_HOME nor HOME is set")
    }
}

/// What the command line asks for.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    match options.prove {
        Some(Proof::Sdist) => release::from_sdists(root, options),
        Some(Proof::Twice) => release::twice(root, options),
        None => build(root, options).map(drop),
    }
}

/// Builds everything, checks it, and prints a table. Gives the wheels.
pub(crate) fn build(root: &Path, options: &Options) -> Result<Vec<PathBuf>> {
    let site = Site::here(root);
    let mut built = build_at(&site, options)?;
    built.retain(|file| is_wheel(file));
    Ok(built)
}

/// The same in another place, and with the source distributions: all that was built.
pub(crate) fn build_at(site: &Site<'_>, options: &Options) -> Result<Vec<PathBuf>> {
    let root = site.root;
    let floor: Floor = options.glibc.parse()?;
    let packages = packages(&options.packages)?;
    let tools = Environment::new(root, "build", &python::default(), &["build.txt"])?;
    let out = root.join(&options.out);
    fs_err::create_dir_all(&out)?;
    let work = tempfile::tempdir_in(root.join("target"))?;
    let (mut rows, mut files) = (Vec::new(), Vec::new());
    for package in packages {
        let started = Instant::now();
        eprintln!("\n==> {}", package.name);
        let builder = Building {
            site,
            options,
            tools: &tools,
            package,
            work: work.path(),
        };
        let built = builder.build()?;
        for wheel in built.iter().filter(|file| is_wheel(file)) {
            let is_small = fs_err::metadata(wheel)?.len() <= package.budget;
            if options.effort == Effort::Little || (options.effort == Effort::Enough && is_small) {
                continue;
            }
            squeeze(wheel, &root.join("target/wheels/packed"))?;
        }
        rows.push(builder.check(&built, floor)?);
        for file in built {
            let place = out.join(file.file_name().context("A file without a name")?);
            // Not a copy with its permissions: what was made as a temporary file is private.
            fs_err::write(&place, fs_err::read(&file)?)?;
            files.push(place);
        }
        eprintln!(
            "==> {}: built and checked in {} s",
            package.name,
            started.elapsed().as_secs()
        );
    }
    eprintln!("\nIn {}:\n", out.display());
    eprintln!(
        "{:<22} {:>8} {:>10} {:>7} {:>8}",
        "package", "wheel", "installed", "glibc", "source"
    );
    for row in rows {
        eprintln!("{row}");
    }
    Ok(files)
}

/// Those named; all if none is.
fn packages(names: &[String]) -> Result<Vec<&'static Package>> {
    let known = || PACKAGES.iter().map(|package| package.name);
    if let Some(unknown) = names
        .iter()
        .find(|name| !known().any(|known| known == **name))
    {
        bail!(
            "Unknown package: {unknown} (known: {})",
            known().collect::<Vec<_>>().join(", ")
        );
    }
    let wanted =
        |package: &&Package| names.is_empty() || names.iter().any(|name| name == package.name);
    Ok(PACKAGES.iter().filter(wanted).collect())
}

pub(crate) fn is_wheel(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "whl")
}

struct Building<'a> {
    site: &'a Site<'a>,
    options: &'a Options,
    tools: &'a Environment,
    package: &'a Package,
    work: &'a Path,
}

impl Building<'_> {
    /// The wheel and, if wanted, the source distribution.
    fn build(&self) -> Result<Vec<PathBuf>> {
        let out = self.work.join(self.package.name);
        fs_err::create_dir_all(&out)?;
        match self.package.krate {
            Some(krate) => self.native(krate, &out)?,
            None => self.data(&out)?,
        }
        let mut files: Vec<PathBuf> = fs_err::read_dir(&out)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        files.sort();
        Ok(files)
    }

    /// Compiled by cargo, packed by maturin.
    fn native(&self, krate: &str, out: &Path) -> Result<()> {
        let folder = self.folder();
        licences::write(
            self.site.root,
            krate,
            self.package.engines,
            &folder.join("licences"),
        )?;
        let mode = if self.options.pinned {
            "pinned"
        } else {
            "aligned"
        };
        let mut wheel = self.tools.program("maturin");
        wheel
            .args([
                "build",
                "--locked",
                "--auditwheel",
                "check",
                "--compatibility",
            ])
            .arg(format!(
                "manylinux_{}",
                self.options.glibc.replace('.', "_")
            ))
            .arg("--out")
            .arg(out)
            .current_dir(&folder)
            .env("SOURCE_DATE_EPOCH", TIME)
            .env("TRIFOLD_GGML", mode)
            .env("TRIFOLD_GLIBC", &self.options.glibc)
            .env(
                "CARGO_TARGET_DIR",
                self.site.root.join("target/wheels").join(mode),
            )
            .env(
                "CARGO_ENCODED_RUSTFLAGS",
                ship::rust_flags(self.site.root, &self.site.cargo_home()?),
            )
            .envs(self.site.environment.iter().cloned());
        if self.options.effort == Effort::Little {
            wheel.envs(ship::QUICK);
        }
        if self.options.wheels() {
            succeed(&mut wheel)?;
        }
        if self.options.no_sdist {
            return Ok(());
        }
        let mut source = self.tools.program("maturin");
        source
            .args(["sdist", "--out"])
            .arg(out)
            .current_dir(&folder)
            .env("SOURCE_DATE_EPOCH", TIME)
            .envs(self.site.environment.iter().cloned());
        python::quietly(&mut source)
    }

    /// Files only, which are links in the repository.
    fn data(&self, out: &Path) -> Result<()> {
        let folder = self.work.join("source").join(self.package.name);
        copy(&self.folder(), &folder)?;
        for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
            fs_err::create_dir_all(folder.join("licences"))?;
            fs_err::copy(
                self.site.root.join(name),
                folder.join("licences").join(name),
            )?;
        }
        let calls = [
            ("build_wheel", self.options.wheels()),
            ("build_sdist", !self.options.no_sdist),
        ];
        for (call, _) in calls.iter().filter(|(_, wanted)| *wanted) {
            let mut build = self.tools.python();
            build
                .arg("-c")
                .arg(format!(
                    "import sys; from flit_core import buildapi; buildapi.{call}(sys.argv[1])"
                ))
                .arg(out)
                .current_dir(&folder)
                .env("SOURCE_DATE_EPOCH", TIME);
            python::quietly(&mut build)?;
        }
        Ok(())
    }

    /// Looks at what was built; a row of the table.
    fn check(&self, built: &[PathBuf], floor: Floor) -> Result<String> {
        let mut row = vec![format!("{:<22}", self.package.name)];
        let (wheels, sources): (Vec<&PathBuf>, Vec<&PathBuf>) =
            built.iter().partition(|file| is_wheel(file));
        if let Some(wheel) = wheels.first() {
            // Then it need not be small.
            let allowance = if self.options.effort == Effort::Little {
                4
            } else {
                1
            };
            self.check_archive(wheel, allowance * self.package.budget)?;
            let unpacked = self.unpack(wheel)?;
            let glibc = self.audit(&unpacked, floor)?;
            row.push(format!(
                "{} {:>10} {:>7}",
                megabytes(fs_err::metadata(wheel)?.len()),
                megabytes(folder_size(&unpacked)?),
                glibc
            ));
        }
        if let Some(source) = sources.first() {
            self.check_archive(source, self.package.source_budget)?;
            row.push(megabytes(fs_err::metadata(source)?.len()));
        }
        Ok(row.join(" "))
    }

    /// Whether it has the licences, and nothing of this machine.
    fn check_archive(&self, file: &Path, budget: u64) -> Result<()> {
        let root = self.site.root;
        let mut check = self.tools.python();
        check
            .arg(root.join("python/tools/archives.py"))
            .arg("check")
            .arg(file)
            .args(["--at-most", &budget.to_string()]);
        for folder in [root, &self.site.cargo_home()?] {
            check.arg("--forbid").arg(folder);
        }
        python::quietly(&mut check).with_context(|| {
            format!(
                "{} is not fit to be shipped\nhint: bench/README.md says what each part costs",
                self.package.name
            )
        })
    }

    fn unpack(&self, wheel: &Path) -> Result<PathBuf> {
        let unpacked = self.work.join("unpacked").join(self.package.name);
        let mut unpack = self.tools.python();
        unpack
            .args(["-m", "zipfile", "-e"])
            .arg(wheel)
            .arg(&unpacked);
        python::quietly(&mut unpack)?;
        Ok(unpacked)
    }

    /// Whether the binary inside exports and needs what it may; the glibc that it asks for.
    fn audit(&self, unpacked: &Path, floor: Floor) -> Result<String> {
        let Some((binary, module)) = self.package.binary else {
            return Ok("-".to_owned());
        };
        let audit = audit(&unpacked.join(binary), module, Some(floor))?;
        if !audit.findings.is_empty() {
            bail!(
                "{binary} of {}: {}",
                self.package.name,
                audit.findings.join("; ")
            );
        }
        Ok(audit
            .glibc
            .map_or_else(|| "-".to_owned(), |glibc| glibc.to_string()))
    }

    fn folder(&self) -> PathBuf {
        self.site.root.join("python").join(self.package.name)
    }
}

/// Copies a folder, and files instead of links to them.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs_err::create_dir_all(to)?;
    for entry in fs_err::read_dir(from)? {
        let path = entry?.path();
        let to = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &to)?;
        } else {
            fs_err::copy(&path, &to)?;
        }
    }
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{:>5}.{:02}", bytes / MB, bytes % MB / (MB / 100))
}

fn folder_size(folder: &Path) -> Result<u64> {
    let mut size = 0;
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        size += if path.is_dir() {
            folder_size(&path)?
        } else {
            fs_err::metadata(&path)?.len()
        };
    }
    Ok(size)
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("Could not run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed ({status})");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_chosen_by_name() {
        let names = |wanted: &[&str]| -> Result<Vec<&str>> {
            let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            Ok(packages(&wanted)?.iter().map(|found| found.name).collect())
        };
        assert_eq!(names(&[]).expect("all").len(), PACKAGES.len());
        assert_eq!(
            names(&["trifold", "trifold-whisper"]).expect("two"),
            ["trifold-whisper", "trifold"]
        );
        let error = names(&["trifold-lama"]).expect_err("no such package");
        assert_eq!(
            error.to_string(),
            "Unknown package: trifold-lama (known: trifold-llama, trifold-whisper, trifold-diffusion, \
             trifold, trifold-demo-models)"
        );
    }

    #[test]
    fn a_site_has_variables_of_its_own() {
        let site = Site {
            root: Path::new("/"),
            environment: vec![("CARGO_HOME", "/elsewhere".into())],
        };
        assert_eq!(
            site.cargo_home().expect("it is set"),
            Path::new("/elsewhere")
        );
        assert_eq!(site.variable("TRIFOLD_NO_SUCH_VARIABLE"), None);
    }

    #[test]
    fn sizes_are_in_megabytes() {
        assert_eq!(megabytes(7_128_462).trim(), "7.12");
        assert_eq!(megabytes(45_000).trim(), "0.04");
    }
}
