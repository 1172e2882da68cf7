//! Every option of the sampler has its effect, and values that make no sense are errors.

mod common;

use std::collections::HashSet;

use common::{context, greedy, model, numbers, with};
use trifold_llama::{
    Completion, Context, Dry, FinishReason, GenerateOptions, GeneratedToken, Mirostat,
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
