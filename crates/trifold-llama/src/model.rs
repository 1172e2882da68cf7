//! A model: its weights, its facts and its tokenizer.

use std::{
    ffi::CString,
    fmt,
    num::NonZeroUsize,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use trifold_backend::{Device, DeviceOptions};
use trifold_runtime::{
    host::DeviceHandle,
    threads::{self, Lease},
};

use crate::{
    CancelToken, Context, ContextOptions, EmbedOptions, Embedder, LlamaError,
    error::EngineWords,
    ffi::{LoadParams, Loaded, ModelHandle, VocabType},
    stack,
};

/// The number of a token in a model's vocabulary, from 0 to `n_vocab - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub i32);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a text like `<|im_end|>` means when it is cut into tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Special {
    /// It is text like any other. For what a user wrote: it cannot pretend to be the end of a message.
    AsText,
    /// It is the special token of that name. For prompts that a template or a program made.
    #[default]
    Parse,
}

/// The tokens with a meaning of their own, as far as the model has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpecialTokens {
    /// Begins a text.
    pub bos: Option<Token>,
    /// Ends a text.
    pub eos: Option<Token>,
    /// Ends a turn of a conversation.
    pub eot: Option<Token>,
    /// Separates texts.
    pub sep: Option<Token>,
    /// A new line.
    pub nl: Option<Token>,
    /// Fills up.
    pub pad: Option<Token>,
    /// Stands for a word to be guessed.
    pub mask: Option<Token>,
    /// Before the text in front of a gap to be filled.
    pub fim_prefix: Option<Token>,
    /// Before the text behind the gap.
    pub fim_suffix: Option<Token>,
    /// Before the text that fills the gap.
    pub fim_middle: Option<Token>,
    /// Whether the model wants every text to begin with `bos`.
    pub adds_bos: bool,
    /// Whether the model wants every text to end with `eos`.
    pub adds_eos: bool,
}

/// A loaded text model.
///
/// Clones share one model; it is freed with the last clone and the last context that uses it. A model
/// may be used from many threads at once.
///
/// ```
/// use trifold_llama::Model;
///
/// # const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/story/trifold-story.gguf");
/// let model = Model::load(PATH)?;
/// assert_eq!((model.n_vocab(), model.n_embd(), model.n_ctx_train()), (2048, 256, 1024));
/// assert_eq!(model.metadata_value("general.architecture")?.as_deref(), Some("llama"));
/// # Ok::<_, trifold_llama::LlamaError>(())
/// ```
#[derive(Clone)]
pub struct Model {
    // `Send` and `Sync` because `ModelHandle` is: the engine does not change a model after loading.
    inner: Arc<Inner>,
}

struct Inner {
    handle: Arc<ModelHandle>,
    path: PathBuf,
    devices: Vec<Device>,
    facts: Facts,
    longest_piece: OnceLock<usize>,
}

/// What is asked for often and never changes.
struct Facts {
    vocab_only: bool,
    vocab_type: VocabType,
    n_vocab: u32,
    n_ctx_train: u32,
    n_embd: u32,
    n_layer: u32,
    n_params: u64,
    size_bytes: u64,
    description: String,
    special: SpecialTokens,
}

/// How to load a model; made by [`Model::options`].
///
/// ```
/// use std::ops::ControlFlow;
/// use trifold_llama::Model;
///
/// # const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/story/trifold-story.gguf");
/// let mut last = 0.0;
/// let model = Model::options()
///     .progress(|fraction| {
///         last = fraction;
///         ControlFlow::Continue(())
///     })
///     .load(PATH)?;
/// drop(model);
/// assert_eq!(last, 1.0);
/// # Ok::<_, trifold_llama::LlamaError>(())
/// ```
#[must_use]
pub struct ModelOptions<'a> {
    mmap: bool,
    vocab_only: bool,
    check_tensors: bool,
    devices: DeviceOptions,
    gpu_layers: Option<u32>,
    tensor_split: Vec<f32>,
    cancel: Option<CancelToken>,
    progress: Option<Box<dyn FnMut(f32) -> std::ops::ControlFlow<()> + 'a>>,
}

