//! Room for the engine's recursion.
//!
//! Two parts of the engine call themselves once per character in the worst case: the regular
//! expressions that cut text into words (`std::regex`), and the reader of grammars. A stack that runs
//! over ends the process, so long input is worked on by a thread with a stack to match. Stacks take
//! memory only where they are used.

use std::thread;

use crate::LlamaError;

/// Up to this length any thread's stack will do (the smallest default is 2 MiB).
const SHORT: usize = 2 << 10;

/// More than one level of the recursion takes, measured with gcc 12 and `-O3`.
const BYTES_PER_LEVEL: usize = 1 << 10;

/// Runs `work` where there is room for as many levels of recursion as `length`.
pub(crate) fn with_room<R: Send>(
    length: usize,
    work: impl FnOnce() -> R + Send,
) -> Result<R, LlamaError> {
    if length <= SHORT {
        return Ok(work());
    }
    let bytes = (1 << 20) + length.saturating_mul(std::env::var("LV").map_or(BYTES_PER_LEVEL, |v| v.parse().unwrap()));
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("trifold-llama-deep".to_owned())
            .stack_size(bytes)
            .spawn_scoped(scope, work)
            .map_err(|source| LlamaError::Stack { bytes, source })?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
