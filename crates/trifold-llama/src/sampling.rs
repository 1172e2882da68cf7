//! From logits to a token.

use std::{
    ffi::CString,
    hash::{BuildHasher, Hasher, RandomState},
};

use crate::{
    LlamaError, Model, SamplingOptions, Token,
    ffi::{Candidate, SamplerHandle, Stage},
    grammar::{Constraint, Grammar},
    options::invalid,
};

/// Chooses tokens as the options say.
#[derive(Debug)]
pub(crate) struct Sampler {
    chain: SamplerHandle,
    grammar: Option<Grammar>,
    model: Model,
    seed: u32,
    /// How many tokens of the past it looks at.
    memory: usize,
    candidates: Vec<Candidate>,
}

impl Sampler {
    /// `options` were checked, and their grammar is the constraint, if any. `n_ctx` bounds what the sampler needs to remember.
    pub(crate) fn new(
        model: &Model,
        options: &SamplingOptions,
        n_ctx: u32,
        constraint: Option<&Constraint>,
    ) -> Result<Self, LlamaError> {
        let seed = options.seed.unwrap_or_else(random_seed);
        let (stages, memory) = stages(model, options, n_ctx, seed)?;
        let grammar = constraint
            .map(|constraint| Grammar::new(model, constraint))
            .transpose()?;
        Ok(Self {
            chain: SamplerHandle::chain(model.handle(), &stages)?,
            grammar,
            model: model.clone(),
            seed,
            memory,
            candidates: Vec::new(),
        })
    }

    /// The seed in use.
    pub(crate) fn seed(&self) -> u32 {
        self.seed
    }

    /// Tells the penalties what the prompt was.
    pub(crate) fn accept_prompt(&mut self, tokens: &[Token]) -> Result<(), LlamaError> {
        for token in &tokens[tokens.len().saturating_sub(self.memory)..] {
            self.chain.accept(token.0)?;
        }
        Ok(())
    }

    /// Chooses a token and remembers it. `None` if the grammar allows none.
    pub(crate) fn sample(&mut self, logits: &[f32]) -> Result<Option<Token>, LlamaError> {
        // Sorting and searching do strange things with what is not a number.
        if !logits.iter().all(|logit| *logit < f32::INFINITY) {
            return Err(LlamaError::NotANumber);
        }
        self.set_candidates(logits);
        let mut token = self.choose()?;
        if let Some(grammar) = &mut self.grammar {
            // First without the grammar, because to look at one token takes far less time than to
            // look at all of them.
            let mut alone = [Candidate {
                id: token.0,
                logit: 1.0,
                p: 0.0,
            }];
            grammar.apply(&mut alone)?;
            if alone[0].logit == f32::NEG_INFINITY {
                self.set_candidates(logits);
                if let Some(grammar) = &mut self.grammar {
                    grammar.apply(&mut self.candidates)?;
                }
                if self
                    .candidates
                    .iter()
                    .all(|candidate| candidate.logit == f32::NEG_INFINITY)
                {
                    return Ok(None);
                }
                token = self.choose()?;
            }
        }
        if let Some(grammar) = &mut self.grammar {
            grammar.accept(&self.model, token)?;
        }
        self.chain.accept(token.0)?;
        Ok(Some(token))
    }

    fn set_candidates(&mut self, logits: &[f32]) {
        self.candidates.clear();
        self.candidates
            .extend(
                (0..)
                    .zip(logits)
                    .map(|(id, &logit)| Candidate { id, logit, p: 0.0 }),
            );
    }

    fn choose(&mut self) -> Result<Token, LlamaError> {
        let chosen = self.chain.apply(&mut self.candidates)?;
        match chosen {
            Some(chosen) if chosen.logit > f32::NEG_INFINITY && !chosen.p.is_nan() => {
                Ok(Token(chosen.id))
            }
            _ => Err(LlamaError::NoToken),
        }
    }
}

/// The steps in the order of llama.cpp's `common_sampler_init`, and how many tokens they look back.
fn stages(
    model: &Model,
    options: &SamplingOptions,
    n_ctx: u32,
    seed: u32,
) -> Result<(Vec<Stage>, usize), LlamaError> {
    // There is never more to look at than the context holds.
    let last_n = |n: u32| n.min(n_ctx).cast_signed();
    let mut stages = Vec::new();
    let mut biases: Vec<(i32, f32)> = options
        .logit_bias
        .iter()
        .map(|&(token, bias)| (token.0, bias))
        .collect();
    biases.extend(
        model
            .handle()
            .suppressed()?
            .into_iter()
            .map(|token| (token, f32::NEG_INFINITY)),
    );
    if !biases.is_empty() {
        stages.push(Stage::LogitBias(biases));
    }
    stages.push(Stage::Penalties {
        last_n: last_n(options.penalty_last_n),
        repeat: options.repeat_penalty,
        frequency: options.frequency_penalty,
        presence: options.presence_penalty,
    });
    let mut memory = last_n(options.penalty_last_n);
    if let Some(dry) = &options.dry {
        memory = memory.max(last_n(dry.last_n));
        let breakers = dry
            .sequence_breakers
            .iter()
            .map(|text| CString::new(text.as_str()));
        stages.push(Stage::Dry {
            multiplier: dry.multiplier,
            base: dry.base,
            allowed_length: dry.allowed_length.cast_signed(),
            last_n: last_n(dry.last_n),
            breakers: breakers
                .collect::<Result<_, _>>()
                .map_err(|error| invalid("dry.sequence_breakers", "texts without NUL", error))?,
        });
    }
    if let Some(mirostat) = options.mirostat {
        stages.push(Stage::Temperature(options.temperature));
        stages.push(Stage::MirostatV2 {
            seed,
            tau: mirostat.tau,
            eta: mirostat.eta,
        });
    } else {
        stages.push(Stage::TopK(options.top_k.cast_signed()));
        stages.push(Stage::Typical(options.typical_p));
        stages.push(Stage::TopP(options.top_p));
        stages.push(Stage::MinP(options.min_p));
        if let Some(xtc) = options.xtc {
            let (probability, threshold) = (xtc.probability, xtc.threshold);
            stages.push(Stage::Xtc {
                probability,
                threshold,
                seed,
            });
        }
        stages.push(Stage::Temperature(options.temperature));
        stages.push(Stage::Dist { seed });
    }
    Ok((stages, usize::try_from(memory).unwrap_or(0)))
}

/// A seed that nobody can guess; the engine takes the largest number for "any".
fn random_seed() -> u32 {
    let random = RandomState::new().build_hasher().finish();
    u32::try_from(random % u64::from(u32::MAX)).unwrap_or(0)
}
