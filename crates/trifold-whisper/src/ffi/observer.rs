//! What the engine calls back while it transcribes, and what is read from it then.

use std::any::Any;
use std::ffi::{CStr, c_int, c_void};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use trifold_whisper_sys::{self as sys, EngineError, raw};

use super::Context;
use crate::trace::Trace;

/// What watches over a transcription; called on the thread that transcribes.
pub(crate) trait Observer {
    /// So many percent are done.
    fn progress(&mut self, percent: i32);
    /// New segments were found.
    fn segments(&mut self, segments: &[RawSegment]);
    /// Whether to stop.
    fn stop(&mut self) -> bool;
}

pub(super) struct ObserverBridge<'a> {
    observer: &'a mut dyn Observer,
    context: &'a Context,
    /// The state that the engine works on.
    state: *mut raw::whisper_state,
    threads: c_int,
    trace: &'a Trace,
    /// All segments so far.
    pub(super) segments: Vec<RawSegment>,
    window: Window,
    /// Why a call from a callback failed.
    pub(super) error: Option<EngineError>,
    /// What a callback panicked with; it goes on after the engine's frames are left.
    pub(super) panic: Option<Box<dyn Any + Send>>,
}

/// The 30 s that the engine works on.
#[derive(Default)]
struct Window {
    /// The tokens of its segments.
    segments: Vec<Vec<i32>>,
    /// How probable it is that nobody speaks; nothing until its encoder run is over.
    no_speech: Option<f32>,
}

impl<'a> ObserverBridge<'a> {
    pub(super) fn new(
        observer: &'a mut dyn Observer,
        context: &'a Context,
        state: *mut raw::whisper_state,
        threads: c_int,
        trace: &'a Trace,
    ) -> Self {
        Self {
            observer,
            context,
            state,
            threads,
            trace,
            segments: Vec::new(),
            window: Window::default(),
            error: None,
            panic: None,
        }
    }

    /// Sets the callbacks; the bridge must stay where it is as long as they are in use.
    pub(super) fn connect(&mut self, params: &mut raw::whisper_full_params) {
        let bridge: *mut c_void = ptr::from_mut(self).cast();
        params.progress_callback = Some(on_progress);
        params.progress_callback_user_data = bridge;
        params.new_segment_callback = Some(on_segments);
        params.new_segment_callback_user_data = bridge;
        params.encoder_begin_callback = Some(on_encoder_begin);
        params.encoder_begin_callback_user_data = bridge;
        params.abort_callback = Some(on_abort_query);
        params.abort_callback_user_data = bridge;
        params.logits_filter_callback = Some(on_logits);
        params.logits_filter_callback_user_data = ptr::from_ref(self.trace).cast_mut().cast();
    }

    fn take(&mut self, mut segments: Vec<RawSegment>) {
        for segment in &mut segments {
            let tokens: Vec<i32> = segment.tokens.iter().map(|token| token.id).collect();
            let delay = self.trace.delay(&self.window.segments, &tokens);
            let start = segment.start.saturating_add(delay);
            segment.start = start.min(segment.end).max(segment.start);
            segment.no_speech_probability = self.window.no_speech.unwrap_or(0.0);
            self.window.segments.push(tokens);
        }
        self.observer.segments(&segments);
        self.segments.append(&mut segments);
    }

