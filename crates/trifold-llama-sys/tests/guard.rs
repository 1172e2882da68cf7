//! Real failures inside llama.cpp come back as errors, in its own words, and leave the rest of the
//! process alone.
#![allow(unsafe_code)] // calls of C functions, with arguments that the safe crate never passes

use std::{ffi::CString, ptr};

use trifold_llama_sys::{self as sys, EngineError, raw};

const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../models/story/trifold-story.gguf"
);

/// A model and a context, freed at the end unless a call broke the context.
struct Session {
    model: *mut raw::llama_model,
    context: *mut raw::llama_context,
    broken: bool,
}

impl Session {
    fn new() -> Self {
        let path = CString::new(MODEL).unwrap();
        // SAFETY: the path is a text, and what comes back is checked.
        unsafe {
            let params = sys::llama_model_default_params().unwrap();
            let model = sys::llama_model_load_from_file(path.as_ptr(), params).unwrap();
            assert!(!model.is_null());
            let mut session = Self {
                model,
                context: ptr::null_mut(),
                broken: false,
            };
            session.make_context();
            session
        }
    }

    fn make_context(&mut self) {
        // SAFETY: the model is alive, and what comes back is checked. One thread: what fails, fails on
        // this one.
        unsafe {
            let mut params = sys::llama_context_default_params().unwrap();
            params.n_batch = 32;
            params.n_threads = 1;
            params.n_threads_batch = 1;
            self.context = sys::llama_init_from_model(self.model, params).unwrap();
        }
        assert!(!self.context.is_null());
        self.broken = false;
    }

    /// So many tokens through the model, from the beginning.
    fn decode(&self, count: i32) -> Result<i32, EngineError> {
        let mut tokens = vec![300; usize::try_from(count).unwrap()];
        // SAFETY: the context is alive, and the tokens are as many as said.
        unsafe {
            sys::llama_memory_clear(sys::llama_get_memory(self.context)?, true)?;
            let batch = sys::llama_batch_get_one(tokens.as_mut_ptr(), count)?;
            sys::llama_decode(self.context, batch)
        }
    }

    /// Does it still work?
    fn logits(&self) -> Vec<f32> {
        assert_eq!(self.decode(5).unwrap(), 0);
        // SAFETY: the context is alive and has written a row of logits.
        unsafe {
            let logits = sys::llama_get_logits_ith(self.context, -1).unwrap();
            let vocab = sys::llama_model_get_vocab(self.model).unwrap();
            let count = sys::llama_vocab_n_tokens(vocab).unwrap();
            std::slice::from_raw_parts(logits, usize::try_from(count).unwrap()).to_vec()
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: the owner frees each once; a broken context is leaked, and its model with it.
        unsafe {
            if !self.broken {
                sys::llama_free(self.context).unwrap();
                sys::llama_model_free(self.model).unwrap();
            }
        }
    }
}

#[test]
fn a_failed_assertion_is_an_error_with_the_line() {
    let bystander = Session::new();
    let before = bystander.logits();

    let mut session = Session::new();
    session.logits();
    let error = session.decode(33).unwrap_err();
    session.broken = error.poisons();
    let EngineError::Assertion {
        engine: "llama.cpp",
        message,
    } = &error
    else {
        panic!("{error:?}")
    };
    assert!(message.contains("llama-context.cpp:"), "{message}");
    assert!(
        message.contains("GGML_ASSERT(n_tokens_all <= cparams.n_batch) failed"),
        "{message}"
    );
    assert!(error.poisons());
    assert!(error.hint().unwrap().contains("llama.cpp"));

    assert_eq!(bystander.logits(), before);
    assert_eq!(Session::new().logits(), before);
}

#[test]
fn another_context_of_the_same_model_goes_on() {
    let mut session = Session::new();
    let before = session.logits();
    assert!(session.decode(33).unwrap_err().poisons());
    // The broken one is left alone from here on.
    session.make_context();
    assert_eq!(session.logits(), before);
}

#[test]
fn an_abort_without_a_condition_is_an_error_too() {
    // SAFETY: the sampler is alive, and no chain, which the engine notices.
    let error = unsafe {
        let sampler = sys::llama_sampler_init_greedy().unwrap();
        let error = sys::llama_perf_sampler(sampler).unwrap_err();
        sys::llama_sampler_free(sampler).unwrap();
        error
    };
    assert!(matches!(error, EngineError::Assertion { .. }));
    let message = error.to_string();
    assert!(message.contains("llama-sampler.cpp:"), "{message}");
    assert!(message.contains("invalid sampler passed"), "{message}");
}

#[test]
fn assertions_on_several_threads_at_once() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut session = Session::new();
                let before = session.logits();
                for _ in 0..3 {
                    assert!(session.decode(40).unwrap_err().poisons());
                    session.make_context();
                    assert_eq!(session.logits(), before);
                }
            });
        }
    });
}

#[test]
fn a_runtime_error_is_an_error_with_its_words() {
    let session = Session::new();
    let before = session.logits();
    // SAFETY: the vocabulary is alive, the texts are texts, and the sampler is freed once.
    let error = unsafe {
        let vocab = sys::llama_model_get_vocab(session.model).unwrap();
        let grammar =
            sys::llama_sampler_init_grammar(vocab, c"root ::= \"a\"".as_ptr(), c"root".as_ptr());
        let grammar = grammar.unwrap();
        assert!(!grammar.is_null());
        // A token that is not "a".
        let error = sys::llama_sampler_accept(grammar, 300).unwrap_err();
        sys::llama_sampler_free(grammar).unwrap();
        error
    };
    assert!(
        matches!(
            error,
            EngineError::Exception {
                engine: "llama.cpp",
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("Unexpected empty grammar stack"),
        "{error}"
    );
    assert!(!error.poisons());
    // Another kind: std::out_of_range.
    // SAFETY: the vocabulary is alive.
    let error = unsafe {
        let vocab = sys::llama_model_get_vocab(session.model).unwrap();
        sys::llama_vocab_get_attr(vocab, 1_000_000).unwrap_err()
    };
    assert!(matches!(error, EngineError::Exception { .. }), "{error:?}");
    assert_eq!(session.logits(), before);
}

#[test]
fn want_of_memory_is_an_error() {
    let bystander = Session::new();
    let before = bystander.logits();
    // SAFETY: the metadata is alive; room for a list of 2^46 bytes is made, which fails, before
    // any of it is copied.
    let error = unsafe {
        let metadata = sys::gguf_init_empty().unwrap();
        let list = sys::gguf_set_arr_data(
            metadata,
            c"list".as_ptr(),
            raw::GGUF_TYPE_UINT8,
            ptr::dangling(),
            1 << 46,
        );
        sys::gguf_free(metadata).unwrap();
        list.unwrap_err()
    };
    assert!(
        matches!(
            error,
            EngineError::OutOfMemory {
                engine: "llama.cpp"
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.to_string(), "llama.cpp ran out of memory");
    assert!(error.hint().is_some() && !error.poisons());
    assert_eq!(bystander.logits(), before);
}

#[test]
fn a_failure_that_the_engine_catches_is_null_and_said() {
    let path = CString::new("/no/such/model.gguf").unwrap();
    // SAFETY: the path is a text.
    let (model, said) = trifold_runtime::log::keeping(|| unsafe {
        let params = sys::llama_model_default_params().unwrap();
        sys::llama_model_load_from_file(path.as_ptr(), params).unwrap()
    });
    assert!(model.is_null());
    assert!(
        said.iter().any(|line| line.contains("/no/such/model.gguf")),
        "{said:?}"
    );
}
