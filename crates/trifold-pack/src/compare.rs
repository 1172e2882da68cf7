//! Builds layouts and measures what each of them costs and gives.
//!
//! Every figure comes from the run that reports it: the wheels are built, installed into fresh environments,
//! imported, loaded together and tested there. What a layout cannot do is tried, and what came of it is
//! reported.

mod environment;
mod measure;
mod render;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use trifold_build::{Mode, glibc::Floor};

use crate::{
    PackError,
    layout::{self, Layout, Workspace},
};
use environment::Environment;

pub use render::{human, markdown, schema, svg, to_json};

/// Of the JSON form.
const SCHEMA_VERSION: u32 = 1;

/// What is compared, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The layouts.
    pub layouts: Vec<Layout>,
    /// The engines.
    pub engines: Vec<String>,
    /// The interpreter that environments are made with.
    pub python: PathBuf,
    /// Where everything is built.
    pub out: PathBuf,
    /// The oldest glibc that the wheels run on.
    pub floor: Floor,
    /// Compile Rust fast instead of small: then sizes say little.
    pub quick: bool,
    /// Also compile the engines with an empty cache. It takes as long as the first build of trifold does,
    /// twice.
    pub cold: bool,
    /// Which tests each layout must pass.
    pub suite: Suite,
}

/// The tests of the engines' Python packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// Everything.
    All,
    /// The tours: each part of the API once.
    Tour,
}

/// What was found out.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(title = "Report of trifold-pack compare")]
pub struct Report {
    /// The version of this form.
    pub schema: u32,
    /// The program and its version.
    pub tool: String,
    /// The interpreter's version.
    pub python: String,
    /// The CPU, and how many of its threads may be used.
    pub machine: String,
    /// The engines.
    pub engines: Vec<String>,
    /// How long the bare interpreter takes to start and end, in milliseconds; a median.
    pub bare_start_ms: f64,
    /// One for each layout.
    pub rows: Vec<Row>,
}

impl Report {
    /// Whether every layout was built and passed its tests.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.rows.iter().all(|row| row.tests.failed == 0)
    }
}

/// A layout, measured.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Row {
    /// The layout.
    pub layout: String,
    /// Seconds to compile the engines' C++ with an empty cache and to build the wheels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cold_seconds: Option<f64>,
    /// Seconds to build the wheels again.
    pub warm_seconds: f64,
    /// The wheels.
    pub wheels: Vec<Wheel>,
    /// Bytes that they take when installed, without what they depend on.
    pub installed_bytes: u64,
    /// The ggml of each engine, all in one process, as they say themselves.
    pub ggml: Outcome<Vec<String>>,
    /// The same where each engine is compiled against the ggml that it ships, if it then answers as before.
    pub own_ggml: Outcome<Vec<String>>,
    /// Symbols that others see, and that are neither `PyInit_*` nor a C API made for others.
    pub private_exports: usize,
    /// All engines in one process, in every order, with their work done: one for each of the flags, if there
    /// are several engines.
    pub coload: Vec<Coload>,
    /// Milliseconds that importing all engines adds to the start of the interpreter; the median of several.
    pub start_ms: Outcome<f64>,
    /// Bytes in memory with a model of each engine loaded and used.
    pub resident_bytes: Outcome<u64>,
    /// The tests of the Python packages.
    pub tests: Tests,
}

/// A wheel.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Wheel {
    /// Its file name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// Something that was tried.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome<T> {
    /// It works.
    Works(T),
    /// It does not: the last words.
    Fails(String),
}

/// Whether engines can be in one process.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Coload {
    /// `local` or `global`.
    pub flags: String,
    /// Whether every run ended well, and no engine took a symbol of another.
    pub safe: bool,
    /// How many runs did not end well, of how many.
    pub failures: usize,
    /// Of how many.
    pub runs: usize,
    /// How many symbols one engine takes from another.
    pub symbols: usize,
}

/// What came of tests.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Tests {
    /// How many passed.
    pub passed: usize,
    /// How many failed, or could not be run.
    pub failed: usize,
    /// How many were skipped.
    pub skipped: usize,
    /// The failed ones.
    pub failures: Vec<String>,
}

/// Builds and measures. `progress` gets what is being done, in a few words.
///
/// # Errors
/// What keeps a layout from being built or installed. What a built layout cannot do is in the report.
pub fn compare(
    workspace: &Workspace,
    options: &Options,
    progress: &mut dyn FnMut(&str),
) -> Result<Report, PackError> {
    fs_err::create_dir_all(&options.out)
        .map_err(PackError::io("Could not create", &options.out))?;
    progress("demo models");
    let mut comparing = Comparing {
        workspace,
        options,
        models: demo_models(workspace, &options.out.join("models"))?,
        progress,
    };
    let cold = comparing.cold()?;
    let mut rows = Vec::new();
    let mut bare = Vec::new();
    for &layout in &options.layouts {
        let (row, start) = comparing.row(layout, &cold)?;
        rows.push(row);
        bare.push(start);
    }
    Ok(Report {
        schema: SCHEMA_VERSION,
        tool: format!("trifold-pack {}", env!("CARGO_PKG_VERSION")),
        python: environment::version(&options.python)?,
        machine: measure::machine(),
        engines: options.engines.clone(),
        bare_start_ms: measure::median(&mut bare),
        rows,
    })
}

