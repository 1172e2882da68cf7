use std::path::{Path, PathBuf};

use crate::{
    BuildError,
    cache::{Cache, Key},
    compile,
    config::{Config, Vocabularies},
    env,
    progress::Progress,
    seal::{self, Exports},
    source::{self, Tree},
    toolchain::Toolchain,
    units::{self, GraphSources, Job, Jobs},
    vocabulary,
};

/// The packed vocabularies' name, beside the sealed engine.
const VOCABULARIES: &str = "vocabularies.packed";

/// Which ggml an engine is compiled against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The newest of the family, the same for all engines: one GPU plugin can serve all three.
    #[default]
    Aligned,
    /// The one that the engine's own source ships.
    Pinned,
}

impl Mode {
    /// The values of `TRIFOLD_GGML`.
    pub const NAMES: [&'static str; 2] = ["aligned", "pinned"];

    /// Reads `TRIFOLD_GGML`.
    pub fn from_env() -> Result<Self, BuildError> {
        match std::env::var(env::GGML).unwrap_or_default().as_str() {
            "" | "aligned" => Ok(Self::Aligned),
            "pinned" => Ok(Self::Pinned),
            other => Err(BuildError::Env {
                name: env::GGML,
                found: other.into(),
                expected: "`aligned` or `pinned`",
            }),
        }
    }

    /// Its name in `TRIFOLD_GGML`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aligned => Self::NAMES[0],
            Self::Pinned => Self::NAMES[1],
        }
    }
}

/// Builds engines.
#[derive(Debug)]
pub struct Builder {
    /// `engines.toml`.
    pub config: Config,
    /// Where objects and sealed engines are kept.
    pub cache: Cache,
    /// Which ggml the engines get.
    pub mode: Mode,
}

/// An engine, compiled and sealed.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The engine.
    pub engine: String,
    /// The static library that holds the one sealed object.
    pub archive: PathBuf,
    /// The sealed object itself.
    pub object: PathBuf,
    /// The packed tokenizer vocabularies, if the engine has some.
    pub vocabularies: Option<PathBuf>,
    /// What it exports.
    pub exports: Exports,
    /// Folders of source that may change: checkouts of somebody's own. Packages and commits do not.
    pub local_sources: Vec<PathBuf>,
    /// The upstream version.
    pub version: String,
    /// The version of the ggml inside.
    pub ggml_version: String,
}

/// The compiled kernels of a CPU level.
#[derive(Clone, Debug)]
pub(crate) struct LevelObjects {
    /// Its name.
    pub(crate) level: String,
    /// Its place among the levels of this architecture, those that are not built included.
    pub(crate) number: usize,
    pub(crate) objects: Vec<PathBuf>,
    /// Which of the objects has the switch over operations.
    pub(crate) switch: Option<usize>,
}

/// The compiled jobs of an engine.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    pub(crate) kernels: Vec<LevelObjects>,
    pub(crate) base: Vec<PathBuf>,
    pub(crate) rest: Vec<PathBuf>,
    pub(crate) graphs: GraphSources,
}

impl Objects {
    pub(crate) fn compile(
        title: &str,
        cache: &Cache,
        toolchain: &Toolchain,
        jobs: &Jobs,
    ) -> Result<Self, BuildError> {
        // One list, so that all cores stay busy to the end.
        let flat: Vec<Job> = jobs.all().cloned().collect();
        let mut objects = compile::compile(title, cache, toolchain, &flat)?.into_iter();
        let mut take = |jobs: &[Job]| objects.by_ref().take(jobs.len()).collect::<Vec<_>>();
        Ok(Self {
            kernels: jobs
                .kernels
                .iter()
                .map(|kernels| LevelObjects {
                    level: kernels.level.clone(),
                    number: kernels.number,
                    objects: take(&kernels.jobs),
                    switch: kernels.switch,
                })
                .collect(),
            base: take(&jobs.base),
            rest: take(&jobs.rest),
            graphs: jobs.graphs.clone(),
        })
    }
}

impl Builder {
    /// The builder that the environment asks for, see [`crate::env`].
    pub fn from_env() -> Result<Self, BuildError> {
        Self::new(Mode::from_env()?)
    }

    /// The builder of a mode, else as the environment says.
    pub fn new(mode: Mode) -> Result<Self, BuildError> {
        Ok(Self {
            config: Config::load()?,
            cache: Cache::open()?,
            mode,
        })
    }

    /// Which ggml an engine gets.
    pub fn mode_of(&self, name: &str) -> Result<Mode, BuildError> {
        Ok(if self.config.engine(name)?.pinned {
            Mode::Pinned
        } else {
            self.mode
        })
    }

    /// The source of an engine, and the source whose ggml it is compiled against.
    pub fn trees(&self, name: &str) -> Result<(Tree, Tree), BuildError> {
        let tree = source::locate(&self.config, &self.cache, name)?;
        let aligned_to = &self.config.common.aligned_to;
        let ggml = match self.mode_of(name)? {
            Mode::Aligned if name != aligned_to => {
                source::locate(&self.config, &self.cache, aligned_to)?
            }
            Mode::Aligned | Mode::Pinned => tree.clone(),
        };
        Ok((tree, ggml))
    }

