//! Real failures inside whisper.cpp come back as errors, in its own words, and leave the rest of the
//! process alone.
#![allow(unsafe_code)] // calls of C functions, with arguments that the safe crate never passes

use std::ffi::CString;
use std::process::Command;
use std::ptr;

use trifold_runtime::CancelToken;
use trifold_whisper_sys::{self as sys, EngineError, raw};

const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../models/speech/trifold-speech.bin"
);

/// A model and a state, freed at the end unless a call broke the state.
struct Session {
    context: *mut raw::whisper_context,
    state: *mut raw::whisper_state,
    broken: bool,
}

impl Session {
    fn new() -> Self {
        let path = CString::new(MODEL).unwrap();
        // SAFETY: the path is a text, and what comes back is checked.
        unsafe {
            let params = sys::whisper_context_default_params().unwrap();
            let context =
                sys::whisper_init_from_file_with_params_no_state(path.as_ptr(), params).unwrap();
            assert!(!context.is_null());
            let state = sys::whisper_init_state(context).unwrap();
            assert!(!state.is_null());
            Self {
                context,
                state,
                broken: false,
            }
        }
    }

    /// A second of silence through the encoder and one token through the decoder: does it still work?
    fn logits(&self) -> Vec<f32> {
        let silence = vec![0.0_f32; 16_000];
        // SAFETY: context and state are alive, the samples are as many as said, and the decoder has
        // written a row of logits.
        unsafe {
            let start = sys::whisper_token_sot(self.context).unwrap();
            let mel = sys::whisper_pcm_to_mel_with_state(
                self.context,
                self.state,
                silence.as_ptr(),
                16_000,
                1,
            );
            assert_eq!(mel.unwrap(), 0);
            assert_eq!(
                sys::whisper_encode_with_state(self.context, self.state, 0, 1).unwrap(),
                0
            );
            assert_eq!(self.decode(start).unwrap(), 0);
            let logits = sys::whisper_get_logits_from_state(self.state).unwrap();
            let count = sys::whisper_n_vocab(self.context).unwrap();
            std::slice::from_raw_parts(logits, usize::try_from(count).unwrap()).to_vec()
        }
    }

    /// Makes a spectrogram; what the model makes of the 30 s from 10 s on.
    fn logits_of(&self, spectrogram: Spectrogram, samples: &[f32], threads: i32) -> Vec<f32> {
        let count = i32::try_from(samples.len()).unwrap();
        // SAFETY: as in `logits`.
        unsafe {
            let start = sys::whisper_token_sot(self.context).unwrap();
            let code = spectrogram(self.context, self.state, samples.as_ptr(), count, threads);
            assert_eq!(code, 0);
            let code = sys::whisper_encode_with_state(self.context, self.state, 1000, 1);
            assert_eq!(code.unwrap(), 0);
            assert_eq!(self.decode(start).unwrap(), 0);
            let logits = sys::whisper_get_logits_from_state(self.state).unwrap();
            let count = sys::whisper_n_vocab(self.context).unwrap();
            std::slice::from_raw_parts(logits, usize::try_from(count).unwrap()).to_vec()
        }
    }

    /// One thread: what fails, fails on this one.
    fn decode(&self, token: i32) -> Result<i32, EngineError> {
        // SAFETY: context and state are alive, and there is one token.
        unsafe {
            sys::whisper_decode_with_state(self.context, self.state, &raw const token, 1, 0, 1)
        }
    }

    /// A spectrogram of so many frames; the data is never reached.
    fn set_mel(&self, frames: i32) -> Result<i32, EngineError> {
        // SAFETY: context and state are alive; the room is made, which fails, before data is copied.
        unsafe {
            sys::whisper_set_mel_with_state(self.context, self.state, ptr::null(), frames, 80)
        }
    }
}

/// As `whisper_pcm_to_mel_with_state`.
type Spectrogram =
    unsafe fn(*mut raw::whisper_context, *mut raw::whisper_state, *const f32, i32, i32) -> i32;

/// As the engine makes it by itself.
unsafe fn whole(
    context: *mut raw::whisper_context,
    state: *mut raw::whisper_state,
    samples: *const f32,
    count: i32,
    threads: i32,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { raw::whisper_pcm_to_mel_with_state(context, state, samples, count, threads) }
}

/// In shares, so that it can be stopped.
unsafe fn in_shares(
    context: *mut raw::whisper_context,
    state: *mut raw::whisper_state,
    samples: *const f32,
    count: i32,
    threads: i32,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { sys::whisper_pcm_to_mel_with_state(context, state, samples, count, threads) }.unwrap()
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: the owner frees each once; a broken state is leaked.
        unsafe {
            if !self.broken {
                sys::whisper_free_state(self.state).unwrap();
            }
            sys::whisper_free(self.context).unwrap();
        }
    }
}

#[test]
fn a_failed_assertion_is_an_error_with_the_line() {
    let bystander = Session::new();
    let before = bystander.logits();

    let mut session = Session::new();
    session.logits();
    // No model has so many tokens: the lookup of its embedding fails.
    let error = session.decode(1_000_000).unwrap_err();
    session.broken = error.poisons();
    assert!(
        matches!(
            &error,
            EngineError::Assertion {
                engine: "whisper.cpp",
                ..
            }
        ),
        "{error:?}"
    );
    let message = error.to_string();
    assert!(
        message.contains("GGML_ASSERT(") && message.contains(".cpp:"),
        "{message}"
    );

    assert_eq!(bystander.logits(), before);
    assert_eq!(Session::new().logits(), before);
}

