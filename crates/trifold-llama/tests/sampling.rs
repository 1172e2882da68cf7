//! Every option of the sampler has its effect, and values that make no sense are errors.

mod common;

use std::collections::HashSet;

use common::{context, greedy, model, numbers, with};
use trifold_llama::{
    Completion, Context, Dry, FinishReason, GenerateOptions, GeneratedToken, LlamaError, Mirostat,
    SamplingOptions, Special, Token, Xtc,
};

type Change = fn(&mut SamplingOptions);

/// Nothing but the model's own probabilities.
fn plain(seed: u32) -> SamplingOptions {
    SamplingOptions {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        seed: Some(seed),
        ..SamplingOptions::default()
    }
}

/// The first token of a text with each of these seeds.
fn firsts(context: &mut Context, options: impl Fn(u32) -> SamplingOptions) -> Vec<Token> {
    (0..40)
        .map(|seed| {
            let options = GenerateOptions {
                max_tokens: Some(1),
                ..with(options(seed))
            };
            let completion = context.complete("", &options).unwrap();
            match completion.finish_reason {
                FinishReason::StopToken(token) => token,
                _ => completion.tokens[0].token,
            }
        })
        .collect()
}

fn different(tokens: &[Token]) -> usize {
    tokens.iter().collect::<HashSet<_>>().len()
}

/// The tokens that a text can begin with, and their probabilities, the most probable first.
fn probabilities(context: &mut Context) -> Vec<(Token, f32)> {
    let options = GenerateOptions {
        logprobs: Some(2048),
        max_tokens: Some(1),
        ..greedy()
    };
    let completion = context.complete("", &options).unwrap();
    let logprobs = completion.tokens[0].logprobs.as_ref().unwrap();
    logprobs
        .top
        .iter()
        .map(|top| (top.token, top.logprob.exp()))
        .collect()
}

#[test]
fn a_seed_gives_the_same_text_again() {
    let mut context = context();
    let text = |context: &mut Context, seed| {
        let options = GenerateOptions {
            max_tokens: Some(20),
            ..with(plain(seed))
        };
        context.complete("", &options).unwrap().text
    };
    let first = text(&mut context, 7);
    assert_eq!(text(&mut context, 7), first);
    assert_eq!(text(&mut common::context(), 7), first);
    let others: HashSet<String> = (0..5).map(|seed| text(&mut context, seed)).collect();
    assert!(others.len() > 2);
}

#[test]
fn without_a_seed_one_is_chosen_and_told() {
    let mut context = context();
    let options = GenerateOptions {
        max_tokens: Some(20),
        ..with(SamplingOptions {
            seed: None,
            ..plain(0)
        })
    };
    let runs: Vec<_> = (0..4)
        .map(|_| context.complete("", &options).unwrap())
        .collect();
    assert!(
        runs.iter()
            .map(|run| run.seed)
            .collect::<HashSet<_>>()
            .len()
            > 2
    );
    let again = GenerateOptions {
        max_tokens: Some(20),
        ..with(plain(runs[0].seed))
    };
    assert_eq!(context.complete("", &again).unwrap().text, runs[0].text);
}

#[test]
fn temperature_flattens_or_sharpens() {
    let mut context = context();
    let count = |context: &mut Context, temperature| {
        different(&firsts(context, |seed| SamplingOptions {
            temperature,
            ..plain(seed)
        }))
    };
    let [cold, cool, warm, hot] =
        [0.0, 0.3, 1.0, 10.0].map(|temperature| count(&mut context, temperature));
    assert_eq!(cold, 1);
    assert!(
        cold < cool && cool < warm && warm < hot,
        "{cold} {cool} {warm} {hot}"
    );
}

#[test]
fn samples_follow_the_models_probabilities() {
    let mut context = context();
    let (top, probability) = probabilities(&mut context)[0];
    let tokens = firsts(&mut context, plain);
    // Of 40 tokens.
    let expected = 40.0 * probability;
    let count = tokens
        .iter()
        .filter(|token| **token == top)
        .map(|_| 1.0)
        .sum::<f32>();
    assert!((count - expected).abs() < 8.0, "{count} {expected}");
}