    fn begin_window(&mut self) -> ControlFlow<()> {
        self.trace.clear();
        self.window = Window::default();
        if self.observer.stop() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Called after every run of the encoder and decoder.
    fn after_run(&mut self) -> ControlFlow<()> {
        if self.observer.stop() || self.error.is_some() {
            return ControlFlow::Break(());
        }
        if self.window.no_speech.is_none() {
            match self.no_speech_probability() {
                Ok(probability) => self.window.no_speech = Some(probability),
                Err(error) => {
                    self.error = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// The probability of the token for "no speech", where models are trained to put it: right after the
    /// token that begins a transcript.
    ///
    /// The engine reads it from the first row of the logits. It fills that row only when its prompt is a
    /// single token; else there is what a run before left, even of another call. So this is run after
    /// the encoder, before the prompt: it leaves in that row what the engine wants to find.
    fn no_speech_probability(&self) -> Result<f32, EngineError> {
        let context = self.context.pointer.as_ptr();
        // SAFETY: the engine has just left its encoder on this thread, clears the decoder's cache before
        // it uses it again, and waits; the row has as many logits as there are tokens.
        unsafe {
            let start = sys::whisper_token_sot(context)?;
            let token = sys::whisper_token_nosp(context)?;
            let code = sys::whisper_decode_with_state(
                context,
                self.state,
                &raw const start,
                1,
                0,
                self.threads,
            )?;
            if code != 0 {
                return Ok(0.0); // The engine's next run will fail and say why.
            }
            let logits = sys::whisper_get_logits_from_state(self.state)?;
            let count = usize::try_from(sys::whisper_n_vocab(context)?).unwrap_or(0);
            Ok(probability(
                std::slice::from_raw_parts(logits, count),
                token,
            ))
        }
    }
}

/// The softmax of one of the logits.
fn probability(logits: &[f32], token: i32) -> f32 {
    let wanted = usize::try_from(token)
        .ok()
        .and_then(|token| logits.get(token));
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|logit| (logit - max).exp()).sum();
    wanted.map_or(0.0, |logit| (logit - max).exp() / sum)
}

/// Calls the observer. After a panic the observer is left alone, and `otherwise` is the answer.
///
/// # Safety
/// `user_data` must point to the [`ObserverBridge`] of a running call, and nothing else may use it.
unsafe fn observe<R>(
    user_data: *mut c_void,
    otherwise: R,
    call: impl FnOnce(&mut ObserverBridge) -> R,
) -> R {
    // SAFETY: the caller's promise.
    let bridge = unsafe { &mut *user_data.cast::<ObserverBridge>() };
    if bridge.panic.is_some() {
        return otherwise;
    }
    match catch_unwind(AssertUnwindSafe(|| call(bridge))) {
        Ok(result) => result,
        Err(panic) => {
            bridge.panic = Some(panic);
            otherwise
        }
    }
}

unsafe extern "C" fn on_progress(
    _context: *mut raw::whisper_context,
    _state: *mut raw::whisper_state,
    percent: c_int,
    user_data: *mut c_void,
) {
    // SAFETY: `State::full` set this pointer, and the engine calls back one at a time.
    unsafe { observe(user_data, (), |bridge| bridge.observer.progress(percent)) }
}

unsafe extern "C" fn on_segments(
    context: *mut raw::whisper_context,
    state: *mut raw::whisper_state,
    new: c_int,
    user_data: *mut c_void,
) {
    // SAFETY: as in `on_progress`; the engine passes the context and state that it works on, and waits.
    unsafe {
        observe(user_data, (), |bridge| {
            let segments = sys::whisper_full_n_segments_from_state(state)
                .and_then(|count| read_segments(context, state, count - new, count));
            match segments {
                Ok(segments) => bridge.take(segments),
                Err(error) => bridge.error = Some(error),
            }
        });
    }
}

/// Changes nothing: it looks at what was sampled.
unsafe extern "C" fn on_logits(
    _context: *mut raw::whisper_context,
    _state: *mut raw::whisper_state,
    tokens: *const raw::whisper_token_data,
    count: c_int,
    logits: *mut f32,
    user_data: *mut c_void,
) {
    // SAFETY: `State::full` set this pointer; others look at the same time, on the engine's threads.
    let trace = unsafe { &*user_data.cast::<Trace>() };
    let count = usize::try_from(count).unwrap_or(0);
    if count == 0 {
        return; // The pointer may be null.
    }
    // SAFETY: the engine passes that many tokens.
    let tokens = unsafe { std::slice::from_raw_parts(tokens, count) };
    // It allocates at most; a panic has nowhere to go from here, and would come from a full memory.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        trace.record(logits.addr(), tokens.iter().map(|token| token.id));
    }));
}

unsafe extern "C" fn on_encoder_begin(
    _context: *mut raw::whisper_context,
    _state: *mut raw::whisper_state,
    user_data: *mut c_void,
) -> bool {
    // SAFETY: as in `on_progress`.
    unsafe {
        observe(user_data, false, |bridge| {
            bridge.begin_window().is_continue()
        })
    }
}

unsafe extern "C" fn on_abort_query(user_data: *mut c_void) -> bool {
    // SAFETY: as in `on_progress`.
    unsafe { observe(user_data, true, |bridge| bridge.after_run().is_break()) }
}

/// A segment as the engine has it. Times are in units of 10 ms from the first sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RawSegment {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) text: Vec<u8>,
    pub(crate) no_speech_probability: f32,
    pub(crate) tokens: Vec<RawToken>,
}

/// A token as the engine has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RawToken {
    pub(crate) id: i32,
    pub(crate) text: Vec<u8>,
    pub(crate) probability: f32,
}

/// # Safety
/// Context and state must be alive and belong together, and no other thread may use the state.
unsafe fn read_segments(
    context: *mut raw::whisper_context,
    state: *mut raw::whisper_state,
    first: c_int,
    end: c_int,
) -> Result<Vec<RawSegment>, EngineError> {
    // SAFETY: the caller's promise; indices are below the counts, and texts are copied at once.
    unsafe {
        (first.max(0)..end)
            .map(|segment| {
                let tokens = (0..sys::whisper_full_n_tokens_from_state(state, segment)?)
                    .map(|token| read_token(context, state, segment, token))
                    .collect::<Result<_, _>>()?;
                let text = sys::whisper_full_get_segment_text_from_state(state, segment)?;
                Ok(RawSegment {
                    start: sys::whisper_full_get_segment_t0_from_state(state, segment)?,
                    end: sys::whisper_full_get_segment_t1_from_state(state, segment)?,
                    text: CStr::from_ptr(text).to_bytes().to_vec(),
                    no_speech_probability: 0.0, // The engine's is a matter of luck: see the bridge.
                    tokens,
                })
            })
            .collect()
    }
}

/// # Safety
/// As [`read_segments`]; the indices must be below the counts.
unsafe fn read_token(
    context: *mut raw::whisper_context,
    state: *mut raw::whisper_state,
    segment: c_int,
    token: c_int,
) -> Result<RawToken, EngineError> {
    // SAFETY: the caller's promise; the text lies in the context's vocabulary.
    unsafe {
        let data = sys::whisper_full_get_token_data_from_state(state, segment, token)?;
        let text = sys::whisper_token_to_str(context, data.id)?;
        Ok(RawToken {
            id: data.id,
            text: CStr::from_ptr(text).to_bytes().to_vec(),
            probability: data.p,
        })
    }
}
