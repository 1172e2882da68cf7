//! What llama.cpp gives.

use anyhow::{Context as _, Result};
use trifold_llama::{
    Context, ContextOptions, GenerateOptions, Model, SamplingOptions, Special, Token,
};

use crate::{
    Place,
    answers::{Answers, Case, Output},
    models::Files,
};

const PROMPTS: [&str; 3] = [
    "Once upon a time there was a little dog who lived near the sea.",
    "<|im_start|>user\nTell me a story about a hungry duck.<|im_end|>\n<|im_start|>assistant\n",
    "The cat and the bird",
];

/// How many tokens of an answer.
const ANSWER: u32 = 32;

pub(crate) fn answers(files: &Files, on: &Place) -> Result<Answers> {
    let mut cases = Vec::new();
    for file in files.text()? {
        let options = Model::options().device(on.devices.clone());
        let model = options.load(&file.path)?;
        let options = ContextOptions {
            n_ctx: 512,
            threads: Some(on.threads),
            ..ContextOptions::default()
        };
        let mut context = model.context(&options)?;
        for prompt in PROMPTS {
            cases.push(Case {
                model: file.name,
                random: file.random,
                sha256: file.sha256.clone(),
                input: prompt.into(),
                output: output(&model, &mut context, prompt)
                    .with_context(|| format!("{}: {prompt}", file.name))?,
            });
        }
    }
    Ok(Answers {
        engine: "llama",
        ggml_version: trifold_llama::ggml_version()?,
        cases,
    })
}

fn output(model: &Model, context: &mut Context, prompt: &str) -> Result<Output> {
    let tokens = model.tokenize(prompt, Special::Parse, true)?;
    context.clear()?;
    // All of the prompt at once, as a batch, and again token by token: other kernels.
    let mut logits = vec![last_logits(model, context, &tokens)?];
    context.clear()?;
    for end in 1..=tokens.len() {
        logits.push(last_logits(model, context, &tokens[..end])?);
    }
    let generated = context
        .generate_tokens(&tokens, &options(model, ANSWER, None)?)?
        .complete()?;
    Ok(Output::Text {
        logits,
        tokens: generated.tokens.iter().map(|token| token.token.0).collect(),
    })
}

/// By token, where the next one would be chosen.
fn last_logits(model: &Model, context: &mut Context, tokens: &[Token]) -> Result<Vec<f32>> {
    let count = model.n_vocab();
    let completion = context
        .generate_tokens(tokens, &options(model, 1, Some(count))?)?
        .complete()?;
    let top = completion
        .tokens
        .first()
        .and_then(|token| token.logprobs.as_ref())
        .context("Expected a token with its probabilities")?;
    let mut all = vec![f32::NAN; count as usize];
    for token in &top.top {
        if let Some(place) = usize::try_from(token.token.0)
            .ok()
            .and_then(|at| all.get_mut(at))
        {
            *place = token.logprob;
        }
    }
    anyhow::ensure!(
        all.iter().all(|value| value.is_finite()),
        "Expected a probability of each of {count} tokens"
    );
    Ok(all)
}

/// The most probable token, but none that ends the text: an answer that ends has nothing to compare.
fn options(model: &Model, max_tokens: u32, logprobs: Option<u32>) -> Result<GenerateOptions> {
    let mut sampling = SamplingOptions::greedy();
    for token in (0..).take(model.n_vocab() as usize).map(Token) {
        if model.is_end_of_generation(token)? {
            sampling.logit_bias.push((token, f32::NEG_INFINITY));
        }
    }
    Ok(GenerateOptions {
        max_tokens: Some(max_tokens),
        logprobs,
        sampling,
        ..GenerateOptions::default()
    })
}
