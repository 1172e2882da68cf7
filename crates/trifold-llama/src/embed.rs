//! Embeddings: texts as vectors.

use std::num::NonZeroUsize;

use crate::{
    CancelToken, LlamaError, Model, Special, Token,
    ffi::{Batch, ContextHandle, ContextParams, Decoded},
    options::{check_context, check_threads},
};

/// How one vector is made of those of a text's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pooling {
    /// The first token's.
    Cls,
    /// The last token's.
    Last,
    /// The mean of all.
    Mean,
}

/// How to make embeddings.
#[derive(Clone, Debug)]
pub struct EmbedOptions {
    /// By default as the model says, and the mean if it says nothing.
    pub pooling: Option<Pooling>,
    /// Whether vectors are scaled to length 1, so that their dot product is their cosine (true).
    pub normalize: bool,
    /// The most tokens of a text: at most 16 times as many as the model was trained on; 0 for as many as
    /// it was trained on, but no more than 2048. It is rounded up to a multiple of 256. Memory grows
    /// with it.
    pub n_ctx: u32,
    /// Threads to compute with, 1 to 512; by default as for a [context](crate::ContextOptions::threads).
    pub threads: Option<NonZeroUsize>,
    /// Ends a running call from another thread, with [`LlamaError::Cancelled`].
    pub cancel: Option<CancelToken>,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self {
            pooling: None,
            normalize: true,
            n_ctx: 0,
            threads: None,
            cancel: None,
        }
    }
}

/// Unless asked for more: a text is processed at once, and memory grows with its length.
const DEFAULT_CONTEXT: u32 = 2048;

/// Texts that are processed at once, as far as they fit.
const MAX_SEQUENCES: u32 = 64;

/// Tokens that are processed at once, unless a text has more. Every token looks at every other one, so
/// that more of them take much longer, and the engine looks at the cancel token between operations only.
const MAX_TOKENS: usize = 2048;

/// Makes embeddings.
///
/// ```
/// use trifold_llama::{EmbedOptions, Model};
///
/// # const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/story/trifold-story.gguf");
/// let model = Model::load(PATH)?;
/// let mut embedder = model.embedder(&EmbedOptions::default())?;
/// let vectors = embedder.embed(&["a red cat", "a blue cat", "Monday"])?;
/// assert_eq!(vectors[0].len(), 256);
/// let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
/// assert!(cosine(&vectors[0], &vectors[1]) > cosine(&vectors[0], &vectors[2]));
/// # Ok::<_, trifold_llama::LlamaError>(())
/// ```
#[derive(Debug)]
pub struct Embedder {
    model: Model,
    handle: ContextHandle,
    pooling: Pooling,
    normalize: bool,
    n_ctx: usize,
    threads: Option<NonZeroUsize>,
    cancel: Option<CancelToken>,
}

