//! `trifold doctor`: the engines, their seals, this machine, and the models at hand.

use std::path::{Path, PathBuf};

use serde::Serialize;
use trifold_build::elf;
use trifold_hub::HubError;
use trifold_runtime::{cpu, threads};

use super::devices::{self, EngineDevices};
use crate::{error::CliError, ui::Ui};

/// Libraries that the program may ask for: parts of glibc, and GCC's unwinder.
const SYSTEM_LIBRARIES: [&str; 6] = [
    "libc.so.6",
    "libm.so.6",
    "libgcc_s.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "ld-linux-x86-64.so.2",
];

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  trifold doctor\n  trifold doctor --json")]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, ui: &Ui) -> Result<(), CliError> {
    let report = Report::gather(ui)?;
    if ui.json() {
        ui.print_json(&report)?;
    } else {
        ui.print(&report.text())?;
    }
    match report.problems().first() {
        None => Ok(()),
        Some(problem) => Err(CliError::Check {
            message: problem.clone(),
        }),
    }
}

/// One engine, as it describes itself.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EngineReport {
    /// The upstream project.
    pub(crate) name: &'static str,
    /// Its version.
    pub(crate) version: String,
    /// The version of the ggml inside.
    pub(crate) ggml: String,
    /// Where that ggml comes from: the newest of the family, or the engine's own.
    pub(crate) ggml_mode: &'static str,
    /// The CPU level of the kernels that it uses.
    pub(crate) cpu_level: &'static str,
    /// The CPU levels that it has kernels for.
    pub(crate) cpu_levels: Vec<&'static str>,
    /// Symbols that its sealed object defines; the build has checked that all are API.
    pub(crate) sealed_symbols: &'static str,
}

/// Asks the engines. Fails if one cannot run on this CPU.
pub(crate) fn engines() -> Result<[EngineReport; 3], CliError> {
    Ok([
        EngineReport {
            name: trifold_whisper_sys::ENGINE.name(),
            version: trifold_whisper::whisper_version()?,
            ggml: trifold_whisper::ggml_version()?,
            ggml_mode: trifold_whisper_sys::GGML_MODE,
            cpu_level: trifold_whisper::cpu_level()?,
            cpu_levels: trifold_whisper_sys::ENGINE.cpu()?.inside.clone(),
            sealed_symbols: trifold_whisper_sys::SEALED_SYMBOLS,
        },
        EngineReport {
            name: trifold_llama_sys::ENGINE.name(),
            version: trifold_llama::llama_version()?,
            ggml: trifold_llama::ggml_version()?,
            ggml_mode: trifold_llama_sys::GGML_MODE,
            cpu_level: trifold_llama::cpu_level()?,
            cpu_levels: trifold_llama_sys::ENGINE.cpu()?.inside.clone(),
            sealed_symbols: trifold_llama_sys::SEALED_SYMBOLS,
        },
        EngineReport {
            name: trifold_diffusion_sys::ENGINE.name(),
            version: trifold_diffusion::version()?,
            ggml: trifold_diffusion::ggml_version()?,
            ggml_mode: trifold_diffusion_sys::GGML_MODE,
            cpu_level: trifold_diffusion::cpu_level()?,
            cpu_levels: trifold_diffusion_sys::ENGINE.cpu()?.inside.clone(),
            sealed_symbols: trifold_diffusion_sys::SEALED_SYMBOLS,
        },
    ])
}

/// What the program shows to the loader, read from its own file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Seal {
    /// Symbols that another library could bind to: none, if the seal holds.
    pub(crate) exported: Vec<String>,
    /// Libraries that the program asks for.
    pub(crate) needed: Vec<String>,
    /// Those of them that are not glibc's or GCC's unwinder.
    pub(crate) foreign: Vec<String>,
}

impl Seal {
    /// Reads the running program.
    pub(crate) fn of_this_program() -> Result<Self, CliError> {
        let program = std::env::current_exe()
            .map_err(CliError::io("Could not find this program", "trifold"))?;
        let linked = elf::linked(&program).map_err(|error| CliError::Check {
            message: error.to_string(),
        })?;
        let foreign = linked
            .needed
            .iter()
            .filter(|name| !SYSTEM_LIBRARIES.contains(&name.as_str()))
            .cloned()
            .collect();
        Ok(Self {
            exported: linked.exported,
            needed: linked.needed,
            foreign,
        })
    }

