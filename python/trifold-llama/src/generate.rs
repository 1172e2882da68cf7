//! A running generation.

use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict},
};
use trifold_llama::{
    ChatMessage, Completion, FinishReason, GenerateOptions, GeneratedToken, Piece, TokenLogprob,
    Tools,
};
use trifold_python::{Failure, Scope, Stream};

use crate::{failure::failure, model::State};

/// What to go on from.
pub(crate) enum Prompt {
    Text(String),
    Tokens(Vec<trifold_llama::Token>),
    Chat {
        messages: Vec<ChatMessage>,
        tools: Option<Tools>,
    },
}

/// The text of a completion without what its pieces have told already.
pub(crate) type End = Completion;

/// Runs on the worker's thread.
pub(crate) fn run(
    state: &mut State,
    prompt: &Prompt,
    mut options: GenerateOptions,
    scope: &Scope<Piece>,
) -> Result<End, Failure> {
    options.cancel = Some(scope.cancel.clone());
    let context = state.context()?;
    let started = match prompt {
        Prompt::Text(text) => context.generate(text, &options),
        Prompt::Tokens(tokens) => context.generate_tokens(tokens, &options),
        Prompt::Chat { messages, tools } => match tools {
            Some(tools) => context.chat_with_tools(messages, tools, &options),
            None => context.chat(messages, &options),
        },
    };
    let mut generation = started.map_err(|error| failure(&error))?;
    for piece in generation.by_ref() {
        scope.emit(piece.map_err(|error| failure(&error))?);
    }
    // The pieces have been told; what is left are the reason, the counts and the times.
    let end = generation.complete().map_err(|error| failure(&error))?;
    // The token of a caller ends a text; whoever closes the model breaks it off.
    if end.finish_reason == FinishReason::Cancelled && scope.is_closed() {
        return Err(scope.stopped());
    }
    Ok(end)
}

/// A generation that runs; an iterator of `(text, tokens)`.
#[pyclass(frozen, module = "trifold_llama._native")]
pub(crate) struct Generation(pub(crate) Stream<Piece, End>);

#[pymethods]
impl Generation {
    /// The next piece, or `None` at the end.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let piece = self.0.next(py)?;
        piece.map(|piece| piece_of(py, &piece)).transpose()
    }

    /// How it ended; `None` before the end, and after an error.
    #[getter]
    fn end<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.0.end(|end| end_of(py, end))?.transpose()
    }

    /// Stops it. What was generated since the last piece is lost.
    fn close(&self) {
        self.0.close();
    }
}

fn piece_of<'py>(py: Python<'py>, piece: &Piece) -> PyResult<Bound<'py, PyAny>> {
    let tokens: Vec<_> = piece
        .tokens
        .iter()
        .map(|token| token_of(py, token))
        .collect();
    (&piece.text, tokens).into_pyobject(py).map(Bound::into_any)
}

/// `(id, bytes, logprob)`
type Logprob<'py> = (i32, Bound<'py, PyBytes>, f32);

/// `(id, bytes, logprob or None, the most probable ones)`
type TokenParts<'py> = (i32, Bound<'py, PyBytes>, Option<f32>, Vec<Logprob<'py>>);

fn token_of<'py>(py: Python<'py>, token: &GeneratedToken) -> TokenParts<'py> {
    let alternative =
        |other: &TokenLogprob| (other.token.0, PyBytes::new(py, &other.bytes), other.logprob);
    let logprobs = token.logprobs.as_ref();
    (
        token.token.0,
        PyBytes::new(py, &token.bytes),
        logprobs.map(|logprobs| logprobs.logprob),
        logprobs.map_or_else(Vec::new, |logprobs| {
            logprobs.top.iter().map(alternative).collect()
        }),
    )
}

fn end_of<'py>(py: Python<'py>, end: &End) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let (reason, stop) = match &end.finish_reason {
        FinishReason::Cancelled => ("cancelled", None),
        FinishReason::ContextFull => ("context_full", None),
        FinishReason::Length => ("length", None),
        FinishReason::ToolCalls => ("tool_calls", None),
        FinishReason::StopString(text) => ("stop", Some(text.into_pyobject(py)?.into_any())),
        FinishReason::StopToken(token) => ("stop", Some(token.0.into_pyobject(py)?.into_any())),
        _ => ("other", None),
    };
    dict.set_item("finish_reason", reason)?;
    dict.set_item("stop", stop)?;
    dict.set_item("seed", end.seed)?;
    dict.set_item("reasoning", &end.reasoning)?;
    let calls = end.tool_calls.iter();
    let calls = calls.map(|call| (&call.id, &call.name, &call.arguments_json));
    dict.set_item("tool_calls", calls.collect::<Vec<_>>())?;
    let usage = end.usage;
    dict.set_item(
        "usage",
        (
            usage.prompt_tokens,
            usage.reused_prompt_tokens,
            usage.completion_tokens,
        ),
    )?;
    let timings = end.timings;
    dict.set_item(
        "timings",
        (
            timings.prompt.as_secs_f64(),
            timings.decode.as_secs_f64(),
            timings.prompt_tokens_per_second(),
            timings.decode_tokens_per_second(),
        ),
    )?;
    Ok(dict)
}