#[test]
fn another_state_of_the_same_model_goes_on() {
    let mut session = Session::new();
    let before = session.logits();
    assert!(session.decode(-1).unwrap_err().poisons());
    session.broken = true;
    // SAFETY: the context is alive; the broken state is left alone from here on.
    session.state = unsafe { sys::whisper_init_state(session.context) }.unwrap();
    session.broken = false;
    assert_eq!(session.logits(), before);
}

#[test]
fn a_cpp_exception_is_an_error_with_its_words() {
    let session = Session::new();
    let before = session.logits();
    // A vector of a negative length: std::length_error.
    let error = session.set_mel(-1).unwrap_err();
    assert!(matches!(&error, EngineError::Exception { .. }), "{error:?}");
    assert!(error.to_string().contains("vector"), "{error}");
    assert!(!error.poisons());
    // Another, of the threads' vector.
    let samples = vec![0.0_f32; 16_000];
    // SAFETY: context and state are alive, and the samples are as many as said.
    let error = unsafe {
        sys::whisper_pcm_to_mel_with_state(
            session.context,
            session.state,
            samples.as_ptr(),
            16_000,
            0,
        )
    };
    assert!(matches!(error.unwrap_err(), EngineError::Exception { .. }));
    assert_eq!(session.logits(), before);
}

/// Set in the child of [`want_of_memory_is_an_error`].
const CHILD: &str = "TRIFOLD_TEST_OUT_OF_MEMORY";

#[test]
fn want_of_memory_is_an_error() {
    if std::env::var_os(CHILD).is_some() {
        return run_out_of_memory();
    }
    // The limit is for the whole process: another one.
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "want_of_memory_is_an_error",
            "--nocapture",
            "--test-threads",
            "1",
        ])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {printed}", output.status);
    assert!(printed.contains("1 passed"), "{printed}");
}

fn run_out_of_memory() {
    let session = Session::new();
    let before = session.logits();
    let limit = libc::rlimit {
        rlim_cur: 4 << 30,
        rlim_max: 4 << 30,
    };
    // SAFETY: a plain system call with a valid argument.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
    assert_eq!(set, 0);
    // 26 million frames of 80 bands: 8 GiB.
    let error = session.set_mel(26_000_000).unwrap_err();
    assert!(
        matches!(
            &error,
            EngineError::OutOfMemory {
                engine: "whisper.cpp"
            }
        ),
        "{error:?}"
    );
    assert!(error.hint().is_some());
    assert_eq!(session.logits(), before);
}

#[test]
fn an_unreadable_model_is_null_and_said() {
    let path = CString::new("/no/such/model.bin").unwrap();
    // SAFETY: the path is a text.
    let (context, said) = trifold_runtime::log::keeping(|| unsafe {
        let params = sys::whisper_context_default_params().unwrap();
        sys::whisper_init_from_file_with_params_no_state(path.as_ptr(), params).unwrap()
    });
    assert!(context.is_null());
    assert!(
        said.iter().any(|line| line.contains("/no/such/model.bin")),
        "{said:?}"
    );
}

#[test]
fn a_spectrogram_in_shares_is_the_same() {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let samples: Vec<f32> = (0..47 * 16_000 + 123)
        .map(|i| (i as f32 * 0.03).sin() * (i as f32 * 0.000_21).cos())
        .collect();
    let session = Session::new();
    let expected = session.logits_of(whole, &samples, 1);
    assert!(expected.iter().all(|logit| logit.is_finite()));
    for threads in [1, 2, 3, 16] {
        assert_eq!(session.logits_of(whole, &samples, threads), expected);
        assert_eq!(session.logits_of(in_shares, &samples, threads), expected);
    }
    // Other audio makes a difference.
    assert_ne!(session.logits_of(in_shares, &samples[1..], 2), expected);
}

#[test]
fn what_is_cancelled_fails_and_can_be_used_again() {
    let session = Session::new();
    let before = session.logits();
    let samples = vec![0.5_f32; 60 * 16_000];
    let cancel = CancelToken::new();
    cancel.cancel();
    // SAFETY: context and state are alive, and there are as many samples as said.
    unsafe {
        let token = sys::whisper_token_sot(session.context).unwrap();
        let (context, state) = (session.context, session.state);
        sys::cancellable(Some(&cancel), || {
            for threads in [1, 2] {
                let samples = (samples.as_ptr(), 60 * 16_000);
                let mel = sys::whisper_pcm_to_mel_with_state(
                    context, state, samples.0, samples.1, threads,
                );
                assert_ne!(mel.unwrap(), 0);
                let encoded = sys::whisper_encode_with_state(context, state, 0, threads);
                assert_ne!(encoded.unwrap(), 0);
                assert_ne!(session.decode(token).unwrap(), 0);
            }
            // Another token, or none, counts for calls inside.
            let logits = sys::cancellable(Some(&CancelToken::new()), || session.logits());
            assert_eq!(logits, before);
        });
    }
    assert_eq!(session.logits(), before);
}
