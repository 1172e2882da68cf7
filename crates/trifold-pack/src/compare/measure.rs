//! The figures.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use trifold_build::{cache::Cache, toolchain::Toolchain};

use super::{
    Coload, Outcome, Wheel,
    environment::{ANSWER_TIME, Environment, PROBE, failure, shortened},
};
use crate::{
    Config, Input, PackError, audit, coload,
    coload::{Flags, Safety},
    layout::{self, Options},
};

/// How often the interpreter is started.
const STARTS: usize = 15;

/// A compiler cache would hide what compiling costs.
pub(crate) fn without_launcher() -> Result<(), PackError> {
    match Toolchain::find()?.launcher() {
        None => Ok(()),
        Some(launcher) => Err(PackError::Launcher {
            launcher: launcher.to_owned(),
        }),
    }
}

/// Seconds to compile the engines of a layout with an empty cache.
pub(super) fn cold(options: &Options) -> Result<f64, PackError> {
    from_nothing(options, |cache, folder| {
        layout::compile(options, cache, folder)
    })
}

/// Seconds to build the plugin of a layout with an empty cache.
pub(super) fn cold_plugin(options: &Options) -> Result<f64, PackError> {
    from_nothing(options, |cache, folder| {
        layout::plugin_wheel(options, cache, folder)
    })
}

/// Seconds that something takes with an empty cache, and a folder for what it makes.
fn from_nothing<T>(
    options: &Options,
    build: impl FnOnce(&Cache, &Path) -> Result<T, PackError>,
) -> Result<f64, PackError> {
    fs_err::create_dir_all(&options.out)
        .map_err(PackError::io("Could not create", &options.out))?;
    let folder = tempfile::tempdir_in(&options.out)
        .map_err(PackError::io("Could not create a folder in", &options.out))?;
    let cache = Cache::at(folder.path().join("cache"))?;
    let started = Instant::now();
    build(&cache, folder.path())?;
    Ok(started.elapsed().as_secs_f64())
}

pub(super) fn wheels(paths: &[PathBuf]) -> Result<Vec<Wheel>, PackError> {
    paths
        .iter()
        .map(|path| {
            let found = fs_err::metadata(path).map_err(PackError::io("Could not read", path))?;
            Ok(Wheel {
                name: path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                bytes: found.len(),
            })
        })
        .collect()
}

/// Symbols that others can see and that were not made for them, unless they are `known`.
pub(super) fn private_exports(wheels: &[PathBuf], known: &[&str]) -> Result<usize, PackError> {
    let inputs: Vec<Input> = wheels.iter().cloned().map(Input::Path).collect();
    let report = audit(&inputs, &Config::default())?;
    let natives = report.packages.iter().flat_map(|package| &package.natives);
    let exports = natives.flat_map(|native| &native.facts.exports);
    Ok(exports
        .filter(|export| {
            let name = &export.name;
            let ours = name.starts_with("PyInit_") || name.starts_with("trifold_");
            !ours && !known.contains(&name.as_str())
        })
        .count())
}

/// Loads all engines together, lets them work, and counts.
pub(super) fn coload(
    environment: &Environment,
    engines: &[String],
) -> Result<Vec<Coload>, PackError> {
    if engines.len() < 2 {
        return Ok(Vec::new());
    }
    let modules: Vec<String> = engines
        .iter()
        .map(|engine| format!("trifold_{engine}"))
        .collect();
    // Of those that are loaded: not all are when two are.
    let check = format!(
        "{PROBE}\nask('answers', [name for name in JOBS if f'trifold_{{name}}' in globals()])\n"
    );
    let options = coload::Options {
        python: Some(environment.executable()),
        check: Some(check),
        time_limit: ANSWER_TIME,
        interrupted: environment.interrupted(),
        ..coload::Options::default()
    };
    let report = coload::coload(&modules, &options)?;
    Ok([Flags::Local, Flags::Global]
        .into_iter()
        .map(|flags| {
            let runs = report.together.iter().filter(|run| run.flags == flags);
            let verdicts = report
                .verdicts
                .iter()
                .filter(|verdict| verdict.flags == flags);
            let failures: std::collections::BTreeSet<usize> = verdicts
                .clone()
                .flat_map(|verdict| verdict.failures.iter().copied())
                .collect();
            Coload {
                flags: flags.name().to_owned(),
                safe: verdicts
                    .clone()
                    .all(|verdict| verdict.safety == Safety::Safe),
                failures: failures.len(),
                runs: runs.count(),
                symbols: verdicts
                    .clone()
                    .map(|verdict| verdict.symbols)
                    .max()
                    .unwrap_or(0),
                unknown: unknown(&report.packages, verdicts),
            }
        })
        .collect())
}

/// Why a verdict could not be reached.
fn unknown<'a>(
    packages: &[coload::Package],
    verdicts: impl Iterator<Item = &'a coload::Verdict>,
) -> Option<String> {
    let mut found = verdicts.filter(|verdict| verdict.safety == Safety::Unknown);
    let first = found.next()?;
    let alone = std::iter::once(first)
        .chain(found)
        .find_map(|verdict| verdict.alone.first());
    Some(match alone {
        Some(&package) => format!("{} fails alone", packages[package].name),
        None => "not all references were seen".to_owned(),
    })
}

/// Milliseconds that importing adds, and those of the bare interpreter; started by turns.
pub(super) fn start(
    environment: &Environment,
    engines: &[String],
) -> Result<(Outcome<f64>, f64), PackError> {
    let imports = format!(
        "import {}",
        engines
            .iter()
            .map(|engine| format!("trifold_{engine}"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    // Bare, and with the imports.
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..=STARTS {
        for (code, times) in ["pass", imports.as_str()].into_iter().zip(&mut times) {
            let mut command = environment.python();
            command.args(["-c", code]);
            let found = environment.run(&mut command)?;
            let milliseconds = found.time.as_secs_f64() * 1000.0;
            if let Some(words) = failure(&found) {
                return Ok((Outcome::Fails(words), milliseconds));
            }
            // The first time it compiles Python's files and reads them from disk.
            if round > 0 {
                times.push(milliseconds);
            }
        }
    }
    let [bare, full] = times.map(|mut times| median(&mut times));
    Ok((Outcome::Works(full - bare), bare))
}

pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// An error, with what the tool said.
pub(super) fn words(error: &PackError) -> String {
    let text = error.to_string();
    let undefined = text.lines().find(|line| line.contains("undefined"));
    shortened(
        undefined
            .unwrap_or_else(|| text.lines().next().unwrap_or_default())
            .trim(),
    )
}

/// The CPU's name, and how many threads there are.
pub(crate) fn machine() -> String {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let text = fs_err::read_to_string(Path::new("/proc/cpuinfo")).unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .and_then(|line| line.split_once(':'))
        .map_or("unknown CPU", |(_, name)| name.trim());
    format!(
        "{name}, {}",
        crate::text::plural(threads, "thread", "threads")
    )
}