#[test]
fn filters_leave_the_most_probable_tokens() {
    let mut context = context();
    let order = probabilities(&mut context);
    let allowed = |keep: usize| {
        order[..keep]
            .iter()
            .map(|(token, _)| *token)
            .collect::<HashSet<_>>()
    };
    let check = |tokens: &[Token], keep: usize| {
        let outside: Vec<_> = tokens
            .iter()
            .filter(|token| !allowed(keep).contains(token))
            .collect();
        assert!(outside.is_empty(), "{outside:?}");
        assert!(different(tokens) > 1, "something was left to choose");
    };
    check(
        &firsts(&mut context, |seed| SamplingOptions {
            top_k: 3,
            ..plain(seed)
        }),
        3,
    );

    let top_p = order[..3].iter().map(|(_, p)| p).sum::<f32>() - 0.001;
    check(
        &firsts(&mut context, |seed| SamplingOptions {
            top_p,
            ..plain(seed)
        }),
        3,
    );

    let min_p = f32::midpoint(order[3].1, order[4].1) / order[0].1;
    check(
        &firsts(&mut context, |seed| SamplingOptions {
            min_p,
            ..plain(seed)
        }),
        4,
    );

    // The token nearest to the expected surprise, whatever the chance.
    let typical = firsts(&mut context, |seed| SamplingOptions {
        typical_p: 0.01,
        ..plain(seed)
    });
    assert_eq!(different(&typical), 1);
    let entropy: f32 = order
        .iter()
        .filter(|(_, p)| *p > 0.0)
        .map(|(_, p)| -p * p.ln())
        .sum();
    let distance = |p: f32| (-p.ln() - entropy).abs();
    let nearest = order
        .iter()
        .min_by(|a, b| distance(a.1).total_cmp(&distance(b.1)))
        .unwrap();
    assert_eq!(typical[0], nearest.0);
}

#[test]
fn xtc_leaves_out_the_top_choices() {
    let mut context = context();
    let order = probabilities(&mut context);
    let above = order.iter().filter(|(_, p)| *p >= 0.1).count();
    assert!(above >= 2, "this test needs two probable tokens");
    let xtc = Some(Xtc {
        probability: 1.0,
        threshold: 0.1,
    });
    let tokens = firsts(&mut context, |seed| SamplingOptions { xtc, ..plain(seed) });
    let top: HashSet<Token> = order[..above - 1].iter().map(|(token, _)| *token).collect();
    assert!(tokens.iter().all(|token| !top.contains(token)));
    assert!(
        tokens.contains(&order[above - 1].0),
        "the last of them is kept"
    );
    let never = Some(Xtc {
        probability: 0.0,
        threshold: 0.1,
    });
    let tokens = firsts(&mut context, |seed| SamplingOptions {
        xtc: never,
        ..plain(seed)
    });
    assert!(tokens.iter().any(|token| top.contains(token)));
}

#[test]
fn mirostat_holds_the_surprise() {
    let mut context = context();
    let mut run = |mirostat: Option<Mirostat>, temperature: f32| {
        let sampling = SamplingOptions {
            mirostat,
            temperature,
            logit_bias: [0, 2]
                .map(|token| (Token(token), f32::NEG_INFINITY))
                .to_vec(),
            ..plain(3)
        };
        let options = GenerateOptions {
            logprobs: Some(0),
            max_tokens: Some(150),
            ..with(sampling)
        };
        context.complete("", &options).unwrap()
    };
    let surprise = |completion: &Completion| {
        let logprob = |token: &GeneratedToken| token.logprobs.as_ref().unwrap().logprob;
        assert_eq!(completion.tokens.len(), 150);
        -completion.tokens.iter().map(logprob).sum::<f32>() / 150.0
    };
    let mirostat = |tau| Some(Mirostat { tau, eta: 0.1 });
    let [none, some, much] = [0.0, 0.5, 8.0].map(|tau| run(mirostat(tau), 4.0));
    assert_eq!(
        numbers(&none),
        numbers(&run(None, 0.0)),
        "no surprise at all"
    );
    let [none, some, much] = [surprise(&none), surprise(&some), surprise(&much)];
    assert!(none < some && some < much, "{none} {some} {much}");
}

