//! Backend plugins: one of ggml's backends as a shared library that any engine of the same ggml can load.
//!
//! A plugin is *hermetic*. It has a ggml-base of its own inside; engine and plugin meet in plain structs
//! and tables of functions only, so that neither needs a symbol of the other. It exports ggml's entry point
//! and ours (`shim/plugin/plugin.h`), and nothing else. What must be equal for the two to share memory, the
//! [fingerprint](crate::fingerprint) of its ggml, lies in a [`note`], which can be read without loading it.
//!
//! It is made in these steps, each from files to a file:
//!
//! 1. compile ggml-base, the backend and the shim. A recipe's `nvcc` compiles its `.cu` files; whatever other
//!    language comes, [`crate::compile`] is where its compiler is chosen;
//! 2. link all into one object (`ld -r`), with what the backend would print taken to the log, hide everything
//!    but the entry points, and look at what it needs from elsewhere;
//! 3. link the shared library, with the C++ runtime inside, for an old glibc;
//! 4. read it back: [`check`].
//!
//! It can also be run (`ld.so PLUGIN`): then it initialises its backend and says which devices there are. A
//! loader has that done by another process first.

mod check;
pub mod note;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    BuildError, Builder, Mode,
    cache::Key,
    compile::{self, run},
    elf,
    fingerprint::Fingerprint,
    glibc::{self, Floor},
    pattern::matches,
    seal::{WRAPPED, steps::Steps},
    source::Tree,
    toolchain::Toolchain,
    units,
};

pub use check::check;
pub use note::Note;

/// What every plugin exports.
pub const ENTRIES: [&str; 3] = [
    "ggml_backend_init",
    "trifold_plugin_connect",
    "trifold_plugin_info",
];

/// What a plugin with a score exports besides.
pub const SCORE: &str = "ggml_backend_score";

/// Where it begins when it is run.
const MAIN: &str = "trifold_plugin_main";

/// What the part that is run needs beyond an engine's allowed symbols.
const PROGRAM: [&str; 6] = [
    "_DYNAMIC",
    "__ehdr_start",
    "__libc_start_main",
    "_exit",
    "sysconf",
    "write",
];

/// The glibc that plugins are linked for if nobody says another: that of manylinux_2_28.
const FLOOR: Floor = Floor(2, 28);

/// How a plugin is made: a `[plugin.NAME]` table of `engines.toml`. Paths are relative to ggml's folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What people call it.
    pub title: String,
    /// What its devices are asked for by: `cuda` for `device = "cuda:0"`.
    pub kind: String,
    /// Its own version; that of the recipe and shim, not ggml's.
    pub version: String,
    /// The Python package that users install to have it.
    pub package: String,
    /// What the packages of all groups begin with.
    #[serde(skip)]
    pub(crate) family: String,
    /// The packages that this one requires, as Python writes it: `nvidia-cublas>=13,<14`.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Its licence besides ours and ggml's, as an SPDX expression, and where the text is.
    pub licence: Option<Licence>,
    /// The backend's files.
    pub files: Vec<String>,
    /// Files that `files` matches and that are left out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Definitions for the backend.
    #[serde(default)]
    pub defines: Vec<String>,
    /// Include folders for the backend.
    pub includes: Vec<String>,
    /// More flags for its C and C++ files.
    #[serde(default)]
    pub flags: Vec<String>,
    /// Definitions for the ggml-base inside.
    #[serde(default)]
    pub base_defines: Vec<String>,
    /// Files of our own (`shim/plugin`) that belong to it.
    #[serde(default)]
    pub shim: Vec<String>,
    /// The file whose threads spin while they wait: it gets `shim/relax.h`.
    pub spin: Option<String>,
    /// The function that returns the backend's registration.
    pub register: String,
    /// The function that says whether it can be used here.
    pub score: Option<String>,
    /// What the CPU must have for the code that is not a kernel's, in the spelling of
    /// `std::is_x86_feature_detected!`. Checked before it is loaded.
    #[serde(default)]
    pub cpu_features: Vec<String>,
    /// Patterns of symbols that it may need from elsewhere, besides what an engine may.
    #[serde(default)]
    pub outside: Vec<String>,
    /// Libraries to link, as in `-lcublas`; looked for in [`Options::library_folders`], too.
    #[serde(default)]
    pub libraries: Vec<String>,
    /// Patterns of the libraries that the result may ask the loader for, besides glibc's and libgcc_s.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Folders that the loader shall look in, such as `$ORIGIN/../nvidia/cu13/lib`. None by default.
    #[serde(default)]
    pub search_path: Vec<String>,
    /// Names that `shim` takes over, as an engine's `wrap`.
    #[serde(default)]
    pub wrap: Vec<String>,
    /// How its `.cu` files are compiled.
    pub nvcc: Option<Nvcc>,
    /// How its `.comp` files, shaders, are compiled.
    pub glslc: Option<Glslc>,
}

