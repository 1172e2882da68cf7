//! Finds out which engines can be compiled against one ggml, and so share one backend plugin.
//!
//! Each engine ships a ggml of its own, at a revision of its own: *pinned*. For each candidate, the ggml of one
//! of the engines, all others are compiled against it: *aligned*. Three things decide, in this order:
//!
//! 1. **Fingerprints** ([`trifold_build::fingerprint`]) tell how far two ggmls are apart in memory. Where they
//!    are equal nothing needs to be compiled; where they differ a plugin for one would destroy the other.
//! 2. **Compiling** tells whether the engine's source still fits: errors, and calls that are deprecated
//!    and so will be errors some day.
//! 3. **Numbers** tell whether it still computes the same. The program of `crates/trifold-conformance` is built
//!    both ways, and what both give for the same models and inputs is compared, within [`Tolerances`].
//!
//! A plugin that is there already is tried with every engine that it is made for: its fingerprint against the
//! engine's, and what its device gives against the CPU.
//!
//! ```no_run
//! use trifold_pack::align::{Options, align};
//!
//! let report = align(&Options::default())?;
//! for candidate in &report.candidates {
//!     println!("ggml {}: {}", candidate.ggml_version, candidate.group.join(", "));
//! }
//! # Ok::<(), trifold_pack::PackError>(())
//! ```

mod compare;
mod compile;
mod error;
mod plugins;
mod program;
mod render;
mod report;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use trifold_build::{
    Builder, Mode, cache::Cache, config::Config, fingerprint::Fingerprint, source, source::Tree,
    toolchain::Toolchain,
};

use self::{
    compare::Answers,
    plugins::{Offer, Runner, Trial, Tried},
    program::{Failure, Program, Source},
};
pub use self::{
    error::AlignError,
    render::{human, markdown, schema, to_json},
    report::{
        Attempt, Candidate, Case, Compiled, Diagnostic, Difference, Distance, Engine, Fit, Fitness,
        Limits, Measure, Report, Served, Tolerances, Verdict,
    },
};
use crate::workspace::Workspace;
use crate::{PackError, text::plural};

/// Of the JSON form.
const SCHEMA_VERSION: u32 = 1;

/// What to align, and how.
#[derive(Debug)]
pub struct Options {
    /// The engines to look at; all of `engines.toml` if empty.
    pub engines: Vec<String>,
    /// The engines whose ggml is tried; the newest of the family, as `engines.toml` says it, if empty.
    pub candidates: Vec<String>,
    /// Backend plugins to try with the engines.
    pub plugins: Vec<PathBuf>,
    /// What to compute on with plugins, such as `rpc:127.0.0.1:50052` or `cuda:1`: one of a plugin's kind stands for
    /// its first device.
    pub devices: Vec<String>,
    /// A file in the form of `engines.toml` with other revisions.
    pub revisions: Option<PathBuf>,
    /// The folder of trifold's source, which has the program that runs the engines.
    pub workspace: PathBuf,
    /// How large differences may be.
    pub tolerances: Tolerances,
    /// How long an engine may run.
    pub time_limit: Duration,
    /// Is told what comes next: some of it takes minutes.
    pub progress: fn(&str),
}

impl Default for Options {
    /// All engines, the newest ggml, the source that this crate was compiled from.
    fn default() -> Self {
        Self {
            engines: Vec::new(),
            candidates: Vec::new(),
            plugins: Vec::new(),
            devices: Vec::new(),
            revisions: None,
            workspace: Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."),
            tolerances: Tolerances::default(),
            time_limit: Duration::from_secs(600),
            progress: |_| {},
        }
    }
}

/// Compares, compiles and runs the engines.
///
/// An engine that does not compile, does not run, or gives other numbers is no error but a row of the
/// report, and so is one that a plugin does not fit. Compiled objects and results of checks are kept in the build cache.
///
/// # Errors
/// [`PackError::NoWorkspace`]; [`PackError::Align`] if there is nothing to compare with: a source is missing, an
/// engine does not run with its own ggml, or a file is no plugin.
pub fn align(options: &Options) -> Result<Report, PackError> {
    let workspace = Workspace::around(&options.workspace)?;
    Ok(Aligner::new(options, workspace)?.report()?)
}

