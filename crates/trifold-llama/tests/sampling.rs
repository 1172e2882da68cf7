//! Every option of the sampler has its effect, and values that make no sense are errors.

mod common;

use std::collections::HashSet;

use common::{context, greedy, model, numbers, with};
use trifold_llama::{
    Completion, Context, Dry, FinishReason, GenerateOptions, GeneratedToken, LlamaError, Mirostat,
    SamplingOptions, Special, Token, Xtc,
};

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
    let share = tokens.iter().filter(|token| **token == top).count() as f32 / tokens.len() as f32;
    assert!((share - probability).abs() < 0.2, "{share} {probability}");
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

    let min_p = (order[3].1 + order[4].1) / 2.0 / order[0].1;
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
        -completion.tokens.iter().map(logprob).sum::<f32>() / completion.tokens.len() as f32
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
    let penalties: [(&str, fn(&mut SamplingOptions)); 3] = [
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
    let message = |sampling: SamplingOptions| {
        context()
            .complete("Once", &with(sampling))
            .unwrap_err()
            .to_string()
    };
    let nan = f32::NAN;
    let base = SamplingOptions::default;
    let dry = |dry: Dry| SamplingOptions {
        dry: Some(dry),
        ..base()
    };
    let xtc = |probability, threshold| SamplingOptions {
        xtc: Some(Xtc {
            probability,
            threshold,
        }),
        ..base()
    };
    let mirostat = |tau, eta| SamplingOptions {
        mirostat: Some(Mirostat { tau, eta }),
        ..base()
    };
    let cases = [
        (
            SamplingOptions {
                temperature: -0.1,
                ..base()
            },
            "0, or 0.001 to 1000",
            "temperature",
            "-0.1",
        ),
        (
            SamplingOptions {
                temperature: nan,
                ..base()
            },
            "0, or 0.001 to 1000",
            "temperature",
            "NaN",
        ),
        (
            SamplingOptions {
                top_k: u32::MAX,
                ..base()
            },
            "0 to 2147483647",
            "top_k",
            "4294967295",
        ),
        (
            SamplingOptions {
                top_p: 1.5,
                ..base()
            },
            "0 to 1",
            "top_p",
            "1.5",
        ),
        (
            SamplingOptions {
                min_p: -1.0,
                ..base()
            },
            "0 to 1",
            "min_p",
            "-1",
        ),
        (
            SamplingOptions {
                typical_p: nan,
                ..base()
            },
            "0 to 1",
            "typical_p",
            "NaN",
        ),
        (
            SamplingOptions {
                repeat_penalty: 0.0,
                ..base()
            },
            "0.01 to 100",
            "repeat_penalty",
            "0",
        ),
        (
            SamplingOptions {
                frequency_penalty: 1e9,
                ..base()
            },
            "-100 to 100",
            "frequency_penalty",
            "1000000000",
        ),
        (
            SamplingOptions {
                presence_penalty: f32::INFINITY,
                ..base()
            },
            "-100 to 100",
            "presence_penalty",
            "inf",
        ),
        (
            SamplingOptions {
                seed: Some(u32::MAX),
                ..base()
            },
            "0 to 4294967294",
            "seed",
            "4294967295",
        ),
        (
            SamplingOptions {
                logit_bias: vec![(Token(1), nan)],
                ..base()
            },
            "a number, or negative infinity",
            "logit_bias",
            "NaN",
        ),
        (
            dry(Dry {
                multiplier: -1.0,
                ..Dry::default()
            }),
            "0 to 1000",
            "dry.multiplier",
            "-1",
        ),
        (
            dry(Dry {
                base: 0.5,
                ..Dry::default()
            }),
            "1 to 100",
            "dry.base",
            "0.5",
        ),
        (
            dry(Dry {
                allowed_length: 0,
                ..Dry::default()
            }),
            "1 to 1073741824",
            "dry.allowed_length",
            "0",
        ),
        (
            dry(Dry {
                sequence_breakers: vec![String::new()],
                ..Dry::default()
            }),
            "texts of 1 to 40 bytes without NUL",
            "dry.sequence_breakers",
            "\"\"",
        ),
        (xtc(1.1, 0.1), "0 to 1", "xtc.probability", "1.1"),
        (xtc(0.5, 0.6), "0 to 0.5", "xtc.threshold", "0.6"),
        (mirostat(-1.0, 0.1), "0 to 100", "mirostat.tau", "-1"),
        (mirostat(5.0, 2.0), "0 to 1", "mirostat.eta", "2"),
        (
            SamplingOptions {
                xtc: Some(Xtc::default()),
                ..mirostat(5.0, 0.1)
            },
            "no XTC together with mirostat",
            "xtc",
            "both",
        ),
    ];
    for (sampling, expected, option, found) in cases {
        assert_eq!(
            message(sampling),
            format!("Expected {expected} for option {option} (found: {found})")
        );
    }
    let unknown = SamplingOptions {
        logit_bias: vec![(Token(2048), 1.0)],
        ..base()
    };
    assert_eq!(
        message(unknown),
        "Expected a token from 0 to 2047 (found: 2048)"
    );
    let empty = GenerateOptions {
        stop: vec![String::new()],
        ..GenerateOptions::default()
    };
    assert_eq!(
        context().complete("Once", &empty).unwrap_err().to_string(),
        "Expected strings of 1 to 4096 bytes for option stop (found: 0 bytes)"
    );
    let many = GenerateOptions {
        logprobs: Some(2049),
        ..GenerateOptions::default()
    };
    assert_eq!(
        context().complete("Once", &many).unwrap_err().to_string(),
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
