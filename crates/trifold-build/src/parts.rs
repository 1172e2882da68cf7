//! Engines and ggml in other forms than the sealed one: what layouts that do not seal, or that share, are
//! linked from. The compiled objects are those of the seal, or the same files with all symbols visible.

use std::path::{Path, PathBuf};

use crate::{
    BuildError, Builder, Mode,
    builder::{Objects, shim_folder},
    compile, elf,
    pattern::matches,
    plugin,
    seal::{Exports, Recipe},
    source,
    toolchain::Toolchain,
    units,
};

pub use crate::seal::inside::Backend;

/// What the library of a shared ggml exports.
pub const GGML_EXPORTS: [&str; 3] = ["ggml_*", "gguf_*", "__wrap_ggml_*"];

/// An object, and how it names what Rust calls.
#[derive(Clone, Debug)]
pub struct Part {
    /// The relocatable object.
    pub object: PathBuf,
    /// The functions that bear upstream's own names: pairs of the name that Rust calls, and this one.
    pub renamed: Vec<(String, String)>,
}

impl Builder {
    /// An engine as the field links it: everything visible, under upstream's names, static initialisers,
    /// kernels and all. Written into `folder`.
    ///
    /// # Errors
    /// What the compilers and binutils say.
    pub fn open(&self, name: &str, folder: &Path) -> Result<Part, BuildError> {
        let kit = Kit::new(self, name)?;
        let objects = kit.objects(self, name, true)?;
        let object = folder.join(format!("{name}-open.o"));
        kit.recipe(self, name)
            .open(&kit.toolchain, &objects, &object)?;
        Ok(Part {
            object,
            renamed: kit.exports.renamed(|_| true),
        })
    }

    /// An engine that is sealed but for the ggml that it calls, which [`Builder::ggml`] has.
    ///
    /// # Errors
    /// [`BuildError::Config`] for an engine with a ggml of its own; what the compilers and binutils say.
    pub fn without_ggml(&self, name: &str, folder: &Path) -> Result<Part, BuildError> {
        if self.mode_of(name)? == Mode::Pinned {
            return Err(BuildError::config(format!(
                "expected an engine in the aligned mode, found {name} in the pinned one: it is compiled \
                 against a ggml of its own, which it cannot share"
            )));
        }
        self.without_any_ggml(name, folder)
    }

    /// [`Builder::without_ggml`] that does not ask which ggml the engine was compiled against: for a look
    /// at what comes of it.
    ///
    /// # Errors
    /// What the compilers and binutils say.
    pub fn without_any_ggml(&self, name: &str, folder: &Path) -> Result<Part, BuildError> {
        let kit = Kit::new(self, name)?;
        let objects = kit.objects(self, name, false)?;
        let object = folder.join(format!("{name}-without-ggml.o"));
        kit.recipe(self, name)
            .without_ggml(&kit.toolchain, &objects.rest, &object)?;
        let undefined = elf::symbols(&object)?.undefined;
        let foreign = |function: &str| {
            undefined
                .binary_search_by(|name| name.as_str().cmp(function))
                .is_ok()
        };
        Ok(Part {
            object,
            renamed: kit.exports.renamed(foreign),
        })
    }

    /// The ggml of the aligned mode, for a library that several engines share. It exports what matches
    /// [`GGML_EXPORTS`].
    ///
    /// # Errors
    /// What the compilers and binutils say.
    pub fn ggml(&self, folder: &Path) -> Result<PathBuf, BuildError> {
        let name = &self.config.common.aligned_to;
        let kit = Kit::new(self, name)?;
        let mut objects = kit.objects(self, name, false)?;
        let tree = source::locate(&self.config, &self.cache, name)?;
        let shared = units::shared_ggml(&self.config, &self.cache, &tree)?;
        objects.rest = compile::compile("the shared ggml", &self.cache, &kit.toolchain, &shared)?;
        let object = folder.join("ggml.o");
        kit.recipe(self, name)
            .ggml(&kit.toolchain, &objects, &object)?;
        elf::unhide(&object, |name| {
            GGML_EXPORTS.iter().any(|pattern| matches(pattern, name))
        })?;
        Ok(object)
    }

