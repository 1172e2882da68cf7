//! Builds layouts and measures what each of them costs and gives.
//!
//! Every figure comes from the run that reports it: the wheels are built, installed into fresh environments,
//! imported, loaded together and tested there. What a layout cannot do is tried, and what came of it is
//! reported.

mod beside;
mod environment;
mod measure;
mod plot;
mod render;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use trifold_build::{Mode, glibc::Floor};

use crate::{
    PackError,
    coload::ColoadError,
    layout::{self, Layout, PluginChoice, Workspace},
    parallel::in_parallel,
};
use beside::Installed;
use environment::{Environment, Interpreter};

pub use beside::Beside;
pub(crate) use measure::{machine, without_launcher};
pub use plot::svg;
pub use render::{human, markdown, schema, to_json};

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
    /// The plugin of `split-plugin`.
    pub plugin: PluginChoice,
    /// Compile Rust fast instead of small: then sizes say little.
    pub quick: bool,
    /// Also compile the engines with an empty cache. It takes as long as the first build of trifold does,
    /// twice.
    pub cold: bool,
    /// Which tests each layout must pass.
    pub suite: Suite,
    /// Set it to end all processes that measure; [`compare`] then returns [`ColoadError::Interrupted`].
    /// What compiles ends with its step, or by the terminal's own signal.
    pub interrupted: Arc<AtomicBool>,
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
    /// How long all of it took.
    pub seconds: f64,
    /// How long the bare interpreter takes to start and end, in milliseconds; a median.
    pub bare_start_ms: f64,
    /// One for each layout.
    pub rows: Vec<Row>,
}

impl Report {
    /// Whether every layout was built and passed its tests, and all is as before once a plugin is removed.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.rows.iter().all(|row| {
            let beside = row.plugin.as_ref();
            row.tests.failed == 0
                && beside.is_none_or(|beside| matches!(beside.removed, Outcome::Works(_)))
        })
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
    /// Seconds to link and pack again what is compiled.
    pub warm_seconds: f64,
    /// The wheels, without that of a plugin.
    pub wheels: Vec<Wheel>,
    /// Bytes that they take when installed, without what they depend on.
    pub installed_bytes: u64,
    /// The backend plugin beside them, of `split-plugin`. It is there for all that is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<Beside>,
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

impl<T> Outcome<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Works(value) => Outcome::Works(change(value)),
            Self::Fails(words) => Outcome::Fails(words),
        }
    }
}

/// Whether engines can be in one process.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Coload {
    /// `local` or `global`.
    pub flags: String,
    /// Whether every run ended well, and no engine took a symbol of another, in runs that were seen whole.
    pub safe: bool,
    /// Why nothing can be said: one fails alone, or not all references were seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
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

impl Tests {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
    }
}

/// Builds and measures. `progress` gets what is being done, in a few words.
///
/// # Errors
/// What keeps a layout from being built or installed; [`ColoadError::Interrupted`]. What a built layout
/// cannot do is in the report.
pub fn compare(
    workspace: &Workspace,
    options: &Options,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Report, PackError> {
    fs_err::create_dir_all(&options.out)
        .map_err(PackError::io("Could not create", &options.out))?;
    let comparing = Comparing {
        workspace,
        options,
        progress,
    };
    comparing.run().map_err(|error| {
        // A compiler that the user ended, for one.
        if options.interrupted.load(Ordering::Relaxed) {
            ColoadError::Interrupted.into()
        } else {
            error
        }
    })
}

struct Comparing<'a> {
    workspace: &'a Workspace,
    options: &'a Options,
    progress: &'a (dyn Fn(&str) + Sync),
}

/// What the layouts have in common.
struct Common {
    /// The wheel with the demo models.
    models: PathBuf,
    /// The wheels that trifold ships; of them the other layouts take all but the native files.
    shipped: PathBuf,
    /// The same, with engines that have a ggml of their own each, if a layout takes them.
    shipped_pinned: Option<PathBuf>,
    cold: Cold,
}

/// Seconds to compile the engines from nothing, by whether the objects are open ones, and to build the plugin.
#[derive(Default)]
struct Cold {
    open: Option<f64>,
    hidden: Option<f64>,
    plugin: Option<f64>,
}

impl Cold {
    fn of(&self, layout: Layout) -> Option<f64> {
        match layout {
            Layout::Monolith => self.open,
            Layout::SplitPlugin => Some(self.hidden? + self.plugin?),
            _ => self.hidden,
        }
    }
}

/// A layout that is built and installed.
struct Subject {
    layout: Layout,
    warm_seconds: f64,
    wheels: Vec<PathBuf>,
    /// Of them, as they were installed.
    installed_bytes: u64,
    plugin: Option<Installed>,
    environment: Environment,
}

