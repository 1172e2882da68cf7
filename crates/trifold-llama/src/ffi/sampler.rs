use std::{
    ffi::{CStr, CString},
    ptr::NonNull,
    sync::Arc,
};

use trifold_llama_sys::{self as sys, raw};
use trifold_runtime::{EngineError, log};

use super::ModelHandle;

/// A token that may be chosen: its number, its logit and, once computed, its probability.
pub(crate) type Candidate = raw::llama_token_data;

/// One step of the sampler. Which values are sound is the caller's to check.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    Dist {
        seed: u32,
    },
    Dry {
        multiplier: f32,
        base: f32,
        allowed_length: i32,
        last_n: i32,
        breakers: Vec<CString>,
    },
    LogitBias(Vec<(i32, f32)>),
    MinP(f32),
    MirostatV2 {
        seed: u32,
        tau: f32,
        eta: f32,
    },
    Penalties {
        last_n: i32,
        repeat: f32,
        frequency: f32,
        presence: f32,
    },
    Temperature(f32),
    TopK(i32),
    TopP(f32),
    Typical(f32),
    Xtc {
        probability: f32,
        threshold: f32,
        seed: u32,
    },
}

/// A sampler, with the model whose vocabulary it uses.
#[derive(Debug)]
pub(crate) struct SamplerHandle {
    sampler: NonNull<raw::llama_sampler>,
    model: Arc<ModelHandle>,
    /// Whether dropping this frees it: not if a chain owns it.
    owned: bool,
    /// An engine's check failed inside it.
    poisoned: bool,
}

// SAFETY: a `llama_sampler` has no thread-local state and belongs to nobody else.
unsafe impl Send for SamplerHandle {}

impl Drop for SamplerHandle {
    fn drop(&mut self) {
        // As with a context: what was torn in the middle of a call must not be destroyed.
        if self.poisoned || !self.owned {
            return;
        }
        // SAFETY: the pointer came from the engine and is freed once; a chain frees its members.
        if let Err(error) = unsafe { sys::llama_sampler_free(self.sampler.as_ptr()) } {
            tracing::error!("Failed to free a sampler: {error}");
        }
    }
}

impl SamplerHandle {
    /// A chain of samplers, the last of which chooses.
    pub(crate) fn chain(model: &Arc<ModelHandle>, stages: &[Stage]) -> Result<Self, EngineError> {
        // SAFETY: the parameters are the engine's own.
        let chain = unsafe {
            let mut params = sys::llama_sampler_chain_default_params()?;
            params.no_perf = true;
            sys::llama_sampler_chain_init(params)?
        };
        let chain = Self::owning(chain, model)?;
        for stage in stages {
            let mut member = Self::owning(stage.make(model)?, model)?;
            // SAFETY: both are alive; from here on the chain owns the member.
            unsafe {
                sys::llama_sampler_chain_add(chain.sampler.as_ptr(), member.sampler.as_ptr())
            }?;
            member.owned = false;
        }
        Ok(chain)
    }

    /// A GBNF grammar that begins at the rule `root`; `Err` has the engine's words.
    pub(crate) fn grammar(
        model: &Arc<ModelHandle>,
        grammar: &CStr,
    ) -> Result<Result<Self, Vec<String>>, EngineError> {
        let (sampler, words) = log::keeping(|| {
            // SAFETY: the vocabulary is alive, and the sampler will hold it; both texts end with a NUL.
            unsafe {
                sys::llama_sampler_init_grammar(model.vocab(), grammar.as_ptr(), c"root".as_ptr())
            }
        });
        match NonNull::new(sampler?) {
            Some(sampler) => Ok(Ok(Self::with(sampler, model))),
            None => Ok(Err(words)),
        }
    }

    /// A grammar that begins where one of the patterns (ECMAScript's) has matched what was accepted.
    pub(crate) fn lazy_grammar(
        model: &Arc<ModelHandle>,
        grammar: &CStr,
        patterns: &[CString],
    ) -> Result<Result<Self, Vec<String>>, EngineError> {
        let mut patterns: Vec<_> = patterns.iter().map(|text| text.as_ptr()).collect();
        let (sampler, words) = log::keeping(|| {
            // SAFETY: the vocabulary is alive, and the sampler will hold it; all texts end with a NUL,
            // and are copied; there are no tokens.
            unsafe {
                sys::llama_sampler_init_grammar_lazy_patterns(
                    model.vocab(),
                    grammar.as_ptr(),
                    c"root".as_ptr(),
                    patterns.as_mut_ptr(),
                    patterns.len(),
                    std::ptr::null(),
                    0,
                )
            }
        });
        match NonNull::new(sampler?) {
            Some(sampler) => Ok(Ok(Self::with(sampler, model))),
            None => Ok(Err(words)),
        }
    }

