//! The jobs of a backend plugin: a ggml-base of its own, one backend, and what makes a plugin of it.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use super::{
    Job, Planner, files,
    flags::{Flags, SEAL_FLAGS, SEAL_FLAGS_CPP, job_of},
    shaders::{Generator, Shaders},
};
use crate::{
    BuildError,
    cache::Cache,
    config::Config,
    plugin::{self, Options, Recipe},
    source::Tree,
    toolchain::Toolchain,
};

/// Files of our own that every plugin has.
const OWN: [(&str, &str); 7] = [
    CPU_CHECK,
    ("ggml_log.hpp", include_str!("../../shim/ggml_log.hpp")),
    GUARD,
    ("stdio.cpp", include_str!("../../shim/stdio.cpp")),
    ("plugin.cpp", include_str!("../../shim/plugin/plugin.cpp")),
    ("plugin.h", include_str!("../../shim/plugin/plugin.h")),
    ("main.c", include_str!("../../shim/plugin/main.c")),
];

/// Files of our own that a backend has that is linked into an engine.
const INSIDE: [(&str, &str); 3] = [
    CPU_CHECK,
    GUARD,
    ("inside.cpp", include_str!("../../shim/plugin/inside.cpp")),
];

const CPU_CHECK: (&str, &str) = (
    "cpu_check.hpp",
    include_str!("../../shim/plugin/cpu_check.hpp"),
);
const GUARD: (&str, &str) = ("guard.hpp", include_str!("../../shim/guard.hpp"));

/// Files of our own that a recipe may name in `shim`.
const SHIMS: [(&str, &str); 4] = [
    ("cerr.cpp", include_str!("../../shim/plugin/cerr.cpp")),
    (
        "cuda_driver.cpp",
        include_str!("../../shim/plugin/cuda_driver.cpp"),
    ),
    ("twin.cpp", include_str!("../../shim/plugin/twin.cpp")),
    (
        "vulkan_loader.cpp",
        include_str!("../../shim/plugin/vulkan_loader.cpp"),
    ),
];

/// A compiler of another language than C and C++.
#[derive(Debug)]
pub enum OtherCompiler {
    /// CUDA.
    Nvcc(Nvcc),
    /// Shaders: a generator makes C++ of them, and that the toolchain compiles.
    Shaders(Generator),
}

impl OtherCompiler {
    /// What it says of its version: part of the cache key.
    pub fn version(&self) -> &str {
        match self {
            Self::Nvcc(nvcc) => &nvcc.version,
            Self::Shaders(generator) => &generator.version,
        }
    }

    /// Starts a command line, and says what it shall compile; whatever has to be made of the file first goes
    /// into `scratch`.
    pub fn command(
        &self,
        toolchain: &Toolchain,
        file: &Path,
        scratch: &Path,
    ) -> Result<(Command, PathBuf), BuildError> {
        match self {
            Self::Nvcc(nvcc) => Ok((nvcc.command(toolchain), file.to_owned())),
            Self::Shaders(generator) => {
                let file = generator.generate(file, scratch)?;
                Ok((toolchain.compile(true), file))
            }
        }
    }
}

/// CUDA's compiler.
#[derive(Debug)]
pub struct Nvcc {
    program: PathBuf,
    version: String,
}

impl Nvcc {
    /// Starts a command line. The code for the CPU is compiled by the toolchain's compiler, and nobody else's flags
    /// are added: both would not be in the cache key.
    fn command(&self, toolchain: &Toolchain) -> Command {
        let mut command = Command::new(&self.program);
        for name in ["NVCC_CCBIN", "NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS"] {
            command.env_remove(name);
        }
        command.arg("-ccbin").arg(toolchain.cpp_program());
        let host_flags = toolchain.unfortified();
        command.args(host_flags.map(|flag| format!("-Xcompiler={flag}")));
        command
    }

    fn find(options: &Options) -> Result<Self, BuildError> {
        let program = options
            .toolkit
            .as_ref()
            .map_or_else(|| "nvcc".into(), |folder| folder.join("bin/nvcc"));
        let missing = || BuildError::MissingTool {
            program: program.display().to_string(),
            needed_for: "compiles CUDA; --toolkit names its folder",
            package: "nvidia-cuda-toolkit",
        };
        let output = Command::new(&program).arg("--version").output();
        let output = output.map_err(|_| missing())?;
        if !output.status.success() {
            return Err(missing());
        }
        Ok(Self {
            version: String::from_utf8_lossy(&output.stdout).into_owned(),
            program,
        })
    }
}

/// The jobs of a plugin.
pub struct PluginJobs {
    /// All of them.
    pub jobs: Vec<Job>,
    /// What the recipe would have and the shader compiler here does not know.
    pub without: Vec<String>,
}

