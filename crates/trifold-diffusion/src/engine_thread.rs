//! The thread that runs the engine.

use std::{io, panic, thread};

/// The engine's parser for prompts is a `std::regex`, which recurses for every byte: 8192 bytes
/// overflow the 2 MiB that a Rust thread has. This is eight times what
/// [`MAX_PROMPT_BYTES`](crate::GenerateOptions::MAX_PROMPT_BYTES) need.
const STACK_BYTES: usize = 16 << 20;

/// Runs `call` on a thread with enough stack, and `meanwhile` on this one.
pub(crate) fn run<R: Send>(
    call: impl FnOnce() -> R + Send,
    meanwhile: impl FnOnce(),
) -> io::Result<R> {
    // What the engine logs goes where this thread's logs go.
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    thread::scope(|scope| {
        let engine = thread::Builder::new()
            .name("trifold-diffusion".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, move || {
                tracing::dispatcher::with_default(&dispatch, call)
            })?;
        meanwhile();
        Ok(engine
            .join()
            .unwrap_or_else(|payload| panic::resume_unwind(payload)))
    })
}