    /// What is wrong with it, in words.
    pub(crate) fn problems(&self) -> Vec<String> {
        let list = |what: &str, names: &[String]| {
            (!names.is_empty()).then(|| {
                let shown: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
                format!("{what}: {} ({} in all)", shown.join(", "), names.len())
            })
        };
        [
            list("The program exports symbols", &self.exported),
            list("The program needs libraries", &self.foreign),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    engines: Vec<EngineReport>,
    seal: Seal,
    cpu: Cpu,
    threads: Threads,
    devices: Vec<EngineDevices>,
    cache: PathBuf,
    demo_models: Vec<Demo>,
}

#[derive(Serialize)]
struct Cpu {
    name: Option<String>,
    features: Vec<&'static str>,
    /// The lowest level that an engine has kernels for and this CPU cannot run.
    next_level: Option<NextLevel>,
}

#[derive(Serialize)]
struct NextLevel {
    level: &'static str,
    missing: Vec<&'static str>,
}

impl NextLevel {
    fn find() -> Result<Option<Self>, CliError> {
        let engines = [
            &trifold_whisper_sys::ENGINE,
            &trifold_llama_sys::ENGINE,
            &trifold_diffusion_sys::ENGINE,
        ];
        let mut found: Option<Self> = None;
        for engine in engines {
            if let Some(next) = &engine.cpu()?.next
                && found
                    .as_ref()
                    .is_none_or(|known| next.missing.len() < known.missing.len())
            {
                found = Some(Self {
                    level: next.level,
                    missing: next.missing.clone(),
                });
            }
        }
        Ok(found)
    }
}

#[derive(Serialize)]
struct Threads {
    budget: usize,
    physical_cores: Option<usize>,
    logical_cpus_allowed: Option<usize>,
}

#[derive(Serialize)]
struct Demo {
    name: String,
    bytes: u64,
    place: Place,
    /// Where its file lies: beside the program, or unpacked in the cache.
    path: Option<PathBuf>,
    /// What to do about it, if it is nowhere.
    hint: Option<String>,
}

/// Where a model is.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    Beside,
    Inside,
    Missing,
}

impl Report {
    fn gather(ui: &Ui) -> Result<Self, CliError> {
        let cache = trifold_hub::cache_dir()?;
        let known = [
            "sse4.2",
            "avx",
            "avx2",
            "fma",
            "f16c",
            "bmi2",
            "avx512f",
            "avx512bw",
            "avx512cd",
            "avx512dq",
            "avx512vl",
            "avx512vnni",
            "avx512bf16",
        ];
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            engines: engines()?.to_vec(),
            seal: Seal::of_this_program()?,
            cpu: Cpu {
                name: cpu::name(),
                features: known.into_iter().filter(|name| cpu::has(name)).collect(),
                next_level: NextLevel::find()?,
            },
            threads: Threads {
                budget: threads::budget().get(),
                physical_cores: threads::physical_cores().map(usize::from),
                logical_cpus_allowed: std::thread::available_parallelism().ok().map(usize::from),
            },
            devices: devices::gather(ui)?,
            demo_models: trifold_hub::demo_models()
                .iter()
                .map(|model| demo(model, &cache))
                .collect(),
            cache,
        })
    }

    fn problems(&self) -> Vec<String> {
        self.seal.problems()
    }

    fn text(&self) -> String {
        let sections = [
            ("Engines", self.engine_lines()),
            ("Seal", self.seal_lines()),
            ("This machine", self.machine_lines()),
            ("Devices", self.device_lines()),
            ("Models", self.model_lines()),
        ];
        let mut lines = vec![format!("trifold {}", self.version)];
        for (title, section) in sections {
            lines.extend([String::new(), title.into()]);
            lines.extend(section);
        }
        lines.join("\n") + "\n"
    }

    fn engine_lines(&self) -> Vec<String> {
        let line = |engine: &EngineReport| {
            let ggml = format!("ggml {:<7} ({})", engine.ggml, engine.ggml_mode);
            let level = engine.cpu_level;
            row(
                engine.name,
                format!("{:<8} {ggml}, kernels for {level}", engine.version),
            )
        };
        self.engines.iter().map(line).collect()
    }

    fn seal_lines(&self) -> Vec<String> {
        let line = |engine: &EngineReport| {
            let symbols = engine.sealed_symbols;
            row(
                engine.name,
                format!("{symbols} symbols, all API (read back by the build)"),
            )
        };
        let holds = self.problems().is_empty();
        let mut lines: Vec<String> = self.engines.iter().map(line).collect();
        lines.extend([
            row("exported symbols", self.seal.exported.len()),
            row("needs", self.seal.needed.join(", ")),
            row("verdict", if holds { "holds" } else { "broken" }),
        ]);
        lines
    }

    fn machine_lines(&self) -> Vec<String> {
        let mut lines = vec![
            row("CPU", self.cpu.name.as_deref().unwrap_or("unknown")),
            row("instructions", self.cpu.features.join(" ")),
        ];
        lines.extend(self.level_lines());
        let (physical, allowed) = (
            number(self.threads.physical_cores),
            number(self.threads.logical_cpus_allowed),
        );
        let budget = self.threads.budget;
        lines.push(row(
            "threads",
            format!("{budget} (physical cores: {physical}, CPUs allowed: {allowed})"),
        ));
        lines
    }

    /// The kernels inside, and what the CPU lacks for better ones.
    fn level_lines(&self) -> Vec<String> {
        let mut inside: Vec<&str> = Vec::new();
        for level in self.engines.iter().flat_map(|engine| &engine.cpu_levels) {
            if !inside.contains(level) {
                inside.push(level);
            }
        }
        inside.sort_unstable();
        let mut lines = vec![row("kernels inside", inside.join(" "))];
        if let Some(next) = &self.cpu.next_level {
            let label = format!("missing for {}", next.level);
            lines.push(row(&label, next.missing.join(" ")));
        }
        lines
    }

    fn device_lines(&self) -> Vec<String> {
        let lines = self.devices.iter().flat_map(|engine| {
            let names = std::iter::once(engine.engine).chain(std::iter::repeat(""));
            names
                .zip(engine.lines())
                .map(|(name, line)| row(name, line))
        });
        lines.collect()
    }

    fn model_lines(&self) -> Vec<String> {
        let line = |model: &Demo| {
            let (whole, tenths) = (model.bytes / 1_000_000, model.bytes / 100_000 % 10);
            row(
                &model.name,
                format!("{whole:>2}.{tenths} MB, {}", model.state()),
            )
        };
        let mut lines: Vec<String> = self.demo_models.iter().map(line).collect();
        // They come together, and so does what to do.
        let hints = self
            .demo_models
            .iter()
            .filter_map(|model| model.hint.as_ref());
        lines.extend(hints.take(1).map(|hint| row("hint", hint)));
        lines.push(row("cache", self.cache.display()));
        lines
    }
}

