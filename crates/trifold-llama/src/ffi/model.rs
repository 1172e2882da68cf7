use std::{
    any::Any,
    ffi::{CStr, c_char, c_void},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    ptr::{self, NonNull},
};

use trifold_llama_sys::{self as sys, raw};
use trifold_runtime::{EngineError, host::DeviceHandle, log};

use super::{filled, owned, start};

/// How to load a model.
pub(crate) struct LoadParams<'a> {
    pub(crate) mmap: bool,
    pub(crate) vocab_only: bool,
    pub(crate) check_tensors: bool,
    /// Accelerators; none: the CPU computes.
    pub(crate) devices: &'a [DeviceHandle],
    /// How many layers they get; all if negative.
    pub(crate) gpu_layers: i32,
    /// Their shares; by their memory if empty.
    pub(crate) tensor_split: &'a [f32],
    /// Called with the fraction loaded; returns whether to go on.
    pub(crate) progress: &'a mut dyn FnMut(f32) -> bool,
}

/// How loading ended.
pub(crate) enum Loaded {
    Model(ModelHandle),
    /// The engine's warnings and errors.
    Failed(Vec<String>),
}

/// The kinds of tokenizer that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VocabType {
    None,
    /// Every byte of the text is in exactly one token (with byte-level BPE, SentencePiece and the
    /// like).
    Lossless,
    /// Parts of the text may be dropped or merged (WordPiece, Unigram).
    Normalizing,
}

/// A loaded model.
#[derive(Debug)]
pub(crate) struct ModelHandle {
    model: NonNull<raw::llama_model>,
    vocab: NonNull<raw::llama_vocab>,
}

// SAFETY: a `llama_model` and its vocabulary do not change after loading. The one exception in the
// engine, `llama_init_from_model` with a RoPE scale other than the model's, is not reachable from
// here. No thread-local state belongs to them, so they may also be freed on any thread.
unsafe impl Send for ModelHandle {}
// SAFETY: as above; upstream calls the tokenizer thread-safe.
unsafe impl Sync for ModelHandle {}

impl Drop for ModelHandle {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the engine and is freed once; contexts and samplers hold
        // the model, so that none is left.
        let freed = unsafe { sys::llama_model_free(self.model.as_ptr()) };
        if let Err(error) = freed {
            tracing::error!("Failed to free a model: {error}");
        }
    }
}

struct Progress<'a> {
    callback: &'a mut dyn FnMut(f32) -> bool,
    panic: Option<Box<dyn Any + Send>>,
}

unsafe extern "C" fn on_progress(fraction: f32, data: *mut c_void) -> bool {
    // SAFETY: `load` passes its `Progress`, which lives until the engine returns, and the engine
    // calls back on the loading thread only.
    let progress = unsafe { &mut *data.cast::<Progress<'_>>() };
    // A panic must not run through C++; it goes on in `load`.
    match catch_unwind(AssertUnwindSafe(|| (progress.callback)(fraction))) {
        Ok(go_on) => go_on,
        Err(panic) => {
            progress.panic = Some(panic);
            false
        }
    }
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident: $function:ident($field:ident) -> $output:ty;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name(&self) -> Result<$output, EngineError> {
            // SAFETY: the object is alive, and the call only reads it.
            unsafe { sys::$function(self.$field.as_ptr()) }
        }
    )*};
}

impl ModelHandle {
    pub(crate) fn load(path: &CStr, params: &mut LoadParams<'_>) -> Result<Loaded, EngineError> {
        start()?;
        let mut progress = Progress {
            callback: &mut *params.progress,
            panic: None,
        };
        // SAFETY: no arguments.
        let mut raw_params = unsafe { sys::llama_model_default_params() }?;
        raw_params.load_mode = if params.mmap {
            raw::LLAMA_LOAD_MODE_MMAP
        } else {
            raw::LLAMA_LOAD_MODE_NONE
        };
        // Null stands for all devices that there are, a list without any for the CPU alone.
        let mut devices: Vec<raw::ggml_backend_dev_t> = params
            .devices
            .iter()
            .map(|device| device.as_ptr().cast())
            .collect();
        devices.push(ptr::null_mut());
        raw_params.devices = devices.as_mut_ptr();
        raw_params.n_gpu_layers = params.gpu_layers;
        // SAFETY: no arguments.
        let most_devices = unsafe { sys::llama_max_devices() }?;
        let mut shares = params.tensor_split.to_vec();
        if !shares.is_empty() {
            shares.resize(most_devices, 0.0);
            raw_params.tensor_split = shares.as_ptr();
        }
        raw_params.vocab_only = params.vocab_only;
        raw_params.check_tensors = params.check_tensors;
        raw_params.progress_callback = Some(on_progress);
        raw_params.progress_callback_user_data = (&raw mut progress).cast();
        let (model, words) = log::keeping(|| {
            // SAFETY: the path ends with a NUL; the parameters are the engine's own, with a callback
            // whose data outlives the call, as the lists do; the devices are this engine's.
            unsafe { sys::llama_model_load_from_file(path.as_ptr(), raw_params) }
        });
        let model = NonNull::new(model?);
        if let Some(panic) = progress.panic {
            // The callback's panic made the engine give up, so there is no model to free.
            resume_unwind(panic);
        }
        let Some(model) = model else {
            return Ok(Loaded::Failed(words));
        };
        // SAFETY: the model is alive.
        let vocab = unsafe { sys::llama_model_get_vocab(model.as_ptr()) }?;
        match NonNull::new(vocab.cast_mut()) {
            Some(vocab) => Ok(Loaded::Model(Self { model, vocab })),
            None => Ok(Loaded::Failed(vec![
                "the model has no vocabulary".to_owned(),
            ])),
        }
    }

