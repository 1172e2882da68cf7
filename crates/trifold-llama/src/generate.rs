//! Generation: an iterator of pieces of text.

use std::{
    cmp::Ordering,
    iter::FusedIterator,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    CancelToken, ChatMessage, Context, GenerateOptions, LlamaError, Token, ToolCall,
    ffi::Decoded,
    reader::Reader,
    sampling::Sampler,
    text::{StopMatcher, Utf8Assembler},
};

/// A piece of generated text.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Whole characters, and nothing of a stop string. Empty only at the end, where there may be tokens
    /// without text of their own.
    pub text: String,
    /// The tokens that were generated since the last piece. Text may lag behind its tokens: half a
    /// character, or what might become a stop string, is held back.
    pub tokens: Vec<GeneratedToken>,
}

/// A generated token.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratedToken {
    /// The token.
    pub token: Token,
    /// Its bytes, which need not be whole characters.
    pub bytes: Vec<u8>,
    /// Its probability, if [`GenerateOptions::logprobs`] asks for it.
    pub logprobs: Option<Logprobs>,
}

/// Probabilities where one token was chosen: the model's own, before any step of the sampler.
#[derive(Clone, Debug, PartialEq)]
pub struct Logprobs {
    /// The natural logarithm of the chosen token's probability: 0 is certain.
    pub logprob: f32,
    /// The most probable tokens, the first being the most probable one.
    pub top: Vec<TokenLogprob>,
}

/// A token that could have been chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprob {
    /// The token.
    pub token: Token,
    /// Its bytes; a special token's name.
    pub bytes: Vec<u8>,
    /// The natural logarithm of its probability.
    pub logprob: f32,
}

/// Why generation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinishReason {
    /// It was cancelled.
    Cancelled,
    /// The context has no room for another token.
    ContextFull,
    /// [`GenerateOptions::max_tokens`] were generated.
    Length,
    /// This one of [`GenerateOptions::stop`] came.
    StopString(String),
    /// The model ended the text, with this token.
    StopToken(Token),
    /// The model calls tools and waits for their answers.
    ToolCalls,
}

/// How many tokens it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those of them that the context remembered, so that they were not processed again.
    pub reused_prompt_tokens: usize,
    /// Tokens that were generated, without the one that ended the text.
    pub completion_tokens: usize,
}

/// How long it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Processing the prompt.
    pub prompt: Duration,
    /// Generating, up to now.
    pub decode: Duration,
    processed: usize,
    generated: usize,
}

impl Timings {
    /// Tokens of the prompt that were processed in a second; `None` if there was nothing to process.
    pub fn prompt_tokens_per_second(&self) -> Option<f64> {
        rate(self.processed, self.prompt)
    }

    /// Tokens that were generated in a second; `None` if there were none.
    pub fn decode_tokens_per_second(&self) -> Option<f64> {
        rate(self.generated, self.decode)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a speed needs no more than 53 bits"
)]
fn rate(count: usize, time: Duration) -> Option<f64> {
    let seconds = time.as_secs_f64();
    (count > 0 && seconds > 0.0).then(|| count as f64 / seconds)
}

/// All that was generated.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Completion {
    /// The text, without calls of tools.
    pub text: String,
    /// What the model thought before it answered, if its chat template tells that apart; only with tools.
    pub reasoning: String,
    /// The tools that it calls; see [`Context::chat_with_tools`].
    pub tool_calls: Vec<ToolCall>,
    /// The tokens.
    pub tokens: Vec<GeneratedToken>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// How many tokens it took.
    pub usage: Usage,
    /// How long it took.
    pub timings: Timings,
    /// The seed in use.
    pub seed: u32,
}

impl Completion {
    /// The answer as a message, to go on with the conversation.
    pub fn to_message(&self) -> ChatMessage {
        let mut message = ChatMessage::assistant(&*self.text);
        if !self.tool_calls.is_empty() {
            let calls = self.tool_calls.iter().map(|call| serde_json::json!(call));
            message
                .extra
                .insert("tool_calls".to_owned(), calls.collect());
        }
        message
    }
}

/// A running generation: an iterator of pieces of text, made by [`Context::generate`] and
/// [`Context::chat`].
///
/// It may be dropped at any time. After an error it gives nothing more.
///
/// ```
/// use trifold_llama::{ChatMessage, ContextOptions, FinishReason, GenerateOptions, Model};
///
/// # const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/story/trifold-story.gguf");
/// let model = Model::load(PATH)?;
/// let mut context = model.context(&ContextOptions::default())?;
/// let messages = [ChatMessage::user("Tell me a story about a shy dragon.")];
/// let mut generation = context.chat(&messages, &GenerateOptions::default())?;
/// while let Some(piece) = generation.next() {
///     print!("{}", piece?.text);
/// }
/// assert!(matches!(generation.finish_reason(), Some(FinishReason::StopToken(_))));
/// println!("\n{:.0} tokens/s", generation.timings().decode_tokens_per_second().unwrap());
/// # Ok::<_, trifold_llama::LlamaError>(())
/// ```
#[derive(Debug)]
pub struct Generation<'c> {
    context: &'c mut Context,
    sampler: Sampler,
    cancel: Option<CancelToken>,
    max_tokens: usize,
    top_logprobs: Option<usize>,
    assembler: Utf8Assembler,
    stops: StopMatcher,
    /// Tells text and calls of tools apart.
    reader: Option<Reader>,
    tool_calls: Vec<ToolCall>,
    reasoning: String,
    /// The last token, which the model has not read yet.
    unread: Option<Token>,
    /// Tokens for the next piece.
    tokens: Vec<GeneratedToken>,
    logits: Vec<f32>,
    state: State,
    usage: Usage,
    timings: Timings,
}