/// An engine's source, and what its own ggml looks like.
struct Revision {
    name: String,
    tree: Tree,
    fingerprint: Fingerprint,
}

struct Aligner<'a> {
    options: &'a Options,
    config: Config,
    cache: Cache,
    toolchain: Toolchain,
    source: Source,
    revisions: Vec<Revision>,
    /// Names of those whose ggml is tried.
    candidates: Vec<String>,
}

impl<'a> Aligner<'a> {
    fn new(options: &'a Options, workspace: Workspace) -> Result<Self, AlignError> {
        let source = Source::of(workspace, options.revisions.as_deref())?;
        let mut config = match &options.revisions {
            Some(path) => Config::read(path)?,
            None => Config::load()?,
        };
        // The revisions of Cargo packages are those of the workspace's Cargo.lock.
        config.package = source.workspace.root().join("crates/trifold-build");
        let names = |chosen: &[String], default: Vec<String>| {
            if chosen.is_empty() {
                default
            } else {
                let mut names = chosen.to_vec();
                names.dedup();
                names
            }
        };
        let all = config.engine.keys().cloned().collect();
        let engines = names(&options.engines, all);
        let newest = vec![config.common.aligned_to.clone()];
        let candidates = names(&options.candidates, newest);
        let cache = Cache::open()?;
        let toolchain = Toolchain::find()?;
        let mut revisions = Vec::new();
        for name in engines {
            revisions.push(revision(&config, &cache, &toolchain, &name)?);
        }
        Ok(Self {
            options,
            config,
            cache,
            toolchain,
            source,
            revisions,
            candidates,
        })
    }

    fn report(&self) -> Result<Report, AlignError> {
        let offers = self.offers()?;
        let mut trials = vec![self.pinned()?];
        let mut candidates = Vec::new();
        for name in &self.candidates {
            let (candidate, trial) = self.candidate(name, &trials[0])?;
            candidates.push(candidate);
            trials.push(trial);
        }
        let runner = self.runner();
        let serve = |offer: &Offer| offer.serve(&trials, &self.options.tolerances, &runner);
        Ok(Report {
            schema: SCHEMA_VERSION,
            engines: self
                .revisions
                .iter()
                .map(|revision| self.engine(revision))
                .collect::<Result<_, _>>()?,
            distances: self.distances(),
            tolerances: self.options.tolerances,
            candidates,
            plugins: offers.iter().map(serve).collect(),
        })
    }

    fn offers(&self) -> Result<Vec<Offer>, AlignError> {
        let devices = &self.options.devices;
        let offers = self.options.plugins.iter();
        let offers = offers
            .map(|path| Offer::read(path, devices))
            .collect::<Result<Vec<_>, _>>()?;
        for device in devices {
            let asked = |offer: &Offer| offer.device() == device;
            if !offers.iter().any(asked) {
                return Err(AlignError::Device {
                    device: device.clone(),
                    kinds: offers.iter().map(|offer| offer.kind().into()).collect(),
                });
            }
        }
        Ok(offers)
    }

    fn runner(&self) -> Runner {
        Runner {
            models: self.source.workspace.root().join("models"),
            time_limit: self.options.time_limit,
            progress: self.options.progress,
        }
    }

    fn engine(&self, revision: &Revision) -> Result<Engine, AlignError> {
        let described = self.config.engine(&revision.name)?;
        Ok(Engine {
            name: revision.name.clone(),
            title: described.title.clone(),
            version: revision.tree.version.clone(),
            ggml_version: revision.tree.ggml_version.clone(),
            ggml_commit: revision.fingerprint.commit.clone(),
            pinned: described.pinned,
        })
    }

    /// How far the engines' own ggmls are apart, each pair.
    fn distances(&self) -> Vec<Distance> {
        let mut found = Vec::new();
        for (index, one) in self.revisions.iter().enumerate() {
            for other in &self.revisions[index + 1..] {
                found.push(Distance {
                    engines: [one.name.clone(), other.name.clone()],
                    differences: differences(&one.fingerprint, &other.fingerprint),
                });
            }
        }
        found
    }

