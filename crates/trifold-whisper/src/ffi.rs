//! The engine's functions behind owners and slices: the only unsafe code of this crate.
//!
//! Two rules of whisper.cpp are enforced here, because breaking them corrupts memory:
//!
//! - a state is used by one thread at a time (`&mut self`), the context by any number of them;
//! - a state that a call left in the middle of something is neither used nor freed again.
#![allow(unsafe_code)] // calls of C functions, the one purpose of this module

mod observer;
mod source;

use std::ffi::{CStr, CString, c_char, c_int};
use std::io::Read;
use std::panic::resume_unwind;
use std::ptr::{self, NonNull};
use std::sync::{Arc, OnceLock};

use trifold_whisper_sys::{self as sys, EngineError, raw};

use crate::trace::Trace;
use observer::ObserverBridge;
pub(crate) use observer::{Observer, RawSegment, RawToken};
pub(crate) use source::LoadError;
use source::SourceBridge;

/// A loaded model: `whisper_context` without a default state.
#[derive(Debug)]
pub(crate) struct Context {
    pointer: NonNull<raw::whisper_context>,
}

// SAFETY: after loading, the engine only reads the context: `whisper_full_with_state` and the other
// functions used here write to the state that they are given, and to the context only through its
// default state, which does not exist ("no_state"). The engine relies on it itself: its own
// `whisper_full_parallel` runs several states of one context on as many threads.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    /// Loads a model; nothing if the engine refused it, which its log explains.
    ///
    /// `device`: which of the engine's accelerators computes, if not the CPU.
    pub(crate) fn load(
        source: &mut dyn Read,
        device: Option<usize>,
    ) -> Result<Option<Self>, LoadError> {
        let mut bridge = SourceBridge::new(source);
        let mut loader = bridge.loader();
        // SAFETY: it takes nothing, and returns plain values.
        let mut params = unsafe { sys::whisper_context_default_params() }?;
        params.use_gpu = device.is_some();
        params.gpu_device = device
            .and_then(|index| c_int::try_from(index).ok())
            .unwrap_or(0);
        // SAFETY: the loader and the bridge outlive the call; the callbacks have the types that the
        // engine wants, and nothing else touches the bridge meanwhile.
        let result = unsafe { sys::whisper_init_with_params_no_state(&raw mut loader, params) };
        if let Some(panic) = bridge.panic {
            resume_unwind(panic);
        }
        let context = NonNull::new(result?).map(|pointer| Self { pointer });
        match bridge.error {
            // The rest of the model was read as zeros.
            Some(error) => Err(LoadError::Read(error)),
            None => Ok(context),
        }
    }

    /// The size class, such as `tiny`.
    pub(crate) fn kind(&self) -> Result<String, EngineError> {
        // SAFETY: the context is alive; the text is a literal.
        Ok(unsafe { text(sys::whisper_model_type_readable(self.pointer.as_ptr())?) })
    }

    /// The first id that is no text: those from here on are special tokens and times.
    pub(crate) fn first_special_token(&self) -> Result<i32, EngineError> {
        // SAFETY: the context is alive.
        unsafe { sys::whisper_token_eot(self.pointer.as_ptr()) }
    }

    /// The token that begins a transcript; the tokens of the languages follow it, in their order.
    pub(crate) fn start_token(&self) -> Result<i32, EngineError> {
        // SAFETY: the context is alive.
        unsafe { sys::whisper_token_sot(self.pointer.as_ptr()) }
    }

    /// The token for 0 s; those for later times follow it.
    pub(crate) fn time_zero_token(&self) -> Result<i32, EngineError> {
        // SAFETY: the context is alive.
        unsafe { sys::whisper_token_beg(self.pointer.as_ptr()) }
    }

    /// The tokens of a text. Time and stack grow with the length: bound it first.
    pub(crate) fn tokenize(&self, text: &CStr) -> Result<Vec<i32>, EngineError> {
        // No token is empty.
        let mut tokens = vec![0; text.count_bytes()];
        let room = c_int::try_from(tokens.len()).unwrap_or(c_int::MAX);
        // SAFETY: the context is alive, the text ends with a NUL, and `tokens` has `room` elements.
        let count = unsafe {
            sys::whisper_tokenize(
                self.pointer.as_ptr(),
                text.as_ptr(),
                tokens.as_mut_ptr(),
                room,
            )
        }?;
        tokens.truncate(usize::try_from(count).unwrap_or(0));
        Ok(tokens)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: this is the owner, and states hold the context through an `Arc`.
        if let Err(error) = unsafe { sys::whisper_free(self.pointer.as_ptr()) } {
            tracing::error!("Failed to free a speech model: {error}");
        }
    }
}