    pub(super) fn as_ptr(&self) -> *mut raw::llama_model {
        self.model.as_ptr()
    }

    pub(super) fn vocab(&self) -> *const raw::llama_vocab {
        self.vocab.as_ptr()
    }

    getters! {
        n_params: llama_model_n_params(model) -> u64;
        size_bytes: llama_model_size(model) -> u64;
        n_ctx_train: llama_model_n_ctx_train(model) -> i32;
        n_embd: llama_model_n_embd(model) -> i32;
        /// The length of an embedding that comes out.
        n_embd_out: llama_model_n_embd_out(model) -> i32;
        n_layer: llama_model_n_layer(model) -> i32;
        has_encoder: llama_model_has_encoder(model) -> bool;
        has_decoder: llama_model_has_decoder(model) -> bool;
        is_diffusion: llama_model_is_diffusion(model) -> bool;
        n_vocab: llama_vocab_n_tokens(vocab) -> i32;
        bos: llama_vocab_bos(vocab) -> i32;
        eos: llama_vocab_eos(vocab) -> i32;
        eot: llama_vocab_eot(vocab) -> i32;
        sep: llama_vocab_sep(vocab) -> i32;
        nl: llama_vocab_nl(vocab) -> i32;
        pad: llama_vocab_pad(vocab) -> i32;
        mask: llama_vocab_mask(vocab) -> i32;
        fim_prefix: llama_vocab_fim_pre(vocab) -> i32;
        fim_suffix: llama_vocab_fim_suf(vocab) -> i32;
        fim_middle: llama_vocab_fim_mid(vocab) -> i32;
        adds_bos: llama_vocab_get_add_bos(vocab) -> bool;
        adds_eos: llama_vocab_get_add_eos(vocab) -> bool;
    }

    pub(crate) fn vocab_type(&self) -> Result<VocabType, EngineError> {
        // SAFETY: the vocabulary is alive.
        let kind = unsafe { sys::llama_vocab_type(self.vocab()) }?;
        Ok(match kind {
            raw::LLAMA_VOCAB_TYPE_NONE => VocabType::None,
            raw::LLAMA_VOCAB_TYPE_SPM | raw::LLAMA_VOCAB_TYPE_BPE | raw::LLAMA_VOCAB_TYPE_RWKV => {
                VocabType::Lossless
            }
            _ => VocabType::Normalizing,
        })
    }

    pub(crate) fn is_eog(&self, token: i32) -> Result<bool, EngineError> {
        // SAFETY: the vocabulary is alive; any number is allowed as token.
        unsafe { sys::llama_vocab_is_eog(self.vocab(), token) }
    }

    /// Whether a token is for control and no text.
    pub(crate) fn is_control(&self, token: i32) -> Result<bool, EngineError> {
        // SAFETY: the vocabulary is alive; the engine checks the token.
        unsafe { sys::llama_vocab_is_control(self.vocab(), token) }
    }

    /// Tokens that the model's authors rule out.
    pub(crate) fn suppressed(&self) -> Result<Vec<i32>, EngineError> {
        let mut count = 0;
        // SAFETY: the vocabulary is alive and `count` is writable.
        let tokens = unsafe { sys::llama_vocab_get_suppress_tokens(self.vocab(), &raw mut count) }?;
        let count = usize::try_from(count).unwrap_or(0);
        if tokens.is_null() || count == 0 {
            return Ok(Vec::new());
        }
        // SAFETY: not null; the engine says how many there are, and keeps them with the vocabulary.
        Ok(unsafe { std::slice::from_raw_parts(tokens, count) }.to_vec())
    }

