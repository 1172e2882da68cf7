//! Ways to link the same compiled objects into packages.
//!
//! Every layout has one Python extension for each engine, made of the same Rust code; they differ in what
//! the C++ half is, and where:
//!
//! | layout | engines | ggml | visible |
//! |---|---|---|---|
//! | `monolith` | in the extensions, all in one wheel | in each | everything |
//! | `sealed-static` | in the extensions, all in one wheel | in each | `PyInit_*` |
//! | `sealed-shared` | a library each, with a C API, beside the extensions | in each library | the C API |
//! | `shared-ggml` | in the extensions, all in one wheel | one library for all | ggml |
//! | `split` | in the extensions, a wheel each | in each | `PyInit_*` |
//! | `split-plugin` | as `split`, and a wheel with one backend plugin for all | in each, and in the plugin | `PyInit_*`, and the plugin's entry points |

mod development;
mod glue;
mod link;
mod wheels;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Instant,
};

use schemars::JsonSchema;
use serde::Serialize;
use trifold_build::{Builder, Mode, cache::Cache, glibc::Floor, parts::GGML_EXPORTS, plugin};

use crate::{PackError, text};
use glue::Half;
use link::Symbols;

pub use crate::workspace::Workspace;
pub(crate) use link::Linker;
pub use wheels::wheels;
pub(crate) use wheels::{plugin_wheel, ship, wheels_in};

/// A way of linking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layout {
    /// Static, nothing hidden, in one wheel: where the field came from.
    Monolith,
    /// Static and sealed, in one wheel.
    SealedStatic,
    /// Each engine sealed in a shared library with a C API, for other languages, too.
    SealedShared,
    /// One shared library of ggml for all engines.
    SharedGgml,
    /// Static and sealed, a wheel for each engine: what trifold ships.
    Split,
    /// The same, and the wheel of a backend plugin: what trifold ships for GPUs.
    SplitPlugin,
}

impl Layout {
    /// All of them, in the order in which they are compared.
    pub const ALL: [Self; 6] = [
        Self::Monolith,
        Self::SealedStatic,
        Self::SealedShared,
        Self::SharedGgml,
        Self::Split,
        Self::SplitPlugin,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Monolith => "monolith",
            Self::SealedStatic => "sealed-static",
            Self::SealedShared => "sealed-shared",
            Self::SharedGgml => "shared-ggml",
            Self::Split => "split",
            Self::SplitPlugin => "split-plugin",
        }
    }

    /// Whether it is the wheels that trifold ships.
    fn is_shipped(self) -> bool {
        matches!(self, Self::Split | Self::SplitPlugin)
    }
}

/// As people write it.
impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SplitPlugin => "split + plugin",
            other => other.name(),
        })
    }
}

impl FromStr for Layout {
    type Err = PackError;

    fn from_str(text: &str) -> Result<Self, PackError> {
        let found = Self::ALL.into_iter().find(|layout| layout.name() == text);
        found.ok_or_else(|| PackError::UnknownLayout { name: text.into() })
    }
}

/// The backend plugin of [`Layout::SplitPlugin`].
#[derive(Clone, Debug)]
pub struct PluginChoice {
    /// Its name in `engines.toml`.
    pub name: String,
    /// How it is built. Its glibc is that of the layout, and its ggml the newest one.
    pub options: plugin::Options,
}

/// `rpc`: it is built in seconds wherever the engines are, runs on every CPU that they run on, and has no device until
/// a server is named. So `device = "auto"` loads it and computes on the CPU as ever, and what is measured beside
/// `split` is a plugin, and not another kind of computer. (`auto` would take the device of `twin`.)
impl Default for PluginChoice {
    fn default() -> Self {
        Self {
            name: Self::DEFAULT.into(),
            options: plugin::Options::default(),
        }
    }
}

impl PluginChoice {
    /// The name of the default.
    pub const DEFAULT: &str = "rpc";
}

/// What is to be built.
#[derive(Clone, Debug)]
pub struct Options {
    /// The layout.
    pub layout: Layout,
    /// The engines.
    pub engines: Vec<String>,
    /// Which ggml they are compiled against. The monolith has its own way: as the field does it, speech is
    /// compiled against the ggml of text, and pictures against their own.
    pub mode: Mode,
    /// The oldest glibc that the result runs on.
    pub floor: Floor,
    /// Make Python extensions. Without them, `sealed-shared` is its libraries, and the other layouts are
    /// nothing.
    pub python: bool,
    /// With `shared-ggml` and `split-plugin`: take engines that were compiled against another ggml than what they
    /// share, too, to see what comes of it.
    pub unchecked: bool,
    /// The plugin of `split-plugin`.
    pub plugin: PluginChoice,
    /// Compile Rust fast instead of small.
    pub quick: bool,
    /// A folder with the wheels that trifold ships for these options, to take what all layouts have in common
    /// from; they are built if it is not given.
    pub shipped: Option<PathBuf>,
    /// Where the result goes: a folder named after the layout is made anew in it.
    pub out: PathBuf,
}