/// What one transcription works on: `whisper_state`.
#[derive(Debug)]
pub(crate) struct State {
    pointer: NonNull<raw::whisper_state>,
    context: Arc<Context>,
    /// A call ended in the middle: the state's own pointers may dangle.
    broken: bool,
}

// SAFETY: a state belongs to no thread: the engine keeps nothing of it in thread-local variables,
// and starts its threads anew for every call. It is not `Sync`: its functions write to it.
unsafe impl Send for State {}

/// The error code by which `whisper_full_with_state` says that it has freed the state.
const STATE_FREED: c_int = -7;

impl State {
    /// Makes room for transcriptions; nothing if the engine refused, which its log explains.
    pub(crate) fn new(context: &Arc<Context>) -> Result<Option<Self>, EngineError> {
        // SAFETY: the context is alive, and stays so as long as the state.
        let pointer = unsafe { sys::whisper_init_state(context.pointer.as_ptr()) }?;
        Ok(NonNull::new(pointer).map(|pointer| Self {
            pointer,
            context: Arc::clone(context),
            broken: false,
        }))
    }

    /// Whether a call ended in the middle, so that the state is of no use any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Transcribes; gives the segments, or the engine's error code, which it also gives when it is
    /// [`sys::cancellable`] and was cancelled. `samples` must be more than 200.
    pub(crate) fn full(
        &mut self,
        settings: &Settings,
        samples: &[f32],
        observer: &mut dyn Observer,
    ) -> Result<Result<Vec<RawSegment>, i32>, EngineError> {
        let code = self.spectrogram(samples, settings.threads)?;
        if code != 0 {
            return Ok(Err(code));
        }
        let context = Arc::clone(&self.context);
        let trace = Trace::new(context.time_zero_token()?);
        let state = self.pointer.as_ptr();
        let mut bridge = ObserverBridge::new(observer, &context, state, settings.threads, &trace);
        let params = settings.params(&mut bridge)?;
        // SAFETY: context and state are alive, and the state is ours alone; without samples the engine
        // goes on from the spectrogram that it has; what `params` points to outlives the call: the
        // settings, the trace, and the bridge, which only the callbacks touch meanwhile, one at a time, on
        // this thread.
        let result = self.call(|context, state| unsafe {
            sys::whisper_full_with_state(context, state, params, ptr::null(), 0)
        });
        if let Ok(STATE_FREED) = result {
            self.broken = true;
        }
        if let Some(panic) = bridge.panic {
            resume_unwind(panic);
        }
        match (result?, bridge.error) {
            (_, Some(error)) => {
                self.broken = true;
                Err(error)
            }
            (0, None) => Ok(Ok(bridge.segments)),
            (code, None) => Ok(Err(code)),
        }
    }

    /// Makes the spectrogram of more than 200 samples; gives the engine's error code.
    ///
    /// Where the engine makes it by itself, it cannot be stopped.
    fn spectrogram(&mut self, samples: &[f32], threads: i32) -> Result<c_int, EngineError> {
        assert!(!self.broken && samples.len() > MIN_SAMPLES);
        let count = c_int::try_from(samples.len()).unwrap_or(c_int::MAX);
        // SAFETY: context and state are alive, and the state is ours alone; `samples` has `count`
        // elements, enough for the 201 that the engine reads without looking.
        self.call(|context, state| unsafe {
            sys::whisper_pcm_to_mel_with_state(context, state, samples.as_ptr(), count, threads)
        })
    }