/// Lists the jobs of a plugin, compiled against the ggml of `ggml`.
pub fn plugin(
    config: &Config,
    cache: &Cache,
    name: &str,
    recipe: &Recipe,
    ggml: &Tree,
    options: &Options,
) -> Result<PluginJobs, BuildError> {
    let planner = Planner { config, cache };
    let backend = planner.backend(name, recipe, ggml, options)?;
    let mut jobs = planner.plugin_base(recipe, ggml)?;
    jobs.extend(backend.jobs);
    jobs.extend(planner.plugin_shim(recipe, ggml)?);
    Ok(PluginJobs {
        jobs,
        without: backend.without,
    })
}

/// The jobs of a backend that is linked into an engine.
pub struct BackendJobs {
    /// The backend's own files.
    pub backend: Vec<Job>,
    /// What registers it.
    pub shim: Vec<Job>,
}

/// Lists the jobs of a backend that is linked into an engine, compiled against the ggml of `ggml`. The backend's
/// are those of its plugin.
pub fn backend(
    config: &Config,
    cache: &Cache,
    name: &str,
    recipe: &Recipe,
    ggml: &Tree,
    options: &Options,
) -> Result<BackendJobs, BuildError> {
    let planner = Planner { config, cache };
    let mut backend = planner.backend(name, recipe, ggml, options)?.jobs;
    let mut own = owned(&[GUARD]);
    own.extend(owned(&recipe_shims(recipe)?));
    backend.extend(planner.own_jobs(recipe, ggml, "backend", &own)?);
    Ok(BackendJobs {
        backend,
        shim: planner.own_jobs(recipe, ggml, "inside", &owned(&INSIDE))?,
    })
}

impl Planner<'_> {
    /// ggml without a backend of its own: nothing is registered in it but by its plugin.
    fn plugin_base(&self, recipe: &Recipe, ggml: &Tree) -> Result<Vec<Job>, BuildError> {
        let mut config = self.config.clone();
        config.ggml.base_defines.clone_from(&recipe.base_defines);
        let planner = Planner {
            config: &config,
            cache: self.cache,
        };
        planner.ggml_base(ggml)
    }

    fn backend(
        &self,
        name: &str,
        recipe: &Recipe,
        ggml: &Tree,
        options: &Options,
    ) -> Result<PluginJobs, BuildError> {
        let mut flags = self.ggml_flags(ggml, &recipe.defines, &recipe.includes);
        for flag in &recipe.flags {
            flags.plain(flag);
        }
        let glslc = recipe.glslc.as_ref();
        let shaders = glslc.map(|glslc| Shaders::new(self, glslc, ggml, options));
        let shaders = shaders.transpose()?;
        if let Some(shaders) = &shaders {
            shaders.add_to(&mut flags);
        }
        let spin_flags = flags.including("relax.h", &self.relax()?);
        let found: Vec<String> = files(&ggml.ggml, &recipe.files, &recipe.exclude)?.collect();
        if found.is_empty() {
            return Err(BuildError::config(format!(
                "Expected files of plugin {name} at: {} (found none in {})",
                recipe.files.join(", "),
                ggml.ggml.display()
            )));
        }
        let nvcc = match &recipe.nvcc {
            Some(nvcc) if found.iter().any(|file| is_cuda(file)) => {
                let compiler = Arc::new(OtherCompiler::Nvcc(Nvcc::find(options)?));
                Some((self.cuda_flags(recipe, nvcc, ggml)?, nvcc, compiler))
            }
            _ => None,
        };
        let jobs = found.into_iter().map(|file| match (&nvcc, &shaders) {
            (Some((flags, nvcc, compiler)), _) if is_cuda(&file) => {
                cuda_job(flags, nvcc, ggml, file, compiler)
            }
            (_, Some(shaders)) if is_shader(&file) => shaders.job(&flags, ggml, file),
            _ if Some(&file) == recipe.spin.as_ref() => job_of(&spin_flags, ggml, file, false),
            _ => job_of(&flags, ggml, file, false),
        });
        Ok(PluginJobs {
            jobs: jobs.collect(),
            without: shaders
                .as_ref()
                .map_or_else(Vec::new, |found| found.without.clone()),
        })
    }

    /// Definitions and folders, which nvcc spells as g++ does.
    fn cuda_flags(
        &self,
        recipe: &Recipe,
        nvcc: &plugin::Nvcc,
        ggml: &Tree,
    ) -> Result<Flags, BuildError> {
        let mut flags = Flags::new(&[&self.config.common.defines, &recipe.defines]);
        for folder in &recipe.includes {
            flags.include(&ggml.ggml, folder);
        }
        flags.plain("-O3");
        flags.plain("-std=c++17");
        for architecture in &nvcc.architectures {
            flags.plain(&gencode(architecture)?);
        }
        for flag in &nvcc.flags {
            flags.plain(flag);
        }
        Ok(flags)
    }

    /// What makes a plugin of a backend: entry points, log, abort, and a program that tries it.
    fn plugin_shim(&self, recipe: &Recipe, ggml: &Tree) -> Result<Vec<Job>, BuildError> {
        let mut own = owned(&OWN);
        own.extend(owned(&recipe_shims(recipe)?));
        self.own_jobs(recipe, ggml, "plugin", &own)
    }

    /// Files of our own around a backend.
    fn own_jobs(
        &self,
        recipe: &Recipe,
        ggml: &Tree,
        kind: &str,
        own: &[(String, String)],
    ) -> Result<Vec<Job>, BuildError> {
        let includes = ["src", "include"].map(str::to_owned);
        let mut flags = self.ggml_flags(ggml, &recipe.base_defines, &includes);
        let folder = self.generate(kind, own)?;
        flags.generated(&folder);
        flags.plain(&format!("-DTRIFOLD_ENGINE={kind}"));
        flags.plain(&format!("-DTRIFOLD_PLUGIN_REGISTER={}", recipe.register));
        if recipe.cpu_features.iter().any(|feature| feature == "avx2") {
            flags.plain("-DTRIFOLD_PLUGIN_AVX2");
        }
        if let Some(nvcc) = &recipe.nvcc {
            let quoted = |name: &str, words: &str| format!("-D{name}=\"{words}\"");
            let here = nvcc.architectures.join(" ");
            flags.plain(&quoted("TRIFOLD_PLUGIN_ARCHITECTURES", &here));
            flags.plain(&quoted("TRIFOLD_PLUGIN_PACKAGES", &recipe.packages()));
        }
        if let Some(score) = &recipe.score {
            flags.plain(&format!("-DTRIFOLD_PLUGIN_SCORE={score}"));
        }
        Ok(own
            .iter()
            .filter_map(|(file, _)| {
                let cpp = has_extension(file, "cpp");
                (cpp || has_extension(file, "c"))
                    .then(|| flags.job(format!("{kind}/{file}"), folder.join(file), cpp))
            })
            .collect())
    }
}

