//! Room for the engine's recursion.
//!
//! Two parts of the engine call themselves once per character in the worst case: the regular
//! expressions that cut text into words (`std::regex`), and the reader of grammars. A stack that runs
//! over ends the process, so long input is worked on by a thread with a stack to match. Stacks take
//! memory only where they are used.

use std::thread;

use crate::LlamaError;

/// Up to this length any thread's stack will do.
const SHORT: usize = 1 << 10;

/// More than one level of the recursion takes. Measured with gcc 12 and `-O3`: up to 400 bytes for a
/// byte of text, over all kinds of tokenizers, and 600 for one of a grammar.
const BYTES_PER_LEVEL: usize = 1 << 10;

/// Runs `work` where there is room for as many levels of recursion as `length`.
pub(crate) fn with_room<R: Send>(
    length: usize,
    work: impl FnOnce() -> R + Send,
) -> Result<R, LlamaError> {
    if length <= SHORT {
        return Ok(work());
    }
    let bytes = (1 << 20) + length.saturating_mul(BYTES_PER_LEVEL);
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("trifold-llama-deep".to_owned())
            .stack_size(bytes)
            .spawn_scoped(scope, work)
            .map_err(|source| LlamaError::Stack { bytes, source })?;
        Ok(thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