#[derive(Debug)]
enum State {
    Running,
    /// Ended, and the last piece was given out.
    Finished(FinishReason),
    Failed,
}

impl<'c> Generation<'c> {
    pub(crate) fn start(
        context: &'c mut Context,
        prompt: &[Token],
        sampler: Sampler,
        options: &GenerateOptions,
        mut reader: Option<Reader>,
    ) -> Result<Self, LlamaError> {
        if let Some(reader) = &mut reader {
            reader.place = (sampler.seed(), prompt.len());
        }
        let begin = Instant::now();
        let prefilled = context.prefill(prompt, options.cancel.as_ref())?;
        let timings = Timings {
            prompt: begin.elapsed(),
            processed: prompt.len() - prefilled.reused,
            ..Timings::default()
        };
        Ok(Self {
            sampler,
            cancel: options.cancel.clone(),
            max_tokens: options.max_tokens.map_or(usize::MAX, |max| max as usize),
            top_logprobs: options.logprobs.map(|count| count as usize),
            assembler: Utf8Assembler::default(),
            stops: StopMatcher::new(options.stop.clone()),
            reader,
            tool_calls: Vec::new(),
            reasoning: String::new(),
            unread: None,
            tokens: Vec::new(),
            logits: Vec::new(),
            state: match prefilled.ended {
                Decoded::Done => State::Running,
                Decoded::Aborted => State::Finished(FinishReason::Cancelled),
            },
            usage: Usage {
                prompt_tokens: prompt.len(),
                reused_prompt_tokens: prefilled.reused,
                completion_tokens: 0,
            },
            timings,
            context,
        })
    }

    /// Why it ended; `None` while it runs and after an error.
    pub fn finish_reason(&self) -> Option<&FinishReason> {
        match &self.state {
            State::Finished(reason) => Some(reason),
            State::Running | State::Failed => None,
        }
    }

    /// The tools that the model calls; none before the end.
    pub fn tool_calls(&self) -> &[ToolCall] {
        &self.tool_calls
    }

    /// What the model thought before it answered, if its chat template tells that apart; only with
    /// tools, and at the end.
    pub fn reasoning(&self) -> &str {
        &self.reasoning
    }

    /// How many tokens it took up to now.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// How long it took up to now.
    pub fn timings(&self) -> Timings {
        self.timings
    }

    /// The seed in use: with it and the same options the same text comes again.
    pub fn seed(&self) -> u32 {
        self.sampler.seed()
    }

    /// Runs to the end and gives all that was not taken yet.
    pub fn complete(mut self) -> Result<Completion, LlamaError> {
        let mut text = String::new();
        let mut tokens = Vec::new();
        for piece in self.by_ref() {
            let piece = piece?;
            text.push_str(&piece.text);
            tokens.extend(piece.tokens);
        }
        let State::Finished(finish_reason) = self.state else {
            return Err(LlamaError::FailedBefore);
        };
        let (usage, timings, seed) = (self.usage, self.timings, self.sampler.seed());
        Ok(Completion {
            text,
            reasoning: self.reasoning,
            tool_calls: self.tool_calls,
            tokens,
            finish_reason,
            usage,
            timings,
            seed,
        })
    }

    /// Generates until there is something to give out.
    fn advance(&mut self) -> Result<Option<Piece>, LlamaError> {
        loop {
            let token = match self.next_token()? {
                Ok(token) => token,
                Err(reason) => return self.finish(reason),
            };
            self.usage.completion_tokens += 1;
            self.timings.generated += 1;
            self.unread = Some(token);
            let by_name = self
                .reader
                .as_ref()
                .is_some_and(|reader| reader.preserved.contains(&token));
            let bytes = self.context.model().token_to_piece(token, by_name)?;
            let text = self.assembler.push(&bytes);
            let logprobs = self
                .top_logprobs
                .map(|count| self.logprobs(token, count))
                .transpose()?;
            self.tokens.push(GeneratedToken {
                token,
                bytes,
                logprobs,
            });
            let matched = self.stops.push(&text);
            if let Some(index) = matched.stop {
                return self.end(matched.text, self.stop_string(index));
            }
            let text = match &mut self.reader {
                Some(reader) if !matched.text.is_empty() => reader.push(&matched.text)?,
                _ => matched.text,
            };
            if !text.is_empty() {
                return Ok(self.take(text));
            }
        }
    }