    /// What the model makes of the first 30 s, given only the token that begins every transcript:
    /// one logit for each of the `n_vocab` tokens. Nothing if the engine refused.
    pub(crate) fn first_logits(
        &mut self,
        samples: &[f32],
        threads: i32,
        n_vocab: usize,
    ) -> Result<Option<&[f32]>, EngineError> {
        let start = self.context.start_token()?;
        if self.spectrogram(samples, threads)? != 0 {
            return Ok(None);
        }
        // SAFETY: context and state are alive, and the state is ours alone.
        let encoded = self.call(|context, state| unsafe {
            sys::whisper_encode_with_state(context, state, 0, threads)
        })?;
        if encoded != 0 {
            return Ok(None);
        }
        // SAFETY: as above; one token, at its place in the vocabulary, at the first position.
        let decoded = self.call(|context, state| unsafe {
            sys::whisper_decode_with_state(context, state, &raw const start, 1, 0, threads)
        })?;
        if decoded != 0 {
            return Ok(None);
        }
        self.logits(n_vocab).map(Some)
    }

    /// The first row of the logits that the model computed last. Call it after a successful call of
    /// [`State::full`] or a decoder run only.
    pub(crate) fn logits(&mut self, n_vocab: usize) -> Result<&[f32], EngineError> {
        // SAFETY: the state is alive.
        let logits = unsafe { sys::whisper_get_logits_from_state(self.pointer.as_ptr()) }?;
        // SAFETY: a decoder run leaves at least one row of as many logits as there are tokens; the
        // borrow keeps other calls away.
        Ok(unsafe { std::slice::from_raw_parts(logits, n_vocab) })
    }

    /// Fails an assertion of the engine, on this thread: there is no such token.
    #[cfg(test)]
    pub(crate) fn fail(&mut self) -> Result<i32, EngineError> {
        let token = 1_000_000;
        // SAFETY: context and state are alive, the state is ours alone, and there is one token.
        self.call(|context, state| unsafe {
            sys::whisper_decode_with_state(context, state, &raw const token, 1, 0, 1)
        })
    }

    /// Makes a call that changes the state, and remembers if it did not come to its end.
    fn call<R>(
        &mut self,
        call: impl FnOnce(*mut raw::whisper_context, *mut raw::whisper_state) -> Result<R, EngineError>,
    ) -> Result<R, EngineError> {
        let result = call(self.context.pointer.as_ptr(), self.pointer.as_ptr());
        // Not only a failed assertion: where an exception left, for instance for want of memory,
        // there may be a buffer that was freed and not yet replaced.
        if let Err(error) = &result
            && !matches!(error, EngineError::Cpu(_))
        {
            self.broken = true;
        }
        result
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if self.broken {
            // Leaked: freeing it would follow pointers of which nobody knows where they lead. So is the
            // model: kernel threads of the call that failed may still read it.
            std::mem::forget(Arc::clone(&self.context));
            return;
        }
        // SAFETY: this is the owner.
        if let Err(error) = unsafe { sys::whisper_free_state(self.pointer.as_ptr()) } {
            tracing::error!("Failed to free the state of a transcription: {error}");
        }
    }
}

/// The engine mirrors this many samples at the beginning, and does not look whether they are there.
pub(crate) const MIN_SAMPLES: usize = 200;