/// The files of our own that a recipe names.
fn recipe_shims(recipe: &Recipe) -> Result<Vec<(&'static str, &'static str)>, BuildError> {
    let find = |wanted: &String| {
        let found = SHIMS.into_iter().find(|(name, _)| name == wanted);
        found.ok_or_else(|| {
            BuildError::config(format!("expected a shim of our own, found: {wanted}"))
        })
    };
    recipe.shim.iter().map(find).collect()
}

fn owned(files: &[(&str, &str)]) -> Vec<(String, String)> {
    let texts = files.iter();
    texts
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

fn is_cuda(file: &str) -> bool {
    has_extension(file, "cu")
}

fn is_shader(file: &str) -> bool {
    has_extension(file, "comp")
}

fn has_extension(file: &str, extension: &str) -> bool {
    Path::new(file)
        .extension()
        .is_some_and(|found| found == extension)
}

/// A file for nvcc, which hands what the host's compiler is to know on to it.
fn cuda_job(
    flags: &Flags,
    nvcc: &plugin::Nvcc,
    ggml: &Tree,
    file: String,
    compiler: &Arc<OtherCompiler>,
) -> Job {
    let mut job = job_of(flags, ggml, file, true);
    let prefix = format!("-ffile-prefix-map={}={}", ggml.root.display(), ggml.engine);
    let host = SEAL_FLAGS
        .iter()
        .chain(&SEAL_FLAGS_CPP)
        .filter(|flag| !flag.starts_with("-std="))
        .map(|flag| (*flag).to_owned())
        .chain(["-fPIC".to_owned(), prefix])
        .chain(nvcc.host_flags.iter().cloned());
    job.flags.clone_from(&flags.flags);
    job.flags
        .extend(host.map(|flag| format!("-Xcompiler={flag}")));
    job.key.extend(nvcc.host_flags.iter().cloned());
    job.key.push(compiler.version().to_owned());
    job.key.push(format!("tree {} {}", ggml.engine, ggml.id));
    job.compiler = Some(Arc::clone(compiler));
    job
}

/// `90` is machine code for that GPU, `120-virtual` is PTX, for that and later ones.
fn gencode(architecture: &str) -> Result<String, BuildError> {
    let (number, kind) = match architecture.strip_suffix("-virtual") {
        Some(number) => (number, "compute"),
        None => (architecture, "sm"),
    };
    if number.is_empty() || !number.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(BuildError::config(format!(
            "expected architectures such as 90, 120a or 120a-virtual, found: {architecture}"
        )));
    }
    Ok(format!(
        "-gencode=arch=compute_{number},code={kind}_{number}"
    ))
}
