//! Guarded calls: from Rust into C++ and back, with an error instead of a crash.
//!
//! The C++ half is `crates/trifold-build/shim/guard.hpp`. Together with the `-sys` crates this is
//! the only place with unsafe code below the backend loader.
#![allow(unsafe_code)] // calls of C functions, the one purpose of this module

use std::{ffi::c_char, sync::OnceLock};

use crate::{
    c_api,
    cpu::{self, Choice, CpuError},
    log,
};

/// Why a call into an engine failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// One of the engine's own checks (`GGML_ASSERT`) failed on the calling thread. What the call
    /// was working on is in an unknown state and must not be used again.
    #[error("{engine} failed an internal check: {message}")]
    Assertion {
        /// The engine.
        engine: &'static str,
        /// The engine's words: file, line and condition.
        message: String,
    },
    /// The engine threw a C++ exception.
    #[error("{engine} failed: {message}")]
    Exception {
        /// The engine.
        engine: &'static str,
        /// The engine's words.
        message: String,
    },
    /// An allocation inside the engine failed.
    #[error("{engine} ran out of memory")]
    OutOfMemory {
        /// The engine.
        engine: &'static str,
    },
    /// The engine was never entered: this CPU cannot run it, or not the kernels that were asked for.
    #[error(transparent)]
    Cpu(#[from] CpuError),
}

impl EngineError {
    /// Whether what the call worked on can certainly not be used any more: its own checks failed.
    pub fn poisons(&self) -> bool {
        matches!(self, Self::Assertion { .. })
    }

    /// Whether the engine was left in the middle of the call. What a call that changes things worked
    /// on is then in an unknown state: an allocation that failed, for one, may leave half a result.
    pub fn interrupted_the_call(&self) -> bool {
        !matches!(self, Self::Cpu(_))
    }

    /// One sentence on what to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Assertion { engine, .. } => format!(
                "This is a defect of the engine or of the model file; report it with the line above to {engine}"
            ),
            Self::Exception { .. } => return None,
            Self::OutOfMemory { .. } => {
                "use a smaller model, context or picture, or free some memory".into()
            }
            Self::Cpu(error) => error.hint(),
        })
    }
}

/// What the C++ side reports; mirrors `trifold::fault`.
#[repr(C)]
pub struct Fault {
    kind: i32,
    message: [c_char; 2044],
}

/// The signature of `trifold::log_fn`.
pub type LogFn = unsafe extern "C" fn(level: i32, text: *const c_char, length: usize);

/// The signature of the sealed object's `cpu_level`: says for which levels it has kernels, one bit each, and
/// chooses one unless `level` is negative.
pub type LevelFn = fn(level: i32) -> u32;

/// A sealed engine: entered only after a look at the CPU and after its log is connected.
#[derive(Debug)]
pub struct Engine {
    name: &'static str,
    levels: &'static str,
    level: LevelFn,
    start: fn(),
    started: OnceLock<Result<Choice, CpuError>>,
}

impl Engine {
    /// Describes an engine. `levels` are its CPU levels as [`cpu::levels`] reads them, `level` chooses one;
    /// `start` connects its log. Both run once, before any other call.
    pub const fn new(
        name: &'static str,
        levels: &'static str,
        level: LevelFn,
        start: fn(),
    ) -> Self {
        Self {
            name,
            levels,
            level,
            start,
            started: OnceLock::new(),
        }
    }

    /// The upstream project's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The CPU level of its kernels, and which others there are. Makes the engine ready.
    ///
    /// # Errors
    /// [`EngineError::Cpu`].
    pub fn cpu(&self) -> Result<&Choice, EngineError> {
        let started = self.started.get_or_init(|| {
            let levels = cpu::levels(self.levels);
            let choice = cpu::choose(&levels, (self.level)(-1), cpu::asked())?;
            (self.level)(i32::try_from(choice.number).unwrap_or(-1));
            tracing::debug!(engine = self.name, level = choice.level, "CPU level chosen");
            (self.start)();
            Ok(choice)
        });
        started
            .as_ref()
            .map_err(|error| EngineError::from(error.clone()))
    }

    /// Makes the engine ready, or says why this CPU cannot run it. Every guarded call does this.
    pub fn ready(&self) -> Result<(), EngineError> {
        self.cpu().map(drop)
    }

    /// Runs one guarded call. `call` gets room for a fault and returns false if it filled it in.
    #[doc(hidden)] // for the `guarded!` macro
    pub fn call(&self, call: impl FnOnce(*mut Fault) -> bool) -> Result<(), EngineError> {
        self.ready()?;
        let mut fault = Fault {
            kind: 0,
            message: [0; 2044],
        };
        if call(&raw mut fault) {
            Ok(())
        } else {
            Err(self.error(&fault))
        }
    }

