use std::{ffi::c_void, ptr::NonNull, sync::Arc};

use trifold_llama_sys::{self as sys, raw};
use trifold_runtime::{CancelToken, EngineError, log};

use super::{Batch, ModelHandle};
use crate::{LlamaError, Pooling, error::EngineWords};

/// How to make a context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContextParams {
    pub(crate) n_ctx: u32,
    pub(crate) n_batch: u32,
    pub(crate) n_ubatch: u32,
    pub(crate) n_seq_max: u32,
    /// How many tokens of a call may have logits or embeddings.
    pub(crate) n_outputs_max: u32,
    /// For embeddings instead of logits.
    pub(crate) embeddings: Option<Pooling>,
}

/// How processing a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    Done,
    /// The cancel token stopped it; a part may have been processed.
    Aborted,
}

/// A context, with the model that it needs.
#[derive(Debug)]
pub(crate) struct ContextHandle {
    context: NonNull<raw::llama_context>,
    model: Arc<ModelHandle>,
    /// The error that left the context in an unknown state.
    poison: Option<EngineError>,
    n_threads: i32,
}

// SAFETY: a `llama_context` has no thread-local state, so it may be used and freed on any thread, one
// at a time. It is not `Sync`: calls change it.
unsafe impl Send for ContextHandle {}

impl Drop for ContextHandle {
    fn drop(&mut self) {
        if self.poison.is_some() {
            // A C++ object that was left in the middle of a call must not be destroyed: its parts
            // contradict each other, and threads of a computation may still be waiting inside it.
            // Those may read the weights, so the model stays as well.
            std::mem::forget(Arc::clone(&self.model));
            return;
        }
        // SAFETY: the pointer came from the engine and is freed once; `&mut` keeps others out.
        if let Err(error) = unsafe { sys::llama_free(self.context.as_ptr()) } {
            tracing::error!("Failed to free a context: {error}");
        }
    }
}

unsafe extern "C" fn is_cancelled(data: *mut c_void) -> bool {
    // SAFETY: `decode` passes a token that lives until it has taken this callback away again.
    let cancelled = unsafe { &*data.cast::<CancelToken>() }.is_cancelled();
    if cancelled {
        log::expect_failure();
    }
    cancelled
}

impl ContextHandle {
    pub(crate) fn new(model: Arc<ModelHandle>, params: ContextParams) -> Result<Self, LlamaError> {
        // SAFETY: no arguments.
        let mut raw_params = unsafe { sys::llama_context_default_params() }?;
        raw_params.n_ctx = params.n_ctx;
        raw_params.n_batch = params.n_batch;
        raw_params.n_ubatch = params.n_ubatch;
        raw_params.n_seq_max = params.n_seq_max;
        raw_params.n_outputs_max = params.n_outputs_max;
        raw_params.n_threads = 1;
        raw_params.n_threads_batch = 1;
        if let Some(pooling) = params.embeddings {
            raw_params.embeddings = true;
            raw_params.pooling_type = raw_pooling(pooling);
            // One memory for all sequences, so that a text may have any share of it.
            raw_params.kv_unified = true;
        }
        let (context, words) = log::keeping(|| {
            // SAFETY: the model is alive, and the context will hold it; the parameters are the
            // engine's own.
            unsafe { sys::llama_init_from_model(model.as_ptr(), raw_params) }
        });
        match NonNull::new(context?) {
            Some(context) => Ok(Self {
                context,
                model,
                poison: None,
                n_threads: 1,
            }),
            None => Err(LlamaError::Context {
                n_ctx: params.n_ctx,
                source: EngineWords::new(words),
            }),
        }
    }

    /// The only way to the pointer: refuses a poisoned context, and notices when one becomes so.
    fn call<R>(
        &mut self,
        call: impl FnOnce(*mut raw::llama_context) -> Result<R, EngineError>,
    ) -> Result<R, LlamaError> {
        if let Some(error) = &self.poison {
            return Err(LlamaError::Poisoned {
                source: error.clone(),
            });
        }
        call(self.context.as_ptr()).map_err(|error| {
            if error.interrupted_the_call() {
                self.poison = Some(error.clone());
            }
            error.into()
        })
    }

    pub(crate) fn n_ctx(&mut self) -> Result<u32, LlamaError> {
        // SAFETY: the context is alive.
        self.call(|context| unsafe { sys::llama_n_ctx(context) })
    }

    pub(crate) fn n_batch(&mut self) -> Result<u32, LlamaError> {
        // SAFETY: the context is alive.
        self.call(|context| unsafe { sys::llama_n_batch(context) })
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) -> Result<(), LlamaError> {
        // SAFETY: the context is alive, and so is its memory; null is allowed.
        self.call(|context| unsafe {
            sys::llama_memory_clear(sys::llama_get_memory(context)?, false)
        })
    }

