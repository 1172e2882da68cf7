//! A context: the memory of what a model has read and written.

use std::num::NonZeroUsize;

use crate::{
    CancelToken, ChatMessage, Completion, ContextOptions, GenerateOptions, Generation, LlamaError,
    Model, Special, Token, Tools,
    ffi::{Batch, ContextHandle, ContextParams, Decoded},
    grammar::Constraint,
    options::invalid,
    reader::{self, Reader},
    sampling::Sampler,
};

/// The engine computes this many tokens at a time, at most; upstream's default.
const MICRO_BATCH: u32 = 512;

/// Where a model generates text: it remembers what it has read and written.
///
/// What a new prompt has in common with the beginning of what is remembered is not processed again, so
/// that a conversation or a second question about a long text costs its new part only.
///
/// A context belongs to one thread at a time, but may move. There may be any number of them, of one
/// model or of several.
///
/// ```
/// use trifold_llama::{ContextOptions, GenerateOptions, Model, SamplingOptions};
///
/// # const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/story/trifold-story.gguf");
/// let model = Model::load(PATH)?;
/// let mut context = model.context(&ContextOptions::default())?;
/// let options = GenerateOptions {
///     sampling: SamplingOptions::greedy(),
///     max_tokens: Some(40),
///     ..GenerateOptions::default()
/// };
/// let mut text = String::new();
/// for piece in context.generate("Once upon a time", &options)? {
///     text.push_str(&piece?.text);
/// }
/// assert!(!text.is_empty());
/// # Ok::<_, trifold_llama::LlamaError>(())
/// ```
#[derive(Debug)]
pub struct Context {
    model: Model,
    handle: ContextHandle,
    /// The tokens in the engine's memory, in order.
    cached: Vec<Token>,
    n_ctx: u32,
    n_batch: u32,
    threads: Option<NonZeroUsize>,
}

/// How a prompt was processed.
pub(crate) struct Prefilled {
    /// Tokens that were in the memory already.
    pub(crate) reused: usize,
    pub(crate) ended: Decoded,
}

impl Context {
    pub(crate) fn new(model: &Model, options: &ContextOptions) -> Result<Self, LlamaError> {
        model.require_weights()?;
        options.check(model)?;
        require_generator(model)?;
        let params = ContextParams {
            n_ctx: if options.n_ctx == 0 {
                model.n_ctx_train()
            } else {
                options.n_ctx
            },
            n_batch: options.n_batch,
            n_ubatch: options.n_batch.min(MICRO_BATCH),
            n_seq_max: 1,
            // Only the last token's logits are wanted: less memory for the rest.
            n_outputs_max: 1,
            embeddings: None,
        };
        let mut handle = ContextHandle::new(model.handle().clone(), params)?;
        Ok(Self {
            model: model.clone(),
            n_ctx: handle.n_ctx()?,
            n_batch: handle.n_batch()?,
            handle,
            cached: Vec::new(),
            threads: options.threads,
        })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// How many tokens it holds, prompt and answer together.
    pub fn n_ctx(&self) -> u32 {
        self.n_ctx
    }

    /// What it remembers: the tokens of the last prompt and of what was generated from it, but for the
    /// very last one.
    pub fn remembered(&self) -> &[Token] {
        &self.cached
    }

    /// Forgets everything.
    pub fn clear(&mut self) -> Result<(), LlamaError> {
        self.cached.clear();
        self.handle.clear()
    }

    /// Goes on with a text. The prompt is processed before this returns; the text is generated while
    /// the iterator runs.
    ///
    /// An empty prompt stands for the beginning of any text, if the model marks that with a token
    /// ([`SpecialTokens::adds_bos`](crate::SpecialTokens::adds_bos)), and is
    /// [`LlamaError::EmptyText`] if not. A prompt that does not fit the context is
    /// [`LlamaError::ContextOverflow`]: nothing is ever cut off.
    pub fn generate(
        &mut self,
        prompt: &str,
        options: &GenerateOptions,
    ) -> Result<Generation<'_>, LlamaError> {
        options.check(&self.model)?;
        let add_bos = options
            .add_bos
            .unwrap_or(self.model.special_tokens().adds_bos);
        let tokens = self.prompt_tokens(prompt, options.special, add_bos)?;
        self.start(&tokens, options, format_of(options)?.as_ref(), None)
    }

