//! Which files are compiled, with which flags.

mod flags;
mod kernels;
mod plugin;
mod shaders;
mod tables;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    BuildError,
    cache::{Cache, Key, write_atomically},
    config::{Config, Unit, Vocabularies},
    pattern::matches,
    source::Tree,
    vocabulary,
};

use flags::{Flags, is_cpp, job_of};

pub use plugin::{BackendJobs, OtherCompiler, PluginJobs, backend, plugin};

/// Those of them that hide symbols.
const HIDING: [&str; 3] = [
    "-fvisibility=hidden",
    "-fvisibility-inlines-hidden",
    "-fno-gnu-unique",
];

/// One run of the compiler.
#[derive(Clone, Debug)]
pub struct Job {
    /// What to show: the file, relative to its source.
    pub label: String,
    /// The file to compile.
    pub file: PathBuf,
    /// C++ or C.
    pub cpp: bool,
    /// The flags, without the ones that the toolchain adds.
    pub flags: Vec<String>,
    /// What compiles it, if it is neither C nor C++; the flags are such as that program takes.
    pub compiler: Option<Arc<OtherCompiler>>,
    /// Identifies the object, together with the toolchain.
    key: Vec<String>,
}

impl Job {
    /// The name of the object in the cache.
    pub fn object_key(
        &self,
        toolchain_id: &str,
        target_flags: impl Iterator<Item = String>,
    ) -> String {
        let mut key = Key::new("object");
        key.text(toolchain_id).texts(target_flags).texts(&self.key);
        key.finish()
    }

    /// Without what hides symbols.
    fn open(mut self) -> Self {
        let shows = |flag: &String| !HIDING.contains(&flag.as_str());
        self.flags.retain(shows);
        self.key.retain(shows);
        self
    }
}

/// The jobs of the kernels of a CPU level.
#[derive(Debug)]
pub struct LevelJobs {
    /// Its name.
    pub level: String,
    /// Its place among the levels of this architecture, those that are not built included.
    pub number: usize,
    /// What is compiled.
    pub jobs: Vec<Job>,
    /// Which of the jobs has the switch over operations.
    pub switch: Option<usize>,
}

/// Where source says which operations there are in graphs; see `seal/unused.rs`.
#[derive(Clone, Debug)]
pub struct GraphSources {
    /// ggml's functions that put operations into graphs.
    pub builders: PathBuf,
    /// The switch over operations.
    pub switch: PathBuf,
    /// All else that is compiled.
    pub others: Vec<PathBuf>,
}

/// The jobs of one engine, by the part that they end in.
#[derive(Debug)]
pub struct Jobs {
    /// The CPU backend, by level; sealed on its own.
    pub kernels: Vec<LevelJobs>,
    /// The rest of ggml.
    pub base: Vec<Job>,
    /// The engine, and its shim.
    pub rest: Vec<Job>,
    /// Where operations come from.
    pub graphs: GraphSources,
}

impl Jobs {
    /// All of them; the big files come last.
    pub fn all(&self) -> impl Iterator<Item = &Job> {
        self.kernels
            .iter()
            .flat_map(|kernels| &kernels.jobs)
            .chain(&self.base)
            .chain(&self.rest)
    }

    /// The same files, with every symbol visible, as the field compiles them.
    #[must_use]
    pub fn open(self) -> Self {
        let open = |jobs: Vec<Job>| jobs.into_iter().map(Job::open).collect();
        Self {
            kernels: self
                .kernels
                .into_iter()
                .map(|kernels| LevelJobs {
                    jobs: open(kernels.jobs),
                    ..kernels
                })
                .collect(),
            base: open(self.base),
            rest: open(self.rest),
            graphs: self.graphs,
        }
    }
}

/// Lists the jobs of an engine, compiled against the ggml of `ggml`.
pub fn jobs(
    config: &Config,
    cache: &Cache,
    name: &str,
    tree: &Tree,
    ggml: &Tree,
    shim: &Path,
) -> Result<Jobs, BuildError> {
    let planner = Planner { config, cache };
    let base = planner.ggml_base(ggml)?;
    let mut rest = planner.engine(name, tree, ggml)?;
    rest.extend(planner.shim(name, tree, ggml, shim)?);
    let kernels = config
        .built_levels()
        .map(|(number, level)| {
            let jobs = planner.kernels(ggml, level)?;
            let main = &config.ggml.kernels_main;
            Ok(LevelJobs {
                level: level.name.clone(),
                number,
                switch: jobs.iter().position(|job| job.label == *main),
                jobs,
            })
        })
        .collect::<Result<_, BuildError>>()?;
    Ok(Jobs {
        kernels,
        base,
        rest,
        graphs: planner.graphs(name, tree, ggml)?,
    })
}

