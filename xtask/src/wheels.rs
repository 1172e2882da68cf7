//! `wheels`: every Python package, as wheel and as source, the same bytes each time.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use trifold_build::{audit::audit, glibc::Floor};

use crate::{
    licences,
    python::{self, Environment},
    squeeze::squeeze,
};

/// What the wheels of `cargo xtask wheels` are.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Where they go.
    #[arg(long, default_value = "dist")]
    pub(crate) out: PathBuf,
    /// Each engine with the ggml that its own upstream ships, instead of one version for all.
    #[arg(long)]
    pub(crate) pinned: bool,
    /// The oldest glibc that they run on. 2.17 works, too, and costs a few percent of speed.
    #[arg(long, default_value = "2.28")]
    pub(crate) glibc: String,
    /// Leave out the source distributions.
    #[arg(long)]
    pub(crate) no_sdist: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            out: "dist".into(),
            pinned: false,
            glibc: "2.28".into(),
            no_sdist: false,
        }
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
}

const MB: u64 = 1_000_000;

const PACKAGES: [Package; 5] = [
    Package {
        name: "trifold-llama",
        krate: Some("trifold-llama-python"),
        engines: &["llama"],
        binary: Some(("trifold_llama/_native.abi3.so", Some("_native"))),
        budget: 45 * MB / 10,
    },
    Package {
        name: "trifold-whisper",
        krate: Some("trifold-whisper-python"),
        engines: &["whisper"],
        binary: Some(("trifold_whisper/_native.abi3.so", Some("_native"))),
        budget: 2 * MB,
    },
    Package {
        name: "trifold-diffusion",
        krate: Some("trifold-diffusion-python"),
        engines: &["diffusion"],
        binary: Some(("trifold_diffusion/_native.abi3.so", Some("_native"))),
        budget: 12 * MB,
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
    },
    Package {
        name: "trifold-demo-models",
        krate: None,
        engines: &[],
        binary: None,
        budget: 30 * MB,
    },
];

/// The time that files in the archives bear: any fixed one, for the same bytes each time.
const TIME: &str = "1767225600";

/// Builds everything, checks it, and prints a table. Gives the wheels.
pub(crate) fn build(root: &Path, options: &Options) -> Result<Vec<PathBuf>> {
    let floor: Floor = options.glibc.parse()?;
    let tools = Environment::new(root, "build", &python::default(), "build.txt")?;
    let out = root.join(&options.out);
    fs_err::create_dir_all(&out)?;
    let work = tempfile::tempdir_in(root.join("target"))?;
    let (mut rows, mut wheels) = (Vec::new(), Vec::new());
    for package in &PACKAGES {
        let started = Instant::now();
        eprintln!("\n==> {}", package.name);
        let builder = Building {
            root,
            options,
            tools: &tools,
            package,
            work: work.path(),
        };
        let built = builder.build()?;
        for wheel in built.iter().filter(|file| is_wheel(file)) {
            squeeze(wheel, &root.join("target/wheels/packed"))?;
        }
        rows.push(builder.check(&built, floor)?);
        for file in built {
            let place = out.join(file.file_name().context("A file without a name")?);
            fs_err::copy(&file, &place)?;
            if is_wheel(&place) {
                wheels.push(place);
            }
        }
        eprintln!(
            "==> {}: built and checked in {} s",
            package.name,
            started.elapsed().as_secs()
        );
    }
    eprintln!("\nIn {}:\n", out.display());
    eprintln!(
        "{:<22} {:>8} {:>10} {:>7}",
        "package", "wheel", "installed", "glibc"
    );
    for row in rows {
        eprintln!("{row}");
    }
    Ok(wheels)
}

fn is_wheel(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "whl")
}

struct Building<'a> {
    root: &'a Path,
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
            self.root,
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
                self.root.join("target/wheels").join(mode),
            )
            .env("CARGO_ENCODED_RUSTFLAGS", self.rust_flags()?);
        run(&mut wheel)?;
        if self.options.no_sdist {
            return Ok(());
        }
        let mut source = self.tools.program("maturin");
        source
            .args(["sdist", "--out"])
            .arg(out)
            .current_dir(&folder)
            .env("SOURCE_DATE_EPOCH", TIME);
        python::quietly(&mut source)
    }

    /// Files only, which are links in the repository.
    fn data(&self, out: &Path) -> Result<()> {
        let folder = self.work.join("source").join(self.package.name);
        copy(&self.folder(), &folder)?;
        for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
            fs_err::create_dir_all(folder.join("licences"))?;
            fs_err::copy(self.root.join(name), folder.join("licences").join(name))?;
        }
        let calls: &[&str] = if self.options.no_sdist {
            &["build_wheel"]
        } else {
            &["build_wheel", "build_sdist"]
        };
        for call in calls {
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

    /// No path of this machine is to be in what is shipped.
    fn rust_flags(&self) -> Result<String> {
        let cargo_home = std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
            .context("Neither CARGO_HOME nor HOME is set")?;
        let flags = [
            format!("--remap-path-prefix={}=trifold", self.root.display()),
            format!("--remap-path-prefix={}=cargo", cargo_home.display()),
        ];
        Ok(flags.join("\x1f"))
    }

    /// Looks at what was built; a row of the table.
    fn check(&self, built: &[PathBuf], floor: Floor) -> Result<String> {
        let wheel = built
            .iter()
            .find(|file| is_wheel(file))
            .with_context(|| format!("No wheel of {}", self.package.name))?;
        let size = fs_err::metadata(wheel)?.len();
        ensure!(
            size <= self.package.budget,
            "The wheel of {} has {size} bytes (expected: at most {})\nhint: bench/README.md says what \
             each part costs",
            self.package.name,
            self.package.budget
        );
        let unpacked = self.work.join("unpacked").join(self.package.name);
        let mut unpack = self.tools.python();
        unpack
            .args(["-m", "zipfile", "-e"])
            .arg(wheel)
            .arg(&unpacked);
        python::quietly(&mut unpack)?;
        let mut glibc = String::from("-");
        if let Some((binary, module)) = self.package.binary {
            let audit = audit(&unpacked.join(binary), module, Some(floor))?;
            if !audit.findings.is_empty() {
                bail!(
                    "{binary} of {}: {}",
                    self.package.name,
                    audit.findings.join("; ")
                );
            }
            glibc = audit.glibc.map_or(glibc, |glibc| glibc.to_string());
        }
        Ok(format!(
            "{:<22} {:>5}.{:02} {:>7}.{:01} {:>7}",
            self.package.name,
            size / MB,
            size % MB / (MB / 100),
            folder_size(&unpacked)? / MB,
            folder_size(&unpacked)? % MB / (MB / 10),
            glibc
        ))
    }

    fn folder(&self) -> PathBuf {
        self.root.join("python").join(self.package.name)
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

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("Could not run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed ({status})");
    Ok(())
}
