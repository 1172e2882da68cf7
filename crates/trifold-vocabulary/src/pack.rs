use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    Entry, Form, MAGIC, MAX_SIZE, Order, Packed, VocabularyError, entry::sha256, merges, tokens, xz,
};

/// Changes when the same vocabularies would be packed to other bytes: part of a cache's key.
pub const RECIPE: &str = "vocabularies 1, xz 6 lc4 pb0";

/// A description of merges has to be this many times smaller than the merges: then it is smaller
/// packed, too, for xz makes a third or so of either.
const WORTH: usize = 8;

/// Why vocabularies could not be packed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The compressor failed.
    #[error("Failed to compress vocabulary: {name}")]
    Compress {
        /// The vocabulary.
        name: String,
        /// What the compressor says.
        #[source]
        source: io::Error,
    },

    /// The index could not be written.
    #[error("Failed to write the index of the packed vocabularies")]
    Index(#[source] serde_json::Error),

    /// What was packed cannot be read.
    #[error("Failed to read back the packed vocabularies")]
    Read(#[source] VocabularyError),

    /// A vocabulary does not come out as it went in.
    #[error("Failed to unpack what was packed of vocabulary: {name}")]
    Verify {
        /// The vocabulary.
        name: String,
    },

    /// A vocabulary is larger than [`MAX_SIZE`].
    #[error("Vocabulary too large: {name} (expected at most {MAX_SIZE} bytes, found {found})")]
    TooLarge {
        /// The vocabulary.
        name: String,
        /// Its size in bytes.
        found: usize,
    },
}

/// Packs vocabularies, each with a name, into what [`Packed`] reads.
///
/// For each one the form that suits it is chosen. A list named `X_merges…` is derived from the tokens
/// of `X_vocab_json…` if both are there. Everything is unpacked again and compared; what does not come
/// out as it went in is compressed as it is.
///
/// # Errors
/// If a vocabulary is larger than [`MAX_SIZE`], two have the same name, or the compressor fails.
pub fn pack(vocabularies: &[(&str, &[u8])]) -> Result<Vec<u8>, PackError> {
    for (name, bytes) in vocabularies {
        if bytes.len() > MAX_SIZE {
            return Err(PackError::TooLarge {
                name: (*name).to_owned(),
                found: bytes.len(),
            });
        }
    }
    let token_lists = in_parallel(vocabularies, |(name, bytes)| {
        let (spaced, stream) =
            tokens::split(bytes).filter(|(_, stream)| stream.len() <= MAX_SIZE)?;
        Some((*name, spaced, stream))
    });
    let token_lists: Vec<TokenList<'_>> = token_lists.into_iter().flatten().collect();
    let plans = in_parallel(vocabularies, |(name, bytes)| {
        plan(name, bytes, &token_lists)
    });
    pack_as(vocabularies, plans)
}

/// Name, whether it has spaces, and the tokens.
type TokenList<'a> = (&'a str, bool, Vec<u8>);

/// What is packed of one vocabulary.
struct Plan {
    form: Form,
    stream: Vec<u8>,
}

impl Plan {
    fn as_it_is(bytes: &[u8]) -> Self {
        Self {
            form: Form::Xz,
            stream: bytes.to_vec(),
        }
    }
}