impl Recipe {
    /// What a backend's libraries ask of a final link.
    #[must_use]
    pub fn link_arguments(&self, options: &Options) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let search = self.search_path.iter();
        arguments.extend(search.map(|folder| format!("-Wl,-rpath,{folder}").into()));
        for folder in options.all_library_folders() {
            arguments.extend(["-L".into(), folder.into()]);
        }
        let libraries = self.libraries.iter();
        arguments.extend(libraries.map(|library| format!("-l{library}").into()));
        // What other libraries need is theirs to find, where the backend runs.
        arguments.push("-Wl,--allow-shlib-undefined".into());
        arguments
    }

    /// What the backend's code has from us instead.
    pub(crate) fn wrapped(&self) -> Vec<&str> {
        let own = self.wrap.iter().map(String::as_str);
        WRAPPED.into_iter().chain(own).collect()
    }

    /// Whether the backend's code may need this symbol from elsewhere.
    pub(crate) fn may_need(&self, name: &str) -> bool {
        let mut outside = self.outside.iter();
        elf::is_allowed(name) || outside.any(|pattern| matches(pattern, name))
    }
}

/// The licence of what a plugin has inside from elsewhere.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// As SPDX writes it.
    pub expression: String,
    /// What is inside, and where its licence can be read.
    pub notice: String,
}

/// How CUDA files are compiled.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nvcc {
    /// GPUs to compile for: `90` is machine code, `100-virtual` PTX for that and all later ones.
    pub architectures: Vec<String>,
    /// Parts of these, by name, where all are too much for one package. Each is a plugin and a package of its
    /// own, whose names end in the part's.
    #[serde(default)]
    pub groups: BTreeMap<String, Vec<String>>,
    /// Flags for nvcc.
    #[serde(default)]
    pub flags: Vec<String>,
    /// Flags for the host's compiler.
    #[serde(default)]
    pub host_flags: Vec<String>,
}

/// How shaders are compiled: by a generator, which is part of the source, that makes C++ of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Glslc {
    /// The generator's source.
    pub generator: String,
    /// The header that it writes, which all of the backend's files need.
    pub header: String,
    /// What not every shader compiler knows: a definition for the generator and the backend, and the shader that
    /// tries it.
    pub features: BTreeMap<String, String>,
}

/// What differs from build to build.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The engine whose ggml it is for; of a build in the aligned mode, that of all engines.
    pub engine: Option<String>,
    /// The oldest glibc to run on. Default: 2.28.
    pub glibc: Option<Floor>,
    /// The folder of a compiler's toolkit, with `bin/nvcc` inside, or `bin/glslc` and `include`. Default: what is
    /// in `PATH`, and what the system has.
    pub toolkit: Option<PathBuf>,
    /// Instead of those of the recipe.
    pub architectures: Vec<String>,
    /// One of the recipe's groups of architectures.
    pub group: Option<String>,
    /// Where `libraries` are.
    pub library_folders: Vec<PathBuf>,
}

impl Recipe {
    /// The recipe for these options, and the plugin's name: a group has its own.
    pub(crate) fn with(&self, name: &str, options: &Options) -> Result<(String, Self), BuildError> {
        let mut recipe = self.clone();
        recipe.family.clone_from(&self.package);
        let mut name = name.to_owned();
        if let Some(group) = &options.group {
            let architectures = self.group(group).ok_or_else(|| BuildError::UnknownGroup {
                plugin: name.clone(),
                group: group.clone(),
                known: self.groups().join(", "),
            })?;
            if let Some(nvcc) = &mut recipe.nvcc {
                nvcc.architectures = architectures;
            }
            recipe.title = format!("{} ({group})", self.title);
            recipe.package = format!("{}-{group}", self.package);
            name = format!("{name}-{group}");
        }
        let architectures = recipe.architectures(options);
        if let Some(nvcc) = &mut recipe.nvcc {
            nvcc.architectures = architectures;
        }
        Ok((name, recipe))
    }

    /// The packages that have code for GPUs, each with its architectures: `PACKAGE 75 80;PACKAGE 90`.
    pub(crate) fn packages(&self) -> String {
        let Some(nvcc) = &self.nvcc else {
            return String::new();
        };
        let line = |(group, architectures): (&String, &Vec<String>)| {
            format!("{}-{group} {}", self.family, architectures.join(" "))
        };
        if nvcc.groups.is_empty() {
            return format!("{} {}", self.package, nvcc.architectures.join(" "));
        }
        nvcc.groups.iter().map(line).collect::<Vec<_>>().join(";")
    }