    /// A line such as `llama 8B Q4_K - Medium`.
    pub(crate) fn description(&self) -> Result<String, EngineError> {
        // SAFETY: the model is alive; the buffer has the length given.
        self.text(|buffer, length| unsafe { sys::llama_model_desc(self.as_ptr(), buffer, length) })
            .map(Option::unwrap_or_default)
    }

    /// All metadata but arrays, with the values as text.
    pub(crate) fn metadata(&self) -> Result<Vec<(String, String)>, EngineError> {
        // SAFETY: the model is alive.
        let count = unsafe { sys::llama_model_meta_count(self.as_ptr()) }?;
        let mut entries = Vec::new();
        for index in 0..count {
            // SAFETY: the model is alive; the buffer has the length given.
            let key = self.text(|buffer, length| unsafe {
                sys::llama_model_meta_key_by_index(self.as_ptr(), index, buffer, length)
            })?;
            // SAFETY: as above.
            let value = self.text(|buffer, length| unsafe {
                sys::llama_model_meta_val_str_by_index(self.as_ptr(), index, buffer, length)
            })?;
            entries.extend(key.zip(value));
        }
        Ok(entries)
    }

    pub(crate) fn metadata_value(&self, key: &CStr) -> Result<Option<String>, EngineError> {
        // SAFETY: the model is alive; the key ends with a NUL; the buffer has the length given.
        self.text(|buffer, length| unsafe {
            sys::llama_model_meta_val_str(self.as_ptr(), key.as_ptr(), buffer, length)
        })
    }

    /// The chat template of this name, or the model's main one.
    pub(crate) fn chat_template(&self, name: Option<&CStr>) -> Result<Option<String>, EngineError> {
        let name = name.map_or(std::ptr::null(), CStr::as_ptr);
        // SAFETY: the model is alive; the name is null or ends with a NUL; the result lives as long
        // as the model.
        unsafe { sys::llama_model_chat_template(self.as_ptr(), name).map(|text| owned(text)) }
    }

    /// `None` if the text is too long for the engine to count its tokens.
    pub(crate) fn tokenize(
        &self,
        text: &[u8],
        add_special: bool,
        parse_special: bool,
    ) -> Result<Option<Vec<i32>>, EngineError> {
        let Ok(text_length) = i32::try_from(text.len()) else {
            return Ok(None);
        };
        // No tokenizer makes more tokens than bytes, but for those it adds.
        filled(text.len() + 8, |tokens, length| {
            // SAFETY: the vocabulary is alive; the text and the buffer have the lengths given.
            unsafe {
                sys::llama_tokenize(
                    self.vocab(),
                    text.as_ptr().cast(),
                    text_length,
                    tokens,
                    length,
                    add_special,
                    parse_special,
                )
            }
        })
    }

    pub(crate) fn detokenize(
        &self,
        tokens: &[i32],
        render_special: bool,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let Ok(count) = i32::try_from(tokens.len()) else {
            return Ok(None);
        };
        filled(tokens.len() * 8, |text: *mut u8, length| {
            // SAFETY: the vocabulary is alive; the tokens and the buffer have the lengths given.
            unsafe {
                sys::llama_detokenize(
                    self.vocab(),
                    tokens.as_ptr(),
                    count,
                    text.cast(),
                    length,
                    false,
                    render_special,
                )
            }
        })
    }

    pub(crate) fn piece(&self, token: i32, render_special: bool) -> Result<Vec<u8>, EngineError> {
        let piece = filled(16, |text: *mut u8, length| {
            // SAFETY: the vocabulary is alive; the buffer has the length given.
            unsafe {
                sys::llama_token_to_piece(
                    self.vocab(),
                    token,
                    text.cast(),
                    length,
                    0,
                    render_special,
                )
            }
        })?;
        Ok(piece.unwrap_or_default())
    }

    /// Text from a function like `snprintf`: it returns the length of the whole text, or -1.
    #[expect(clippy::unused_self, reason = "ties the call to a living model")]
    fn text(
        &self,
        call: impl Fn(*mut c_char, usize) -> Result<i32, EngineError>,
    ) -> Result<Option<String>, EngineError> {
        let mut buffer = vec![0_u8; 256];
        loop {
            let length = call(buffer.as_mut_ptr().cast(), buffer.len())?;
            let Ok(length) = usize::try_from(length) else {
                return Ok(None);
            };
            if length < buffer.len() {
                buffer.truncate(length);
                return Ok(Some(String::from_utf8_lossy(&buffer).into_owned()));
            }
            buffer.resize(length + 1, 0);
        }
    }
}