    /// Goes on with tokens, as they are.
    pub fn generate_tokens(
        &mut self,
        prompt: &[Token],
        options: &GenerateOptions,
    ) -> Result<Generation<'_>, LlamaError> {
        options.check(&self.model)?;
        self.model.require_tokens(prompt)?;
        self.start(prompt, options, format_of(options)?.as_ref(), None)
    }

    /// Goes on with a text, and gives all of it at once.
    ///
    /// ```
    /// use trifold_llama::{ContextOptions, FinishReason, GenerateOptions, Model};
    ///
    /// # const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/story/trifold-story.gguf");
    /// let model = Model::load(PATH)?;
    /// let mut context = model.context(&ContextOptions::default())?;
    /// let options = GenerateOptions { max_tokens: Some(5), ..GenerateOptions::default() };
    /// let completion = context.complete("Once upon a time", &options)?;
    /// assert_eq!(completion.finish_reason, FinishReason::Length);
    /// assert_eq!(completion.usage.completion_tokens, 5);
    /// # Ok::<_, trifold_llama::LlamaError>(())
    /// ```
    pub fn complete(
        &mut self,
        prompt: &str,
        options: &GenerateOptions,
    ) -> Result<Completion, LlamaError> {
        self.generate(prompt, options)?.complete()
    }

    /// Answers a conversation, written down by the model's own chat template.
    ///
    /// [`GenerateOptions::special`] and [`GenerateOptions::add_bos`] do not matter here: the template
    /// decides.
    ///
    /// ```
    /// use trifold_llama::{ChatMessage, ContextOptions, GenerateOptions, Model, SamplingOptions};
    ///
    /// # const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/story/trifold-story.gguf");
    /// let model = Model::load(PATH)?;
    /// let mut context = model.context(&ContextOptions::default())?;
    /// let options = GenerateOptions { sampling: SamplingOptions::greedy(), ..GenerateOptions::default() };
    /// let answer = context.chat(&[ChatMessage::user("What is 3 + 4?")], &options)?.complete()?;
    /// assert!(answer.text.contains('7'));
    /// # Ok::<_, trifold_llama::LlamaError>(())
    /// ```
    pub fn chat(
        &mut self,
        messages: &[ChatMessage],
        options: &GenerateOptions,
    ) -> Result<Generation<'_>, LlamaError> {
        options.check(&self.model)?;
        let prompt = self.model.apply_chat_template(messages, None, true)?;
        let tokens = self.chat_tokens(&prompt)?;
        self.start(&tokens, options, format_of(options)?.as_ref(), None)
    }

    /// As [`Context::chat`], with tools that the model may call.
    ///
    /// Calls come at the end ([`Completion::tool_calls`], [`Generation::tool_calls`]), and are no part of
    /// the text. What a model has written as a call that cannot be read is text: nothing is lost. To go
    /// on, add [`Completion::to_message`] and a [`ChatMessage::tool_answer`] for each call to the
    /// messages, and ask again.
    ///
    /// How a model writes calls is found out from its chat template, by llama.cpp. With
    /// [`ToolChoice::Auto`](crate::ToolChoice::Auto), a template that says nothing about tools is
    /// [`LlamaError::Unsupported`]; a call can be asked for all the same, and then is JSON with a `name`
    /// and `arguments`. [`GenerateOptions::response_format`] is then the form of an answer that calls
    /// nothing. A [grammar](crate::SamplingOptions::grammar) is an error beside tools, as calls have one
    /// of their own.
    pub fn chat_with_tools(
        &mut self,
        messages: &[ChatMessage],
        tools: &Tools,
        options: &GenerateOptions,
    ) -> Result<Generation<'_>, LlamaError> {
        options.check(&self.model)?;
        if tools.is_off() {
            let tools = Some(tools.given());
            let prompt = self.model.apply_chat_template(messages, tools, true)?;
            let tokens = self.chat_tokens(&prompt)?;
            return self.start(&tokens, options, format_of(options)?.as_ref(), None);
        }
        if options.sampling.grammar.is_some() {
            let expected = "none beside tools, unless the tool choice is none";
            return Err(invalid("grammar", expected, "both"));
        }
        let opened = reader::open(&self.model, messages, tools, &options.response_format)?;
        let tokens = self.chat_tokens(&opened.prompt)?;
        let mut options = options.clone();
        options.stop.extend(opened.stops);
        self.start(
            &tokens,
            &options,
            opened.constraint.as_ref(),
            Some(opened.reader),
        )
    }

    fn chat_tokens(&self, prompt: &str) -> Result<Vec<Token>, LlamaError> {
        let special = self.model.special_tokens();
        let begins = |text: Vec<u8>| !text.is_empty() && prompt.as_bytes().starts_with(&text);
        // Many templates write the token themselves.
        let add_bos = match special.bos {
            Some(bos) if special.adds_bos => !begins(self.model.token_to_piece(bos, true)?),
            _ => special.adds_bos,
        };
        self.prompt_tokens(prompt, Special::Parse, add_bos)
    }

    fn start(
        &mut self,
        prompt: &[Token],
        options: &GenerateOptions,
        constraint: Option<&Constraint>,
        reader: Option<Reader>,
    ) -> Result<Generation<'_>, LlamaError> {
        if prompt.is_empty() {
            return Err(LlamaError::EmptyText);
        }
        self.require_room(prompt.len(), false)?;
        let mut sampler = Sampler::new(&self.model, &options.sampling, self.n_ctx, constraint)?;
        sampler.accept_prompt(prompt)?;
        Generation::start(self, prompt, sampler, options, reader)
    }

    fn prompt_tokens(
        &self,
        text: &str,
        special: Special,
        add_bos: bool,
    ) -> Result<Vec<Token>, LlamaError> {
        // Cutting megabytes into tokens only to say that they are too many takes seconds.
        if text.len() > self.n_ctx as usize {
            self.require_room(self.model.least_tokens(text.len())?, true)?;
        }
        self.model.tokenize(text, special, add_bos)
    }

    fn require_room(&self, tokens: usize, at_least: bool) -> Result<(), LlamaError> {
        let limit = self.n_ctx as usize;
        if tokens <= limit {
            return Ok(());
        }
        let text = "Prompt".to_owned();
        Err(LlamaError::ContextOverflow {
            text,
            tokens,
            at_least,
            limit,
        })
    }

    /// Whether the memory has no room for another token.
    pub(crate) fn is_full(&self) -> bool {
        self.cached.len() >= self.n_ctx as usize
    }

    /// Processes a prompt that fits, but for the part that is in the memory already.
    pub(crate) fn prefill(
        &mut self,
        prompt: &[Token],
        cancel: Option<&CancelToken>,
    ) -> Result<Prefilled, LlamaError> {
        let common = self
            .cached
            .iter()
            .zip(prompt)
            .take_while(|(a, b)| a == b)
            .count();
        // The last token is always processed: its logits are wanted.
        let mut reused = common.min(prompt.len().saturating_sub(1));
        if reused < self.cached.len() {
            if self.handle.truncate(position(reused))? {
                self.cached.truncate(reused);
            } else {
                // Recurrent models cannot go back.
                self.clear()?;
                reused = 0;
            }
        }
        let mut ended = Decoded::Done;
        for chunk in prompt[reused..].chunks(self.n_batch as usize) {
            if cancel.is_some_and(CancelToken::is_cancelled) {
                ended = Decoded::Aborted;
            }
            if ended == Decoded::Aborted {
                break;
            }
            ended = self.decode(chunk, cancel)?;
        }
        Ok(Prefilled { reused, ended })
    }

    /// Processes tokens after what is remembered; the last one's logits can be had afterwards.
    pub(crate) fn decode(
        &mut self,
        tokens: &[Token],
        cancel: Option<&CancelToken>,
    ) -> Result<Decoded, LlamaError> {
        let mut batch = Batch::default();
        for (index, token) in tokens.iter().enumerate() {
            let place = position(self.cached.len() + index);
            batch.push(token.0, place, 0, index + 1 == tokens.len());
        }
        let lease = self.model.lease_threads(self.threads);
        let decoded = self.handle.decode(&mut batch, lease.count_i32(), cancel);
        self.cached.extend_from_slice(tokens);
        if !matches!(decoded, Ok(Decoded::Done)) {
            // A part may have been processed. If the memory cannot tell, nothing of it is reused.
            let remembered = self.handle.remembered().unwrap_or(0);
            self.cached.truncate(remembered);
        }
        decoded
    }

    /// Copies the logits of the last token that was processed.
    pub(crate) fn logits(&mut self, into: &mut Vec<f32>) -> Result<(), LlamaError> {
        self.handle.logits(into)
    }
}