    /// What each engine gives with its own ggml.
    fn pinned(&self) -> Result<Trial, AlignError> {
        (self.options.progress)("building the engines, each with its own ggml");
        let names: Vec<&str> = self.revisions.iter().map(|r| r.name.as_str()).collect();
        let program = self.source.pinned(&names)?;
        let mut engines = BTreeMap::new();
        for revision in &self.revisions {
            let answers =
                self.runner()
                    .run(&program, &revision.name, revision.ggml_version(), None);
            let answers = answers.map_err(|failure| AlignError::Pinned {
                engine: revision.name.clone(),
                what: failure.words(),
            })?;
            engines.insert(revision.name.clone(), revision.tried(Some(answers)));
        }
        Ok(Trial {
            candidate: None,
            engines,
            program: Some(program),
        })
    }

    fn candidate(&self, name: &str, pinned: &Trial) -> Result<(Candidate, Trial), AlignError> {
        let located;
        let known = self.revisions.iter().find(|known| known.name == name);
        let ggml = if let Some(known) = known {
            known
        } else {
            located = revision(&self.config, &self.cache, &self.toolchain, name)?;
            &located
        };
        let mut attempts = Vec::new();
        let mut runnable = Vec::new();
        for revision in &self.revisions {
            let attempt = self.compile(revision, ggml)?;
            if attempt.verdict != Verdict::Pinned && attempt.problem.is_none() {
                runnable.push(revision.name.as_str());
            }
            attempts.push(attempt);
        }
        let mut trial = Trial {
            candidate: Some(name.into()),
            engines: BTreeMap::new(),
            program: None,
        };
        if !runnable.is_empty() {
            let version = ggml.ggml_version();
            (self.options.progress)(&format!("building the engines against ggml {version}"));
            let default = name == self.config.common.aligned_to;
            let program = self.source.aligned(&runnable, name, default);
            for attempt in &mut attempts {
                if runnable.contains(&attempt.engine.as_str()) {
                    let answers = self.measure(attempt, program.as_ref(), pinned, version);
                    let tried = ggml.tried(answers);
                    trial.engines.insert(attempt.engine.clone(), tried);
                }
            }
            trial.program = program.ok();
        }
        let candidate = Candidate {
            engine: name.into(),
            ggml_version: ggml.ggml_version().into(),
            group: attempts
                .iter()
                .filter(|attempt| attempt.verdict.may_share())
                .map(|attempt| attempt.engine.clone())
                .collect(),
            attempts,
        };
        Ok((candidate, trial))
    }

    /// Compiles and seals one engine against a candidate; what it computes comes later.
    fn compile(&self, revision: &Revision, ggml: &Revision) -> Result<Attempt, AlignError> {
        let name = &revision.name;
        let described = self.config.engine(name)?;
        let mut attempt = Attempt {
            engine: name.clone(),
            own: *name == ggml.name,
            differences: differences(&ggml.fingerprint, &revision.fingerprint),
            compiled: None,
            problem: None,
            cases: Vec::new(),
            verdict: Verdict::DoesNotCompile,
        };
        if described.pinned && !attempt.own {
            attempt.verdict = Verdict::Pinned;
            return Ok(attempt);
        }
        let version = &ggml.tree.ggml_version;
        (self.options.progress)(&format!("compiling {name} against ggml {version}"));
        let checked = compile::Check {
            config: &self.config,
            cache: &self.cache,
            toolchain: &self.toolchain,
            shims: self.source.workspace.root(),
        }
        .run(&revision.tree, &ggml.tree)?;
        attempt.problem = match &checked.errors[..] {
            [] => mixed(&checked.own_headers, &attempt.differences)
                .or_else(|| self.redefined(ggml, &described.defines))
                .or_else(|| self.seal(name, &ggml.name).err()),
            errors => Some(format!(
                "{}, the first: {}",
                plural(errors.len(), "error", "errors"),
                errors[0].message
            )),
        };
        attempt.compiled = Some(checked);
        Ok(attempt)
    }

    /// Whether what an engine defines for itself changes how it sees ggml's structs.
    fn redefined(&self, ggml: &Revision, defines: &[String]) -> Option<String> {
        if defines.is_empty() {
            return None;
        }
        let defines = [&self.config.common.defines[..], defines].concat();
        match Fingerprint::of_tree(&self.toolchain, &ggml.tree, &defines) {
            Ok(seen) => {
                ggml.fingerprint.differences(&seen).first().map(|found| {
                    format!("Its own definitions change the ggml that it sees: {found}")
                })
            }
            Err(error) => Some(error.to_string()),
        }
    }