#[test]
fn penalties_keep_tokens_from_coming_again() {
    let mut context = context();
    let mut tokens = |change: &dyn Fn(&mut SamplingOptions)| {
        let mut sampling = SamplingOptions::greedy();
        sampling.logit_bias = [0, 2]
            .map(|token| (Token(token), f32::NEG_INFINITY))
            .to_vec();
        change(&mut sampling);
        let options = GenerateOptions {
            max_tokens: Some(40),
            ..with(sampling)
        };
        numbers(
            &context
                .complete("red blue green red blue green red blue", &options)
                .unwrap(),
        )
    };
    let repeats = |tokens: &[Token]| tokens.len() - different(tokens);
    let before = tokens(&|_| ());
    assert!(
        repeats(&before) > 10,
        "this test needs a text that repeats itself"
    );
    let penalties: [(&str, Change); 3] = [
        ("repeat", |s| s.repeat_penalty = 100.0),
        ("frequency", |s| s.frequency_penalty = 100.0),
        ("presence", |s| s.presence_penalty = 100.0),
    ];
    for (name, change) in penalties {
        assert_eq!(repeats(&tokens(&|s| change(s))), 0, "{name}");
        let off = tokens(&|s| {
            change(s);
            s.penalty_last_n = 0;
        });
        assert_eq!(off, before, "{name} looks at no token");
        // A window of one token forbids no more than the last one.
        let short = tokens(&|s| {
            change(s);
            s.penalty_last_n = 1;
        });
        assert!(short.windows(2).all(|pair| pair[0] != pair[1]), "{name}");
        assert!(repeats(&short) > 0, "{name}");
    }
    // The prompt counts: its last word does not come again.
    let blue = model().tokenize(" blue", Special::AsText, false).unwrap();
    assert!(!tokens(&|s| s.presence_penalty = 100.0).contains(&blue[0]));
}

#[test]
fn dry_breaks_repetitions() {
    let mut context = context();
    let mut text = |dry: Option<Dry>| {
        let options = GenerateOptions {
            max_tokens: Some(30),
            ..with(SamplingOptions {
                dry,
                ..SamplingOptions::greedy()
            })
        };
        context
            .complete("red blue green red blue green red blue", &options)
            .unwrap()
            .text
    };
    let before = text(None);
    assert!(before.starts_with(" green"), "{before}");
    let strong = Dry {
        multiplier: 100.0,
        ..Dry::default()
    };
    assert!(!text(Some(strong.clone())).starts_with(" green"));
    assert_eq!(
        text(Some(Dry {
            multiplier: 0.0,
            ..strong.clone()
        })),
        before
    );
    assert_eq!(
        text(Some(Dry {
            last_n: 0,
            ..strong.clone()
        })),
        before
    );
    let long = Dry {
        allowed_length: 6,
        ..strong.clone()
    };
    assert!(
        text(Some(long)).starts_with(" green"),
        "a short repetition is allowed"
    );
    let broken = Dry {
        sequence_breakers: vec![" blue".into()],
        ..strong.clone()
    };
    assert!(
        text(Some(broken)).starts_with(" green"),
        "repetitions do not reach across breakers"
    );
    // A base of 1 does not grow with the length, so that a weak penalty stays weak.
    let weak = Dry {
        multiplier: 0.1,
        ..strong.clone()
    };
    let flat = Dry {
        base: 1.0,
        ..weak.clone()
    };
    let steep = Dry {
        base: 100.0,
        ..weak
    };
    assert!(text(Some(flat)).starts_with(" green"));
    assert!(!text(Some(steep)).starts_with(" green"));
}

