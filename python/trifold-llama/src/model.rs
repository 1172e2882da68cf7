//! A model and its context.

use std::{ops::ControlFlow, path::PathBuf};

use numpy::{PyArray2, ndarray::Array2};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict},
};
use trifold_llama::{ChatMessage, Context, Embedder, LlamaError, Special, Token};
use trifold_python::{Failure, Worker, model_path};

use crate::{
    failure::failure,
    generate::{self, Generation, Prompt},
    options::{self, EmbedOptions, EmbedderKind, LoadOptions},
};

/// What the worker's thread owns.
pub(crate) struct State {
    model: trifold_llama::Model,
    /// None for models that do not generate, with the reason.
    context: Result<Context, Failure>,
    embedder: Option<(EmbedderKind, Embedder)>,
    options: trifold_llama::ContextOptions,
}

impl State {
    fn load(
        path: PathBuf,
        options: LoadOptions,
        scope: &trifold_python::Scope<f32>,
    ) -> Result<Self, Failure> {
        let model = trifold_llama::Model::options()
            .mmap(options.mmap)
            .vocab_only(options.vocab_only)
            .check_tensors(options.check_tensors)
            .cancel(scope.cancel.clone())
            .progress(|fraction| {
                scope.emit(fraction);
                ControlFlow::Continue(())
            })
            .load(path)
            .map_err(|error| failure(&error))?;
        let context = match model.context(&options.context) {
            Ok(context) => Ok(context),
            // An encoder, or a vocabulary: it is asked for other things.
            Err(error @ LlamaError::Unsupported { .. }) => Err(failure(&error)),
            Err(error) => return Err(failure(&error)),
        };
        Ok(Self {
            model,
            context,
            embedder: None,
            options: options.context,
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
                n_ctx: self.options.n_ctx,
                threads: self.options.threads,
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
    facts: trifold_llama::Model,
    n_ctx: u32,
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
        let path = py.detach(|| model_path(&path, demo_models.as_deref()))?;
        let limits = options.limits.clone();
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        let worker = Worker::start(
            py,
            "text model",
            &limits,
            move |scope| {
                let state = State::load(path, options, scope)?;
                let n_ctx = state.context.as_ref().map_or(0, Context::n_ctx);
                // The receiver waits for the end of this.
                let _ = send.send((state.model.clone(), n_ctx));
                Ok(state)
            },
            |_, fraction| progress.map_or(Ok(()), |call| call.call1((fraction,)).map(drop)),
        )?;
        let gone = |_| Failure::new("EngineError", "The model is gone", None);
        let (model, n_ctx) = receive.try_recv().map_err(gone)?;
        Ok(Self {
            worker,
            facts: model,
            n_ctx,
        })
    }

    fn close(&self, py: Python<'_>) {
        self.worker.close(py);
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
        let prompt = match prompt.extract::<String>() {
            Ok(text) => Prompt::Text(text),
            Err(_) => Prompt::Tokens(tokens(&prompt)?),
        };
        self.start(py, prompt, options)
    }

    /// Starts to answer a conversation: messages and tools as JSON.
    fn chat(
        &self,
        py: Python<'_>,
        messages: &str,
        tools: Option<&str>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Generation> {
        let prompt = Prompt::Chat {
            messages: parse_messages(messages)?,
            tools: parse_tools(tools)?,
        };
        self.start(py, prompt, options)
    }

    /// The prompt that the model's chat template makes.
    fn apply_chat_template(
        &self,
        py: Python<'_>,
        messages: &str,
        tools: Option<&str>,
        add_generation_prompt: bool,
    ) -> PyResult<String> {
        self.worker.check()?;
        let (messages, tools) = (parse_messages(messages)?, parse_tools(tools)?);
        let made = py.detach(|| {
            self.facts
                .apply_chat_template(&messages, tools.as_ref(), add_generation_prompt)
        });
        Ok(made.map_err(|error| failure(&error))?)
    }

    fn embed<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<String>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let EmbedOptions { kind, limits } = EmbedOptions::new(options)?;
        let (rows, columns) = (texts.len(), self.facts.n_embd() as usize);
        let job = self.worker.submit(
            py,
            &limits,
            move |state, scope: &trifold_python::Scope<()>| {
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                let embedder = state.embedder(&kind)?;
                embedder.cancelled_by(&scope.cancel);
                embedder.embed(&texts).map_err(|error| failure(&error))
            },
        )?;
        let vectors = job.wait(py, |_, ()| Ok(()))?;
        let array = Array2::from_shape_vec((rows, columns), vectors.concat());
        let array = array.map_err(|error| Failure::of("EngineError", &error, None))?;
        Ok(PyArray2::from_owned_array(py, array))
    }

    fn tokenize(
        &self,
        py: Python<'_>,
        text: &str,
        parse_special: bool,
        add_bos: bool,
    ) -> PyResult<Vec<i32>> {
        self.worker.check()?;
        let special = if parse_special {
            Special::Parse
        } else {
            Special::AsText
        };
        let tokens = py.detach(|| self.facts.tokenize(text, special, add_bos));
        let tokens = tokens.map_err(|error| failure(&error))?;
        Ok(tokens.into_iter().map(|token| token.0).collect())
    }

    fn detokenize(
        &self,
        py: Python<'_>,
        tokens: Bound<'_, PyAny>,
        render_special: bool,
    ) -> PyResult<String> {
        self.worker.check()?;
        let tokens = self::tokens(&tokens)?;
        let text = py.detach(|| self.facts.detokenize(&tokens, render_special));
        Ok(text.map_err(|error| failure(&error))?)
    }

    fn token_bytes<'py>(
        &self,
        py: Python<'py>,
        token: i32,
        render_special: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.worker.check()?;
        let bytes = self.facts.token_to_piece(Token(token), render_special);
        Ok(PyBytes::new(py, &bytes.map_err(|error| failure(&error))?))
    }

    /// Forgets what was read and written.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        let job = self.worker.submit(
            py,
            &trifold_python::Limits::default(),
            |state, _: &trifold_python::Scope<()>| {
                state.context()?.clear().map_err(|error| failure(&error))
            },
        )?;
        job.wait(py, |_, ()| Ok(()))
    }

    /// Facts that do not change, by name.
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.worker.check()?;
        let model = &self.facts;
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
        let template = model.chat_template().map_err(|error| failure(&error))?;
        info.set_item("chat_template", template)?;
        Ok(info)
    }

    /// The metadata of the file.
    fn metadata(&self, py: Python<'_>) -> PyResult<Vec<(String, String)>> {
        self.worker.check()?;
        Ok(py
            .detach(|| self.facts.metadata())
            .map_err(|error| failure(&error))?)
    }

    /// The special tokens, by name.
    fn special_tokens<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.worker.check()?;
        let special = self.facts.special_tokens();
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
        &self,
        py: Python<'_>,
        prompt: Prompt,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Generation> {
        let (options, limits) = options::generate(options)?;
        let job = self.worker.submit(py, &limits, move |state, scope| {
            generate::run(state, &prompt, options, scope)
        })?;
        Ok(Generation::new(job))
    }
}