    /// Another one in the same state.
    pub(crate) fn copy(&self) -> Result<Self, EngineError> {
        // SAFETY: the sampler is alive; the copy shares the vocabulary only.
        let copy = unsafe { sys::llama_sampler_clone(self.sampler.as_ptr()) };
        Self::owning(copy?, &self.model)
    }

    /// Changes the candidates' logits, and gives the one chosen, if this sampler chooses.
    pub(crate) fn apply(
        &mut self,
        candidates: &mut [Candidate],
    ) -> Result<Option<Candidate>, EngineError> {
        let mut array = raw::llama_token_data_array {
            data: candidates.as_mut_ptr(),
            size: candidates.len(),
            selected: -1,
            sorted: false,
        };
        // SAFETY: the sampler is alive; the array describes the slice.
        let applied = unsafe { sys::llama_sampler_apply(self.sampler.as_ptr(), &raw mut array) };
        self.watch(applied)?;
        let selected = usize::try_from(array.selected)
            .ok()
            .filter(|index| *index < array.size);
        // SAFETY: the sampler may have put its own buffer there, which has `size` candidates and lives
        // until its next call.
        Ok(selected.map(|index| unsafe { array.data.add(index).read() }))
    }

    /// Tells the sampler which token was taken.
    pub(crate) fn accept(&mut self, token: i32) -> Result<(), EngineError> {
        // SAFETY: the sampler is alive.
        let accepted = unsafe { sys::llama_sampler_accept(self.sampler.as_ptr(), token) };
        self.watch(accepted)
    }

    fn watch<R>(&mut self, result: Result<R, EngineError>) -> Result<R, EngineError> {
        self.poisoned |= result.as_ref().is_err_and(EngineError::poisons);
        result
    }

    fn owning(
        sampler: *mut raw::llama_sampler,
        model: &Arc<ModelHandle>,
    ) -> Result<Self, EngineError> {
        let sampler = NonNull::new(sampler).ok_or(EngineError::OutOfMemory {
            engine: sys::ENGINE.name(),
        })?;
        Ok(Self::with(sampler, model))
    }

    fn with(sampler: NonNull<raw::llama_sampler>, model: &Arc<ModelHandle>) -> Self {
        Self {
            sampler,
            model: Arc::clone(model),
            owned: true,
            poisoned: false,
        }
    }
}

impl Stage {
    fn make(&self, model: &ModelHandle) -> Result<*mut raw::llama_sampler, EngineError> {
        // As upstream's programs: a filter may leave a single token.
        const MIN_KEEP: usize = 0;
        // SAFETY: plain numbers, or lists with their lengths, which the engine copies; the vocabulary
        // is alive.
        unsafe {
            match self {
                Self::Dist { seed } => sys::llama_sampler_init_dist(*seed),
                Self::Dry {
                    multiplier,
                    base,
                    allowed_length,
                    last_n,
                    breakers,
                } => {
                    let mut breakers: Vec<_> = breakers.iter().map(|text| text.as_ptr()).collect();
                    sys::llama_sampler_init_dry(
                        model.vocab(),
                        *multiplier,
                        *base,
                        *allowed_length,
                        *last_n,
                        breakers.as_mut_ptr(),
                        breakers.len(),
                    )
                }
                Self::LogitBias(biases) => {
                    let biases: Vec<_> = biases
                        .iter()
                        .map(|&(token, bias)| raw::llama_logit_bias { token, bias })
                        .collect();
                    let count = i32::try_from(biases.len()).unwrap_or(i32::MAX);
                    sys::llama_sampler_init_logit_bias(model.n_vocab()?, count, biases.as_ptr())
                }
                Self::MinP(p) => sys::llama_sampler_init_min_p(*p, MIN_KEEP),
                Self::MirostatV2 { seed, tau, eta } => {
                    sys::llama_sampler_init_mirostat_v2(*seed, *tau, *eta)
                }
                Self::Penalties {
                    last_n,
                    repeat,
                    frequency,
                    presence,
                } => sys::llama_sampler_init_penalties(
                    model.n_vocab()?,
                    *last_n,
                    *repeat,
                    *frequency,
                    *presence,
                ),
                Self::Temperature(temperature) => sys::llama_sampler_init_temp(*temperature),
                Self::TopK(k) => sys::llama_sampler_init_top_k(*k),
                Self::TopP(p) => sys::llama_sampler_init_top_p(*p, MIN_KEEP),
                Self::Typical(p) => sys::llama_sampler_init_typical(*p, MIN_KEEP),
                Self::Xtc {
                    probability,
                    threshold,
                    seed,
                } => sys::llama_sampler_init_xtc(*probability, *threshold, MIN_KEEP, *seed),
            }
        }
    }
}