/// The parameters of a transcription, checked by the caller.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "the engine's own switches")]
pub(crate) struct Settings {
    pub(crate) threads: i32,
    pub(crate) language: CString,
    pub(crate) translate: bool,
    pub(crate) single_segment: bool,
    pub(crate) suppress_blank: bool,
    pub(crate) suppress_non_speech: bool,
    pub(crate) prompt: Vec<i32>,
    /// Nothing for greedy decoding.
    pub(crate) beam_size: Option<i32>,
    pub(crate) best_of: i32,
    pub(crate) temperature: f32,
    pub(crate) temperature_step: f32,
    pub(crate) entropy_threshold: f32,
    pub(crate) logprob_threshold: f32,
    pub(crate) no_speech_threshold: f32,
}

impl Settings {
    fn params(&self, bridge: &mut ObserverBridge) -> Result<raw::whisper_full_params, EngineError> {
        let strategy = if self.beam_size.is_some() {
            raw::WHISPER_SAMPLING_BEAM_SEARCH
        } else {
            raw::WHISPER_SAMPLING_GREEDY
        };
        // SAFETY: it takes and returns plain values.
        let mut params = unsafe { sys::whisper_full_default_params(strategy) }?;
        params.n_threads = self.threads;
        params.language = self.language.as_ptr();
        params.translate = self.translate;
        params.single_segment = self.single_segment;
        params.suppress_blank = self.suppress_blank;
        params.suppress_nst = self.suppress_non_speech;
        if !self.prompt.is_empty() {
            params.prompt_tokens = self.prompt.as_ptr();
            params.prompt_n_tokens = c_int::try_from(self.prompt.len()).unwrap_or(0);
        }
        params.beam_search.beam_size = self.beam_size.unwrap_or(-1);
        params.greedy.best_of = self.best_of;
        params.temperature = self.temperature;
        params.temperature_inc = self.temperature_step;
        params.entropy_thold = self.entropy_threshold;
        params.logprob_thold = self.logprob_threshold;
        params.no_speech_thold = self.no_speech_threshold;
        // Calls do not depend on those before them.
        params.no_context = true;
        params.print_progress = false;
        params.print_timestamps = false;
        bridge.connect(&mut params);
        Ok(params)
    }
}

/// The languages that the engine has names for, in the order of their tokens: code and English name.
pub(crate) fn languages() -> Result<&'static [(String, String)], EngineError> {
    static LANGUAGES: OnceLock<Vec<(String, String)>> = OnceLock::new();
    if let Some(languages) = LANGUAGES.get() {
        return Ok(languages);
    }
    // SAFETY: ids up to the largest are known, and the texts live as long as the process.
    let languages = unsafe {
        (0..=sys::whisper_lang_max_id()?)
            .map(|id| {
                Ok((
                    text(sys::whisper_lang_str(id)?),
                    text(sys::whisper_lang_str_full(id)?),
                ))
            })
            .collect::<Result<_, EngineError>>()?
    };
    Ok(LANGUAGES.get_or_init(|| languages))
}

/// The engine's version.
pub(crate) fn whisper_version() -> Result<String, EngineError> {
    // SAFETY: the text is a literal.
    Ok(unsafe { text(sys::whisper_version()?) })
}

/// The version of the ggml inside.
pub(crate) fn ggml_version() -> Result<String, EngineError> {
    // SAFETY: the text is a literal.
    Ok(unsafe { text(sys::ggml_version()?) })
}

/// What the kernels use of this CPU.
pub(crate) fn system_info() -> Result<&'static str, EngineError> {
    // The engine builds the text in a static variable: never call it twice at once.
    static INFO: OnceLock<Result<String, EngineError>> = OnceLock::new();
    let info = INFO.get_or_init(|| {
        // SAFETY: the text lies in a static variable that is not written again.
        Ok(unsafe { text(sys::whisper_print_system_info()?) })
    });
    info.as_deref().map_err(Clone::clone)
}

/// The CPU level of the kernels in use.
pub(crate) fn cpu_level() -> Result<&'static str, EngineError> {
    Ok(sys::ENGINE.cpu()?.level)
}

/// # Safety
/// `pointer` must be null or point to a text that ends with a NUL.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(pointer) }
        .to_string_lossy()
        .into_owned()
}
