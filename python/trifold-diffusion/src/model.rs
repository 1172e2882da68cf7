//! A model on a thread of its own.

use std::path::PathBuf;

use pyo3::{prelude::*, types::PyDict};
use trifold_diffusion::{
    DiffusionError, GenerateOptions, ModelOptions, Progress, Sampler, Scheduler,
};
use trifold_python::{Failure, Scope, Worker, call};

use crate::{
    failure::failure,
    options,
    picture::{self, RawPicture},
};

/// A picture model.
#[pyclass(frozen, module = "trifold_diffusion._native")]
pub(crate) struct Model {
    worker: Worker<trifold_diffusion::Model>,
    facts: Facts,
}

/// What does not change, for callers that should not wait until the model has time.
struct Facts {
    path: PathBuf,
    size_step: u32,
    defaults: GenerateOptions,
    sampler: Option<Sampler>,
    schedulers: Vec<(Sampler, Option<Scheduler>)>,
}

impl Facts {
    fn of(model: &trifold_diffusion::Model) -> Result<Self, DiffusionError> {
        let defaults = model.default_options("");
        let sampler = match defaults.sampler {
            Some(sampler) => Some(sampler),
            None => model.default_sampler()?,
        };
        let schedulers = Sampler::ALL
            .iter()
            .map(|sampler| Ok((*sampler, model.default_scheduler(*sampler)?)))
            .collect::<Result<_, DiffusionError>>()?;
        Ok(Self {
            path: model.path().to_owned(),
            size_step: model.size_step(),
            defaults,
            sampler,
            schedulers,
        })
    }
}

#[pymethods]
impl Model {
    #[new]
    #[pyo3(signature = (model, demo_models, options, progress))]
    fn new(
        py: Python<'_>,
        model: Option<PathBuf>,
        demo_models: Option<PathBuf>,
        options: Option<&Bound<'_, PyDict>>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let (options, limits) = options::load(py, model, demo_models, options, progress)?;
        let (worker, facts) = Worker::start(
            py,
            "picture model",
            &limits,
            move |scope: &Scope<()>| load(&options, scope),
            |_, ()| Ok(()),
        )?;
        Ok(Self { worker, facts })
    }

    fn close(&self, py: Python<'_>) {
        self.worker.close(py);
    }

    #[getter]
    fn closed(&self) -> bool {
        self.worker.is_closed()
    }

    /// Draws. `on_weights` is told `(done, total)`, `on_step` is told
    /// `(picture, pictures, step, steps, seconds)`.
    #[pyo3(signature = (prompt, batch, options, on_weights, on_step))]
    fn generate<'py>(
        &self,
        py: Python<'py>,
        prompt: String,
        batch: u32,
        options: Option<&Bound<'py, PyDict>>,
        on_weights: Option<&Bound<'py, PyAny>>,
        on_step: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Vec<RawPicture<'py>>> {
        let (options, limits) = options::generate(&self.facts.defaults, prompt, batch, options)?;
        let job = self.worker.submit(py, &limits, move |model, scope| {
            model
                .generate_with(&options, &scope.cancel, |progress| scope.emit(progress))
                .map_err(|error| failure(&error))
        })?;
        let pictures = job.wait(py, |_, progress| match (progress, on_weights, on_step) {
            (Progress::Weights { done, total }, Some(function), _) => {
                call(function, (done, total)).map(drop)
            }
            (
                Progress::Step {
                    picture,
                    pictures,
                    step,
                    steps,
                    time,
                },
                _,
                Some(function),
            ) => call(
                function,
                (picture, pictures, step, steps, time.as_secs_f64()),
            )
            .map(drop),
            _ => Ok(()),
        })?;
        Ok(pictures
            .into_iter()
            .map(|picture| picture::raw(py, picture))
            .collect())
    }

    /// Facts that do not change, by name.
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.worker.check()?;
        let facts = &self.facts;
        let info = PyDict::new(py);
        info.set_item("path", &facts.path)?;
        info.set_item("size_step", facts.size_step)?;
        info.set_item("width", facts.defaults.width)?;
        info.set_item("height", facts.defaults.height)?;
        info.set_item("steps", facts.defaults.steps)?;
        info.set_item("guidance", facts.defaults.guidance)?;
        info.set_item("sampler", facts.sampler.map(Sampler::name))?;
        Ok(info)
    }

    /// The scheduler that is used with a sampler.
    fn default_scheduler(&self, sampler: &str) -> PyResult<Option<&'static str>> {
        self.worker.check()?;
        let sampler: Sampler = sampler.parse().map_err(|error| failure(&error))?;
        let known = self.facts.schedulers.iter().find(|(of, _)| *of == sampler);
        Ok(known
            .and_then(|(_, scheduler)| *scheduler)
            .map(Scheduler::name))
    }
}

fn load(
    options: &ModelOptions,
    scope: &Scope<()>,
) -> Result<(trifold_diffusion::Model, Facts), Failure> {
    let model = trifold_diffusion::Model::load_with(options).map_err(|error| failure(&error))?;
    // The engine cannot be stopped while it loads.
    if scope.cancel.is_cancelled() {
        return Err(failure(&DiffusionError::Cancelled));
    }
    let facts = Facts::of(&model).map_err(|error| failure(&error))?;
    Ok((model, facts))
}

/// The versions of what is sealed inside, and how it was built.
#[pyfunction]
pub(crate) fn versions(py: Python<'_>) -> PyResult<Vec<(&'static str, String)>> {
    let read = || -> Result<_, DiffusionError> {
        Ok(vec![
            ("stable-diffusion.cpp", trifold_diffusion::version()?),
            ("ggml", trifold_diffusion::ggml_version()?),
            ("cpu_level", trifold_diffusion::cpu_level()?.to_owned()),
            ("system_info", trifold_diffusion::system_info()?),
        ])
    };
    Ok(py.detach(read).map_err(|error| failure(&error))?)
}

/// What can be computed on, and what is wrong with plugins that cannot be used.
#[pyfunction]
pub(crate) fn devices(
    py: Python<'_>,
    plugins: Vec<(PathBuf, Option<String>)>,
) -> PyResult<(Vec<trifold_python::DeviceRow>, Vec<String>)> {
    trifold_python::devices(py, trifold_diffusion::host(), plugins)
}