    /// Compiles one of ggml's backends, a `[plugin.NAME]` table, for [`Builder::with_backend`]: against the ggml
    /// that this engine is compiled against.
    ///
    /// # Errors
    /// [`BuildError::UnknownPlugin`], and what the compilers say.
    pub fn backend(
        &self,
        engine: &str,
        name: &str,
        options: &plugin::Options,
    ) -> Result<Backend, BuildError> {
        let (name, recipe) = self.config.plugin(name)?.with(name, options)?;
        let (_, ggml) = self.trees(engine)?;
        let toolchain = Toolchain::find()?;
        let jobs = units::backend(&self.config, &self.cache, &name, &recipe, &ggml, options)?;
        let title = format!("backend {name} (ggml {})", ggml.ggml_version);
        let compile = |jobs| compile::compile(&title, &self.cache, &toolchain, jobs);
        Ok(Backend {
            objects: compile(&jobs.backend)?,
            shim: compile(&jobs.shim)?,
            recipe,
        })
    }

    /// A sealed engine with a backend inside, which is registered when the engine starts; as the field packages
    /// GPUs. Its final link needs [`plugin::Recipe::link_arguments`].
    ///
    /// # Errors
    /// What the compilers and binutils say.
    pub fn with_backend(
        &self,
        name: &str,
        backend: &Backend,
        folder: &Path,
    ) -> Result<PathBuf, BuildError> {
        let kit = Kit::new(self, name)?;
        let objects = kit.objects(self, name, false)?;
        let object = folder.join(format!("{name}-with-backend.o"));
        kit.recipe(self, name)
            .seal_with(&kit.toolchain, &objects, backend, &object)?;
        elf::unhide(&object, |name| name.starts_with(&kit.exports.prefix))?;
        Ok(object)
    }

    /// A sealed engine such as [`Builder::exportable`] gives, sealed anew whatever the cache has: to see how long
    /// that takes.
    ///
    /// # Errors
    /// What the compilers and binutils say.
    pub fn sealed_anew(&self, name: &str, folder: &Path) -> Result<PathBuf, BuildError> {
        let kit = Kit::new(self, name)?;
        let objects = kit.objects(self, name, false)?;
        kit.recipe(self, name)
            .seal(&kit.toolchain, &objects, folder)?;
        let object = folder.join(format!("trifold_{name}.o"));
        elf::unhide(&object, |name| name.starts_with(&kit.exports.prefix))?;
        Ok(object)
    }

    /// A sealed engine whose API a shared library may export.
    ///
    /// # Errors
    /// What the compilers and binutils say.
    pub fn exportable(&self, name: &str, folder: &Path) -> Result<Part, BuildError> {
        let sealed = self.build(name)?;
        let object = folder.join(format!("{name}-exportable.o"));
        fs_err::copy(&sealed.object, &object)
            .map_err(BuildError::io("Could not write", &object))?;
        elf::unhide(&object, |name| name.starts_with(&sealed.exports.prefix))?;
        Ok(Part {
            object,
            renamed: Vec::new(),
        })
    }
}

/// What every form needs.
struct Kit {
    toolchain: Toolchain,
    exports: Exports,
}

impl Kit {
    fn new(builder: &Builder, name: &str) -> Result<Self, BuildError> {
        builder.config.engine(name)?;
        Ok(Self {
            toolchain: Toolchain::find()?,
            exports: Exports::read(name, &shim_folder(name))?,
        })
    }

    fn objects(&self, builder: &Builder, name: &str, open: bool) -> Result<Objects, BuildError> {
        let (tree, ggml) = builder.trees(name)?;
        let shim = shim_folder(name);
        let jobs = units::jobs(&builder.config, &builder.cache, name, &tree, &ggml, &shim)?;
        let (jobs, title) = if open {
            let mut jobs = jobs.open();
            let one = &builder.config.common.one_level;
            jobs.kernels.retain(|kernels| kernels.level == *one);
            (jobs, format!("{name}, all symbols visible"))
        } else {
            (jobs, name.to_owned())
        };
        Objects::compile(&title, &builder.cache, &self.toolchain, &jobs)
    }

    fn recipe<'a>(&'a self, builder: &'a Builder, name: &'a str) -> Recipe<'a> {
        Recipe {
            config: &builder.config,
            engine: name,
            exports: &self.exports,
        }
    }
}
