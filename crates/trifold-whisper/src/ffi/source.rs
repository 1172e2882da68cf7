//! The engine reads a model by callbacks, so that a failing disk is noticed: it looks at nothing else.

use std::any::Any;
use std::ffi::c_void;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use trifold_whisper_sys::{EngineError, raw};

/// Why a model was not loaded.
pub(crate) enum LoadError {
    Engine(EngineError),
    Read(io::Error),
}

impl From<EngineError> for LoadError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// What the engine reads a model from.
pub(super) struct SourceBridge<'a> {
    source: &'a mut dyn Read,
    ended: bool,
    pub(super) error: Option<io::Error>,
    pub(super) panic: Option<Box<dyn Any + Send>>,
}

impl<'a> SourceBridge<'a> {
    pub(super) fn new(source: &'a mut dyn Read) -> Self {
        Self {
            source,
            ended: false,
            error: None,
            panic: None,
        }
    }

    /// The callbacks; the bridge must stay where it is as long as they are in use.
    pub(super) fn loader(&mut self) -> raw::whisper_model_loader {
        raw::whisper_model_loader {
            context: ptr::from_mut(self).cast(),
            read: Some(read_source),
            eof: Some(source_ended),
            close: Some(close_source),
        }
    }
}

unsafe extern "C" fn read_source(context: *mut c_void, output: *mut c_void, size: usize) -> usize {
    // SAFETY: `Context::load` gave this pointer to the engine, which passes it on while it loads.
    let bridge = unsafe { &mut *context.cast::<SourceBridge>() };
    if size == 0 {
        return 0; // The pointer may be null then.
    }
    // The engine ignores how much was read: what is not, must not be what happened to lie there.
    // SAFETY: the engine passes room for `size` bytes; they are initialised before the slice is made.
    let buffer = unsafe {
        ptr::write_bytes(output.cast::<u8>(), 0, size);
        std::slice::from_raw_parts_mut(output.cast::<u8>(), size)
    };
    let mut filled = 0;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        while filled < size && !bridge.ended {
            match bridge.source.read(&mut buffer[filled..]) {
                Ok(0) => bridge.ended = true,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    bridge.ended = true;
                    bridge.error = Some(error);
                }
            }
        }
    }));
    if let Err(panic) = outcome {
        bridge.ended = true;
        bridge.panic = Some(panic);
    }
    filled
}

unsafe extern "C" fn source_ended(context: *mut c_void) -> bool {
    // SAFETY: as in `read_source`.
    unsafe { (*context.cast::<SourceBridge>()).ended }
}

unsafe extern "C" fn close_source(_context: *mut c_void) {}
