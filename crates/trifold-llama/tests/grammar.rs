//! Grammars constrain the text; broken ones are errors, and none is a crash.

mod common;

use std::collections::HashSet;

use common::{context, model, with};
use trifold_llama::{FinishReason, LlamaError, SamplingOptions, Special};

fn constrained(grammar: &str, prompt: &str, seed: u32) -> Result<String, LlamaError> {
    // Nothing but the model's own probabilities, so that unlikely ways are taken as well.
    let sampling = SamplingOptions {
        grammar: Some(grammar.into()),
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        seed: Some(seed),
        ..SamplingOptions::default()
    };
    let completion = context().complete(prompt, &with(sampling))?;
    assert!(matches!(
        completion.finish_reason,
        FinishReason::StopToken(_)
    ));
    Ok(completion.text)
}

#[test]
fn a_grammar_is_followed() {
    let answers: HashSet<String> = (0..12)
        .map(|seed| constrained(r#"root ::= "yes" | "no""#, "Is the sky blue?", seed).unwrap())
        .collect();
    assert_eq!(answers, ["yes", "no"].map(str::to_owned).into());
    for seed in 0..5 {
        let date = constrained("root ::= d d \"-\" d d\nd ::= [0-9]", "Once", seed).unwrap();
        let parts: Vec<_> = date
            .split('-')
            .map(|part| part.parse::<u8>().unwrap())
            .collect();
        assert_eq!((parts.len(), date.len()), (2, 5), "{date}");
    }
}

#[test]
fn a_broken_grammar_is_an_error_in_the_engines_words() {
    for (grammar, words) in [
        ("root ::= (\"a\" | \"b\"", "expecting ')'"),
        ("root ::= missing", "Undefined rule identifier 'missing'"),
        ("start ::= \"a\"", "does not contain a 'root' symbol"),
        ("root ::= root \"a\" | \"b\"", "left recursion"),
        ("root ::= \"a\"{1000000}", "repetitions"),
        ("root", "expecting ::="),
    ] {
        let error = constrained(grammar, "Once", 0).unwrap_err();
        assert_eq!(error.to_string(), "Failed to read the grammar");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            source.starts_with("llama.cpp says: ") && source.contains(words),
            "{source}"
        );
    }
}

#[test]
fn grammars_that_are_no_grammars_are_errors() {
    for grammar in [
        String::new(),
        " \n".into(),
        "root ::= \"\0\"".into(),
        "#".repeat(300_000),
    ] {
        let error = constrained(&grammar, "Once", 0).unwrap_err();
        assert!(
            matches!(
                error,
                LlamaError::InvalidOption {
                    option: "grammar",
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn a_deeply_nested_grammar_does_not_run_over_the_stack() {
    let deep = 100_000;
    let grammar = format!("root ::= {}\"a\"{}", "(".repeat(deep), ")".repeat(deep));
    assert_eq!(constrained(&grammar, "Once", 0).unwrap(), "a");
    let open = constrained(&format!("root ::= {}", "(".repeat(deep)), "Once", 0);
    assert!(matches!(open, Err(LlamaError::Grammar { .. })));
}

#[test]
fn a_grammar_that_no_token_fits_is_an_error_and_not_a_crash() {
    let dog = model().tokenize("🐶", Special::AsText, false).unwrap();
    let sampling = SamplingOptions {
        grammar: Some(r#"root ::= "🐶""#.into()),
        logit_bias: dog
            .iter()
            .map(|token| (*token, f32::NEG_INFINITY))
            .collect(),
        ..SamplingOptions::greedy()
    };
    let error = context().complete("Once", &with(sampling)).unwrap_err();
    assert!(matches!(error, LlamaError::NoToken), "{error}");
    // The grammar asks for a token that the model does not have.
    let nothing = SamplingOptions {
        grammar: Some("root ::= \"a\" <[999999]>".into()),
        ..SamplingOptions::greedy()
    };
    let error = context().complete("Once", &with(nothing)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "The grammar allows none of the model's tokens after: \"a\""
    );
}