    fn seal(&self, name: &str, aligned_to: &str) -> Result<(), String> {
        let mut config = self.config.clone();
        config.common.aligned_to = aligned_to.into();
        let builder = Builder {
            config,
            cache: self.cache.clone(),
            mode: Mode::Aligned,
        };
        builder
            .build(name)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    /// Runs one engine and compares what it gives.
    fn measure(
        &self,
        attempt: &mut Attempt,
        program: Result<&Program, &AlignError>,
        pinned: &Trial,
        version: &str,
    ) -> Option<Answers> {
        let answers = program
            .map_err(|error| Failure::Failed(error.to_string()))
            .and_then(|program| self.runner().run(program, &attempt.engine, version, None));
        let expected = pinned.engines[&attempt.engine].answers.as_ref()?;
        let compared = answers.and_then(|answers| {
            let cases = compare::cases(expected, &answers, &self.options.tolerances)?;
            Ok((answers, cases))
        });
        match compared {
            Ok((answers, cases)) => {
                attempt.verdict = Verdict::of(&cases);
                attempt.cases = cases;
                Some(answers)
            }
            Err(failure) => {
                attempt.verdict = Verdict::DoesNotRun;
                attempt.problem = Some(failure.words());
                None
            }
        }
    }
}

impl Revision {
    fn ggml_version(&self) -> &str {
        &self.tree.ggml_version
    }

    /// An engine that was built with this ggml.
    fn tried(&self, answers: Option<Answers>) -> Tried {
        Tried {
            ggml_version: self.ggml_version().into(),
            fingerprint: self.fingerprint.text(),
            answers,
        }
    }
}

fn revision(
    config: &Config,
    cache: &Cache,
    toolchain: &Toolchain,
    name: &str,
) -> Result<Revision, AlignError> {
    let tree = source::locate(config, cache, name)?;
    Ok(Revision {
        name: name.into(),
        fingerprint: Fingerprint::of_tree(toolchain, &tree, &config.common.defines)?,
        tree,
    })
}

/// Whether headers of its own ggml tell an engine something else than the candidate does.
fn mixed(own_headers: &[String], differences: &[Difference]) -> Option<String> {
    own_headers.iter().find_map(|header| {
        // What a private header defines; any other may define anything.
        let concerns: &[&str] = match header.as_str() {
            "src/ggml-impl.h" => &["struct ggml_cgraph:", "struct ggml_hash_set:"],
            "src/ggml-backend-impl.h" => &["struct ggml_backend"],
            _ => &[""],
        };
        let difference = differences.iter().find(|difference| {
            let field = &difference.field;
            !field.starts_with("ggml ") && concerns.iter().any(|start| field.starts_with(start))
        })?;
        Some(format!(
            "It includes {header} of its own ggml, which disagrees on {}: {}, not {}",
            difference.field, difference.found, difference.expected
        ))
    })
}

fn differences(one: &Fingerprint, other: &Fingerprint) -> Vec<Difference> {
    one.differences(other)
        .into_iter()
        .map(|difference| Difference {
            field: difference.field,
            expected: difference.expected,
            found: difference.found,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_its_own_ggml_counts_where_it_disagrees() {
        let difference = |field: &str| Difference {
            field: field.into(),
            expected: "new".into(),
            found: "old".into(),
        };
        let op = [
            difference("ggml version"),
            difference("enum ggml_op: GGML_OP_SUM"),
            difference("struct ggml_tensor: size"),
        ];
        let private = ["src/ggml-impl.h".to_owned()];
        assert_eq!(mixed(&private, &op), None);
        assert_eq!(mixed(&[], &op), None);
        assert_eq!(
            mixed(&["include/ggml.h".into()], &op).unwrap(),
            "It includes include/ggml.h of its own ggml, which disagrees on enum ggml_op: GGML_OP_SUM: old, \
             not new"
        );
        let graph = [difference("struct ggml_cgraph: nodes: offset")];
        assert!(mixed(&private, &graph).is_some());
    }
}