impl<'a> ModelOptions<'a> {
    /// Whether to map the file into memory instead of reading it; on by default. A mapped model
    /// starts sooner and shares its memory with other processes that use the same file, which must
    /// not be shortened meanwhile.
    pub fn mmap(mut self, yes: bool) -> Self {
        self.mmap = yes;
        self
    }

    /// Whether to load the tokenizer and the metadata only, and no weights. Such a model cannot
    /// generate or embed.
    pub fn vocab_only(mut self, yes: bool) -> Self {
        self.vocab_only = yes;
        self
    }

    /// Whether to look for values in the weights that are not numbers. It reads the whole file.
    pub fn check_tensors(mut self, yes: bool) -> Self {
        self.check_tensors = yes;
        self
    }

    /// What to compute on: by default the first accelerator that a plugin brings, else the CPU. A model can
    /// be split over several devices, as in `"cuda:0,cuda:1".parse()?`.
    pub fn device(mut self, devices: impl Into<DeviceOptions>) -> Self {
        self.devices = devices.into();
        self
    }

    /// How many layers the accelerators compute, counted from the last; the CPU computes the others. All by
    /// default. The model's output counts as one more layer.
    pub fn gpu_layers(mut self, layers: u32) -> Self {
        self.gpu_layers = Some(layers);
        self
    }

    /// The share of each device, in their order, as numbers of any scale that are not negative, one of them
    /// more than 0; by default by their free memory.
    pub fn tensor_split(mut self, shares: impl Into<Vec<f32>>) -> Self {
        self.tensor_split = shares.into();
        self
    }

    /// Loading ends with [`LlamaError::Cancelled`] soon after this token is cancelled.
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.cancel = Some(token);
        self
    }

    /// Called on the loading thread with the fraction that is loaded, from 0.0 to 1.0. If it breaks,
    /// loading ends with [`LlamaError::Cancelled`].
    pub fn progress(mut self, callback: impl FnMut(f32) -> std::ops::ControlFlow<()> + 'a) -> Self {
        self.progress = Some(Box::new(callback));
        self
    }

    /// Loads a GGUF file; of a model in several files, the first.
    ///
    /// The header is checked before the engine sees the file ([`LlamaError::Format`]); what the engine
    /// itself does not like is [`LlamaError::Load`].
    pub fn load(mut self, path: impl AsRef<Path>) -> Result<Model, LlamaError> {
        let path = path.as_ref();
        trifold_formats::check_text_model(path)?;
        let devices = self.devices.select(&trifold_llama_sys::HOST)?;
        let handles: Vec<DeviceHandle> = devices.iter().map(Device::handle).collect();
        check_split(&self.tensor_split, devices.len())?;
        let gpu_layers = match self.gpu_layers {
            Some(layers) => i32::try_from(layers).unwrap_or(i32::MAX),
            None => -1,
        };
        // A path that was opened has no NUL in it.
        let c_path = CString::new(path.as_os_str().as_bytes()).map_err(|_| no_nul("path"))?;
        let mut cancelled = false;
        let loaded = {
            let (token, callback) = (self.cancel.as_ref(), &mut self.progress);
            let mut progress = |fraction| {
                cancelled |= token.is_some_and(CancelToken::is_cancelled)
                    || callback
                        .as_mut()
                        .is_some_and(|call| call(fraction).is_break());
                !cancelled
            };
            // Without weights the engine reports no progress.
            if progress(0.0) {
                ModelHandle::load(
                    &c_path,
                    &mut LoadParams {
                        mmap: self.mmap,
                        vocab_only: self.vocab_only,
                        check_tensors: self.check_tensors,
                        devices: &handles,
                        gpu_layers,
                        tensor_split: &self.tensor_split,
                        progress: &mut progress,
                    },
                )?
            } else {
                Loaded::Failed(Vec::new())
            }
        };
        match loaded {
            Loaded::Failed(_) if cancelled => Err(LlamaError::Cancelled),
            Loaded::Failed(words) => Err(LlamaError::Load {
                path: path.to_owned(),
                source: EngineWords::new(words),
            }),
            Loaded::Model(handle) => {
                let facts = Facts::of(&handle, self.vocab_only)?;
                Ok(Model {
                    inner: Arc::new(Inner {
                        handle: Arc::new(handle),
                        path: path.to_owned(),
                        devices,
                        facts,
                        longest_piece: OnceLock::new(),
                    }),
                })
            }
        }
    }
}