    /// Compiles and seals an engine, or finds it in the cache.
    pub fn build(&self, name: &str) -> Result<Sealed, BuildError> {
        let engine = self.config.engine(name)?;
        let (tree, ggml) = self.trees(name)?;
        let toolchain = Toolchain::find()?;
        let shim = shim_folder(name);
        let exports = Exports::read(name, &shim)?;
        let jobs = units::jobs(&self.config, &self.cache, name, &tree, &ggml, &shim)?;
        let recipe = seal::Recipe {
            config: &self.config,
            engine: name,
            exports: &exports,
        };

        let mut key = Key::new("sealed");
        let kernels = jobs.kernels.iter().flat_map(|kernels| &kernels.jobs);
        let all = jobs.base.iter().chain(&jobs.rest).chain(kernels);
        key.texts(all.map(|job| job.object_key(&toolchain.id, toolchain.flags(job.cpp))));
        recipe.describe(&mut key);
        if engine.vocabularies.is_some() {
            key.text(&vocabularies_key(&tree));
        }
        key.text(&toolchain.seal_id);
        let key = key.finish();

        let folder = self
            .cache
            .folder("engines")?
            .join(format!("{name}-{}-{key}", self.mode_of(name)?.name()));
        let sealed = Sealed {
            engine: name.into(),
            archive: folder.join(format!("libtrifold_{name}.a")),
            object: folder.join(format!("trifold_{name}.o")),
            vocabularies: engine
                .vocabularies
                .is_some()
                .then(|| folder.join(VOCABULARIES)),
            exports: exports.clone(),
            local_sources: [&tree, &ggml]
                .into_iter()
                .filter(|tree| tree.label == "local")
                .map(|tree| tree.root.clone())
                .collect(),
            version: tree.version.clone(),
            ggml_version: ggml.ggml_version.clone(),
        };
        if folder.is_dir() {
            return Ok(sealed);
        }

        let title = format!("{name} ({} {})", engine.title, tree.version);
        let objects = Objects::compile(&title, &self.cache, &toolchain, &jobs)?;

        let _lock = self.cache.lock(&format!("sealed-{key}"))?;
        if folder.is_dir() {
            return Ok(sealed);
        }
        let work = tempfile::tempdir_in(self.cache.folder("engines")?).map_err(BuildError::io(
            "Could not create a folder in",
            self.cache.root(),
        ))?;
        recipe.seal(&toolchain, &objects, work.path())?;
        if let Some(vocabularies) = &engine.vocabularies {
            let packed = self.vocabularies(&tree, vocabularies)?;
            let copy = work.path().join(VOCABULARIES);
            fs_err::hard_link(&packed, &copy)
                .or_else(|_| fs_err::copy(&packed, &copy).map(drop))
                .map_err(BuildError::io("Could not write", copy))?;
        }
        make_old(&work.path().join(format!("libtrifold_{name}.a")))?;
        let made = work.keep();
        fs_err::rename(&made, &folder)
            .map_err(BuildError::io("Could not move a sealed engine to", &folder))?;
        Ok(sealed)
    }
}

impl Builder {
    /// The packed vocabularies of a source; an entry of their own, for packing takes a minute.
    fn vocabularies(
        &self,
        tree: &Tree,
        vocabularies: &Vocabularies,
    ) -> Result<PathBuf, BuildError> {
        let key = vocabularies_key(tree);
        let path = self
            .cache
            .folder("vocabularies")?
            .join(format!("{key}.packed"));
        let _lock = self.cache.lock(&format!("vocabularies-{key}"))?;
        if !path.is_file() {
            let progress = Progress::new(&tree.engine, "packing the tokenizer vocabularies");
            vocabulary::pack(tree, vocabularies, &path)?;
            progress.line("vocabularies packed");
        }
        Ok(path)
    }
}

/// Identifies the packed vocabularies of a source.
fn vocabularies_key(tree: &Tree) -> String {
    let mut key = Key::new("vocabularies");
    key.text(&tree.id).text(trifold_vocabulary::RECIPE);
    key.finish()
}

/// Cargo runs a build script again when a file it names is younger than its last run; the archive is
/// made during that run, and never changes.
fn make_old(archive: &Path) -> Result<(), BuildError> {
    std::fs::File::options()
        .append(true)
        .open(archive)
        .and_then(|file| file.set_modified(std::time::UNIX_EPOCH))
        .map_err(BuildError::io("Could not set the time of", archive))
}

/// The folder of an engine's C++ shim: of the `-sys` crate beside this one, or, in a build script,
/// of the crate that is being built.
pub(crate) fn shim_folder(name: &str) -> PathBuf {
    let own =
        std::env::var_os("CARGO_MANIFEST_DIR").map(|folder| PathBuf::from(folder).join("shim"));
    match own {
        Some(own) if own.join(format!("{name}.cpp")).is_file() => own,
        _ => Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../trifold-{name}-sys/shim")),
    }
}