    /// The next token, or why there is none.
    fn next_token(&mut self) -> Result<Result<Token, FinishReason>, LlamaError> {
        if self.cancel.as_ref().is_some_and(CancelToken::is_cancelled) {
            return Ok(Err(FinishReason::Cancelled));
        }
        if self.usage.completion_tokens >= self.max_tokens {
            return Ok(Err(FinishReason::Length));
        }
        if let Some(token) = self.unread {
            if self.context.is_full() {
                return Ok(Err(FinishReason::ContextFull));
            }
            match self.context.decode(&[token], self.cancel.as_ref())? {
                Decoded::Done => self.unread = None,
                Decoded::Aborted => return Ok(Err(FinishReason::Cancelled)),
            }
        }
        self.context.logits(&mut self.logits)?;
        let Some(token) = self.sampler.sample(&self.logits)? else {
            return Err(LlamaError::GrammarDeadEnd {
                text: self.last_text(),
            });
        };
        if self.context.model().is_end_of_generation(token)? {
            return Ok(Err(FinishReason::StopToken(token)));
        }
        Ok(Ok(token))
    }

    /// Ends, with what was held back.
    fn finish(&mut self, reason: FinishReason) -> Result<Option<Piece>, LlamaError> {
        let incomplete = self.assembler.finish();
        let matched = self.stops.push(&incomplete);
        let reason = match matched.stop {
            Some(index) => self.stop_string(index),
            None => reason,
        };
        let text = matched.text + &self.stops.finish();
        self.end(text, reason)
    }

    fn stop_string(&self, index: usize) -> FinishReason {
        FinishReason::StopString(self.stops.stops()[index].clone())
    }

    /// Ends after `text`.
    fn end(
        &mut self,
        mut text: String,
        mut reason: FinishReason,
    ) -> Result<Option<Piece>, LlamaError> {
        if let Some(reader) = &mut self.reader {
            let read = reader.finish(&text)?;
            (text, self.reasoning, self.tool_calls) = (read.text, read.reasoning, read.calls);
        }
        let stopped = matches!(
            reason,
            FinishReason::StopString(_) | FinishReason::StopToken(_)
        );
        if stopped && !self.tool_calls.is_empty() {
            reason = FinishReason::ToolCalls;
        }
        self.state = State::Finished(reason);
        Ok(self.take(text))
    }

    fn take(&mut self, text: String) -> Option<Piece> {
        let tokens = std::mem::take(&mut self.tokens);
        (!text.is_empty() || !tokens.is_empty()).then_some(Piece { text, tokens })
    }

    fn logprobs(&self, chosen: Token, count: usize) -> Result<Logprobs, LlamaError> {
        let normalizer = log_sum_exp(&self.logits);
        let logprob = |token: usize| self.logits[token] - normalizer;
        let more_probable = |a: &usize, b: &usize| {
            self.logits[*b]
                .partial_cmp(&self.logits[*a])
                .unwrap_or(Ordering::Equal)
                .then(a.cmp(b))
        };
        let mut order: Vec<usize> = (0..self.logits.len()).collect();
        if count < order.len() {
            if count > 0 {
                order.select_nth_unstable_by(count - 1, more_probable);
            }
            order.truncate(count);
        }
        order.sort_unstable_by(more_probable);
        let top = order
            .into_iter()
            .map(|index| {
                let token = Token(i32::try_from(index).unwrap_or(i32::MAX));
                let bytes = self.context.model().token_to_piece(token, true)?;
                Ok(TokenLogprob {
                    token,
                    bytes,
                    logprob: logprob(index),
                })
            })
            .collect::<Result<_, LlamaError>>()?;
        let chosen = usize::try_from(chosen.0).unwrap_or(0);
        Ok(Logprobs {
            logprob: logprob(chosen),
            top,
        })
    }

    /// The end of what was generated, for an error message.
    fn last_text(&self) -> String {
        let remembered = self.context.remembered();
        let count = self.usage.completion_tokens.min(20).min(remembered.len());
        let last = &remembered[remembered.len() - count..];
        self.context
            .model()
            .detokenize(last, true)
            .unwrap_or_default()
    }
}

impl Iterator for Generation<'_> {
    type Item = Result<Piece, LlamaError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !matches!(self.state, State::Running) {
            return None;
        }
        let begin = Instant::now();
        let piece = self.advance();
        self.timings.decode += begin.elapsed();
        if piece.is_err() {
            self.state = State::Failed;
        }
        piece.transpose()
    }
}

impl FusedIterator for Generation<'_> {}

/// The logarithm of the sum of exponentials, in double precision: vocabularies are large.
#[expect(
    clippy::cast_possible_truncation,
    reason = "logits are single precision"
)]
fn log_sum_exp(logits: &[f32]) -> f32 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits
        .iter()
        .map(|&logit| f64::from(logit - max).exp())
        .sum();
    (f64::from(max) + sum.ln()) as f32
}
