//! A model and its transcriber.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use pyo3::{prelude::*, types::PyDict};
use trifold_python::{Failure, Limits, ModelKind, Scope, Stream, Worker, model_path, tell};
use trifold_whisper::{Hooks, Transcriber, WhisperError};

use crate::{
    audio::Source,
    failure::failure,
    options,
    transcribe::{self, Transcription},
    transcript::{LanguageFields, language_fields},
};

/// A model with one transcriber, on a thread of its own.
#[pyclass(frozen, module = "trifold_whisper._native")]
pub(crate) struct Model {
    worker: Worker<Transcriber>,
    /// For what the worker is not asked. Nothing after it was closed: this would hold the memory.
    model: Mutex<Option<trifold_whisper::Model>>,
}

#[pymethods]
impl Model {
    #[new]
    #[pyo3(signature = (path, demo_models, options, progress))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        demo_models: Option<PathBuf>,
        options: Option<&Bound<'_, PyDict>>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let (devices, mut limits) = options::load(options)?;
        let demo_models = demo_models.as_deref();
        let path = model_path(
            py,
            &path,
            ModelKind::Speech,
            demo_models,
            &mut limits,
            progress,
        )?;
        let load = move |scope: &Scope<f64>| {
            let mut hooks = Hooks::new()
                .on_progress(|percent| scope.emit(f64::from(percent) / 100.0))
                .cancelled_by(&scope.cancel);
            trifold_whisper::Model::load_on(path, &devices, &mut hooks)
        };
        Self::start(py, &limits, load, tell(progress))
    }

    /// Another transcriber of the same model.
    fn share(&self, py: Python<'_>) -> PyResult<Self> {
        let model = self.model()?;
        Self::start(py, &Limits::default(), |_| Ok(model), tell(None))
    }

    fn close(&self, py: Python<'_>) {
        self.worker.close(py);
        self.lock().take();
    }

    #[getter]
    fn closed(&self) -> bool {
        self.worker.is_closed()
    }

    /// Starts to transcribe a file or samples.
    fn transcribe(
        &self,
        py: Python<'_>,
        audio: &Bound<'_, PyAny>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Transcription> {
        self.worker.check()?;
        let (options, limits) = options::transcribe(options)?;
        let source = Source::new(audio)?;
        let job = self.worker.submit(py, &limits, move |transcriber, scope| {
            transcribe::run(transcriber, &source, &options, scope)
        })?;
        Ok(Transcription(Stream::new(job)))
    }

    /// The languages, the likeliest first.
    fn detect_language(
        &self,
        py: Python<'_>,
        audio: &Bound<'_, PyAny>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Vec<LanguageFields>> {
        self.worker.check()?;
        let (threads, limits) = options::detect(options)?;
        let source = Source::new(audio)?;
        let job = self
            .worker
            .submit(py, &limits, move |transcriber, scope: &Scope<()>| {
                let samples = source.into_samples(&scope.cancel)?;
                let hooks = Hooks::new().cancelled_by(&scope.cancel);
                transcriber
                    .detect_language_with(&samples, threads, &hooks)
                    .map_err(|error| failure(&error))
            })?;
        let languages = job.wait(py, |_, ()| Ok(()))?;
        Ok(languages.into_iter().map(language_fields).collect())
    }

    /// What the model has tokens for: codes and English names.
    fn languages(&self) -> PyResult<Vec<(&'static str, &'static str)>> {
        Ok(self.model()?.languages().collect())
    }

    /// Facts that do not change, by name.
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let model = self.model()?;
        let known = model.info();
        let info = PyDict::new(py);
        info.set_item("path", &known.path)?;
        info.set_item("file_bytes", known.file_bytes)?;
        info.set_item("load_time", known.load_time.as_secs_f64())?;
        info.set_item("size", &known.size)?;
        info.set_item("multilingual", known.multilingual)?;
        info.set_item("weights", &known.weights)?;
        let hparams = PyDict::new(py);
        for (name, value) in [
            ("n_vocab", known.hparams.n_vocab),
            ("n_audio_ctx", known.hparams.n_audio_ctx),
            ("n_audio_state", known.hparams.n_audio_state),
            ("n_audio_head", known.hparams.n_audio_head),
            ("n_audio_layer", known.hparams.n_audio_layer),
            ("n_text_ctx", known.hparams.n_text_ctx),
            ("n_text_state", known.hparams.n_text_state),
            ("n_text_head", known.hparams.n_text_head),
            ("n_text_layer", known.hparams.n_text_layer),
            ("n_mels", known.hparams.n_mels),
            ("ftype", known.hparams.ftype),
        ] {
            hparams.set_item(name, value)?;
        }
        info.set_item("hparams", hparams)?;
        Ok(info)
    }
}

impl Model {
    fn start(
        py: Python<'_>,
        limits: &Limits,
        load: impl FnOnce(&Scope<f64>) -> Result<trifold_whisper::Model, WhisperError> + Send + 'static,
        on_progress: impl FnMut(Python<'_>, f64) -> PyResult<()>,
    ) -> PyResult<Self> {
        let (worker, model) = Worker::start(
            py,
            "speech model",
            limits,
            move |scope| {
                let model = load(scope).map_err(|error| failure(&error))?;
                let transcriber = model.transcriber().map_err(|error| failure(&error))?;
                Ok((transcriber, model))
            },
            on_progress,
        )?;
        Ok(Self {
            worker,
            model: Mutex::new(Some(model)),
        })
    }

    fn model(&self) -> PyResult<trifold_whisper::Model> {
        self.worker.check()?;
        let model = self.lock().clone();
        model.ok_or_else(|| Failure::new("ClosedError", "This speech model is closed", None).into())
    }

    fn lock(&self) -> MutexGuard<'_, Option<trifold_whisper::Model>> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The versions of what is sealed inside, and how it was built.
#[pyfunction]
pub(crate) fn versions(py: Python<'_>) -> PyResult<Vec<(&'static str, String)>> {
    let read = || -> Result<_, WhisperError> {
        Ok(vec![
            ("whisper.cpp", trifold_whisper::whisper_version()?),
            ("ggml", trifold_whisper::ggml_version()?),
            ("ggml_mode", trifold_whisper::GGML_MODE.to_owned()),
            ("cpu_level", trifold_whisper::cpu_level()?.to_owned()),
            ("system_info", trifold_whisper::system_info()?.to_owned()),
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
    trifold_python::devices(py, trifold_whisper::host(), plugins)
}
