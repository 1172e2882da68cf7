//! Shaders of a backend: compiled by glslc, hundreds of variants of each, and packed into C++ by a generator that is
//! part of ggml's source.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use super::{
    Job, OtherCompiler, Planner,
    flags::{Flags, job_of},
};
use crate::{
    BuildError,
    cache::{Cache, Key},
    compile::run,
    plugin::{Glslc, Options},
    source::Tree,
    toolchain::Toolchain,
};

/// What comes before the backend's own files.
const PRELUDE: (&str, &str) = (
    "vulkan_headers.hpp",
    include_str!("../../shim/plugin/vulkan_headers.hpp"),
);

/// What tells one state of the headers from another: all that they define.
const HEADERS: &str = "#include <vulkan/vulkan.hpp>\n#include <spirv/unified1/spirv.hpp>\n";

/// The generator, and the compiler that it runs.
#[derive(Debug)]
pub struct Generator {
    program: PathBuf,
    glslc: PathBuf,
    /// The header that it writes, which says what all shaders are called.
    header: String,
    /// What glslc says of its version.
    pub version: String,
}

/// How the shaders of a backend are compiled, and what the backend's own files need to know.
pub(super) struct Shaders {
    generator: Arc<OtherCompiler>,
    /// The folder of the generated header.
    header: PathBuf,
    prelude: PathBuf,
    headers: String,
    include: Option<PathBuf>,
    /// Definitions for what glslc knows.
    defines: Vec<String>,
    /// Those for what it does not know.
    pub(super) without: Vec<String>,
}

impl Generator {
    /// Turns a file of shaders into C++, in a folder.
    pub fn generate(&self, file: &Path, folder: &Path) -> Result<PathBuf, BuildError> {
        let target = folder.join("shaders.cpp");
        let mut command = self.command(folder);
        command
            .arg("--glslc")
            .arg(&self.glslc)
            .arg("--source")
            .arg(file)
            .arg("--target-cpp")
            .arg(&target);
        run(
            &format!("Could not compile the shaders of {}", file.display()),
            &mut command,
        )?;
        Ok(target)
    }

    /// The header, which is the same for all files.
    fn header(&self, folder: &Path) -> Result<String, BuildError> {
        run("Could not list the shaders", &mut self.command(folder))?;
        let path = folder.join(&self.header);
        fs_err::read_to_string(&path).map_err(BuildError::io("Could not read", path))
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--output-dir")
            .arg(folder)
            .arg("--target-hpp")
            .arg(folder.join(&self.header));
        command
    }
}

impl Shaders {
    /// Finds glslc and the headers, asks what they know, and builds the generator if the cache has none.
    pub(super) fn new(
        planner: &Planner<'_>,
        recipe: &Glslc,
        ggml: &Tree,
        options: &Options,
    ) -> Result<Self, BuildError> {
        let toolchain = Toolchain::find()?;
        let glslc = options
            .toolkit
            .as_ref()
            .map_or_else(|| "glslc".into(), |folder| folder.join("bin/glslc"));
        let version = version(&glslc)?;
        let (defines, without) = features(recipe, &glslc, ggml)?;
        let include = options
            .toolkit
            .as_ref()
            .map(|folder| folder.join("include"));
        let headers = headers(planner, &toolchain, include.as_deref())?;
        let program = program(planner.cache, &toolchain, recipe, ggml, &defines)?;
        let generator = Generator {
            program,
            glslc,
            header: recipe.header.clone(),
            version,
        };
        let folder = planner.cache.folder("generated")?;
        let scratch = tempfile::tempdir_in(&folder)
            .map_err(BuildError::io("Could not create a folder in", folder))?;
        let text = generator.header(scratch.path())?;
        let header = planner.generate("shaders", &[(recipe.header.clone(), text)])?;
        let own = (PRELUDE.0.to_owned(), PRELUDE.1.to_owned());
        Ok(Self {
            generator: Arc::new(OtherCompiler::Shaders(generator)),
            header,
            prelude: planner.generate("prelude", &[own])?,
            headers,
            include,
            defines,
            without,
        })
    }