struct Comparing<'a> {
    workspace: &'a Workspace,
    options: &'a Options,
    progress: &'a mut dyn FnMut(&str),
    /// The wheel with the demo models.
    models: PathBuf,
}

/// Builds the wheel with the demo models into a folder.
fn demo_models(workspace: &Workspace, folder: &Path) -> Result<PathBuf, PackError> {
    workspace.wheels(folder, ["trifold-demo-models".to_owned()])?;
    layout::wheels_in(folder)?
        .pop()
        .ok_or_else(|| PackError::Empty {
            path: folder.to_owned(),
        })
}

/// Seconds that compiling from nothing adds, by whether the objects are open ones.
#[derive(Default)]
struct Cold {
    open: Option<f64>,
    hidden: Option<f64>,
}

impl Comparing<'_> {
    fn row(&mut self, layout: Layout, cold: &Cold) -> Result<(Row, f64), PackError> {
        (self.progress)(&format!("{layout}: building"));
        let options = self.layout_options(layout, Mode::Aligned, "layouts");
        // The first time it compiles what is not in the cache.
        layout::wheels(self.workspace, &options)?;
        let started = Instant::now();
        let wheels = layout::wheels(self.workspace, &options)?.wheels;
        let warm_seconds = started.elapsed().as_secs_f64();
        let added = match layout {
            Layout::Monolith => cold.open,
            _ => cold.hidden,
        };

        let environment = self.environment(layout.name(), &wheels)?;
        (self.progress)(&format!("{layout}: versions of ggml in one process"));
        let ggml = environment.versions(&self.options.engines);
        let own_ggml = match layout {
            // It has a ggml of its own for each engine that the field gives one.
            Layout::Monolith => ggml.clone(),
            _ => match environment.answers(&self.options.engines) {
                Outcome::Works(answers) => self.own_ggml(layout, &answers)?,
                Outcome::Fails(words) => Outcome::Fails(words),
            },
        };
        (self.progress)(&format!("{layout}: loading together"));
        let coload = measure::coload(&environment, &self.options.engines)?;
        (self.progress)(&format!("{layout}: start and memory"));
        let (start_ms, bare) = measure::start(&environment, &self.options.engines)?;
        let resident_bytes = environment.resident(&self.options.engines);
        (self.progress)(&format!("{layout}: tests"));
        let tests = self.tests(&environment)?;
        let row = Row {
            layout: layout.name().to_owned(),
            cold_seconds: added.map(|seconds| seconds + warm_seconds),
            warm_seconds,
            private_exports: measure::private_exports(&wheels)?,
            wheels: measure::wheels(&wheels)?,
            installed_bytes: environment.installed_bytes()?,
            ggml,
            own_ggml,
            coload,
            start_ms,
            resident_bytes,
            tests,
        };
        Ok((row, bare))
    }

    fn layout_options(&self, layout: Layout, mode: Mode, folder: &str) -> layout::Options {
        layout::Options {
            layout,
            engines: self.options.engines.clone(),
            mode,
            floor: self.options.floor,
            python: true,
            quick: self.options.quick,
            unchecked: mode == Mode::Pinned,
            out: self.options.out.join(folder),
        }
    }

    fn environment(&self, name: &str, wheels: &[PathBuf]) -> Result<Environment, PackError> {
        let requirements = self.workspace.root().join("python/requirements/test.txt");
        let folder = self.options.out.join("environments").join(name);
        let all: Vec<&Path> = wheels
            .iter()
            .chain([&self.models])
            .map(PathBuf::as_path)
            .collect();
        Environment::new(&self.options.python, &folder, &requirements, &all)
    }

    /// Engines that were compiled against a ggml each, in this layout; `answers` are those of aligned ones.
    fn own_ggml(
        &mut self,
        layout: Layout,
        answers: &Map<String, Value>,
    ) -> Result<Outcome<Vec<String>>, PackError> {
        (self.progress)(&format!("{layout}: each engine with its own ggml"));
        let options = self.layout_options(layout, Mode::Pinned, "pinned");
        let wheels = match layout::wheels(self.workspace, &options) {
            Ok(built) => built.wheels,
            Err(error @ PackError::Build(_)) => return Ok(Outcome::Fails(measure::words(&error))),
            Err(error) => return Err(error),
        };
        let environment = self.environment(&format!("{layout}-pinned"), &wheels)?;
        // Not only imported: another ggml than the one that they were compiled against may answer, too.
        Ok(environment.versions_if(&self.options.engines, answers))
    }

    fn tests(&self, environment: &Environment) -> Result<Tests, PackError> {
        let mut all = Tests::default();
        for engine in &self.options.engines {
            let found = environment.pytest(self.workspace.root(), engine, self.options.suite)?;
            all.passed += found.passed;
            all.failed += found.failed;
            all.skipped += found.skipped;
            all.failures.extend(found.failures);
        }
        Ok(all)
    }

    /// What an empty cache costs: the layouts that share objects share this.
    fn cold(&mut self) -> Result<Cold, PackError> {
        let mut cold = Cold::default();
        if !self.options.cold {
            return Ok(cold);
        }
        for layout in self.options.layouts.clone() {
            let place = match layout {
                Layout::Monolith => &mut cold.open,
                _ => &mut cold.hidden,
            };
            if place.is_none() {
                (self.progress)(&format!("{layout}: building with an empty cache"));
                let options = self.layout_options(layout, Mode::Aligned, "cold");
                *place = Some(measure::cold(self.workspace, &options)?);
            }
        }
        Ok(cold)
    }
}