/// Lists the jobs of what a ggml needs that several engines share, besides the jobs of ggml itself.
pub fn shared_ggml(config: &Config, cache: &Cache, ggml: &Tree) -> Result<Vec<Job>, BuildError> {
    Planner { config, cache }.shared_shim(ggml)
}

struct Planner<'a> {
    config: &'a Config,
    cache: &'a Cache,
}

impl Planner<'_> {
    fn graphs(&self, name: &str, tree: &Tree, ggml: &Tree) -> Result<GraphSources, BuildError> {
        let parts = &self.config.ggml;
        let mut others: Vec<PathBuf> = files(&ggml.ggml, &parts.base, &parts.base_exclude)?
            .filter(|file| *file != parts.base_builders)
            .map(|file| ggml.ggml.join(file))
            .collect();
        for unit in &self.config.engine(name)?.units {
            let files = self::files(&tree.root, &unit.files, &unit.exclude)?;
            others.extend(files.map(|file| tree.root.join(file)));
        }
        Ok(GraphSources {
            builders: ggml.ggml.join(&parts.base_builders),
            switch: ggml.ggml.join(&parts.kernels_main),
            others,
        })
    }

    fn ggml_base(&self, ggml: &Tree) -> Result<Vec<Job>, BuildError> {
        let parts = &self.config.ggml;
        let mut flags = self.ggml_flags(ggml, &parts.base_defines, &parts.base_includes);
        let template = ggml.ggml.join("src/ggml-version.h.in");
        if template.is_file() {
            flags.generated(&self.configured(ggml, &[template])?);
        } else {
            for (name, value) in ggml_version_values(ggml) {
                let name = if name == "GGML_BUILD_COMMIT" {
                    "GGML_COMMIT"
                } else {
                    name
                };
                flags.plain(&format!("-D{name}=\"{value}\""));
            }
        }
        let small_flags = flags.small();
        let quants = include_str!("../shim/quants.h");
        let quants = self.generate("quants", &[("quants.h".to_owned(), quants.to_owned())])?;
        let rows_flags = small_flags.including("quants.h", &quants);
        let tables = self.tables(ggml)?;
        files(&ggml.ggml, &parts.base, &parts.base_exclude)?
            .map(|file| {
                let flags = if file == parts.base_rows {
                    &rows_flags
                } else if parts.base_small.contains(&file) {
                    &small_flags
                } else {
                    &flags
                };
                tables.job(flags, ggml, file)
            })
            .chain(tables.own(&small_flags).map(Ok))
            .collect()
    }

    fn ggml_flags(&self, ggml: &Tree, defines: &[String], includes: &[String]) -> Flags {
        let mut flags = Flags::new(&[&self.config.common.defines, defines]);
        flags.tree(ggml);
        for folder in includes {
            flags.include(&ggml.ggml, folder);
        }
        flags
    }

    fn engine(&self, name: &str, tree: &Tree, ggml: &Tree) -> Result<Vec<Job>, BuildError> {
        let engine = self.config.engine(name)?;
        let mut jobs = Vec::new();
        for unit in &engine.units {
            let flags = self.engine_flags(name, tree, ggml, &unit.includes)?;
            let flags = if unit.small { flags.small() } else { flags };
            let files: Vec<_> = self::files(&tree.root, &unit.files, &unit.exclude)?.collect();
            if files.is_empty() {
                return Err(BuildError::config(format!(
                    "Expected files of {name} at: {} (found none in {})",
                    unit.files.join(", "),
                    tree.root.display()
                )));
            }
            match unit.unity {
                Some(batch) => jobs.extend(self.unity(&flags, tree, unit, &files, batch)?),
                None => jobs.extend(
                    files
                        .into_iter()
                        .map(|file| job_of(&flags, tree, file, unit.cpp)),
                ),
            }
        }
        if let Some(vocabularies) = &engine.vocabularies {
            jobs.push(self.vocabulary_job(name, tree, ggml, vocabularies)?);
        }
        Ok(jobs)
    }

    /// `first`: include folders that are searched before those of the engine.
    fn engine_flags(
        &self,
        name: &str,
        tree: &Tree,
        ggml: &Tree,
        first: &[String],
    ) -> Result<Flags, BuildError> {
        let engine = self.config.engine(name)?;
        let mut flags = Flags::new(&[&self.config.common.defines, &engine.defines]);
        if let Some(define) = &engine.version_define {
            // stable-diffusion.cpp makes a string of it by itself.
            let quote = if engine.vocabularies.is_some() {
                ""
            } else {
                "\""
            };
            flags.plain(&format!("-D{define}={quote}{}{quote}", tree.version));
        }
        if tree.id != ggml.id {
            flags.tree(ggml);
        }
        flags.tree(tree);
        for folder in first.iter().chain(&engine.includes) {
            flags.include(&tree.root, folder);
        }
        flags.include(&ggml.ggml, "include");
        if !engine.configure.is_empty() {
            let templates: Vec<_> = engine
                .configure
                .iter()
                .map(|path| tree.root.join(path))
                .collect();
            flags.generated(&self.configured(tree, &templates)?);
        }
        Ok(flags)
    }

    /// Our own C++: the guarded calls of the engine, and what all engines share.
    fn shim(
        &self,
        name: &str,
        tree: &Tree,
        ggml: &Tree,
        shim: &Path,
    ) -> Result<Vec<Job>, BuildError> {
        let mut files = vec![
            (
                "ggml_log.hpp".to_owned(),
                include_str!("../shim/ggml_log.hpp").to_owned(),
            ),
            (
                "guard.hpp".to_owned(),
                include_str!("../shim/guard.hpp").to_owned(),
            ),
            (
                "cpu.cpp".to_owned(),
                include_str!("../shim/cpu.cpp").to_owned(),
            ),
            (
                "stdio.cpp".to_owned(),
                include_str!("../shim/stdio.cpp").to_owned(),
            ),
            (
                "host.cpp".to_owned(),
                include_str!("../shim/host.cpp").to_owned(),
            ),
            (
                "plugin.h".to_owned(),
                include_str!("../shim/plugin/plugin.h").to_owned(),
            ),
        ];
        for file in self::files(shim, &["*.cpp".into(), "*.h".into(), "*.inc".into()], &[])? {
            let path = shim.join(&file);
            let text =
                fs_err::read_to_string(&path).map_err(BuildError::io("Could not read", &path))?;
            files.push((file, text));
        }
        self.own(name, &files, self.engine_flags(name, tree, ggml, &[])?)
    }

    /// Our own C++ for a ggml that several engines share.
    fn shared_shim(&self, ggml: &Tree) -> Result<Vec<Job>, BuildError> {
        let files = [
            ("guard.hpp", include_str!("../shim/guard.hpp")),
            ("shared_ggml.cpp", include_str!("../shim/shared_ggml.cpp")),
            ("cpu.cpp", include_str!("../shim/cpu.cpp")),
            ("stdio.cpp", include_str!("../shim/stdio.cpp")),
        ]
        .map(|(name, text)| (name.to_owned(), text.to_owned()));
        let parts = &self.config.ggml;
        let flags = self.ggml_flags(ggml, &parts.base_defines, &parts.base_includes);
        self.own("ggml", &files, flags)
    }

    /// Files of our own, whose functions bear the name of what they are compiled into.
    fn own(
        &self,
        name: &str,
        files: &[(String, String)],
        mut flags: Flags,
    ) -> Result<Vec<Job>, BuildError> {
        let folder = self.generate("shim", files)?;
        flags.generated(&folder);
        flags.plain(&format!("-DTRIFOLD_ENGINE={name}"));
        // The engines' threads are taken over at std::thread::_State, which is private since GCC 13.
        flags.plain("-fno-access-control");
        Ok(files
            .iter()
            .map(|(file, _)| file)
            .filter(|file| is_cpp(file))
            .map(|file| flags.job(format!("shim/{file}"), folder.join(file), true))
            .collect())
    }

    fn unity(
        &self,
        flags: &Flags,
        tree: &Tree,
        unit: &Unit,
        files: &[String],
        batch: usize,
    ) -> Result<Vec<Job>, BuildError> {
        let first = unit
            .files
            .first()
            .map_or("unit", String::as_str)
            .replace(['/', '*'], "_");
        files
            .chunks(batch)
            .enumerate()
            .map(|(index, chunk)| {
                let text = chunk.iter().fold(String::new(), |text, file| {
                    text + "#include \"" + file + "\"\n"
                });
                let name = format!("unity_{index}.cpp");
                let folder = self.generate("unity", &[(name.clone(), text)])?;
                let mut flags = flags.clone();
                flags.include(&tree.root, "");
                flags.generated(&folder);
                let label = format!("{first}{index} ({} files)", chunk.len());
                Ok(flags.job(label, folder.join(name), true))
            })
            .collect()
    }

    fn vocabulary_job(
        &self,
        name: &str,
        tree: &Tree,
        ggml: &Tree,
        vocabularies: &Vocabularies,
    ) -> Result<Job, BuildError> {
        let text = vocabulary::source_file(&tree.root, vocabularies)?;
        let folder = self.generate("vocabulary", &[("vocabulary.cpp".into(), text)])?;
        let mut flags = self.engine_flags(name, tree, ggml, &[])?;
        flags.generated(&folder);
        Ok(flags.job("vocabulary.cpp".into(), folder.join("vocabulary.cpp"), true))
    }

    /// Fills in CMake templates and returns the folder of the results.
    fn configured(&self, tree: &Tree, templates: &[PathBuf]) -> Result<PathBuf, BuildError> {
        let mut values = ggml_version_values(tree).to_vec();
        values.push(("LLAMA_VERSION", tree.version.clone()));
        values.push(("LLAMA_BUILD_COMMIT", tree.label.clone()));
        let files = templates
            .iter()
            .map(|path| {
                let text =
                    fs_err::read_to_string(path).map_err(BuildError::io("Could not read", path))?;
                let filled = values.iter().fold(text, |text, (name, value)| {
                    text.replace(&format!("@{name}@"), value)
                });
                if let Some(left) = filled.split('@').nth(1) {
                    return Err(BuildError::config(format!(
                        "Expected a value for @{left}@ in: {}",
                        path.display()
                    )));
                }
                let name = path
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                Ok((name, filled))
            })
            .collect::<Result<Vec<_>, BuildError>>()?;
        self.generate("configured", &files)
    }

    /// Writes files into a folder named after their content.
    fn generate(&self, kind: &str, files: &[(String, String)]) -> Result<PathBuf, BuildError> {
        let mut key = Key::new(kind);
        for (name, text) in files {
            key.text(name).text(text);
        }
        let folder = self
            .cache
            .folder("generated")?
            .join(format!("{kind}-{}", key.finish()));
        fs_err::create_dir_all(&folder).map_err(BuildError::io("Could not create", &folder))?;
        for (name, text) in files {
            let path = folder.join(name);
            if !path.is_file() {
                write_atomically(&path, text.as_bytes())?;
            }
        }
        Ok(folder)
    }
}

