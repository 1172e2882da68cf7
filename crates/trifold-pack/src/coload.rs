//! Loads packages together in one process, in every order, and measures whether they live beside
//! each other.
//!
//! Each run has a process of its own, a Python interpreter, since a crash, a hang and an exit are among the
//! results. Each package is loaded alone first: what fails alone is no fault of living together, and
//! the files that it loads alone are those that it may take symbols from.
//!
//! ```no_run
//! use trifold_pack::coload::{Options, coload};
//!
//! let packages = ["numpy".to_owned(), "onnxruntime".to_owned()];
//! let report = coload(&packages, &Options::default())?;
//! for verdict in &report.verdicts {
//!     println!("{:?}: {:?}", verdict.flags, verdict.safety);
//! }
//! # Ok::<(), trifold_pack::coload::ColoadError>(())
//! ```

mod analysis;
mod bindings;
mod crash;
mod error;
mod experiment;
mod orders;
mod python;
mod render;
mod report;
mod symbols;
mod target;
mod verdicts;
mod wheel;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use self::{
    analysis::{Crossings, Files, OneRun, Owners, real},
    experiment::{Laboratory, Plan, Told, Watch},
    python::Interpreter,
    target::{Kind, Target},
};
pub use self::{
    error::ColoadError,
    render::{render, schema, to_json},
    report::{
        Binding, BindingKind, BoundSymbol, Flags, Outcome, Package, PackageKind, Python, Report,
        Run, Safety, Seen, Step, Verdict,
    },
    symbols::Frame,
};
use crate::parallel::in_parallel;

/// Of the JSON form.
const SCHEMA_VERSION: u32 = 1;

/// How to load.
#[derive(Clone, Debug)]
pub struct Options {
    /// The interpreter, or the folder of an environment; `None` for `python3`, as the shell finds
    /// it.
    ///
    /// With it, wheels are unpacked beside what it has installed. Without it, wheels are installed into a
    /// new environment, with what they depend on, by `pip` as it is configured: this may use the network.
    pub python: Option<PathBuf>,
    /// How many orders of all packages to try; both orders of each pair are always tried.
    pub orders: usize,
    /// How long each process may take.
    pub time_limit: Duration,
    /// How the loader is told to open them.
    pub flags: Vec<Flags>,
    /// Python code to run after everything is loaded. It sees the modules by name, and the libraries in
    /// the dictionary `libraries` by absolute path.
    pub check: Option<String>,
    /// Set it to end all processes; [`coload`] then returns [`ColoadError::Interrupted`].
    pub interrupted: Arc<AtomicBool>,
}

impl Default for Options {
    /// `python3`, 24 orders, 60 seconds, both flags, no check.
    fn default() -> Self {
        Self {
            python: None,
            orders: 24,
            time_limit: Duration::from_secs(60),
            flags: vec![Flags::Local, Flags::Global],
            check: None,
            interrupted: Arc::default(),
        }
    }
}