/// A layout that was built.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(title = "Report of trifold-pack layout and wheel")]
pub struct Built {
    /// Its name.
    pub layout: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Extensions by engine.
    pub extensions: BTreeMap<String, PathBuf>,
    /// Shared libraries beside the extensions, in the folder [`LIBRARIES`].
    pub libraries: Vec<PathBuf>,
    /// Where header files, libraries and their descriptions are installed, for C.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<PathBuf>,
    /// Wheels, if they were asked for.
    pub wheels: Vec<PathBuf>,
    /// The wheel of the backend plugin beside them, of `split-plugin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PathBuf>,
    /// How long it took.
    pub seconds: f64,
}

impl Built {
    fn new(layout: Layout, folder: &Path) -> Self {
        Self {
            layout: layout.name().to_owned(),
            folder: folder.to_owned(),
            extensions: BTreeMap::new(),
            libraries: Vec::new(),
            prefix: None,
            wheels: Vec::new(),
            plugin: None,
            seconds: 0.0,
        }
    }
}

/// The schema of [`to_json`].
#[must_use]
pub fn schema() -> String {
    text::schema::<Vec<Built>>()
}

/// What was built, for programs.
#[must_use]
pub fn to_json(built: &[Built]) -> String {
    text::pretty(&built)
}

/// The folder with libraries, beside the packages.
pub const LIBRARIES: &str = "trifold.libs";

/// Engines that the field links with a ggml of their own in the same package.
const OWN_GGML: [&str; 1] = ["diffusion"];

/// Which ggml an engine of the monolith is compiled against.
fn open_mode(engine: &str) -> Mode {
    if OWN_GGML.contains(&engine) {
        Mode::Pinned
    } else {
        Mode::Aligned
    }
}

/// Links a layout.
///
/// # Errors
/// [`PackError::Build`] if it cannot be compiled or linked; for `shared-ggml` also if an engine is compiled
/// against a ggml of its own, and for `split-plugin` then [`PackError::PinnedEngines`].
pub fn build(workspace: &Workspace, options: &Options) -> Result<Built, PackError> {
    let started = Instant::now();
    if !options.python && options.layout != Layout::SealedShared {
        return Err(PackError::PythonOnly {
            layout: options.layout.name(),
        });
    }
    let folder = new_folder(&options.out, options.layout)?;
    if options.layout.is_shipped() {
        return wheels::split(workspace, options, &folder);
    }
    let scratch = tempfile::tempdir_in(&folder)
        .map_err(PackError::io("Could not create a folder in", &folder))?;
    let cache = Cache::open()?;
    let building = Building {
        workspace,
        options,
        linker: Linker::new(options.floor, &cache)?,
        folder: &folder,
        scratch: scratch.path(),
    };
    let mut built = building.run()?;
    built.seconds = started.elapsed().as_secs_f64();
    Ok(built)
}

/// In a folder of ours: what is in it may be removed.
const MARK: &str = ".trifold-layout";

/// Makes the folder of a layout anew.
fn new_folder(out: &Path, layout: Layout) -> Result<PathBuf, PackError> {
    let folder = out.join(layout.name());
    let mark = folder.join(MARK);
    let is_empty =
        |folder: &Path| fs_err::read_dir(folder).map(|mut entries| entries.next().is_none());
    if folder.is_dir() {
        let ours = mark.is_file()
            || is_empty(&folder).map_err(PackError::io("Could not read", &folder))?;
        if !ours {
            return Err(PackError::NotOurs { folder });
        }
        fs_err::remove_dir_all(&folder).map_err(PackError::io("Could not remove", &folder))?;
    }
    fs_err::create_dir_all(&folder).map_err(PackError::io("Could not create", &folder))?;
    fs_err::write(&mark, "").map_err(PackError::io("Could not write", &mark))?;
    Ok(folder)
}

/// Compiles the C++ of a layout's engines into a cache. `scratch` is a folder for what is linked on the way.
pub(crate) fn compile(options: &Options, cache: &Cache, scratch: &Path) -> Result<(), PackError> {
    for engine in &options.engines {
        let open = options.layout == Layout::Monolith;
        let mode = if open {
            open_mode(engine)
        } else {
            options.mode
        };
        let builder = Builder {
            cache: cache.clone(),
            ..Builder::new(mode)?
        };
        if open {
            builder.open(engine, scratch)?;
        } else {
            builder.build(engine)?;
        }
    }
    Ok(())
}

struct Building<'a> {
    workspace: &'a Workspace,
    options: &'a Options,
    linker: Linker,
    folder: &'a Path,
    scratch: &'a Path,
}