fn files(
    root: &Path,
    patterns: &[String],
    exclude: &[String],
) -> Result<impl Iterator<Item = String> + use<>, BuildError> {
    let mut files = BTreeSet::new();
    for pattern in patterns {
        files.extend(glob(root, pattern)?);
    }
    for file in exclude {
        files.remove(file);
    }
    Ok(files.into_iter())
}

fn ggml_version_values(tree: &Tree) -> [(&'static str, String); 2] {
    [
        ("GGML_VERSION", tree.ggml_version.clone()),
        ("GGML_BUILD_COMMIT", tree.label.clone()),
    ]
}

/// The files that match a pattern, relative to `root`, sorted. Each part of the path may hold `*`.
/// A folder that is not there is no error.
pub fn glob(root: &Path, pattern: &str) -> Result<Vec<String>, BuildError> {
    let mut found = vec![String::new()];
    for part in pattern.split('/') {
        let mut next = Vec::new();
        for folder in found {
            next.extend(inside(root, &folder, part)?);
        }
        found = next;
    }
    found.retain(|path| root.join(path).is_file());
    found.sort();
    Ok(found)
}

/// What matches one part of a pattern in a folder.
fn inside(root: &Path, folder: &str, part: &str) -> Result<Vec<String>, BuildError> {
    let below = |name: &str| match folder {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    };
    if !part.contains('*') {
        return Ok(vec![below(part)]);
    }
    let path = root.join(folder);
    if !path.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs_err::read_dir(&path).map_err(BuildError::io("Could not read", &path))? {
        let entry = entry.map_err(BuildError::io("Could not read", &path))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if matches(part, &name) {
            found.push(below(&name));
        }
    }
    Ok(found)
}
