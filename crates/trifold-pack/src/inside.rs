//! What a backend costs that every engine has inside, as the field packages GPUs, and what one plugin costs that all of
//! them load.
//!
//! Everything is built: the backend's files are compiled from nothing, once for each ggml, linked into each
//! engine's sealed object, and that into a shared library, which is compared with the same library without the
//! backend. That the backend is there is proved by a program that starts the engine. On the other side is the
//! plugin as it is shipped.

mod render;

use std::{
    ffi::OsString,
    io::{Cursor, Write as _},
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use schemars::JsonSchema;
use serde::Serialize;
use tempfile::TempDir;
use trifold_build::{
    Builder, Mode, cache::Cache, compile::run, glibc::Floor, parts::Backend, plugin,
    toolchain::Toolchain,
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{
    PackError, child,
    compare::{machine, without_launcher},
    layout::{Linker, PluginChoice},
};

pub use render::{human, schema, to_json};

/// Of the JSON form.
const SCHEMA_VERSION: u32 = 1;

/// For an engine's start, with all libraries of a GPU's toolkit.
const START_TIME: Duration = Duration::from_secs(120);

/// What is measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// The backend, and how it is compiled.
    pub backend: PluginChoice,
    /// The engines.
    pub engines: Vec<String>,
    /// Which ggml the engines have: that of the plugin, or each its own.
    pub mode: Mode,
    /// The oldest glibc that all of it runs on.
    pub floor: Floor,
    /// Where it is built; nothing of it stays there.
    pub out: PathBuf,
}

/// What was found out.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(title = "Report of trifold-pack inside")]
pub struct Report {
    /// The version of this form.
    pub schema: u32,
    /// The program and its version.
    pub tool: String,
    /// The CPU, and how many of its threads may be used.
    pub machine: String,
    /// The backend's name in `engines.toml`.
    pub backend: String,
    /// The GPUs that it is compiled for, if it is for GPUs.
    pub architectures: Vec<String>,
    /// Which ggml the engines have: `aligned` or `pinned`.
    pub ggml: String,
    /// What the backend adds to each engine.
    pub engines: Vec<Inside>,
    /// The sum; what several engines have in common was compiled once.
    pub together: Cost,
    /// One plugin for all.
    pub plugin: Cost,
}

/// An engine with a backend inside.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Inside {
    /// The engine.
    pub engine: String,
    /// The version of its ggml.
    pub ggml: String,
    /// What the backend adds.
    pub cost: Cost,
    /// Whether the backend's objects are those of an engine before it, so that they need not be compiled again.
    pub same_objects: bool,
    /// The backends that the engine has when it has started.
    pub backends: Vec<String>,
}

/// What it takes to make something, and how large it is.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
pub struct Cost {
    /// Seconds to compile it from nothing.
    pub compile_seconds: f64,
    /// Seconds to link it.
    pub link_seconds: f64,
    /// Its size, stripped.
    pub bytes: u64,
    /// Its size as a wheel has it.
    pub compressed_bytes: u64,
}

/// Builds and measures. `progress` gets what is being done, in a few words.
///
/// # Errors
/// What keeps it from being built; [`PackError::NotInside`] if an engine does not have its backend.
pub fn inside(options: &Options, progress: &dyn Fn(&str)) -> Result<Report, PackError> {
    without_launcher()?;
    fs_err::create_dir_all(&options.out)
        .map_err(PackError::io("Could not create", &options.out))?;
    let scratch = tempfile::tempdir_in(&options.out)
        .map_err(PackError::io("Could not create a folder in", &options.out))?;
    let measuring = Measuring {
        options,
        build: plugin::Options {
            glibc: Some(options.floor),
            ..options.backend.options.clone()
        },
        cold: Cache::at(scratch.path().join("cache"))?,
        scratch,
        progress,
    };
    measuring.run()
}

struct Measuring<'a> {
    options: &'a Options,
    /// How the backend is compiled.
    build: plugin::Options,
    /// Where it is compiled to: there is nothing at first.
    cold: Cache,
    scratch: TempDir,
    progress: &'a dyn Fn(&str),
}