    /// Forgets what is at `position` and after it. False if the memory cannot forget a part.
    pub(crate) fn truncate(&mut self, position: i32) -> Result<bool, LlamaError> {
        // SAFETY: the context is alive, and so is its memory; null is allowed.
        self.call(|context| unsafe {
            sys::llama_memory_seq_rm(sys::llama_get_memory(context)?, 0, position, -1)
        })
    }

    /// How many tokens the memory of the first sequence holds.
    pub(crate) fn remembered(&mut self) -> Result<usize, LlamaError> {
        // SAFETY: the context is alive, and so is its memory; null is allowed.
        let last = self.call(|context| unsafe {
            sys::llama_memory_seq_pos_max(sys::llama_get_memory(context)?, 0)
        })?;
        Ok(usize::try_from(last + 1).unwrap_or(0))
    }

    /// Processes a batch on this many threads.
    pub(crate) fn decode(
        &mut self,
        batch: &mut Batch,
        n_threads: i32,
        cancel: Option<&CancelToken>,
    ) -> Result<Decoded, LlamaError> {
        if self.n_threads != n_threads {
            // SAFETY: the context is alive.
            self.call(|context| unsafe {
                sys::llama_set_n_threads(context, n_threads, n_threads)
            })?;
            self.n_threads = n_threads;
        }
        self.set_cancel(cancel)?;
        let raw_batch = batch.raw();
        let (status, words) = log::keeping(|| {
            // SAFETY: the context is alive; the batch's pointers are to lists of its length, which
            // live until the end of this function and are only read.
            self.call(|context| unsafe { sys::llama_decode(context, raw_batch) })
        });
        if cancel.is_some() && self.poison.is_none() {
            self.set_cancel(None)?;
        }
        match status? {
            0 => Ok(Decoded::Done),
            2 => Ok(Decoded::Aborted),
            status => Err(LlamaError::Decode {
                status,
                source: EngineWords::new(words),
            }),
        }
    }

    fn set_cancel(&mut self, cancel: Option<&CancelToken>) -> Result<(), LlamaError> {
        let data = cancel.map_or(std::ptr::null_mut(), |token| {
            std::ptr::from_ref(token).cast_mut().cast::<c_void>()
        });
        let callback = cancel.map(|_| is_cancelled as unsafe extern "C" fn(*mut c_void) -> bool);
        // SAFETY: the context is alive; `decode` takes the callback away before the token may go, and
        // a poisoned context is never entered again.
        self.call(|context| unsafe { sys::llama_set_abort_callback(context, callback, data) })
    }

    /// Copies the logits of the last output: one per token of the vocabulary.
    pub(crate) fn logits(&mut self, into: &mut Vec<f32>) -> Result<(), LlamaError> {
        let (logits, words) = log::keeping(|| {
            // SAFETY: the context is alive.
            self.call(|context| unsafe { sys::llama_get_logits_ith(context, -1) })
        });
        let logits = logits?;
        let length = usize::try_from(self.model.n_vocab()?).unwrap_or(0);
        into.clear();
        if logits.is_null() {
            return Err(LlamaError::Decode {
                status: 0,
                source: EngineWords::new(words),
            });
        }
        // SAFETY: a row of logits is as long as the vocabulary, and stays until the next call.
        into.extend_from_slice(unsafe { std::slice::from_raw_parts(logits, length) });
        Ok(())
    }

    /// The pooled embedding of a sequence of the last batch.
    pub(crate) fn embedding(&mut self, sequence: i32) -> Result<Option<Vec<f32>>, LlamaError> {
        // SAFETY: the context is alive.
        let values =
            self.call(|context| unsafe { sys::llama_get_embeddings_seq(context, sequence) })?;
        let length = usize::try_from(self.model.n_embd_out()?).unwrap_or(0);
        if values.is_null() {
            return Ok(None);
        }
        // SAFETY: with any pooling but ranks, which the caller does not ask for, it has this length,
        // and stays until the next call.
        Ok(Some(
            unsafe { std::slice::from_raw_parts(values, length) }.to_vec(),
        ))
    }

    /// Trips one of the engine's own checks, for tests of what happens then.
    #[cfg(test)]
    pub(crate) fn poison(&mut self) -> LlamaError {
        self.clear().expect("a sound context");
        let mut batch = Batch::default();
        let too_many = 1 + self.n_batch().expect("a sound context");
        for position in 0..too_many.cast_signed() {
            batch.push(1, position, 0, false);
        }
        self.decode(&mut batch, 1, None)
            .expect_err("the engine asserts n_tokens <= n_batch")
    }
}

fn raw_pooling(pooling: Pooling) -> raw::llama_pooling_type {
    match pooling {
        Pooling::Cls => raw::LLAMA_POOLING_TYPE_CLS,
        Pooling::Last => raw::LLAMA_POOLING_TYPE_LAST,
        Pooling::Mean => raw::LLAMA_POOLING_TYPE_MEAN,
    }
}