/// What the options hold the text to.
fn format_of(options: &GenerateOptions) -> Result<Option<Constraint>, LlamaError> {
    let grammar = match &options.sampling.grammar {
        Some(grammar) => Some(grammar.clone()),
        None => options.response_format.grammar()?,
    };
    Ok(grammar.map(Constraint::new))
}

/// Contexts have at most 2^30 tokens.
fn position(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

fn require_generator(model: &Model) -> Result<(), LlamaError> {
    let found = if !model.handle().has_decoder()? {
        "one that only reads (for embeddings)"
    } else if model.handle().has_encoder()? {
        "one that reads and writes in two parts, which is not supported"
    } else if model.handle().is_diffusion()? {
        "a diffusion model, which is not supported"
    } else {
        return Ok(());
    };
    Err(LlamaError::Unsupported {
        expected: "a model that generates text",
        found,
    })
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::SamplingOptions;

    const STORY: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../models/story/trifold-story.gguf"
    );

    #[test]
    fn a_poisoned_context_refuses_use_and_others_go_on() {
        let model = Model::load(STORY).unwrap();
        let options = ContextOptions {
            threads: NonZeroUsize::new(1),
            ..ContextOptions::default()
        };
        let generate = GenerateOptions {
            sampling: SamplingOptions::greedy(),
            max_tokens: Some(10),
            ..GenerateOptions::default()
        };
        let mut context = model.context(&options).unwrap();
        let mut other = model.context(&options).unwrap();
        let expected = context.complete("Once", &generate).unwrap().text;

        let failed = context.handle.poison();
        let words = failed.to_string();
        assert!(
            words.starts_with("llama.cpp failed an internal check: "),
            "{words}"
        );
        assert!(words.contains("llama-context.cpp:"), "{words}");
        assert!(words.contains("n_tokens_all <= cparams.n_batch"), "{words}");

        let refused = context.complete("Once", &generate).unwrap_err();
        assert!(matches!(refused, LlamaError::Poisoned { .. }), "{refused}");
        assert_eq!(refused.source().unwrap().to_string(), words);
        assert!(refused.hint().unwrap().starts_with("Make a new context"));
        assert!(matches!(context.clear(), Err(LlamaError::Poisoned { .. })));
        drop(context);

        assert_eq!(other.complete("Once", &generate).unwrap().text, expected);
        let mut new = model.context(&options).unwrap();
        assert_eq!(new.complete("Once", &generate).unwrap().text, expected);
    }
}