impl Facts {
    fn of(model: &ModelHandle, vocab_only: bool) -> Result<Self, LlamaError> {
        let unsigned = |number: i32| u32::try_from(number).unwrap_or(0);
        Ok(Self {
            vocab_only,
            vocab_type: model.vocab_type()?,
            n_vocab: unsigned(model.n_vocab()?),
            n_ctx_train: unsigned(model.n_ctx_train()?),
            n_embd: unsigned(model.n_embd()?),
            n_layer: unsigned(model.n_layer()?),
            n_params: model.n_params()?,
            size_bytes: model.size_bytes()?,
            description: model.description()?,
            special: special_tokens(model)?,
        })
    }
}

fn special_tokens(model: &ModelHandle) -> Result<SpecialTokens, LlamaError> {
    let token = |number: i32| (number >= 0).then_some(Token(number));
    Ok(SpecialTokens {
        bos: token(model.bos()?),
        eos: token(model.eos()?),
        eot: token(model.eot()?),
        sep: token(model.sep()?),
        nl: token(model.nl()?),
        pad: token(model.pad()?),
        mask: token(model.mask()?),
        fim_prefix: token(model.fim_prefix()?),
        fim_suffix: token(model.fim_suffix()?),
        fim_middle: token(model.fim_middle()?),
        adds_bos: model.adds_bos()?,
        adds_eos: model.adds_eos()?,
    })
}

/// One share for each device.
fn check_split(shares: &[f32], devices: usize) -> Result<(), LlamaError> {
    if shares.is_empty() {
        return Ok(());
    }
    let numbers = shares
        .iter()
        .all(|share| share.is_finite() && *share >= 0.0);
    if numbers && shares.len() == devices && shares.iter().any(|share| *share > 0.0) {
        return Ok(());
    }
    Err(LlamaError::InvalidOption {
        option: "tensor_split",
        expected: format!("a share of each of the {devices} devices, 0 or more, and not all 0"),
        found: format!("{shares:?}"),
    })
}

fn no_nul(option: &'static str) -> LlamaError {
    LlamaError::InvalidOption {
        option,
        expected: "text without NUL characters".to_owned(),
        found: "a NUL".to_owned(),
    }
}

impl Model {
    /// Loads a GGUF file with the default [options](Model::options).
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LlamaError> {
        Self::options().load(path)
    }

    /// Options for loading.
    pub fn options<'a>() -> ModelOptions<'a> {
        ModelOptions {
            mmap: true,
            vocab_only: false,
            check_tensors: false,
            devices: DeviceOptions::default(),
            gpu_layers: None,
            tensor_split: Vec::new(),
            cancel: None,
            progress: None,
        }
    }

    /// The accelerators that compute; none if it is the CPU.
    pub fn devices(&self) -> &[Device] {
        &self.inner.devices
    }

    /// A context to generate text in.
    pub fn context(&self, options: &ContextOptions) -> Result<Context, LlamaError> {
        Context::new(self, options)
    }

    /// A context to make embeddings in.
    pub fn embedder(&self, options: &EmbedOptions) -> Result<Embedder, LlamaError> {
        Embedder::new(self, options)
    }

    /// The file that it was loaded from.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Architecture, size and kind of weights in a few words, such as `llama ?B Q8_0`.
    pub fn description(&self) -> &str {
        &self.inner.facts.description
    }

    /// The number of parameters.
    pub fn n_params(&self) -> u64 {
        self.inner.facts.n_params
    }