/// A backend, and how long it took to compile it.
struct Compiled {
    backend: Backend,
    seconds: f64,
}

impl Measuring<'_> {
    fn run(&self) -> Result<Report, PackError> {
        let (of_plugin, plugin) = self.plugin()?;
        let mut compiled = vec![of_plugin];
        let mut engines: Vec<Inside> = Vec::new();
        let mut used = Vec::new();
        for engine in &self.options.engines {
            let index = self.compiled(engine, &mut compiled)?;
            let same_objects = used.contains(&index);
            used.push(index);
            engines.push(self.engine(engine, &compiled[index], same_objects)?);
        }
        let recipe = &compiled[0].backend.recipe;
        Ok(Report {
            schema: SCHEMA_VERSION,
            tool: format!("trifold-pack {}", env!("CARGO_PKG_VERSION")),
            machine: machine(),
            backend: self.options.backend.name.clone(),
            architectures: recipe.architectures(&self.build),
            ggml: self.options.mode.name().to_owned(),
            together: together(&engines),
            engines,
            plugin,
        })
    }

    /// Builds with an empty cache.
    fn builder(&self, mode: Mode) -> Result<Builder, PackError> {
        Ok(Builder {
            cache: self.cold.clone(),
            ..Builder::new(mode)?
        })
    }

    fn compile(&self, mode: Mode, engine: &str) -> Result<Compiled, PackError> {
        let builder = self.builder(mode)?;
        let name = &self.options.backend.name;
        let (backend, seconds) = timed(|| builder.backend(engine, name, &self.build))?;
        Ok(Compiled { backend, seconds })
    }

    /// The plugin, and its backend: that of all engines with the same ggml.
    fn plugin(&self) -> Result<(Compiled, Cost), PackError> {
        let name = &self.options.backend.name;
        (self.progress)(&format!("{name}: the plugin"));
        let builder = self.builder(Mode::Aligned)?;
        let compiled = self.compile(Mode::Aligned, &builder.config.common.aligned_to)?;
        let folder = self.scratch.path().join("plugin");
        let (_, rest) = timed(|| builder.plugin(name, &self.build, &folder))?;
        let (built, link_seconds) = timed(|| builder.plugin(name, &self.build, &folder))?;
        let cost = Cost {
            // All but the link, which came twice.
            compile_seconds: compiled.seconds + (rest - link_seconds).max(0.0),
            link_seconds,
            bytes: built.size,
            compressed_bytes: compressed(&built.path)?,
        };
        Ok((compiled, cost))
    }

    /// Compiles the backend for an engine; it may be that of another one, with the same ggml.
    fn compiled(&self, engine: &str, all: &mut Vec<Compiled>) -> Result<usize, PackError> {
        (self.progress)(&format!("{}: for {engine}", self.options.backend.name));
        let found = self.compile(self.options.mode, engine)?;
        let same = |known: &Compiled| known.backend.objects == found.backend.objects;
        Ok(all.iter().position(same).unwrap_or_else(|| {
            all.push(found);
            all.len() - 1
        }))
    }

    /// Links an engine with its backend, and without.
    fn engine(
        &self,
        engine: &str,
        compiled: &Compiled,
        same_objects: bool,
    ) -> Result<Inside, PackError> {
        (self.progress)(&format!("{}: inside {engine}", self.options.backend.name));
        let folder = self.scratch.path();
        // With the engine's own objects from the user's cache.
        let builder = Builder::new(self.options.mode)?;
        builder.build(engine)?;
        let arguments = compiled.backend.recipe.link_arguments(&self.build);
        let (plain, without) = timed(|| {
            let object = builder.sealed_anew(engine, folder)?;
            self.library(engine, &object, Vec::new())
        })?;
        let (full, with) = timed(|| {
            let object = builder.with_backend(engine, &compiled.backend, folder)?;
            let library = self.library(engine, &object, arguments.clone())?;
            Ok::<_, PackError>((library, object))
        })?;
        let (full, object) = full;
        let backends = self.backends(engine, &object, &arguments)?;
        let size = |path: &Path| {
            let found = fs_err::metadata(path).map_err(PackError::io("Could not read", path))?;
            Ok::<_, PackError>((found.len(), compressed(path)?))
        };
        let ((bytes, packed), (plain_bytes, plain_packed)) = (size(&full)?, size(&plain)?);
        Ok(Inside {
            engine: engine.to_owned(),
            ggml: builder.trees(engine)?.1.ggml_version,
            cost: Cost {
                compile_seconds: compiled.seconds,
                link_seconds: (with - without).max(0.0),
                bytes: bytes.saturating_sub(plain_bytes),
                compressed_bytes: packed.saturating_sub(plain_packed),
            },
            same_objects,
            backends,
        })
    }

    fn library(
        &self,
        engine: &str,
        object: &Path,
        arguments: Vec<OsString>,
    ) -> Result<PathBuf, PackError> {
        let stem = object.file_stem().unwrap_or_default().to_string_lossy();
        let out = self.scratch.path().join(format!("lib{stem}.so"));
        // As the plugin is linked, which leaves out what nobody calls, too.
        let all = arguments.into_iter().chain(["-Wl,--gc-sections".into()]);
        let linker = Linker::new(self.options.floor, &self.cold)?.with(all);
        linker.library(&[object], &[format!("trifold_{engine}_*")], &out)?;
        Ok(out)
    }

    /// Starts the engine in a program, which says which backends it has then.
    fn backends(
        &self,
        engine: &str,
        object: &Path,
        arguments: &[OsString],
    ) -> Result<Vec<String>, PackError> {
        let path = |name: &str| self.scratch.path().join(name);
        let (source, program) = (path("backends.cpp"), path("backends"));
        fs_err::write(&source, PROGRAM).map_err(PackError::io("Could not write", &source))?;
        let mut command = Toolchain::find()?.compile(true);
        command
            .arg(format!("-DTRIFOLD_ENGINE={engine}"))
            .arg("-o")
            .arg(&program)
            .args([source.as_path(), object])
            .args(arguments);
        for folder in self.build.all_library_folders() {
            command.arg(format!("-Wl,-rpath,{}", folder.display()));
        }
        command.args(["-lpthread", "-ldl", "-lm", "-lrt"]);
        run("Could not link a program with the engine", &mut command)?;
        let limits = child::Limits {
            time: START_TIME,
            interrupted: &AtomicBool::new(false),
            log: None,
        };
        let found = child::run(&mut std::process::Command::new(&program), &limits, |_| {})
            .map_err(PackError::io("Could not run", &program))?;
        let names: Vec<String> = found.stdout.lines().map(str::to_owned).collect();
        // Its own CPU is always there.
        match found.ended.problem() {
            None if names.len() > 1 => Ok(names),
            problem => Err(PackError::NotInside {
                engine: engine.to_owned(),
                plugin: self.options.backend.name.clone(),
                found: problem.unwrap_or_else(|| names.join(", ")),
            }),
        }
    }
}

