//! Which engines a plugin serves: by its note alone whether it may, and by running them whether it does.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use trifold_backend::{Note, fingerprint, note};

use super::{
    AlignError, Difference, Fit, Fitness, Served, Tolerances,
    compare::{self, Answers},
    program::{Device, Failure, Program, full_path},
};

/// A plugin that was asked about.
pub(super) struct Offer {
    path: PathBuf,
    note: Note,
    /// What to compute on.
    device: String,
}

/// Engines that were built with one ggml, or each with its own, and what they answered on the CPU.
pub(super) struct Trial {
    /// The engine that ships that ggml; none if each has its own.
    pub(super) candidate: Option<String>,
    /// Those that compile.
    pub(super) engines: BTreeMap<String, Tried>,
    /// Nothing if none of them does.
    pub(super) program: Option<Program>,
}

/// One engine of a trial.
pub(super) struct Tried {
    pub(super) ggml_version: String,
    pub(super) fingerprint: String,
    /// Nothing if it gave none.
    pub(super) answers: Option<Answers>,
}

impl Offer {
    /// `devices`: what is asked for; the last one of its kind is taken.
    pub(super) fn read(path: &Path, devices: &[String]) -> Result<Self, AlignError> {
        let path = full_path(path)?;
        let note = note::read(&path)?;
        let of_kind = |device: &&String| device.split(':').next() == Some(&note.kind);
        let device = devices.iter().rfind(of_kind).unwrap_or(&note.kind).clone();
        Ok(Self { path, note, device })
    }

    pub(super) fn kind(&self) -> &str {
        &self.note.kind
    }

    pub(super) fn device(&self) -> &str {
        &self.device
    }

    /// Tries it with every engine that it is made for.
    pub(super) fn serve(
        &self,
        trials: &[Trial],
        tolerances: &Tolerances,
        runner: &Runner,
    ) -> Served {
        let mut fits = Vec::new();
        for trial in trials {
            for (engine, tried) in &trial.engines {
                if self.is_for(trial.candidate.as_deref(), engine) {
                    let mut fit = Fit {
                        engine: engine.clone(),
                        candidate: trial.candidate.clone(),
                        ggml_version: tried.ggml_version.clone(),
                        differences: self.differences(tried),
                        problem: None,
                        cases: Vec::new(),
                        fitness: Fitness::OtherGgml,
                    };
                    if fit.differences.is_empty() {
                        self.run(&mut fit, trial, tolerances, runner);
                    }
                    fits.push(fit);
                }
            }
        }
        Served {
            path: self.path.clone(),
            name: self.note.name.clone(),
            title: self.note.title.clone(),
            version: self.note.version.clone(),
            engine: Some(self.note.engine.clone()).filter(|engine| !engine.is_empty()),
            fits,
        }
    }

    /// A plugin for pinned engines is made for one of them, any other for all that share a ggml.
    fn is_for(&self, candidate: Option<&str>, engine: &str) -> bool {
        match candidate {
            Some(_) => self.note.engine.is_empty(),
            None => self.note.engine == engine,
        }
    }

    fn differences(&self, tried: &Tried) -> Vec<Difference> {
        fingerprint::differences(&tried.fingerprint, &self.note.fingerprint)
            .into_iter()
            .map(|difference| Difference {
                field: difference.field,
                expected: difference.expected,
                found: difference.found,
            })
            .collect()
    }

    /// Runs an engine on the plugin's device, and compares with what it gave on the CPU.
    fn run(&self, fit: &mut Fit, trial: &Trial, tolerances: &Tolerances, runner: &Runner) {
        let device = Device {
            name: &self.device,
            plugin: &self.path,
        };
        let expected = trial.engines[&fit.engine].answers.as_ref();
        let compared = trial
            .program
            .as_ref()
            .zip(expected)
            .ok_or_else(|| Failure::Failed("The engine does not run on the CPU".into()))
            .and_then(|(program, expected)| {
                let version = &fit.ggml_version;
                let found = runner.run(program, &fit.engine, version, Some(&device))?;
                Ok(compare::cases(expected, &found, tolerances)?)
            });
        match compared {
            Ok(cases) => {
                fit.fitness = Fitness::of(&cases);
                fit.cases = cases;
            }
            Err(failure) => {
                fit.fitness = match failure {
                    Failure::NoDevice(_) => Fitness::NoDevice,
                    Failure::Failed(_) => Fitness::DoesNotRun,
                };
                fit.problem = Some(failure.words());
            }
        }
    }
}

