//! A model and its context.

use std::{
    ops::ControlFlow,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use numpy::{PyArray2, ndarray::Array2};
use pyo3::{
    exceptions::PyTypeError,
    prelude::*,
    types::{PyByteArray, PyBytes, PyDict, PyString},
};
use trifold_llama::{
    ChatMessage, Context, ContextOptions, Embedder, LlamaError, Special, Token, ToolChoice, Tools,
};
use trifold_python::{
    Failure, Limits, ModelKind, Scope, Stream, Worker, argument, import, model_path, tell,
};

use crate::{
    failure::failure,
    generate::{self, Generation, Prompt},
    options::{self, EmbedOptions, EmbedderKind, LoadOptions, read_json},
};

/// What the worker's thread owns.
pub(crate) struct State {
    model: trifold_llama::Model,
    /// None for models that do not generate, with the reason.
    context: Result<Context, Failure>,
    embedder: Option<(EmbedderKind, Embedder)>,
    options: ContextOptions,
}

impl State {
    fn load(path: PathBuf, options: LoadOptions, scope: &Scope<f32>) -> Result<Self, Failure> {
        let mut loading = trifold_llama::Model::options()
            .mmap(options.mmap)
            .device(options.devices)
            .tensor_split(options.tensor_split)
            .vocab_only(options.vocab_only)
            .check_tensors(options.check_tensors)
            .cancel(scope.cancel.clone())
            .progress(|fraction| {
                scope.emit(fraction);
                ControlFlow::Continue(())
            });
        if let Some(layers) = options.gpu_layers {
            loading = loading.gpu_layers(layers);
        }
        let model = loading.load(path).map_err(|error| failure(&error))?;
        Self::new(model, options.context)
    }

    fn new(model: trifold_llama::Model, options: ContextOptions) -> Result<Self, Failure> {
        let context = match model.context(&options) {
            Ok(context) => Ok(context),
            // An encoder, or a vocabulary: it is asked for other things.
            Err(error @ LlamaError::Unsupported { .. }) => Err(failure(&error)),
            Err(error) => return Err(failure(&error)),
        };
        Ok(Self {
            model,
            context,
            embedder: None,
            options,
        })
    }

    pub(crate) fn context(&mut self) -> Result<&mut Context, Failure> {
        self.context.as_mut().map_err(|failure| failure.clone())
    }

    fn embedder(&mut self, kind: &EmbedderKind) -> Result<&mut Embedder, Failure> {
        if self.embedder.as_ref().is_none_or(|(made, _)| made != kind) {
            let options = trifold_llama::EmbedOptions {
                pooling: kind.pooling,
                normalize: kind.normalize,
                n_ctx: kind.n_ctx.unwrap_or(self.options.n_ctx),
                threads: kind.threads.or(self.options.threads),
                cancel: None,
            };
            let embedder = self
                .model
                .embedder(&options)
                .map_err(|error| failure(&error))?;
            self.embedder = Some((kind.clone(), embedder));
        }
        match &mut self.embedder {
            Some((_, embedder)) => Ok(embedder),
            None => Err(Failure::new("EngineError", "No embedder", None)),
        }
    }
}

/// A model with one context, on a thread of its own.
#[pyclass(frozen, module = "trifold_llama._native")]
pub(crate) struct Model {
    worker: Worker<State>,
    /// For what the worker is not asked. Nothing after it was closed: this would hold the memory.
    facts: Mutex<Option<trifold_llama::Model>>,
    n_ctx: u32,
    options: ContextOptions,
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
        let options = LoadOptions::new(options)?;
        let mut limits = options.limits.clone();
        let demo_models = demo_models.as_deref();
        let path = model_path(
            py,
            &path,
            ModelKind::Text,
            demo_models,
            &mut limits,
            progress,
        )?;
        let load = move |scope: &Scope<f32>| State::load(path, options, scope);
        Self::start(py, &limits, load, tell(progress))
    }

    /// Another context of the same model.
    fn share(&self, py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let model = self.facts()?;
        let options = options::context(options, &self.options)?;
        let make = move |_: &Scope<f32>| State::new(model, options);
        Self::start(py, &Limits::default(), make, tell(None))
    }

    fn close(&self, py: Python<'_>) {
        self.worker.close(py);
        self.lock().take();
    }

    #[getter]
    fn closed(&self) -> bool {
        self.worker.is_closed()
    }

    /// Raises if it cannot be used.
    fn check(&self) -> PyResult<()> {
        self.worker.check()
    }

    /// Starts to generate from a text or from tokens.
    fn generate(
        &self,
        py: Python<'_>,
        prompt: Bound<'_, PyAny>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Generation> {
        let prompt = match prompt.cast::<PyString>() {
            Ok(text) => Prompt::Text(argument("prompt", text)?),
            Err(_) => Prompt::Tokens(tokens("prompt", &prompt)?),
        };
        self.submit(py, prompt, options)
    }

    /// Starts to answer a conversation: messages, tools and their choice as JSON.
    fn chat(
        &self,
        py: Python<'_>,
        messages: &str,
        tools: Option<&str>,
        choice: &str,
        parallel: bool,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Generation> {
        let messages = parse_messages(messages)?;
        let tools = parse_tools(tools)?.map(|tools| chosen_tools(tools, choice, parallel));
        let tools = tools.transpose().map_err(|error| failure(&error))?;
        let prompt = Prompt::Chat { messages, tools };
        self.submit(py, prompt, options)
    }

    /// The prompt that the model's chat template makes.
    fn apply_chat_template(
        &self,
        py: Python<'_>,
        messages: &str,
        tools: Option<&str>,
        add_generation_prompt: bool,
    ) -> PyResult<String> {
        let (messages, tools) = (parse_messages(messages)?, parse_tools(tools)?);
        self.ask(py, |model| {
            model.apply_chat_template(&messages, tools.as_ref(), add_generation_prompt)
        })
    }

    fn embed<'py>(
        &self,
        py: Python<'py>,
        texts: Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let EmbedOptions { kind, limits } = EmbedOptions::new(options)?;
        let texts: Vec<String> = argument("texts", &texts)?;
        let (rows, columns) = (texts.len(), self.facts()?.n_embd() as usize);
        let job = self
            .worker
            .submit(py, &limits, move |state, scope: &Scope<()>| {
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                let embedder = state.embedder(&kind)?;
                embedder.cancelled_by(&scope.cancel);
                embedder.embed(&texts).map_err(|error| failure(&error))
            })?;
        let vectors = job.wait(py, |_, ()| Ok(()))?;
        let array = Array2::from_shape_vec((rows, columns), vectors.concat());
        let array = array.map_err(|error| Failure::of("EngineError", &error, None))?;
        // Making an array would import it.
        import(py, c"numpy")?;
        Ok(PyArray2::from_owned_array(py, array))
    }

    fn tokenize(
        &self,
        py: Python<'_>,
        text: Bound<'_, PyAny>,
        parse_special: bool,
        add_bos: bool,
    ) -> PyResult<Vec<i32>> {
        let text: String = argument("text", &text)?;
        let special = if parse_special {
            Special::Parse
        } else {
            Special::AsText
        };
        let tokens = self.ask_about(py, text.len(), move |model| {
            model.tokenize(&text, special, add_bos)
        })?;
        Ok(tokens.into_iter().map(|token| token.0).collect())
    }

    fn detokenize(
        &self,
        py: Python<'_>,
        tokens: Bound<'_, PyAny>,
        render_special: bool,
    ) -> PyResult<String> {
        let tokens = self::tokens("tokens", &tokens)?;
        self.ask_about(py, tokens.len(), move |model| {
            model.detokenize(&tokens, render_special)
        })
    }

    fn token_bytes<'py>(
        &self,
        py: Python<'py>,
        token: Bound<'py, PyAny>,
        render_special: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let token = Token(argument("token", &token)?);
        let bytes = self.ask(py, |model| model.token_to_piece(token, render_special))?;
        Ok(PyBytes::new(py, &bytes))
    }

    fn is_control(&self, py: Python<'_>, token: Bound<'_, PyAny>) -> PyResult<bool> {
        let token = Token(argument("token", &token)?);
        self.ask(py, |model| model.is_control(token))
    }

    fn is_end_of_generation(&self, py: Python<'_>, token: Bound<'_, PyAny>) -> PyResult<bool> {
        let token = Token(argument("token", &token)?);
        self.ask(py, |model| model.is_end_of_generation(token))
    }

    /// The tokens that were read and written.
    fn remembered(&self, py: Python<'_>) -> PyResult<Vec<i32>> {
        let job = self
            .worker
            .submit(py, &Limits::default(), |state, _: &Scope<()>| {
                let tokens = state.context()?.remembered();
                Ok(tokens.iter().map(|token| token.0).collect())
            })?;
        job.wait(py, |_, ()| Ok(()))
    }

    /// Forgets what was read and written.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        let job = self
            .worker
            .submit(py, &Limits::default(), |state, _: &Scope<()>| {
                state.context()?.clear().map_err(|error| failure(&error))
            })?;
        job.wait(py, |_, ()| Ok(()))
    }

    /// Facts that do not change, by name.
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let model = self.facts()?;
        let info = PyDict::new(py);
        info.set_item("path", model.path())?;
        info.set_item("description", model.description())?;
        info.set_item("n_params", model.n_params())?;
        info.set_item("size_bytes", model.size_bytes())?;
        info.set_item("n_ctx", self.n_ctx)?;
        info.set_item("n_ctx_train", model.n_ctx_train())?;
        info.set_item("n_embd", model.n_embd())?;
        info.set_item("n_layer", model.n_layer())?;
        info.set_item("n_vocab", model.n_vocab())?;
        info.set_item("vocab_only", model.is_vocab_only())?;
        let template = model.chat_template().map_err(|error| failure(&error))?;
        info.set_item("chat_template", template)?;
        let special = model.special_tokens();
        info.set_item("adds_bos", special.adds_bos)?;
        info.set_item("adds_eos", special.adds_eos)?;
        Ok(info)
    }

    /// The metadata of the file.
    fn metadata(&self, py: Python<'_>) -> PyResult<Vec<(String, String)>> {
        self.ask(py, trifold_llama::Model::metadata)
    }

    /// The special tokens, by name.
    fn special_tokens<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let model = self.facts()?;
        let special = model.special_tokens();
        let tokens = PyDict::new(py);
        for (name, token) in [
            ("bos", special.bos),
            ("eos", special.eos),
            ("eot", special.eot),
            ("sep", special.sep),
            ("nl", special.nl),
            ("pad", special.pad),
            ("mask", special.mask),
            ("fim_prefix", special.fim_prefix),
            ("fim_suffix", special.fim_suffix),
            ("fim_middle", special.fim_middle),
        ] {
            tokens.set_item(name, token.map(|token| token.0))?;
        }
        Ok(tokens)
    }
}