/// A sequence of integers, or an array of them.
fn tokens(value: &Bound<'_, PyAny>) -> PyResult<Vec<Token>> {
    let tokens: Vec<i32> = value.extract()?;
    Ok(tokens.into_iter().map(Token).collect())
}

fn parse_messages(json: &str) -> PyResult<Vec<ChatMessage>> {
    serde_json::from_str(json).map_err(|error| {
        let hint = "Each message is a dict such as {\"role\": \"user\", \"content\": \"hello\"}."
            .to_owned();
        Failure::new(
            "OptionError",
            format!("Expected a list of messages: {error}"),
            Some(hint),
        )
        .into()
    })
}

fn parse_tools(json: Option<&str>) -> PyResult<Option<serde_json::Value>> {
    json.map(serde_json::from_str).transpose().map_err(|error| {
        Failure::new(
            "OptionError",
            format!("Expected a list of tools: {error}"),
            None,
        )
        .into()
    })
}

pub(crate) fn versions(py: Python<'_>) -> PyResult<Vec<(&'static str, String)>> {
    let read = || -> Result<_, LlamaError> {
        Ok(vec![
            ("llama.cpp", trifold_llama::llama_version()?),
            ("ggml", trifold_llama::ggml_version()?),
            ("ggml_commit", trifold_llama::ggml_commit()?),
            ("system_info", trifold_llama::system_info()?),
        ])
    };
    Ok(py.detach(read).map_err(|error| failure(&error))?)
}
