//! Text generation, chat and embeddings with llama.cpp, sealed.
//!
//! - [`Model`]: a GGUF file in memory, with its tokenizer, metadata and chat template;
//! - [`Context`]: generates text and answers conversations, with a memory of what was said;
//! - [`Generation`]: an iterator of pieces of text, with everything about how it ended;
//! - [`SamplingOptions`]: how the next token is chosen;
//! - [`ResponseFormat`]: answers in JSON, by a schema; [`Tools`]: what the model may call;
//! - [`Embedder`]: texts as vectors;
//! - [`LlamaError`]: what can go wrong, with a [hint](LlamaError::hint).
//!
//! Nothing needs to be set up, nothing is printed, and the engine's failures are errors, not crashes.
//!
//! ```
//! use trifold_llama::{ChatMessage, ContextOptions, GenerateOptions, Model, SamplingOptions};
//!
//! # const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/story/trifold-story.gguf");
//! let model = Model::load(PATH)?;
//! let mut context = model.context(&ContextOptions::default())?;
//! let options = GenerateOptions {
//!     sampling: SamplingOptions { temperature: 0.7, ..SamplingOptions::default() },
//!     ..GenerateOptions::default()
//! };
//! let messages = [ChatMessage::user("Tell me a story about a little dog.")];
//! for piece in context.chat(&messages, &options)? {
//!     print!("{}", piece?.text);
//! }
//! # Ok::<_, trifold_llama::LlamaError>(())
//! ```

mod chat;
mod context;
mod embed;
mod error;
mod ffi;
mod generate;
mod grammar;
mod model;
mod options;
mod reader;
mod sampling;
mod stack;
mod structured;
mod text;
mod tools;

pub use chat::ChatMessage;
pub use context::Context;
pub use embed::{EmbedOptions, Embedder, Pooling};
pub use error::{EngineWords, LlamaError};
pub use generate::{
    Completion, FinishReason, GeneratedToken, Generation, Logprobs, Piece, Timings, TokenLogprob,
    Usage,
};
pub use model::{Model, ModelOptions, Special, SpecialTokens, Token};
pub use options::{ContextOptions, Dry, GenerateOptions, Mirostat, SamplingOptions, Xtc};
pub use structured::ResponseFormat;
pub use tools::{ToolCall, ToolChoice, Tools};
pub use trifold_backend::{BackendError, Device, DeviceOptions, DeviceRequest};
pub use trifold_runtime::{CancelToken, EngineError};

/// All devices of this engine, after a search for backend plugins.
///
/// # Errors
/// [`BackendError`] if the engine itself cannot run; what is wrong with plugins is in the list of those that
/// were refused.
pub fn devices(search: &trifold_backend::Search) -> Result<trifold_backend::Devices, BackendError> {
    trifold_backend::devices(host(), search)
}

/// This engine, as a backend loader sees it.
pub fn host() -> &'static trifold_runtime::Host {
    &trifold_llama_sys::HOST
}

/// The version of llama.cpp inside, such as `0.6.0`.
///
/// ```
/// assert!(trifold_llama::llama_version()?.starts_with(char::is_numeric));
/// # Ok::<_, trifold_llama::LlamaError>(())
/// ```
pub fn llama_version() -> Result<String, LlamaError> {
    Ok(ffi::llama_version()?)
}

/// The version of llama.cpp's own ggml, such as `0.26.0`.
///
/// ```
/// assert!(trifold_llama::ggml_version()?.starts_with(char::is_numeric));
/// # Ok::<_, trifold_llama::LlamaError>(())
/// ```
pub fn ggml_version() -> Result<String, LlamaError> {
    Ok(ffi::ggml_version()?)
}

/// The commit of llama.cpp's own ggml, as far as its source says it.
pub fn ggml_commit() -> Result<String, LlamaError> {
    Ok(ffi::ggml_commit()?)
}

/// The instructions that the kernels were compiled with, such as `AVX2 = 1`, one line for each backend.
///
/// ```
/// assert!(trifold_llama::system_info()?.contains("CPU"));
/// # Ok::<_, trifold_llama::LlamaError>(())
/// ```
pub fn system_info() -> Result<String, LlamaError> {
    Ok(ffi::system_info()?.trim_end_matches([' ', '|']).to_owned())
}

/// The CPU level of the kernels in use, such as `x86-64-v3`: the best that this CPU can run, or what the
/// environment variable `TRIFOLD_CPU_LEVEL` names.
///
/// ```
/// assert!(trifold_llama::cpu_level()?.starts_with("x86-64-v"));
/// # Ok::<_, trifold_llama::LlamaError>(())
/// ```
pub fn cpu_level() -> Result<&'static str, LlamaError> {
    Ok(ffi::cpu_level()?)
}