    /// The names of its groups of architectures.
    #[must_use]
    pub fn groups(&self) -> Vec<&str> {
        let groups = self.nvcc.iter().flat_map(|nvcc| nvcc.groups.keys());
        groups.map(String::as_str).collect()
    }

    /// The GPUs that it is compiled for with these options.
    #[must_use]
    pub fn architectures(&self, options: &Options) -> Vec<String> {
        let Some(nvcc) = &self.nvcc else {
            return Vec::new();
        };
        if options.architectures.is_empty() {
            nvcc.architectures.clone()
        } else {
            options.architectures.clone()
        }
    }

    fn group(&self, name: &str) -> Option<Vec<String>> {
        self.nvcc.as_ref()?.groups.get(name).cloned()
    }
}

impl Options {
    /// Where libraries are, those of the toolkit included.
    #[must_use]
    pub fn all_library_folders(&self) -> Vec<PathBuf> {
        // As its installer and its Python packages have them.
        let toolkit = self.toolkit.iter();
        let inside = toolkit.flat_map(|toolkit| ["lib64", "lib"].map(|name| toolkit.join(name)));
        self.library_folders.iter().cloned().chain(inside).collect()
    }
}

/// A plugin that was built.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// Its name: that in `engines.toml`, and that of its group.
    pub name: String,
    /// What it was made by.
    pub recipe: Recipe,
    /// The file.
    pub path: PathBuf,
    /// What its note says.
    pub note: Note,
    /// The libraries that it asks the loader for.
    pub needed: Vec<String>,
    /// Its size in bytes.
    pub size: u64,
    /// Features of its recipe that the shader compiler here does not know.
    pub without: Vec<String>,
}

/// The file of a plugin: `libtrifold-backend-cuda13.so`, or of one that is for one engine only,
/// `libtrifold-backend-cuda13-whisper.so`.
#[must_use]
pub fn file_name(name: &str, engine: Option<&str>) -> String {
    let engine = engine.map_or_else(String::new, |engine| format!("-{engine}"));
    format!("libtrifold-backend-{name}{engine}.so")
}

impl Builder {
    /// The fingerprint of the ggml that an engine is compiled against, as [text](Fingerprint::text).
    ///
    /// # Errors
    /// As [`Fingerprint::of_tree`].
    pub fn fingerprint(&self, engine: &str) -> Result<String, BuildError> {
        let path = self.fingerprint_file(engine)?;
        fs_err::read_to_string(&path).map_err(BuildError::io("Could not read", path))
    }

    /// [`Builder::fingerprint`] as a file in the cache.
    pub(crate) fn fingerprint_file(&self, engine: &str) -> Result<PathBuf, BuildError> {
        let (_, ggml) = self.trees(engine)?;
        self.fingerprint_of(&Toolchain::find()?, &ggml)
    }

    /// The fingerprint of a ggml, made if it is not in the cache.
    fn fingerprint_of(&self, toolchain: &Toolchain, ggml: &Tree) -> Result<PathBuf, BuildError> {
        let defines = &self.config.common.defines;
        let mut key = Key::new("fingerprint 1");
        key.text(&toolchain.id)
            .texts(toolchain.flags(false))
            .text(&ggml.id)
            .text(&ggml.label)
            .texts(defines);
        let path = self
            .cache
            .folder("fingerprints")?
            .join(format!("{}.txt", key.finish()));
        if !path.is_file() {
            let text = Fingerprint::of_tree(toolchain, ggml, defines)?.text();
            crate::cache::write_atomically(&path, text.as_bytes())?;
        }
        Ok(path)
    }