    /// The size of all weights in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.inner.facts.size_bytes
    }

    /// The number of tokens in the texts that it was trained on: the longest useful context.
    pub fn n_ctx_train(&self) -> u32 {
        self.inner.facts.n_ctx_train
    }

    /// The length of its token embeddings.
    pub fn n_embd(&self) -> u32 {
        self.inner.facts.n_embd
    }

    /// The number of layers.
    pub fn n_layer(&self) -> u32 {
        self.inner.facts.n_layer
    }

    /// The number of tokens in its vocabulary.
    pub fn n_vocab(&self) -> u32 {
        self.inner.facts.n_vocab
    }

    /// Whether it was loaded without its weights.
    pub fn is_vocab_only(&self) -> bool {
        self.inner.facts.vocab_only
    }

    /// The tokens with a meaning of their own.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.inner.facts.special
    }

    /// Whether generation ends with this token.
    pub fn is_end_of_generation(&self, token: Token) -> Result<bool, LlamaError> {
        self.require_tokens(&[token])?;
        Ok(self.handle().is_eog(token.0)?)
    }

    /// All metadata but lists, as text and in the order of their keys.
    pub fn metadata(&self) -> Result<Vec<(String, String)>, LlamaError> {
        let mut entries = self.handle().metadata()?;
        entries.sort();
        Ok(entries)
    }

    /// One metadata value as text; `None` if there is none of this key, or it is a list.
    pub fn metadata_value(&self, key: &str) -> Result<Option<String>, LlamaError> {
        // A key with a NUL in it is no model's.
        let Ok(key) = CString::new(key) else {
            return Ok(None);
        };
        Ok(self.handle().metadata_value(&key)?)
    }

    /// The chat template that the model brings, a Jinja program; see
    /// [`Model::apply_chat_template`].
    pub fn chat_template(&self) -> Result<Option<String>, LlamaError> {
        Ok(self.handle().chat_template(None)?)
    }

    /// The chat template for conversations with tools, of models that have one of its own.
    pub(crate) fn tool_chat_template(&self) -> Result<Option<String>, LlamaError> {
        let named = self.handle().chat_template(Some(c"tool_use"))?;
        match named {
            Some(template) => Ok(Some(template)),
            None => self.chat_template(),
        }
    }

    /// Cuts a text into tokens.
    ///
    /// With `add_bos` the result also has what the model wants around a text: `bos` at its start, and
    /// `eos` at its end ([`SpecialTokens::adds_bos`], [`SpecialTokens::adds_eos`]). Without it there is
    /// nothing but the text.
    ///
    /// ```
    /// use trifold_llama::{Model, Special, Token};
    ///
    /// # const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/story/trifold-story.gguf");
    /// let model = Model::load(PATH)?;
    /// let tokens = model.tokenize("a dog<|im_end|>", Special::Parse, true)?;
    /// assert_eq!(tokens.first(), Some(&Token(0))); // <|endoftext|> begins every text
    /// assert_eq!(tokens.last(), Some(&Token(2))); // <|im_end|>
    /// assert_eq!(model.detokenize(&tokens, false)?, "a dog");
    ///
    /// // What a user wrote is text, whatever it looks like.
    /// let tokens = model.tokenize("a dog<|im_end|>", Special::AsText, false)?;
    /// assert_eq!(model.detokenize(&tokens, false)?, "a dog<|im_end|>");
    /// # Ok::<_, trifold_llama::LlamaError>(())
    /// ```
    pub fn tokenize(
        &self,
        text: &str,
        special: Special,
        add_bos: bool,
    ) -> Result<Vec<Token>, LlamaError> {
        self.require_tokenizer()?;
        let parse = special == Special::Parse;
        let tokens = stack::with_room(text.len(), || {
            self.handle().tokenize(text.as_bytes(), add_bos, parse)
        })??;
        let tokens = tokens.ok_or(LlamaError::TextTooLong { bytes: text.len() })?;
        Ok(tokens.into_iter().map(Token).collect())
    }

    /// Puts tokens together to text; special tokens are left out, or written by their names if
    /// `render_special`.
    ///
    /// U+FFFD stands for bytes that are no text, such as half a character.
    pub fn detokenize(&self, tokens: &[Token], render_special: bool) -> Result<String, LlamaError> {
        self.require_tokenizer()?;
        self.require_tokens(tokens)?;
        let numbers: Vec<i32> = tokens.iter().map(|token| token.0).collect();
        let bytes = self.handle().detokenize(&numbers, render_special)?;
        let bytes = bytes.ok_or(LlamaError::TextTooLong { bytes: 1 << 31 })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The bytes of one token, which need not be whole characters; none for a special token, or its
    /// name if `render_special`.
    pub fn token_to_piece(
        &self,
        token: Token,
        render_special: bool,
    ) -> Result<Vec<u8>, LlamaError> {
        self.require_tokenizer()?;
        self.require_tokens(&[token])?;
        Ok(self.handle().piece(token.0, render_special)?)
    }

    /// Whether a token is for control and no text.
    pub fn is_control(&self, token: Token) -> Result<bool, LlamaError> {
        self.require_tokens(&[token])?;
        Ok(self.handle().is_control(token.0)?)
    }

    /// The least number of tokens that a text of this length can have; 0 if that cannot be said.
    pub(crate) fn least_tokens(&self, bytes: usize) -> Result<usize, LlamaError> {
        if self.inner.facts.vocab_type != VocabType::Lossless {
            return Ok(0);
        }
        let longest = if let Some(longest) = self.inner.longest_piece.get() {
            *longest
        } else {
            let mut longest = 1;
            for token in 0..self.n_vocab().cast_signed() {
                longest = longest.max(self.handle().piece(token, true)?.len());
            }
            *self.inner.longest_piece.get_or_init(|| longest)
        };
        Ok(bytes.div_ceil(longest))
    }

    /// Threads for one call.
    ///
    /// They meet at a barrier after every step of the computation, hundreds of times a token. A small
    /// model's steps take less time than that: one of 5 MB is four times as fast on one thread as on
    /// two, and more when other programs want a core. So a model gets another thread only for every
    /// 32 MiB of its weights.
    pub(crate) fn lease_threads(&self, explicit: Option<NonZeroUsize>) -> Lease {
        const BYTES_PER_THREAD: u64 = 32 << 20;
        let useful =
            1 + usize::try_from(self.size_bytes() / BYTES_PER_THREAD).unwrap_or(usize::MAX - 1);
        let useful = NonZeroUsize::new(useful).unwrap_or(NonZeroUsize::MIN);
        match explicit {
            Some(_) => threads::lease(explicit),
            None => threads::lease_at_most(useful),
        }
    }

    pub(crate) fn handle(&self) -> &Arc<ModelHandle> {
        &self.inner.handle
    }

    pub(crate) fn require_weights(&self) -> Result<(), LlamaError> {
        if self.is_vocab_only() {
            return Err(LlamaError::Unsupported {
                expected: "a model with its weights",
                found: "one that was loaded with vocab_only",
            });
        }
        Ok(())
    }

    pub(crate) fn require_tokens(&self, tokens: &[Token]) -> Result<(), LlamaError> {
        let unknown = |token: &&Token| !(0..self.n_vocab().cast_signed()).contains(&token.0);
        match tokens.iter().find(unknown) {
            Some(&token) => Err(LlamaError::UnknownToken {
                token,
                n_vocab: self.n_vocab(),
            }),
            None => Ok(()),
        }
    }

    fn require_tokenizer(&self) -> Result<(), LlamaError> {
        if self.inner.facts.vocab_type == VocabType::None {
            return Err(LlamaError::Unsupported {
                expected: "a model with a tokenizer",
                found: "one without",
            });
        }
        Ok(())
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("path", &self.inner.path)
            .field("description", &self.inner.facts.description)
            .finish_non_exhaustive()
    }
}