impl Model {
    fn start(
        py: Python<'_>,
        limits: &Limits,
        make: impl FnOnce(&Scope<f32>) -> Result<State, Failure> + Send + 'static,
        on_progress: impl FnMut(Python<'_>, f32) -> PyResult<()>,
    ) -> PyResult<Self> {
        let (worker, (model, n_ctx, options)) = Worker::start(
            py,
            "text model",
            limits,
            move |scope| {
                let state = make(scope)?;
                let n_ctx = state.context.as_ref().map_or(0, Context::n_ctx);
                let facts = (state.model.clone(), n_ctx, state.options.clone());
                Ok((state, facts))
            },
            on_progress,
        )?;
        Ok(Self {
            worker,
            facts: Mutex::new(Some(model)),
            n_ctx,
            options,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<trifold_llama::Model>> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn facts(&self) -> PyResult<trifold_llama::Model> {
        self.worker.check()?;
        let gone = || Failure::new("ClosedError", "This text model is closed", None);
        Ok(self.lock().clone().ok_or_else(gone)?)
    }

    /// Asks what needs no turn.
    fn ask<R: Send>(
        &self,
        py: Python<'_>,
        question: impl FnOnce(&trifold_llama::Model) -> Result<R, LlamaError> + Send,
    ) -> PyResult<R> {
        let model = self.facts()?;
        let answer = self.worker.beside(py, || {
            let answer = question(&model).map_err(|error| failure(&error));
            drop(model);
            answer
        })?;
        Ok(answer?)
    }

    /// Asks what needs no turn, and takes its time for long texts: so many bytes, or tokens.
    fn ask_about<R: Send + 'static>(
        &self,
        py: Python<'_>,
        length: usize,
        question: impl FnOnce(&trifold_llama::Model) -> Result<R, LlamaError> + Send + 'static,
    ) -> PyResult<R> {
        /// It takes some 10 ms; a thread takes some 10 µs.
        const LONG: usize = 32 << 10;
        if length < LONG {
            return self.ask(py, question);
        }
        let model = self.facts()?;
        self.worker.beside_for_long(py, move || {
            question(&model).map_err(|error| failure(&error))
        })
    }

    fn submit(
        &self,
        py: Python<'_>,
        prompt: Prompt,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Generation> {
        let (options, limits) = options::generate(options)?;
        let job = self.worker.submit(py, &limits, move |state, scope| {
            generate::run(state, &prompt, options, scope)
        })?;
        Ok(Generation(Stream::new(job)))
    }
}

/// A sequence of integers, or an array of them.
fn tokens(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<Token>> {
    // Sequences of integers as well, but surely not meant as tokens.
    if value.is_instance_of::<PyBytes>() || value.is_instance_of::<PyByteArray>() {
        let message = format!(
            "Wrong type for {name} (found: {}): bytes are neither text nor tokens\nhint: Decode them first.",
            value.get_type().name()?
        );
        return Err(PyTypeError::new_err(message));
    }
    let tokens: Vec<i32> = argument(name, value).map_err(|error| {
        if !error.is_instance_of::<PyTypeError>(value.py()) {
            return error;
        }
        let what = error.value(value.py());
        PyTypeError::new_err(format!(
            "{what}\nhint: Tokens are integers, in a sequence or an array of one dimension."
        ))
    })?;
    Ok(tokens.into_iter().map(Token).collect())
}

fn parse_messages(json: &str) -> PyResult<Vec<ChatMessage>> {
    let messages = serde_json::from_value(read_json("messages", json)?);
    let failed = |error| Failure::of("OptionError", &error, None);
    Ok(messages.map_err(failed)?)
}

fn parse_tools(json: Option<&str>) -> PyResult<Option<serde_json::Value>> {
    Ok(json.map(|json| read_json("tools", json)).transpose()?)
}

fn chosen_tools(
    tools: serde_json::Value,
    choice: &str,
    parallel: bool,
) -> Result<Tools, LlamaError> {
    let choice = serde_json::from_str(choice).unwrap_or_default();
    let choice = ToolChoice::from_json(&choice)?;
    Ok(Tools::new(tools)?.choice(choice).parallel(parallel))
}

/// The versions of what is sealed inside, and how it was built.
#[pyfunction]
pub(crate) fn versions(py: Python<'_>) -> PyResult<Vec<(&'static str, String)>> {
    let read = || -> Result<_, LlamaError> {
        Ok(vec![
            ("llama.cpp", trifold_llama::llama_version()?),
            ("ggml", trifold_llama::ggml_version()?),
            ("ggml_commit", trifold_llama::ggml_commit()?),
            ("cpu_level", trifold_llama::cpu_level()?.to_owned()),
            ("system_info", trifold_llama::system_info()?),
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
    trifold_python::devices(py, trifold_llama::host(), plugins)
}