    /// Builds a plugin into a folder.
    ///
    /// # Errors
    /// [`BuildError::UnknownPlugin`], [`BuildError::Plugin`] if the result is not as it must be, and what
    /// the compilers and binutils say.
    pub fn plugin(
        &self,
        name: &str,
        options: &Options,
        folder: &Path,
    ) -> Result<Plugin, BuildError> {
        let (name, recipe) = self.config.plugin(name)?.with(name, options)?;
        let (name, recipe) = (name.as_str(), &recipe);
        let engine = self.plugin_engine(options)?;
        let aligned = self.mode_of(&engine)? == Mode::Aligned;
        let (_, ggml) = self.trees(&engine)?;
        let toolchain = Toolchain::find()?;
        let note = Note {
            name: name.to_owned(),
            kind: recipe.kind.clone(),
            version: recipe.version.clone(),
            title: recipe.title.clone(),
            package: recipe.package.clone(),
            engine: if aligned {
                String::new()
            } else {
                engine.clone()
            },
            cpu_features: recipe.cpu_features.clone(),
            fingerprint: self.fingerprint(&engine)?,
        };
        let planned = units::plugin(&self.config, &self.cache, name, recipe, &ggml, options)?;
        let title = format!("plugin {name} (ggml {})", ggml.ggml_version);
        let objects = compile::compile(&title, &self.cache, &toolchain, &planned.jobs)?;

        fs_err::create_dir_all(folder).map_err(BuildError::io("Could not create", folder))?;
        let path = folder.join(file_name(name, (!aligned).then_some(&engine)));
        let link = Link {
            name,
            recipe,
            options,
            toolchain: &toolchain,
            glibc: options.glibc.unwrap_or(FLOOR).libraries(&self.cache)?,
        };
        Steps::run_all(name, &toolchain, &path, |step| {
            let object = link.object(step, &objects)?;
            link.library(step, &object, &note)
        })?;
        let found = check(name, recipe, &path, options.glibc.unwrap_or(FLOOR))?;
        let size = fs_err::metadata(&path)
            .map_err(BuildError::io("Could not read", &path))?
            .len();
        Ok(Plugin {
            name: name.into(),
            recipe: recipe.clone(),
            path,
            note,
            needed: found.needed,
            size,
            without: planned.without,
        })
    }

    fn plugin_engine(&self, options: &Options) -> Result<String, BuildError> {
        let engine = match &options.engine {
            Some(engine) => engine.clone(),
            None if self.mode == Mode::Aligned => self.config.common.aligned_to.clone(),
            None => {
                return Err(BuildError::config(
                    "expected the engine whose ggml a plugin is for, found none: in the pinned mode each has its own",
                ));
            }
        };
        self.config.engine(&engine)?;
        Ok(engine)
    }
}

/// The two links of a plugin.
struct Link<'a> {
    name: &'a str,
    recipe: &'a Recipe,
    options: &'a Options,
    toolchain: &'a Toolchain,
    glibc: PathBuf,
}

impl Link<'_> {
    fn exports(&self) -> Vec<String> {
        let score = self.recipe.score.as_ref().map(|_| SCORE);
        let mut exports: Vec<String> = ENTRIES
            .into_iter()
            .chain(score)
            .map(str::to_owned)
            .collect();
        exports.sort();
        exports
    }

    /// One object that shows the entry points and nothing else, and needs what it may.
    fn object(&self, step: &Steps<'_>, objects: &[PathBuf]) -> Result<PathBuf, BuildError> {
        let linked = step.link("all", objects, &self.recipe.wrapped())?;
        let mut kept = self.exports();
        kept.push(MAIN.to_owned());
        kept.sort();
        let hidden = step.keep("hidden", &linked, kept.iter().cloned(), false)?;
        let may = |name: &str| PROGRAM.contains(&name) || self.recipe.may_need(name);
        elf::check_closed(
            &format!("plugin {}", self.name),
            &elf::symbols(&hidden)?,
            &kept,
            may,
        )?;
        Ok(hidden)
    }

    fn library(&self, step: &Steps<'_>, object: &Path, note: &Note) -> Result<PathBuf, BuildError> {
        let write = |name: &str, bytes: &[u8]| {
            let path = step.scratch.join(name);
            fs_err::write(&path, bytes).map_err(BuildError::io("Could not write", &path))?;
            Ok::<_, BuildError>(path)
        };
        let text = write("note.bin", note.text().as_bytes())?;
        let source = write("note.s", note::assembly(&text).as_bytes())?;
        let script = write(
            "exports",
            format!("{{ global: {}; local: *; }};\n", self.exports().join("; ")).as_bytes(),
        )?;
        let out = step.scratch.join("plugin.so");
        let file = file_name(self.name, (!note.engine.is_empty()).then_some(&note.engine));
        let mut command = self.toolchain.compile(true);
        command
            .args(["-shared", "-o"])
            .arg(&out)
            .arg(object)
            .arg(&source)
            .arg(format!("-Wl,-soname,{file}"))
            .arg(format!("-Wl,--version-script={}", script.display()))
            .arg(format!("-Wl,-e,{MAIN}"))
            .args(["-Wl,-O1", "-Wl,-s", "-Wl,--gc-sections", "-Wl,-Bsymbolic"])
            .args(["-Wl,-z,defs", "-Wl,-z,relro,-z,now", "-Wl,-z,noexecstack"])
            .args(["-Wl,--as-needed", "-static-libstdc++"])
            // Weak in virtual tables: taken from the runtime inside, not from one of the process.
            .arg("-Wl,-u,__cxa_pure_virtual");
        command.args(self.recipe.link_arguments(self.options));
        command.args(glibc::arguments(&self.glibc));
        run(
            &format!("Could not link plugin {}", self.name),
            &mut command,
        )?;
        Ok(out)
    }
}