/// Loads the packages together and says what happens.
///
/// A package is the name of a Python module, the path of a wheel, or the path of a shared library,
/// which is opened by `ctypes.CDLL`. With n packages there are n processes for each of the flags, one
/// for both orders of each pair, and one for each order of all; and each of those twice: once as it
/// is, and once with the loader telling what it binds, all at once (`LD_BIND_NOW`).
///
/// # Errors
///
/// [`ColoadError`] if it cannot be measured. What the packages do is in the report.
pub fn coload(packages: &[String], options: &Options) -> Result<Report, ColoadError> {
    let targets = target::parse(packages, orders::MOST)?;
    let mut flags = options.flags.clone();
    flags.sort_unstable();
    flags.dedup();
    let folder = tempfile::Builder::new()
        .prefix("trifold-coload-")
        .tempdir()
        .map_err(ColoadError::io(
            "Could not create a folder in",
            &std::env::temp_dir(),
        ))?;
    let mut lab = Laboratory::new(folder)?;
    let (python, packages) = prepare(&mut lab, &targets, options)?;
    let mut given = BTreeSet::new();
    for target in &targets {
        if let Kind::Library(path) = &target.kind {
            given.insert(real(path.as_os_str().as_encoded_bytes()));
        }
    }
    let (alone, owners) = alone(&lab, targets.len(), &flags, given)?;
    let orders = orders::plan(targets.len(), options.orders);
    let (together, bindings) = together(&lab, &orders, &flags, &alone, &owners)?;
    let packages = packages
        .into_iter()
        .enumerate()
        .map(|(index, package)| Package {
            files: owners.own(index),
            ..package
        })
        .collect();
    Ok(Report {
        schema: SCHEMA_VERSION,
        python: Python {
            version: python.version_text(),
            new_environment: python.executable != lab.python,
            executable: python.executable.to_string_lossy().into_owned(),
        },
        verdicts: verdicts::all(targets.len(), &flags, &alone, &together, &bindings),
        packages,
        flags,
        time_limit: options.time_limit.as_secs_f64(),
        orders_possible: orders::possible(targets.len()).to_string(),
        orders_tried: together
            .iter()
            .filter(|run| run.order.len() == targets.len())
            .map(|run| &run.order)
            .collect::<BTreeSet<_>>()
            .len(),
        alone,
        together,
        bindings,
    })
}

/// Chooses the interpreter, and makes the wheels importable.
fn prepare(
    lab: &mut Laboratory,
    targets: &[Target],
    options: &Options,
) -> Result<(Interpreter, Vec<Package>), ColoadError> {
    let has_wheels = targets
        .iter()
        .any(|target| matches!(target.kind, Kind::Wheel(_)));
    let modules: Vec<_> = python::modules(targets).map(str::to_owned).collect();
    if options.python.is_none() && has_wheels && !modules.is_empty() {
        return Err(ColoadError::ModulesBesideWheels { names: modules });
    }
    let named = options.python.as_deref().unwrap_or(Path::new("python3"));
    let python = python::find(named, targets, &options.interrupted)?;
    target::check(targets, &python)?;
    let unpacked = lab.folder().join("site-packages");
    lab.python = if has_wheels && options.python.is_none() {
        let folder = lab.folder().join("environment");
        python::environment(&python, targets, &folder, &options.interrupted)?
    } else {
        python.executable.clone()
    };
    let mut packages = Vec::new();
    for target in targets {
        let (kind, modules) = match &target.kind {
            Kind::Library(_) => (PackageKind::Library, Vec::new()),
            Kind::Module(name) => (PackageKind::Module, vec![name.clone()]),
            Kind::Wheel(wheel) => {
                if options.python.is_some() {
                    wheel.unpack(&unpacked)?;
                }
                (PackageKind::Wheel, wheel.modules(&python.suffixes)?)
            }
        };
        lab.targets.push(match &target.kind {
            Kind::Library(path) => experiment::library(path),
            _ => experiment::modules(&modules),
        });
        packages.push(Package {
            name: target.label.clone(),
            kind,
            modules,
            files: Vec::new(),
        });
    }
    if unpacked.exists() {
        lab.path.push(unpacked);
    }
    lab.time = options.time_limit;
    lab.check.clone_from(&options.check);
    lab.interrupted = Arc::clone(&options.interrupted);
    Ok((python, packages))
}