impl Comparing<'_> {
    /// First what compiles, then what is timed or measured alone, and at last the tests, several at once.
    fn run(&self) -> Result<Report, PackError> {
        let started = Instant::now();
        if self.options.cold {
            measure::without_launcher()?;
        }
        let python = Interpreter::new(&self.options.python, &self.options.interrupted);
        let version = python.version()?;
        let common = self.common()?;
        let mut subjects = Vec::new();
        for &layout in &self.options.layouts {
            subjects.push(self.subject(&python, &common, layout)?);
        }
        let (mut rows, mut bare) = (Vec::new(), Vec::new());
        for subject in &subjects {
            let (row, start) = self.row(&python, &common, subject)?;
            rows.push(row);
            bare.push(start);
        }
        for (row, tests) in rows.iter_mut().zip(self.tests(&subjects)?) {
            row.tests = tests;
        }
        for (row, subject) in rows.iter_mut().zip(&subjects) {
            if let Some(plugin) = &subject.plugin {
                self.begin(&format!("{}: the plugin removed", subject.layout))?;
                row.plugin = Some(plugin.remove(&subject.environment, &self.options.engines)?);
            }
        }
        Ok(Report {
            schema: SCHEMA_VERSION,
            tool: format!("trifold-pack {}", env!("CARGO_PKG_VERSION")),
            python: version,
            machine: measure::machine(),
            engines: self.options.engines.clone(),
            seconds: started.elapsed().as_secs_f64(),
            bare_start_ms: measure::median(&mut bare),
            rows,
        })
    }

    fn common(&self) -> Result<Common, PackError> {
        self.begin("demo models")?;
        let models = self.options.out.join("models");
        // Not packed hard, for it is no part of a layout.
        let arguments = ["--effort", "little", "trifold-demo-models"];
        self.workspace
            .wheels(&models, arguments.map(str::to_owned))?;
        let models = layout::wheels_in(&models)?
            .pop()
            .ok_or(PackError::Empty { path: models })?;
        let cold = self.cold()?;
        let ship = |mode: Mode| {
            self.begin(&format!("what layouts have in common, {}", mode.name()))?;
            let folder = self.options.out.join(format!("shipped-{}", mode.name()));
            let options = self.layout_options(Layout::Split, mode, "shipped");
            layout::ship(self.workspace, &options, &folder)?;
            Ok::<_, PackError>(folder)
        };
        Ok(Common {
            models,
            cold,
            shipped: ship(Mode::Aligned)?,
            shipped_pinned: self
                .options
                .layouts
                .iter()
                .any(|&layout| layout != Layout::Monolith)
                .then(|| ship(Mode::Pinned))
                .transpose()?,
        })
    }

    /// What an empty cache costs: the layouts that share objects share this.
    fn cold(&self) -> Result<Cold, PackError> {
        let mut cold = Cold::default();
        if !self.options.cold {
            return Ok(cold);
        }
        for &layout in &self.options.layouts {
            let place = match layout {
                Layout::Monolith => &mut cold.open,
                _ => &mut cold.hidden,
            };
            if place.is_none() {
                self.begin(&format!("{layout}: compiling the engines from nothing"))?;
                let options = self.layout_options(layout, Mode::Aligned, "cold");
                *place = Some(measure::cold(&options)?);
            }
            if layout == Layout::SplitPlugin {
                self.begin(&format!("{layout}: compiling the plugin from nothing"))?;
                let options = self.layout_options(layout, Mode::Aligned, "cold");
                cold.plugin = Some(measure::cold_plugin(&options)?);
            }
        }
        Ok(cold)
    }

    fn subject(
        &self,
        python: &Interpreter,
        common: &Common,
        layout: Layout,
    ) -> Result<Subject, PackError> {
        self.begin(&format!("{layout}: building"))?;
        let mut options = self.layout_options(layout, Mode::Aligned, "layouts");
        if layout != Layout::Split {
            options.shipped = Some(common.shipped.clone());
            // The first time it compiles what no other layout has.
            layout::wheels(self.workspace, &options)?;
        }
        if layout == Layout::SplitPlugin {
            // Its time is that of the engines' wheels, too.
            options.shipped = None;
        }
        let started = Instant::now();
        let built = layout::wheels(self.workspace, &options)?;
        let warm_seconds = started.elapsed().as_secs_f64();
        let wheels = built.wheels;
        self.begin(&format!("{layout}: installing"))?;
        let requirements = self.workspace.root().join("python/requirements/test.txt");
        let environment = python.environment(
            &self.environment_folder(layout.name()),
            Some(&requirements),
            wheels.iter().chain([&common.models]),
        )?;
        let installed_bytes = environment.installed_bytes("trifold")?;
        let plugin = match built.plugin {
            Some(wheel) => Some(Installed::new(
                &self.options.plugin.name,
                wheel,
                &environment,
                &self.options.engines,
            )?),
            None => None,
        };
        Ok(Subject {
            layout,
            warm_seconds,
            wheels,
            installed_bytes,
            plugin,
            environment,
        })
    }

    /// All but the tests, and the time of the bare interpreter.
    fn row(
        &self,
        python: &Interpreter,
        common: &Common,
        subject: &Subject,
    ) -> Result<(Row, f64), PackError> {
        let engines = &self.options.engines;
        let Subject {
            layout,
            warm_seconds,
            installed_bytes,
            ref wheels,
            ref plugin,
            ref environment,
        } = *subject;
        self.begin(&format!("{layout}: start and memory"))?;
        let (start_ms, bare) = measure::start(environment, engines)?;
        let resident_bytes = environment.resident(engines)?;
        self.begin(&format!("{layout}: versions of ggml in one process"))?;
        let ggml = environment.versions(engines)?;
        let answers = match plugin {
            // Engines of another ggml cannot use it.
            Some(plugin) => plugin.before.clone(),
            None => environment.answers(engines)?,
        };
        let own_ggml = match answers {
            // It has a ggml of its own for each engine that the field gives one.
            Outcome::Works(answers) if layout == Layout::Monolith => {
                environment.versions_if(engines, &answers)?
            }
            Outcome::Works(answers) => self.own_ggml(python, common, layout, &answers)?,
            Outcome::Fails(words) => Outcome::Fails(words),
        };
        self.begin(&format!("{layout}: loading together"))?;
        let coload = measure::coload(environment, engines)?;
        let cold_seconds = common.cold.of(layout);
        let of_plugin = match plugin {
            Some(plugin) => plugin.private_exports()?,
            None => 0,
        };
        let row = Row {
            layout: layout.name().to_owned(),
            cold_seconds: cold_seconds.map(|seconds| seconds + warm_seconds),
            warm_seconds,
            private_exports: measure::private_exports(wheels, &[])? + of_plugin,
            wheels: measure::wheels(wheels)?,
            installed_bytes,
            plugin: None,
            ggml,
            own_ggml,
            coload,
            start_ms,
            resident_bytes,
            tests: Tests::default(),
        };
        Ok((row, bare))
    }

    /// Engines that were compiled against a ggml each, in this layout; `answers` are those of aligned ones.
    fn own_ggml(
        &self,
        python: &Interpreter,
        common: &Common,
        layout: Layout,
        answers: &Map<String, Value>,
    ) -> Result<Outcome<Vec<String>>, PackError> {
        self.begin(&format!("{layout}: each engine with its own ggml"))?;
        let mut options = self.layout_options(layout, Mode::Pinned, "pinned");
        options.shipped.clone_from(&common.shipped_pinned);
        let built = match layout::wheels(self.workspace, &options) {
            Ok(built) => built,
            Err(error @ PackError::Build(_)) => return Ok(Outcome::Fails(measure::words(&error))),
            Err(error) => return Err(error),
        };
        let environment = python.environment(
            &self.environment_folder(&format!("{}-pinned", layout.name())),
            None,
            built
                .wheels
                .iter()
                .chain(&built.plugin)
                .chain([&common.models]),
        )?;
        // Not only imported: another ggml than the one that they were compiled against may answer, too.
        environment.versions_if(&self.options.engines, answers)
    }

    /// Those of all layouts at once: each suite keeps about one core busy.
    fn tests(&self, subjects: &[Subject]) -> Result<Vec<Tests>, PackError> {
        let plans: Vec<(usize, &String)> = self
            .options
            .engines
            .iter()
            .flat_map(|engine| (0..subjects.len()).map(move |subject| (subject, engine)))
            .collect();
        let found = in_parallel(&plans, |&(subject, engine)| {
            let Subject {
                layout,
                environment,
                ..
            } = &subjects[subject];
            self.begin(&format!("{layout}: tests of {engine}"))?;
            environment.pytest(self.workspace.root(), engine, self.options.suite)
        })?;
        let mut all = vec![Tests::default(); subjects.len()];
        for ((subject, _), found) in plans.into_iter().zip(found) {
            all[subject].add(found);
        }
        Ok(all)
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
            plugin: self.options.plugin.clone(),
            shipped: None,
            out: self.options.out.join(folder),
        }
    }

    fn environment_folder(&self, name: &str) -> PathBuf {
        self.options.out.join("environments").join(name)
    }

    /// Tells what comes next, unless the user wants an end.
    fn begin(&self, text: &str) -> Result<(), PackError> {
        if self.options.interrupted.load(Ordering::Relaxed) {
            return Err(ColoadError::Interrupted.into());
        }
        (self.progress)(text);
        Ok(())
    }
}