#[test]
fn logit_bias_forces_and_forbids() {
    let mut context = context();
    let order = probabilities(&mut context);
    let mut first = |bias: Vec<(Token, f32)>| {
        let sampling = SamplingOptions {
            logit_bias: bias,
            ..SamplingOptions::greedy()
        };
        let options = GenerateOptions {
            max_tokens: Some(1),
            ..with(sampling)
        };
        numbers(&context.complete("", &options).unwrap())[0]
    };
    assert_eq!(first(vec![(order[0].0, f32::NEG_INFINITY)]), order[1].0);
    assert_eq!(first(vec![(order[700].0, 1000.0)]), order[700].0);
    let all = (0..2048)
        .map(|token| (Token(token), f32::NEG_INFINITY))
        .collect();
    let sampling = SamplingOptions {
        logit_bias: all,
        ..SamplingOptions::greedy()
    };
    let error = context.complete("", &with(sampling)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "The sampling options leave no token to choose from"
    );
}

fn constrained(grammar: &str, prompt: &str, seed: u32) -> Result<String, LlamaError> {
    let sampling = SamplingOptions {
        grammar: Some(grammar.into()),
        ..plain(seed)
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

#[test]
fn values_out_of_range_are_errors_that_name_option_value_and_range() {
    let cases: [(&str, &str, &str, Change); 12] = [
        ("temperature", "0, or 0.001 to 1000", "-0.1", |s| {
            s.temperature = -0.1;
        }),
        ("temperature", "0, or 0.001 to 1000", "NaN", |s| {
            s.temperature = f32::NAN;
        }),
        ("top_k", "0 to 2147483647", "4294967295", |s| {
            s.top_k = u32::MAX;
        }),
        ("top_p", "0 to 1", "1.5", |s| s.top_p = 1.5),
        ("min_p", "0 to 1", "-1", |s| s.min_p = -1.0),
        ("typical_p", "0 to 1", "NaN", |s| s.typical_p = f32::NAN),
        ("repeat_penalty", "0.01 to 100", "0", |s| {
            s.repeat_penalty = 0.0;
        }),
        ("frequency_penalty", "-100 to 100", "101", |s| {
            s.frequency_penalty = 101.0;
        }),
        ("presence_penalty", "-100 to 100", "inf", |s| {
            s.presence_penalty = f32::INFINITY;
        }),
        ("seed", "0 to 4294967294", "4294967295", |s| {
            s.seed = Some(u32::MAX);
        }),
        ("logit_bias", "a number, or negative infinity", "NaN", |s| {
            s.logit_bias = vec![(Token(1), f32::NAN)];
        }),
        ("xtc", "no XTC together with mirostat", "both", |s| {
            s.xtc = Some(Xtc::default());
            s.mirostat = Some(Mirostat::default());
        }),
    ];
    for (option, expected, found, change) in cases {
        let mut sampling = SamplingOptions::default();
        change(&mut sampling);
        assert_eq!(
            refused(sampling),
            format!("Expected {expected} for option {option} (found: {found})")
        );
    }
    let unknown = SamplingOptions {
        logit_bias: vec![(Token(2048), 1.0)],
        ..SamplingOptions::default()
    };
    assert_eq!(
        refused(unknown),
        "Expected a token from 0 to 2047 (found: 2048)"
    );
}

fn refused(sampling: SamplingOptions) -> String {
    context()
        .complete("Once", &with(sampling))
        .unwrap_err()
        .to_string()
}

#[test]
fn values_out_of_range_of_dry_xtc_and_mirostat_are_errors_as_well() {
    let dry = |change: fn(&mut Dry)| {
        let mut dry = Dry::default();
        change(&mut dry);
        refused(SamplingOptions {
            dry: Some(dry),
            ..SamplingOptions::default()
        })
    };
    assert_eq!(
        dry(|dry| dry.multiplier = -1.0),
        "Expected 0 to 1000 for option dry.multiplier (found: -1)"
    );
    assert_eq!(
        dry(|dry| dry.base = 0.5),
        "Expected 1 to 100 for option dry.base (found: 0.5)"
    );
    assert_eq!(
        dry(|dry| dry.allowed_length = 0),
        "Expected 1 to 1073741824 for option dry.allowed_length (found: 0)"
    );
    for (breaker, found) in [("", r#""""#), ("a\0b", r#""a\0b""#)] {
        let sequence_breakers = vec![breaker.to_owned()];
        let dry = Some(Dry {
            sequence_breakers,
            ..Dry::default()
        });
        assert_eq!(
            refused(SamplingOptions {
                dry,
                ..SamplingOptions::default()
            }),
            format!(
                "Expected texts of 1 to 40 bytes without NUL for option dry.sequence_breakers (found: {found})"
            )
        );
    }
    let xtc = |probability, threshold| {
        let xtc = Some(Xtc {
            probability,
            threshold,
        });
        refused(SamplingOptions {
            xtc,
            ..SamplingOptions::default()
        })
    };
    assert_eq!(
        xtc(1.1, 0.1),
        "Expected 0 to 1 for option xtc.probability (found: 1.1)"
    );
    assert_eq!(
        xtc(0.5, 0.6),
        "Expected 0 to 0.5 for option xtc.threshold (found: 0.6)"
    );
    let mirostat = |tau, eta| {
        let mirostat = Some(Mirostat { tau, eta });
        refused(SamplingOptions {
            mirostat,
            ..SamplingOptions::default()
        })
    };
    assert_eq!(
        mirostat(-1.0, 0.1),
        "Expected 0 to 100 for option mirostat.tau (found: -1)"
    );
    assert_eq!(
        mirostat(5.0, 2.0),
        "Expected 0 to 1 for option mirostat.eta (found: 2)"
    );
}

#[test]
fn stop_strings_and_logprobs_out_of_range_are_errors() {
    let message = |options: GenerateOptions| {
        context()
            .complete("Once", &options)
            .unwrap_err()
            .to_string()
    };
    for length in [0, 4097] {
        let options = GenerateOptions {
            stop: vec!["x".repeat(length)],
            ..greedy()
        };
        assert_eq!(
            message(options),
            format!("Expected strings of 1 to 4096 bytes for option stop (found: {length} bytes)")
        );
    }
    assert_eq!(
        message(GenerateOptions {
            logprobs: Some(2049),
            ..greedy()
        }),
        "Expected 0 to 2048 for option logprobs (found: 2049)"
    );
}

#[test]
fn extreme_values_in_range_are_safe() {
    let mut context = context();
    for sampling in [
        SamplingOptions {
            temperature: 0.001,
            ..plain(1)
        },
        SamplingOptions {
            temperature: 1000.0,
            ..plain(1)
        },
        SamplingOptions {
            top_p: 0.0,
            min_p: 1.0,
            typical_p: 0.0,
            top_k: 1,
            ..plain(1)
        },
        SamplingOptions {
            min_p: 1.0,
            xtc: Some(Xtc {
                probability: 1.0,
                threshold: 0.0,
            }),
            ..plain(1)
        },
        SamplingOptions {
            repeat_penalty: 100.0,
            penalty_last_n: u32::MAX,
            ..plain(1)
        },
        SamplingOptions {
            repeat_penalty: 0.01,
            ..plain(1)
        },
        SamplingOptions {
            dry: Some(Dry {
                multiplier: 1000.0,
                base: 100.0,
                allowed_length: 1,
                last_n: u32::MAX,
                sequence_breakers: vec![],
            }),
            ..plain(1)
        },
        SamplingOptions {
            mirostat: Some(Mirostat { tau: 0.0, eta: 0.0 }),
            ..plain(1)
        },
        SamplingOptions {
            mirostat: Some(Mirostat {
                tau: 100.0,
                eta: 1.0,
            }),
            temperature: 0.0,
            ..plain(1)
        },
        SamplingOptions {
            logit_bias: vec![(Token(5), f32::MAX), (Token(6), f32::MIN)],
            ..plain(1)
        },
    ] {
        let options = GenerateOptions {
            max_tokens: Some(30),
            ..with(sampling.clone())
        };
        let completion = context.complete("red blue red blue red blue", &options);
        assert!(completion.is_ok(), "{sampling:?}: {completion:?}");
    }
}