/// Runs the programs.
pub(super) struct Runner {
    pub(super) models: PathBuf,
    pub(super) time_limit: Duration,
    pub(super) progress: fn(&str),
}

impl Runner {
    /// Runs one engine; with another ggml than this its answers would be worth nothing.
    pub(super) fn run(
        &self,
        program: &Program,
        engine: &str,
        version: &str,
        device: Option<&Device<'_>>,
    ) -> Result<Answers, Failure> {
        let on = device.map_or_else(String::new, |device| format!(", on {}", device.name));
        (self.progress)(&format!("running {engine} ({}{on})", program.kind));
        let answers = program.run(engine, &self.models, device, self.time_limit)?;
        let found = &answers.ggml_version;
        if found != version {
            let words = format!("Expected it to run with ggml {version}, found {found}");
            return Err(Failure::Failed(words));
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(engine: &str, fingerprint: &str) -> Offer {
        Offer {
            path: "/plugin.so".into(),
            device: "some".into(),
            note: Note {
                name: "some".into(),
                kind: "some".into(),
                version: "1".into(),
                title: "Some".into(),
                package: "trifold-some".into(),
                engine: engine.into(),
                cpu_features: Vec::new(),
                fingerprint: fingerprint.into(),
            },
        }
    }

    /// Engines that compile and give no answers.
    fn trial(candidate: Option<&str>, engines: &[&str]) -> Trial {
        let tried = || Tried {
            ggml_version: "2".into(),
            fingerprint: "GGML_MAX_NAME\t128\n".into(),
            answers: None,
        };
        Trial {
            candidate: candidate.map(str::to_owned),
            engines: engines
                .iter()
                .map(|name| ((*name).into(), tried()))
                .collect(),
            program: None,
        }
    }

    fn serve(offer: &Offer) -> Served {
        let trials = [
            trial(None, &["llama", "whisper"]),
            trial(Some("llama"), &["llama", "whisper"]),
        ];
        let runner = Runner {
            models: PathBuf::new(),
            time_limit: Duration::ZERO,
            progress: |_| {},
        };
        offer.serve(&trials, &Tolerances::default(), &runner)
    }

    #[test]
    fn a_plugin_for_another_ggml_is_not_run() {
        let served = serve(&offer("", "GGML_MAX_NAME\t64\n"));
        assert!(!served.serves());
        assert_eq!(served.fits.len(), 2);
        for fit in &served.fits {
            assert_eq!(fit.candidate.as_deref(), Some("llama"));
            assert_eq!(fit.fitness, Fitness::OtherGgml);
            assert_eq!(fit.differences[0].field, "GGML_MAX_NAME");
            assert_eq!(fit.problem, None);
        }
    }

    #[test]
    fn a_plugin_for_one_engine_is_tried_with_its_own_ggml() {
        let served = serve(&offer("whisper", "GGML_MAX_NAME\t128\n"));
        let [fit] = &served.fits[..] else {
            panic!("{served:?}");
        };
        assert_eq!((fit.engine.as_str(), &fit.candidate), ("whisper", &None));
        // There is nothing to compare with.
        assert_eq!(fit.fitness, Fitness::DoesNotRun);
        assert!(fit.problem.is_some());
    }

    /// One ggml is enough.
    #[test]
    fn a_plugin_for_one_of_two_candidates_serves() {
        let fit = |candidate: &str, fitness| Fit {
            engine: "whisper".into(),
            candidate: Some(candidate.into()),
            ggml_version: "2".into(),
            differences: Vec::new(),
            problem: None,
            cases: Vec::new(),
            fitness,
        };
        let mut served = serve(&offer("", "GGML_MAX_NAME\t64\n"));
        served.fits = vec![
            fit("llama", Fitness::Within),
            fit("diffusion", Fitness::OtherGgml),
        ];
        assert!(served.serves());
        served.fits.push(fit("llama", Fitness::Beyond));
        assert!(!served.serves());
    }

    #[test]
    fn a_plugin_for_none_of_the_engines_serves_nobody() {
        let served = serve(&offer("diffusion", "GGML_MAX_NAME\t128\n"));
        assert!(served.fits.is_empty() && !served.serves());
    }
}