    fn error(&self, fault: &Fault) -> EngineError {
        let engine = self.name;
        let bytes: Vec<u8> = fault
            .message
            .iter()
            .take_while(|byte| **byte != 0)
            .map(|byte| byte.cast_unsigned())
            .collect();
        let message = String::from_utf8_lossy(&bytes).trim().to_owned();
        match fault.kind {
            1 => EngineError::Assertion { engine, message },
            3 => EngineError::OutOfMemory { engine },
            _ => EngineError::Exception { engine, message },
        }
    }
}

/// Receives one piece of log text from C++.
///
/// # Safety
/// `text` must point to `length` readable bytes.
pub unsafe fn receive_log(engine: &'static str, level: i32, text: *const c_char, length: usize) {
    // SAFETY: the caller's promise.
    if unsafe { c_api::pass_on(level, text, length) } {
        return;
    }
    // SAFETY: the caller's promise; the bytes live until this function returns.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) };
    // A subscriber's panic must not cross into C++; it has printed its message by now.
    let _ =
        std::panic::catch_unwind(|| log::receive(engine, level, &String::from_utf8_lossy(bytes)));
}

/// Defines the guarded form of one C function; `cargo xtask bindings` writes the calls.
///
/// The result is a function of the same name and arguments that returns
/// `Result<R, EngineError>` and is unsafe for the same reasons as the C function itself.
#[macro_export]
macro_rules! guarded {
    ($engine:expr, $symbol:literal, fn $name:ident($($argument:ident : $type:ty),* $(,)?) -> $output:ty) => {
        #[doc = concat!("Guarded `", stringify!($name), "`.")]
        ///
        /// # Safety
        /// As the upstream header says: pointers valid, objects alive, and no other thread inside.
        #[allow(clippy::too_many_arguments, clippy::missing_errors_doc)] // the C function's own
        pub unsafe fn $name($($argument: $type),*) -> Result<$output, $crate::EngineError> {
            unsafe extern "C" {
                #[link_name = $symbol]
                static GUARDED: unsafe extern "C" fn(*mut $crate::guard::Fault, *mut $output, $($type),*) -> bool;
            }
            let mut output = std::mem::MaybeUninit::<$output>::uninit();
            // SAFETY: `GUARDED` is a constant in the sealed object, with the signature that
            // `trifold::guarded` gives it; the arguments are the caller's promise.
            $engine.call(|fault| unsafe { GUARDED(fault, output.as_mut_ptr(), $($argument),*) })?;
            // SAFETY: the call returned without a fault, so it wrote its result; `()` needs none.
            Ok(unsafe { output.assume_init() })
        }
    };
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn an_engine_is_not_entered_on_a_cpu_that_lacks_something() {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        static LEVEL: AtomicI32 = AtomicI32::new(-1);
        fn start() {
            STARTED.fetch_add(1, Ordering::SeqCst);
        }
        fn level(level: i32) -> u32 {
            LEVEL.fetch_max(level, Ordering::SeqCst);
            0b110
        }
        let engine = Engine::new("test", "none:;x86-64-v9:sse2,teleport;v10:", level, start);
        let error = engine.call(|_| panic!("called")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "This CPU is too old for the engines: expected x86-64-v9, found no teleport"
        );
        assert!(!error.poisons() && error.hint().is_some());
        assert_eq!(STARTED.load(Ordering::SeqCst), 0);
        assert_eq!(LEVEL.load(Ordering::SeqCst), -1);

        let engine = Engine::new("test", "low:sse2;x86-64:sse2;high:teleport", level, start);
        engine.ready().unwrap();
        engine.ready().unwrap();
        assert_eq!(engine.cpu().unwrap().level, "x86-64");
        assert_eq!(STARTED.load(Ordering::SeqCst), 1);
        assert_eq!(LEVEL.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_fault_becomes_an_error_with_the_words_of_the_engine() {
        let engine = Engine::new("test", "x86-64:sse2", |_| 1, || {});
        let fault = |kind: i32| {
            engine.call(move |fault| {
                let words = b"file.c:7: no\0".map(u8::cast_signed);
                // SAFETY: `call` gives room for one fault, and nobody else has it.
                let fault = unsafe { &mut *fault };
                fault.kind = kind;
                fault.message[..words.len()].copy_from_slice(&words);
                false
            })
        };
        assert!(
            matches!(fault(1), Err(EngineError::Assertion { message, .. }) if message == "file.c:7: no")
        );
        assert!(
            matches!(fault(2), Err(EngineError::Exception { message, .. }) if message == "file.c:7: no")
        );
        assert!(matches!(
            fault(3),
            Err(EngineError::OutOfMemory { engine: "test" })
        ));
    }
}