fn plan(name: &str, bytes: &[u8], token_lists: &[TokenList<'_>]) -> Plan {
    if let Some((_, spaced, stream)) = token_lists.iter().find(|list| list.0 == name) {
        return Plan {
            form: Form::Tokens { spaced: *spaced },
            stream: stream.clone(),
        };
    }
    let family = name
        .split_once("_merges")
        .map(|(family, _)| format!("{family}_vocab_json"));
    token_lists
        .iter()
        .find(|list| {
            family
                .as_ref()
                .is_some_and(|family| list.0.starts_with(family))
        })
        .and_then(|(of, _, tokens)| describe_merges(bytes, of, tokens))
        .filter(|plan| plan.stream.len() <= bytes.len() / WORTH)
        .unwrap_or_else(|| Plan::as_it_is(bytes))
}

/// The shortest description of a list of merges.
fn describe_merges(bytes: &[u8], of: &str, tokens: &[u8]) -> Option<Plan> {
    let mut best: Option<Plan> = None;
    for order in [Order::Ids, Order::Longest] {
        for escaped in [false, true] {
            let stream = merges::Derived::new(tokens, order, escaped)
                .ok()?
                .split(bytes);
            if best
                .as_ref()
                .is_none_or(|best| stream.len() < best.stream.len())
            {
                let of = of.to_owned();
                let form = Form::Merges { of, order, escaped };
                best = Some(Plan { form, stream });
            }
        }
    }
    best
}

/// Packs as planned, and what does not come out as it went in as it is.
fn pack_as(vocabularies: &[(&str, &[u8])], mut plans: Vec<Plan>) -> Result<Vec<u8>, PackError> {
    loop {
        let all = write(vocabularies, &plans)?;
        let packed = Packed::parse(&all).map_err(PackError::Read)?;
        let differs = in_parallel(vocabularies, |(name, bytes)| {
            packed.unpack(name).ok().as_deref() != Some(*bytes)
        });
        if !differs.contains(&true) {
            return Ok(all);
        }
        for ((plan, (name, bytes)), differs) in plans.iter_mut().zip(vocabularies).zip(differs) {
            if differs && plan.form == Form::Xz {
                let name = (*name).to_owned();
                return Err(PackError::Verify { name });
            }
            if differs {
                *plan = Plan::as_it_is(bytes);
            }
        }
    }
}

fn write(vocabularies: &[(&str, &[u8])], plans: &[Plan]) -> Result<Vec<u8>, PackError> {
    let packed = in_parallel(plans, |plan| xz::pack(&plan.stream));
    let mut index = Vec::new();
    let mut streams = Vec::new();
    for (((name, bytes), plan), packed) in vocabularies.iter().zip(plans).zip(packed) {
        let packed = packed.map_err(|source| PackError::Compress {
            name: (*name).to_owned(),
            source,
        })?;
        index.push(Entry {
            name: (*name).to_owned(),
            size: bytes.len(),
            sha256: sha256(bytes),
            form: plan.form.clone(),
            stream: plan.stream.len(),
            offset: streams.len(),
            packed: packed.len(),
        });
        streams.extend(packed);
    }
    let index = serde_json::to_vec(&index).map_err(PackError::Index)?;
    // Far smaller than 4 GB; `Packed::parse` would find it damaged otherwise.
    let length = u32::try_from(index.len()).unwrap_or(u32::MAX);
    Ok([MAGIC, &length.to_le_bytes(), &index, &streams].concat())
}

/// The results of `work` for all items, in their order, made on as many threads as there are cores.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    thread::scope(|scope| {
        for _ in 0..cores.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { break };
                    let result = work(item);
                    results
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((at, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::{Plan, pack_as};
    use crate::{Form, Order, Packed};

    #[test]
    fn a_plan_that_does_not_give_the_bytes_back_is_not_followed() {
        let vocabularies: [(&str, &[u8]); 2] =
            [("a_vocab_json", br#"{"x":0}"#), ("a_merges", b"x x")];
        let plans = || {
            vec![
                Plan {
                    form: Form::Tokens { spaced: false },
                    stream: b"y\n".to_vec(),
                },
                Plan {
                    form: Form::Merges {
                        of: "a_vocab_json".into(),
                        order: Order::Ids,
                        escaped: false,
                    },
                    stream: b"=x x\n".to_vec(),
                },
            ]
        };
        let packed = pack_as(&vocabularies, plans()).unwrap();
        let packed = Packed::parse(&packed).unwrap();
        for (name, bytes) in vocabularies {
            assert_eq!(packed.unpack(name).unwrap(), bytes);
        }
        // The merges could be read, but not any more without the tokens.
        assert!(packed.entries().iter().all(|entry| entry.form == Form::Xz));

        // The one that is right stays.
        let mut plans = plans();
        plans[0].stream = b"x\n".to_vec();
        plans[1].stream = b"=y y\n".to_vec();
        let packed = pack_as(&vocabularies, plans).unwrap();
        let forms = Packed::parse(&packed).unwrap().entries().to_vec();
        assert_eq!(forms[0].form, Form::Tokens { spaced: false });
        assert_eq!(forms[1].form, Form::Xz);
    }
}
