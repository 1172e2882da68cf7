//! Keyword options into those of the safe crate.

use std::{collections::BTreeMap, num::NonZeroUsize};

use pyo3::{prelude::*, types::PyDict};
use trifold_llama::{
    ContextOptions, DeviceOptions, Dry, GenerateOptions, LlamaError, Mirostat, Pooling,
    ResponseFormat, SamplingOptions, Special, Token, Xtc,
};
use trifold_python::{Failure, Limits, Options};

use crate::failure::failure;

/// How a model is loaded.
pub(crate) struct LoadOptions {
    pub(crate) mmap: bool,
    pub(crate) check_tensors: bool,
    pub(crate) vocab_only: bool,
    pub(crate) devices: DeviceOptions,
    pub(crate) gpu_layers: Option<u32>,
    pub(crate) tensor_split: Vec<f32>,
    pub(crate) context: ContextOptions,
    pub(crate) limits: Limits,
}

impl LoadOptions {
    pub(crate) fn new(given: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let mut options = Options::new(given);
        let mut load = Self {
            mmap: true,
            check_tensors: false,
            vocab_only: false,
            devices: options.devices()?,
            gpu_layers: options.take("gpu_layers")?,
            tensor_split: options.take("tensor_split")?.unwrap_or_default(),
            context: ContextOptions::default(),
            limits: options.limits()?,
        };
        options.set("mmap", &mut load.mmap)?;
        options.set("check_tensors", &mut load.check_tensors)?;
        options.set("vocab_only", &mut load.vocab_only)?;
        set_context(&mut options, &mut load.context)?;
        options.finish()?;
        Ok(load)
    }
}

/// How another context is made: what is not given is as for the one that there is.
pub(crate) fn context(
    given: Option<&Bound<'_, PyDict>>,
    others: &ContextOptions,
) -> PyResult<ContextOptions> {
    let mut options = Options::new(given);
    let mut context = others.clone();
    set_context(&mut options, &mut context)?;
    options.finish()?;
    Ok(context)
}

fn set_context(options: &mut Options<'_>, context: &mut ContextOptions) -> PyResult<()> {
    options.set("n_ctx", &mut context.n_ctx)?;
    options.set("n_batch", &mut context.n_batch)?;
    if let Some(threads) = options.take("threads")? {
        context.threads = Some(threads);
    }
    Ok(())
}

/// How to generate: the options of Python's `GenerateOptions`.
pub(crate) fn generate(given: Option<&Bound<'_, PyDict>>) -> PyResult<(GenerateOptions, Limits)> {
    let mut options = Options::new(given);
    let limits = options.limits()?;
    let mut generate = GenerateOptions {
        max_tokens: options.take("max_tokens")?,
        stop: options.strings("stop")?.unwrap_or_default(),
        logprobs: options.take("logprobs")?,
        add_bos: options.take("add_bos")?,
        sampling: sampling(&mut options)?,
        ..GenerateOptions::default()
    };
    if let Some(format) = json(&mut options, "response_format", ResponseFormat::from_json)? {
        generate.response_format = format;
    }
    if options.take("parse_special")? == Some(false) {
        generate.special = Special::AsText;
    }
    options.finish()?;
    Ok((generate, limits))
}

/// An option that Python has written as JSON.
fn json<T>(
    options: &mut Options<'_>,
    name: &'static str,
    read: impl FnOnce(&serde_json::Value) -> Result<T, LlamaError>,
) -> PyResult<Option<T>> {
    let Some(text) = options.take::<String>(name)? else {
        return Ok(None);
    };
    let value = read_json(&format!("option {name}"), &text)?;
    Ok(Some(read(&value).map_err(|error| failure(&error))?))
}