/// Prints an engine's backends.
const PROGRAM: &str = include_str!("inside/backends.cpp");

fn together(engines: &[Inside]) -> Cost {
    engines.iter().fold(Cost::default(), |sum, engine| Cost {
        compile_seconds: sum.compile_seconds
            + if engine.same_objects {
                0.0
            } else {
                engine.cost.compile_seconds
            },
        link_seconds: sum.link_seconds + engine.cost.link_seconds,
        bytes: sum.bytes + engine.cost.bytes,
        compressed_bytes: sum.compressed_bytes + engine.cost.compressed_bytes,
    })
}

/// What something gives, and how many seconds it takes.
fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(T, f64), E> {
    let started = Instant::now();
    let found = work()?;
    Ok((found, started.elapsed().as_secs_f64()))
}

/// How large a file is in a wheel.
fn compressed(path: &Path) -> Result<u64, PackError> {
    let bytes = fs_err::read(path).map_err(PackError::io("Could not read", path))?;
    let pack = || {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(9));
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("library", options)?;
        zip.write_all(&bytes)?;
        Ok(zip.finish()?.into_inner().len() as u64)
    };
    pack().map_err(|error: zip::result::ZipError| PackError::Io {
        what: "Could not compress",
        path: path.to_owned(),
        source: std::io::Error::other(error),
    })
}
