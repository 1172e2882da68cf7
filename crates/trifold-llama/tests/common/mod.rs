//! What the tests share: the demo model and short ways to use it.
#![allow(dead_code)] // each test file uses a part

use std::{num::NonZeroUsize, sync::OnceLock};

use trifold_llama::{
    Completion, Context, ContextOptions, GenerateOptions, Model, SamplingOptions, Token,
};

pub(crate) const STORY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../models/story/trifold-story.gguf"
);
pub(crate) const SPEECH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../models/speech/trifold-speech.bin"
);
pub(crate) const PICTURE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../models/picture/trifold-picture.gguf"
);

pub(crate) fn model() -> Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| Model::load(STORY).unwrap()).clone()
}

/// Tests run side by side: one thread each.
pub(crate) fn one_thread() -> ContextOptions {
    ContextOptions {
        threads: NonZeroUsize::new(1),
        ..ContextOptions::default()
    }
}

pub(crate) fn context() -> Context {
    model().context(&one_thread()).unwrap()
}

pub(crate) fn greedy() -> GenerateOptions {
    with(SamplingOptions::greedy())
}

pub(crate) fn with(sampling: SamplingOptions) -> GenerateOptions {
    GenerateOptions {
        sampling,
        ..GenerateOptions::default()
    }
}

pub(crate) fn numbers(completion: &Completion) -> Vec<Token> {
    completion.tokens.iter().map(|token| token.token).collect()
}