impl Building<'_> {
    fn run(&self) -> Result<Built, PackError> {
        let mut built = Built::new(self.options.layout, self.folder);
        if self.options.layout == Layout::SharedGgml {
            built.libraries.push(self.shared_ggml()?);
        }
        for engine in &self.options.engines {
            let extension = match self.options.layout {
                Layout::Monolith => self.open(engine)?,
                Layout::SealedShared => {
                    let library = self.shared_library(engine, &mut built)?;
                    if !self.options.python {
                        continue;
                    }
                    let glue = self.glue(engine, self.options.mode, &[])?;
                    self.link_extension(engine, &[&glue], &[&library], &Symbols::Module)?
                }
                Layout::SharedGgml => self.without_ggml(engine, &built.libraries[0])?,
                Layout::SealedStatic | Layout::Split | Layout::SplitPlugin => {
                    self.sealed(engine)?
                }
            };
            built.extensions.insert(engine.clone(), extension);
        }
        Ok(built)
    }

    /// Everything in the extension, and visible.
    fn open(&self, engine: &str) -> Result<PathBuf, PackError> {
        let mode = open_mode(engine);
        let part = Builder::new(mode)?.open(engine, self.scratch)?;
        let glue = self.glue(engine, mode, &part.renamed)?;
        self.link_extension(engine, &[&glue, &part.object], &[], &Symbols::All)
    }

    fn sealed(&self, engine: &str) -> Result<PathBuf, PackError> {
        let mode = self.options.mode;
        let sealed = Builder::new(mode)?.build(engine)?;
        let glue = self.glue(engine, mode, &[])?;
        self.link_extension(engine, &[&glue, &sealed.object], &[], &Symbols::Module)
    }

    /// A library with the engine, and what C needs to call it.
    fn shared_library(&self, engine: &str, built: &mut Built) -> Result<PathBuf, PackError> {
        let mode = self.options.mode;
        let builder = Builder::new(mode)?;
        let part = builder.exportable(engine, self.scratch)?;
        let version = builder.config.engine(engine)?.api.soversion;
        let library = self.library(&format!("libtrifold-{engine}.so.{version}"))?;
        let exports = [format!("trifold_{engine}_*")];
        let entry = self.half(&Half::Library, engine, mode, &[])?;
        self.linker
            .library(&[&part.object, &entry], &exports, &library)?;
        let prefix = self.folder.join("prefix");
        development::install(&builder, engine, &library, &prefix)?;
        built.libraries.push(library.clone());
        built.prefix = Some(prefix);
        Ok(library)
    }

    fn shared_ggml(&self) -> Result<PathBuf, PackError> {
        let builder = Builder::new(self.options.mode)?;
        let aligned_to = &builder.config.common.aligned_to;
        // Its ABI is not stable: the version is part of its name.
        let version = builder.trees(aligned_to)?.1.ggml_version;
        let object = builder.ggml(self.scratch)?;
        let library = self.library(&format!("libtrifold-ggml.so.{version}"))?;
        self.linker
            .library(&[&object], &GGML_EXPORTS.map(str::to_owned), &library)?;
        Ok(library)
    }

    fn without_ggml(&self, engine: &str, ggml: &Path) -> Result<PathBuf, PackError> {
        let mode = self.options.mode;
        let builder = Builder::new(mode)?;
        let part = if self.options.unchecked {
            builder.without_any_ggml(engine, self.scratch)?
        } else {
            builder.without_ggml(engine, self.scratch)?
        };
        let glue = self.glue(engine, mode, &part.renamed)?;
        self.link_extension(engine, &[&glue, &part.object], &[ggml], &Symbols::Module)
    }

    fn glue(
        &self,
        engine: &str,
        mode: Mode,
        renamed: &[(String, String)],
    ) -> Result<PathBuf, PackError> {
        self.half(&Half::Extension, engine, mode, renamed)
    }

    fn half(
        &self,
        half: &Half,
        engine: &str,
        mode: Mode,
        renamed: &[(String, String)],
    ) -> Result<PathBuf, PackError> {
        let archive = glue::compile(self.workspace, half, engine, mode, self.options)?;
        glue::close(half, engine, &archive, renamed, self.scratch)
    }

    fn link_extension(
        &self,
        engine: &str,
        objects: &[&Path],
        libraries: &[&Path],
        symbols: &Symbols,
    ) -> Result<PathBuf, PackError> {
        let folder = self.folder.join(format!("trifold_{engine}"));
        fs_err::create_dir_all(&folder).map_err(PackError::io("Could not create", &folder))?;
        let out = folder.join(EXTENSION);
        self.linker.extension(objects, libraries, symbols, &out)?;
        Ok(out)
    }

    fn library(&self, name: &str) -> Result<PathBuf, PackError> {
        let folder = self.folder.join(LIBRARIES);
        fs_err::create_dir_all(&folder).map_err(PackError::io("Could not create", &folder))?;
        Ok(folder.join(name))
    }
}

/// The extension's file in each package.
const EXTENSION: &str = "_native.abi3.so";