/// A line of a section.
fn row(label: &str, value: impl std::fmt::Display) -> String {
    format!("  {label:<22} {value}")
}

fn number(value: Option<usize>) -> String {
    value.map_or_else(|| "unknown".into(), |value| value.to_string())
}

fn demo(model: &trifold_hub::DemoModel, cache: &Path) -> Demo {
    let (place, path, hint) = if model.bytes().is_some() {
        let unpacked = Some(model.cached_in(cache)).filter(|path| path.exists());
        (Place::Inside, unpacked, None)
    } else {
        match model.installed() {
            Ok(path) => (Place::Beside, Some(path), None),
            Err(error) => (Place::Missing, None, Some(what_to_do(&error))),
        }
    };
    Demo {
        name: format!("demo:{}", model.name),
        bytes: model.size,
        place,
        path,
        hint,
    }
}

/// The error's own hint, or how the models are installed.
fn what_to_do(error: &HubError) -> String {
    let not_installed = HubError::DemoNotIncluded {
        name: String::new(),
    };
    error
        .hint()
        .or_else(|| not_installed.hint())
        .unwrap_or_default()
}

impl Demo {
    fn state(&self) -> String {
        match (self.place, &self.path) {
            (Place::Inside, None) => "inside the program".into(),
            (Place::Inside, Some(_)) => "inside the program, unpacked to the cache".into(),
            (Place::Beside, Some(path)) => format!("beside the program: {}", path.display()),
            (Place::Beside | Place::Missing, _) => "not there".into(),
        }
    }
}