/// JSON that Python has written, so that its numbers may still be too large, and its depth.
pub(crate) fn read_json(what: &str, text: &str) -> Result<serde_json::Value, Failure> {
    serde_json::from_str(text).map_err(|error| {
        // The place is none that the caller knows.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let reason = error.to_string();
        let reason = match reason.strip_suffix(&place).unwrap_or(&reason) {
            "recursion limit exceeded" => "lists and dicts are nested 128 levels deep or more",
            "number out of range" => "a number is too large",
            other => other,
        };
        let message = format!("Expected {what} to be JSON that the engine can read: {reason}");
        Failure::new("OptionError", message, None)
    })
}

fn sampling(options: &mut Options<'_>) -> PyResult<SamplingOptions> {
    let mut sampling = SamplingOptions {
        grammar: options.take("grammar")?,
        seed: options.take("seed")?,
        ..SamplingOptions::default()
    };
    options.set("temperature", &mut sampling.temperature)?;
    options.set("top_k", &mut sampling.top_k)?;
    options.set("top_p", &mut sampling.top_p)?;
    options.set("min_p", &mut sampling.min_p)?;
    options.set("typical_p", &mut sampling.typical_p)?;
    options.set("penalty_last_n", &mut sampling.penalty_last_n)?;
    options.set("repeat_penalty", &mut sampling.repeat_penalty)?;
    options.set("frequency_penalty", &mut sampling.frequency_penalty)?;
    options.set("presence_penalty", &mut sampling.presence_penalty)?;
    if let Some(bias) = options.mapping::<BTreeMap<i32, f32>>("logit_bias")? {
        sampling.logit_bias = bias
            .into_iter()
            .map(|(token, bias)| (Token(token), bias))
            .collect();
    }
    if let Some(mut group) = options.group("dry")? {
        let mut dry = Dry::default();
        group.set("multiplier", &mut dry.multiplier)?;
        group.set("base", &mut dry.base)?;
        group.set("allowed_length", &mut dry.allowed_length)?;
        group.set("last_n", &mut dry.last_n)?;
        group.set("sequence_breakers", &mut dry.sequence_breakers)?;
        group.finish()?;
        sampling.dry = Some(dry);
    }
    if let Some(mut group) = options.group("xtc")? {
        let mut xtc = Xtc::default();
        group.set("probability", &mut xtc.probability)?;
        group.set("threshold", &mut xtc.threshold)?;
        group.finish()?;
        sampling.xtc = Some(xtc);
    }
    if let Some(mut group) = options.group("mirostat")? {
        let mut mirostat = Mirostat::default();
        group.set("tau", &mut mirostat.tau)?;
        group.set("eta", &mut mirostat.eta)?;
        group.finish()?;
        sampling.mirostat = Some(mirostat);
    }
    Ok(sampling)
}

/// How to embed: what the embedder is made for, and the rest.
pub(crate) struct EmbedOptions {
    pub(crate) kind: EmbedderKind,
    pub(crate) limits: Limits,
}

/// Embedders with equal kinds are the same.
#[derive(Clone, PartialEq)]
pub(crate) struct EmbedderKind {
    pub(crate) pooling: Option<Pooling>,
    pub(crate) normalize: bool,
    /// If they are not given, as for the context.
    pub(crate) n_ctx: Option<u32>,
    pub(crate) threads: Option<NonZeroUsize>,
}

impl EmbedOptions {
    pub(crate) fn new(given: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let mut options = Options::new(given);
        let limits = options.limits()?;
        let pooling = match options.take::<String>("pooling")?.as_deref() {
            None => None,
            Some("cls") => Some(Pooling::Cls),
            Some("last") => Some(Pooling::Last),
            Some("mean") => Some(Pooling::Mean),
            Some(other) => {
                let message =
                    format!("Expected cls, last or mean for option pooling (found: {other})");
                return Err(Failure::new("OptionError", message, None).into());
            }
        };
        let mut kind = EmbedderKind {
            pooling,
            normalize: true,
            n_ctx: options.take("n_ctx")?,
            threads: options.take("threads")?,
        };
        options.set("normalize", &mut kind.normalize)?;
        options.finish()?;
        Ok(Self { kind, limits })
    }
}