    /// For the backend's files in C++.
    pub(super) fn add_to(&self, flags: &mut Flags) {
        for define in &self.defines {
            flags.plain(&format!("-D{define}"));
        }
        flags.generated(&self.header);
        *flags = flags.including(PRELUDE.0, &self.prelude);
        if let Some(include) = &self.include {
            flags.flags.push(format!("-I{}", include.display()));
        }
        // Not part of the source: where they are must not matter, what they say must.
        flags.key.push(format!("headers {}", self.headers));
    }

    /// For a file of shaders; `flags` are those of the backend's files in C++.
    pub(super) fn job(&self, flags: &Flags, ggml: &Tree, file: String) -> Job {
        let mut job = job_of(flags, ggml, file, true);
        job.key.push(self.generator.version().to_owned());
        job.compiler = Some(Arc::clone(&self.generator));
        job
    }
}

fn version(glslc: &Path) -> Result<String, BuildError> {
    let missing = || BuildError::MissingTool {
        program: glslc.display().to_string(),
        needed_for: "compiles shaders; --toolkit names the folder of a Vulkan SDK",
        package: "glslc",
    };
    let output = Command::new(glslc).arg("--version").output();
    let output = output.map_err(|_| missing())?;
    if !output.status.success() {
        return Err(missing());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The definitions of what glslc knows, and of what it does not know.
fn features(
    recipe: &Glslc,
    glslc: &Path,
    ggml: &Tree,
) -> Result<(Vec<String>, Vec<String>), BuildError> {
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    for (define, test) in &recipe.features {
        let path = ggml.ggml.join(test);
        let mut command = Command::new(glslc);
        command
            .args(["-fshader-stage=compute", "--target-env=vulkan1.3", "-o"])
            .arg("/dev/null")
            .arg(&path);
        match run(&format!("Could not compile {test}"), &mut command) {
            Ok(()) => known.push(define.clone()),
            Err(BuildError::Command { output, .. })
                if output.contains("extension not supported") =>
            {
                unknown.push(define.clone());
            }
            Err(error) => return Err(error),
        }
    }
    Ok((known, unknown))
}

/// A digest of the headers of Vulkan and SPIR-V.
fn headers(
    planner: &Planner<'_>,
    toolchain: &Toolchain,
    include: Option<&Path>,
) -> Result<String, BuildError> {
    let name = "headers.cpp".to_owned();
    let folder = planner.generate("headers", &[(name.clone(), HEADERS.to_owned())])?;
    let mut command = toolchain.compile(true);
    if let Some(include) = include {
        command.arg(format!("-I{}", include.display()));
    }
    command.args(["-E", "-P", "-dD"]).arg(folder.join(name));
    let output = command.output().map_err(BuildError::io(
        "Could not run",
        Path::new(command.get_program()),
    ))?;
    if !output.status.success() {
        return Err(BuildError::MissingTool {
            program: "vulkan/vulkan.hpp and spirv/unified1/spirv.hpp".into(),
            needed_for: "headers of Vulkan and SPIR-V; --toolkit names the folder of a Vulkan SDK",
            package: "libvulkan-dev spirv-headers",
        });
    }
    let mut key = Key::new("headers");
    key.bytes(&output.stdout);
    Ok(key.finish())
}

/// The generator, compiled for this machine.
fn program(
    cache: &Cache,
    toolchain: &Toolchain,
    recipe: &Glslc,
    ggml: &Tree,
    defines: &[String],
) -> Result<PathBuf, BuildError> {
    let mut key = Key::new("shader generator");
    key.text(&toolchain.id)
        .text(&ggml.id)
        .text(&recipe.generator)
        .texts(defines);
    let key = key.finish();
    let folder = cache.folder("tools")?;
    let path = folder.join(&key);
    let _lock = cache.lock(&key)?;
    if path.is_file() {
        return Ok(path);
    }
    let work = tempfile::NamedTempFile::new_in(&folder)
        .map_err(BuildError::io("Could not create a file in", &folder))?
        .into_temp_path();
    let mut command = toolchain.compile(true);
    command
        .args(["-std=gnu++17", "-pthread", "-O1", "-w"])
        .args(defines.iter().map(|define| format!("-D{define}")))
        .arg(ggml.ggml.join(&recipe.generator))
        .arg("-o")
        .arg(&work);
    run("Could not compile the generator of shaders", &mut command)?;
    work.persist(&path)
        .map_err(|error| BuildError::io("Could not write", &path)(error.error))?;
    Ok(path)
}
