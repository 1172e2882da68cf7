//! What a text is held to: a grammar, from its beginning or from where something is written.

use std::{collections::VecDeque, ffi::CString};

use crate::{
    LlamaError, Model, Token,
    error::EngineWords,
    ffi::{Candidate, SamplerHandle},
    options::invalid,
    stack,
};

/// What a text must follow.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Constraint {
    pub(crate) grammar: String,
    /// Regular expressions (ECMAScript's) for where it begins; from the start if there are none.
    pub(crate) triggers: Vec<String>,
    /// Tokens of the prompt that are its beginning.
    pub(crate) begun: Vec<Token>,
}

impl Constraint {
    pub(crate) fn new(grammar: String) -> Self {
        Self {
            grammar,
            triggers: Vec::new(),
            begun: Vec::new(),
        }
    }
}

const MAX_GRAMMAR_BYTES: usize = 256 << 10;

/// A grammar at work.
#[derive(Debug)]
pub(crate) struct Grammar {
    sampler: SamplerHandle,
    waiting: Option<Waiting>,
}

/// A grammar that has perhaps not begun.
///
/// The engine tries its triggers on all that was written, at every token, with regular expressions that
/// call themselves once per character. So it gets to see no more than the last part of a long text.
#[derive(Debug)]
struct Waiting {
    /// The grammar before anything was written.
    fresh: SamplerHandle,
    last: VecDeque<(Token, usize)>,
    /// Bytes that the engine tries its triggers on.
    seen: usize,
}

/// Triggers are shorter.
const LAST_BYTES: usize = 256;
/// Measured with gcc 12: some 400 bytes of stack for each.
const MAX_SEEN_BYTES: usize = 1024;

impl Grammar {
    pub(crate) fn new(model: &Model, constraint: &Constraint) -> Result<Self, LlamaError> {
        let text = &constraint.grammar;
        let no_nul = |error| invalid("grammar", "text without NUL", error);
        let grammar = CString::new(text.as_str()).map_err(no_nul)?;
        // The engine takes an empty grammar for no grammar, and the time for a large one grows with its
        // square.
        if text.trim().is_empty() || text.len() > MAX_GRAMMAR_BYTES {
            let expected = format!("a grammar of 1 to {MAX_GRAMMAR_BYTES} bytes");
            return Err(invalid(
                "grammar",
                expected,
                format_args!("{} bytes", text.len()),
            ));
        }
        let triggers: Vec<CString> = constraint
            .triggers
            .iter()
            .map(|trigger| CString::new(trigger.as_str()))
            .collect::<Result<_, _>>()
            .map_err(no_nul)?;
        let read = stack::with_room(text.len(), || {
            if triggers.is_empty() {
                SamplerHandle::grammar(model.handle(), &grammar)
            } else {
                SamplerHandle::lazy_grammar(model.handle(), &grammar, &triggers)
            }
        })??;
        let mut sampler = read.map_err(|words| LlamaError::Grammar {
            source: EngineWords::new(words),
        })?;
        for token in &constraint.begun {
            sampler.accept(token.0)?;
        }
        let waiting = if triggers.is_empty() {
            None
        } else {
            Some(Waiting {
                fresh: sampler.copy()?,
                last: VecDeque::new(),
                seen: 0,
            })
        };
        Ok(Self { sampler, waiting })
    }

    /// Rules out what does not fit.
    pub(crate) fn apply(&mut self, candidates: &mut [Candidate]) -> Result<(), LlamaError> {
        self.sampler.apply(candidates)?;
        Ok(())
    }

    /// Goes on with a token.
    pub(crate) fn accept(&mut self, model: &Model, token: Token) -> Result<(), LlamaError> {
        self.sampler.accept(token.0)?;
        let Some(waiting) = &mut self.waiting else {
            return Ok(());
        };
        let bytes = model.token_to_piece(token, true)?.len();
        waiting.seen += bytes;
        waiting.last.push_back((token, bytes));
        let mut kept: usize = waiting.last.iter().map(|(_, bytes)| bytes).sum();
        while let Some(&(_, first)) = waiting.last.front() {
            if kept - first < LAST_BYTES {
                break;
            }
            kept -= first;
            waiting.last.pop_front();
        }
        if waiting.seen <= MAX_SEEN_BYTES {
            return Ok(());
        }
        if begun(&mut self.sampler, model)? {
            self.waiting = None;
            return Ok(());
        }
        let mut sampler = waiting.fresh.copy()?;
        for (token, _) in &waiting.last {
            sampler.accept(token.0)?;
        }
        waiting.seen = kept;
        self.sampler = sampler;
        Ok(())
    }
}

/// Whether a grammar that waits has begun: then it rules something out.
fn begun(sampler: &mut SamplerHandle, model: &Model) -> Result<bool, LlamaError> {
    let mut all: Vec<Candidate> = (0..model.n_vocab().cast_signed())
        .map(|id| Candidate {
            id,
            logit: 1.0,
            p: 0.0,
        })
        .collect();
    sampler.apply(&mut all)?;
    Ok(all
        .iter()
        .any(|candidate| candidate.logit == f32::NEG_INFINITY))
}