impl Embedder {
    pub(crate) fn new(model: &Model, options: &EmbedOptions) -> Result<Self, LlamaError> {
        model.require_weights()?;
        check_context(options.n_ctx, model)?;
        check_threads(options.threads)?;
        let n_ctx = match options.n_ctx {
            0 => model.n_ctx_train().clamp(1, DEFAULT_CONTEXT),
            n_ctx => n_ctx,
        };
        // What the engine rounds up to, so that a text that fills the context is one batch.
        let n_ctx = n_ctx.next_multiple_of(256);
        let pooling = match options.pooling {
            Some(pooling) => pooling,
            None => models_pooling(model)?.unwrap_or(Pooling::Mean),
        };
        let params = ContextParams {
            n_ctx,
            // Pooling, and attention in both directions, need a text in one piece.
            n_batch: n_ctx,
            n_ubatch: n_ctx,
            n_seq_max: MAX_SEQUENCES,
            n_outputs_max: n_ctx,
            embeddings: Some(pooling),
        };
        let mut handle = ContextHandle::new(model.handle().clone(), params)?;
        Ok(Self {
            model: model.clone(),
            n_ctx: handle.n_batch()?.min(handle.n_ctx()?) as usize,
            handle,
            pooling,
            normalize: options.normalize,
            threads: options.threads,
            cancel: options.cancel.clone(),
        })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The pooling in use.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// The token that ends the calls to come, instead of [`EmbedOptions::cancel`].
    pub fn cancelled_by(&mut self, token: &CancelToken) {
        self.cancel = Some(token.clone());
    }

    /// The most tokens that a text may have.
    pub fn n_ctx(&self) -> usize {
        self.n_ctx
    }

    /// One vector for each text, in the same order.
    ///
    /// Texts are processed together, up to 64 of them and 2048 tokens, which is faster, and changes
    /// vectors in their fourth digit or later.
    ///
    /// What looks like a special token is text, and the model's own tokens are put around each text. A
    /// text that is too long is [`LlamaError::ContextOverflow`], and an empty one
    /// [`LlamaError::EmptyText`] if the model puts nothing around it; in both cases no text is processed.
    pub fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, LlamaError> {
        let texts = texts
            .iter()
            .enumerate()
            .map(|(index, text)| self.tokens(index, text))
            .collect::<Result<Vec<_>, _>>()?;
        let mut vectors = Vec::with_capacity(texts.len());
        let mut rest = texts.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.fitting(rest));
            self.embed_at_once(now, &mut vectors)?;
            rest = later;
        }
        Ok(vectors)
    }

    fn tokens(&self, index: usize, text: &str) -> Result<Vec<Token>, LlamaError> {
        self.check_cancelled()?;
        let overflow = |tokens, at_least| LlamaError::ContextOverflow {
            text: format!("Text {}", index + 1),
            tokens,
            at_least,
            limit: self.n_ctx,
        };
        if text.len() > self.n_ctx {
            let least = self.model.least_tokens(text.len())?;
            if least > self.n_ctx {
                return Err(overflow(least, true));
            }
        }
        let tokens = self.model.tokenize(text, Special::AsText, true)?;
        match tokens.len() {
            0 => Err(LlamaError::EmptyText),
            length if length > self.n_ctx => Err(overflow(length, false)),
            _ => Ok(tokens),
        }
    }

    fn check_cancelled(&self) -> Result<(), LlamaError> {
        match &self.cancel {
            Some(token) if token.is_cancelled() => Err(LlamaError::Cancelled),
            _ => Ok(()),
        }
    }

    /// How many of these texts go into one batch; at least one does.
    fn fitting(&self, texts: &[Vec<Token>]) -> usize {
        let mut total = 0;
        texts
            .iter()
            .take(MAX_SEQUENCES as usize)
            .take_while(|tokens| {
                total += tokens.len();
                total <= MAX_TOKENS.min(self.n_ctx)
            })
            .count()
            .max(1)
    }

    fn embed_at_once(
        &mut self,
        texts: &[Vec<Token>],
        vectors: &mut Vec<Vec<f32>>,
    ) -> Result<(), LlamaError> {
        self.check_cancelled()?;
        let mut batch = Batch::default();
        for (sequence, tokens) in (0..).zip(texts) {
            for (position, token) in (0..).zip(tokens) {
                batch.push(token.0, position, sequence, true);
            }
        }
        self.handle.clear()?;
        let lease = self.model.lease_threads(self.threads);
        let decoded = self
            .handle
            .decode(&mut batch, lease.count_i32(), self.cancel.as_ref())?;
        drop(lease);
        if decoded == Decoded::Aborted {
            return Err(LlamaError::Cancelled);
        }
        for sequence in 0..i32::try_from(texts.len()).unwrap_or(i32::MAX) {
            let mut vector = self
                .handle
                .embedding(sequence)?
                .ok_or(LlamaError::Unsupported {
                    expected: "a model that makes embeddings",
                    found: "one that made none",
                })?;
            if !vector.iter().all(|value| value.is_finite()) {
                return Err(LlamaError::NotANumber);
            }
            if self.normalize {
                normalize(&mut vector);
            }
            vectors.push(vector);
        }
        Ok(())
    }
}

/// What the model file says about pooling.
fn models_pooling(model: &Model) -> Result<Option<Pooling>, LlamaError> {
    let architecture = model
        .metadata_value("general.architecture")?
        .unwrap_or_default();
    let value = model.metadata_value(&format!("{architecture}.pooling_type"))?;
    // The numbers of `enum llama_pooling_type`.
    match value.as_deref() {
        None | Some("0") => Ok(None),
        Some("1") => Ok(Some(Pooling::Mean)),
        Some("2") => Ok(Some(Pooling::Cls)),
        Some("3") => Ok(Some(Pooling::Last)),
        Some("4") => Err(LlamaError::Unsupported {
            expected: "a model that makes embeddings",
            found: "one that ranks texts",
        }),
        Some(_) => Err(LlamaError::Unsupported {
            expected: "a pooling of mean, cls or last in the model's metadata",
            found: "one that is not known",
        }),
    }
}

/// Scales to length 1; a vector of zeros has no direction and stays.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the result is single precision"
)]
fn normalize(vector: &mut [f32]) {
    let length = vector
        .iter()
        .map(|&value| f64::from(value).powi(2))
        .sum::<f64>()
        .sqrt();
    if length > 0.0 {
        for value in vector {
            *value = (f64::from(*value) / length) as f32;
        }
    }
}