/// Python by itself, and each package by itself: how it goes, and which files it loads.
fn alone(
    lab: &Laboratory,
    count: usize,
    flags: &[Flags],
    given: BTreeSet<String>,
) -> Result<(Vec<Run>, Owners), ColoadError> {
    let nothing = flags.iter().map(|&flags| Plan {
        order: Vec::new(),
        flags,
        check: false,
    });
    let each = (0..count).flat_map(|package| {
        flags.iter().map(move |&flags| Plan {
            order: vec![package],
            flags,
            check: false,
        })
    });
    let plans: Vec<_> = nothing.chain(each).collect();
    let found = in_parallel(&plans, |plan| {
        let mut files = Files::default();
        let (told, seen) = measure(
            lab,
            plan,
            &mut files,
            |line, files| files.line(line),
            // Loading stays loading, however often it is tried.
            |_| {},
        )?;
        Ok((told, seen, files.finish()))
    })?;
    let mut owners = Owners {
        python: BTreeSet::new(),
        packages: vec![BTreeSet::new(); count],
        given,
        unpacked: vec![format!("{}/", lab.folder().join("site-packages").display())],
    };
    let mut runs = Vec::new();
    for (plan, (told, seen, files)) in plans.into_iter().zip(found) {
        match plan.order.first() {
            None => owners.python.extend(files),
            Some(&package) => {
                owners.packages[package].extend(files);
                runs.push(run(plan, told, seen));
            }
        }
    }
    Ok((runs, owners))
}

/// Every order, but not with those that fail alone.
fn together(
    lab: &Laboratory,
    orders: &[Vec<usize>],
    flags: &[Flags],
    alone: &[Run],
    owners: &Owners,
) -> Result<(Vec<Run>, Vec<Binding>), ColoadError> {
    let fails = |package: usize, flags: Flags| {
        alone
            .iter()
            .any(|run| run.order == [package] && run.flags == flags && run.outcome != Outcome::Ok)
    };
    let plans: Vec<_> = orders
        .iter()
        .flat_map(|order| {
            flags.iter().map(|&flags| Plan {
                order: order.clone(),
                flags,
                check: true,
            })
        })
        .collect();
    let found = in_parallel(&plans, |plan| {
        let mut because = plan.order.clone();
        because.retain(|&package| fails(package, plan.flags));
        because.sort_unstable();
        if !because.is_empty() {
            return Ok((Told::skipped(because), Seen::None, None));
        }
        let mut crossings = OneRun::new(owners, &plan.order);
        let (told, seen) = measure(
            lab,
            plan,
            &mut crossings,
            |line, crossings| crossings.line(line),
            OneRun::clear,
        )?;
        Ok((told, seen, Some(crossings.finish())))
    })?;
    let mut crossings = Crossings::default();
    let mut runs = Vec::new();
    for (plan, (told, seen, crossed)) in plans.into_iter().zip(found) {
        crossings.add(runs.len(), crossed.unwrap_or_default());
        runs.push(run(plan, told, seen));
    }
    Ok((runs, crossings.finish()))
}

/// Runs it as it is, for how it goes; then again, for what is bound.
fn measure<T>(
    lab: &Laboratory,
    plan: &Plan,
    into: &mut T,
    line: impl Fn(bindings::Line<'_>, &mut T),
    clear: impl Fn(&mut T),
) -> Result<(Told, Seen), ColoadError> {
    let plain = lab.run(plan, Watch::No, &mut |_| {})?;
    if matches!(plain.outcome, Outcome::Hang { .. }) {
        return Ok((plain, Seen::None));
    }
    let mut seen = Seen::All;
    for watch in [Watch::All, Watch::Used] {
        clear(into);
        let watched = lab.run(plan, watch, &mut |found| line(found, into))?;
        if !watched.whole_log {
            return Ok((plain, Seen::None));
        }
        if watched.outcome.name() == plain.outcome.name() {
            return Ok((plain, seen));
        }
        if watch == Watch::Used {
            return Ok(match watched.outcome {
                // Too slow when it is watched.
                Outcome::Hang { .. } => (plain, Seen::None),
                // It does not go well each time.
                _ if plain.outcome == Outcome::Ok => (watched, seen),
                _ => (plain, seen),
            });
        }
        seen = Seen::Used;
    }
    Ok((plain, seen))
}

fn run(plan: Plan, told: Told, seen: Seen) -> Run {
    Run {
        order: plan.order,
        flags: plan.flags,
        outcome: told.outcome,
        seen,
        stdout: told.stdout,
        stderr: told.stderr,
    }
}
