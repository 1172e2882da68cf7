//! Generation through the public API: pieces, ends, memory, errors.

mod common;

use std::num::NonZeroUsize;

use common::{context, greedy, model, numbers, one_thread, with};
use trifold_llama::{
    CancelToken, ContextOptions, EmbedOptions, FinishReason, GenerateOptions, LlamaError, Model,
    SamplingOptions, Special, Token,
};

const DRAGON: &str = "Once upon a time, a shy dragon";

#[test]
fn the_most_probable_tokens_are_always_the_same() {
    let first = context().complete(DRAGON, &greedy()).unwrap();
    let second = context().complete(DRAGON, &greedy()).unwrap();
    assert!(first.text.len() > 100, "{}", first.text);
    assert_eq!(first.text, second.text);
    assert_eq!(numbers(&first), numbers(&second));
    assert!(matches!(first.finish_reason, FinishReason::StopToken(_)));
}

#[test]
fn pieces_make_the_whole_text() {
    let whole = context().complete(DRAGON, &greedy()).unwrap();
    let mut context = context();
    let mut generation = context.generate(DRAGON, &greedy()).unwrap();
    let (mut text, mut tokens, mut count) = (String::new(), Vec::new(), 0);
    for piece in generation.by_ref() {
        let piece = piece.unwrap();
        text += &piece.text;
        tokens.extend(piece.tokens);
        count += 1;
    }
    assert!(count > 50);
    assert_eq!(text, whole.text);
    assert_eq!(tokens, whole.tokens);
    assert_eq!(generation.finish_reason(), Some(&whole.finish_reason));
    assert_eq!(generation.usage(), whole.usage);
    assert_eq!(whole.usage.completion_tokens, whole.tokens.len());
    assert_eq!(
        generation.next().map(|piece| piece.is_ok()),
        None,
        "it has ended"
    );
    let bytes: Vec<u8> = tokens
        .iter()
        .flat_map(|token| token.bytes.clone())
        .collect();
    assert_eq!(bytes, text.into_bytes());
}

#[test]
fn an_emoji_comes_in_one_piece_although_it_is_several_tokens() {
    let model = model();
    let dog = model.tokenize("🐶", Special::AsText, false).unwrap();
    assert!(
        dog.len() > 1,
        "this test needs a character of several tokens"
    );
    let options = with(SamplingOptions {
        grammar: Some(r#"root ::= "a🐶b""#.into()),
        ..SamplingOptions::greedy()
    });
    let mut context = context();
    let pieces: Vec<String> = context
        .generate("Hi", &options)
        .unwrap()
        .map(|piece| piece.unwrap().text)
        .collect();
    assert_eq!(pieces.concat(), "a🐶b");
    assert!(pieces.iter().all(|piece| !piece.contains('\u{fffd}')));
}

#[test]
fn half_a_character_at_the_end_becomes_a_replacement_character() {
    let dog = model().tokenize("🐶", Special::AsText, false).unwrap();
    let options = GenerateOptions {
        max_tokens: Some(1),
        ..with(SamplingOptions {
            logit_bias: vec![(dog[0], 1000.0)],
            ..SamplingOptions::greedy()
        })
    };
    let completion = context().complete("Hi", &options).unwrap();
    assert_eq!(numbers(&completion), [dog[0]]);
    assert_eq!(completion.text, "\u{fffd}");
    assert_eq!(completion.finish_reason, FinishReason::Length);
}

#[test]
fn stop_strings_end_the_text_before_them() {
    let whole = context().complete(DRAGON, &greedy()).unwrap().text;
    // Every place of the text, so that every kind of token border is met.
    let starts: Vec<usize> = whole.char_indices().map(|(at, _)| at).step_by(19).collect();
    let mut context = context();
    for &start in &starts[1..starts.len() - 2] {
        let end = whole[start..]
            .char_indices()
            .nth(9)
            .map_or(whole.len(), |(at, _)| start + at);
        let stop = whole[start..end].to_owned();
        let options = GenerateOptions {
            stop: vec!["never".into(), stop.clone()],
            ..greedy()
        };
        let completion = context.complete(DRAGON, &options).unwrap();
        assert_eq!(
            completion.text,
            whole[..whole.find(&stop).unwrap()],
            "stop: {stop:?}"
        );
        assert_eq!(completion.finish_reason, FinishReason::StopString(stop));
    }
}

#[test]
fn text_that_only_looks_like_a_stop_string_is_not_lost() {
    let whole = context().complete(DRAGON, &greedy()).unwrap();
    let almost = format!("{}!", &whole.text[whole.text.len() - 5..]);
    let options = GenerateOptions {
        stop: vec![almost],
        ..greedy()
    };
    assert_eq!(
        context().complete(DRAGON, &options).unwrap().text,
        whole.text
    );
}

#[test]
fn max_tokens_are_exact() {
    let whole = numbers(&context().complete(DRAGON, &greedy()).unwrap());
    for max in [0, 1, 2, 17] {
        let options = GenerateOptions {
            max_tokens: Some(max),
            ..greedy()
        };
        let completion = context().complete(DRAGON, &options).unwrap();
        assert_eq!(completion.finish_reason, FinishReason::Length);
        assert_eq!(numbers(&completion), whole[..max as usize]);
        assert_eq!(completion.usage.completion_tokens, max as usize);
    }
}

#[test]
fn a_full_context_ends_the_text() {
    let options = ContextOptions {
        n_ctx: 256,
        ..one_thread()
    };
    let mut context = model().context(&options).unwrap();
    assert_eq!(context.n_ctx(), 256);
    // Without the tokens that end a text, it goes on for ever.
    let forever = with(SamplingOptions {
        logit_bias: [0, 2]
            .map(|token| (Token(token), f32::NEG_INFINITY))
            .to_vec(),
        ..SamplingOptions::greedy()
    });
    let completion = context.complete(DRAGON, &forever).unwrap();
    assert_eq!(completion.finish_reason, FinishReason::ContextFull);
    // The last token needs no room: nothing comes after it.
    let usage = completion.usage;
    assert_eq!(usage.prompt_tokens + usage.completion_tokens, 257);
    assert_eq!(
        context
            .complete("Hi", &greedy())
            .unwrap()
            .usage
            .reused_prompt_tokens,
        1
    );
}

#[test]
fn a_prompt_that_does_not_fit_is_an_error() {
    let mut context = context();
    let prompt = vec![Token(5); 1025];
    let error = context.generate_tokens(&prompt, &greedy()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Prompt does not fit the context: expected at most 1024 tokens (found: 1025)"
    );
    assert!(error.hint().unwrap().contains("n_ctx"));
    let fits = GenerateOptions {
        max_tokens: Some(2),
        ..greedy()
    };
    let completion = context
        .generate_tokens(&prompt[1..], &fits)
        .unwrap()
        .complete()
        .unwrap();
    assert_eq!(completion.finish_reason, FinishReason::ContextFull);
}

#[test]
fn ten_megabytes_of_prompt_are_an_error_at_once() {
    for text in ["x", "a word ", "é", "🐶", " ", "\n", "\0", "<|im_end|>"] {
        let prompt = text.repeat(10_000_000 / text.len());
        let error = context().complete(&prompt, &greedy()).unwrap_err();
        let LlamaError::ContextOverflow {
            tokens,
            at_least: true,
            limit: 1024,
            ..
        } = error
        else {
            panic!("{error:?}")
        };
        assert!(tokens > 1024);
    }
}

#[test]
fn an_empty_prompt_is_the_beginning_of_any_text() {
    let completion = context().complete("", &greedy()).unwrap();
    assert_eq!(
        completion.usage.prompt_tokens, 1,
        "the token that begins every text"
    );
    assert!(
        completion.text.starts_with("Once upon a time"),
        "{}",
        completion.text
    );
    let options = GenerateOptions {
        add_bos: Some(false),
        ..greedy()
    };
    let error = context().complete("", &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Expected a text of at least one token (found: an empty one)"
    );
    assert!(matches!(
        context().generate_tokens(&[], &greedy()),
        Err(LlamaError::EmptyText)
    ));
}

#[test]
fn what_the_context_remembers_is_not_processed_again() {
    let mut context = context();
    let options = GenerateOptions {
        max_tokens: Some(8),
        ..greedy()
    };
    let first = context
        .complete("The king has a cat. The king has", &options)
        .unwrap();
    assert_eq!(first.usage.reused_prompt_tokens, 0);
    let again = context
        .complete("The king has a cat. The king has", &options)
        .unwrap();
    assert_eq!(
        again.usage.reused_prompt_tokens,
        again.usage.prompt_tokens - 1
    );
    assert_eq!(numbers(&again), numbers(&first));
    let other = context
        .complete("The king has a dog. The king has", &options)
        .unwrap();
    assert!(
        (4..8).contains(&other.usage.reused_prompt_tokens),
        "{:?}",
        other.usage
    );
    let fresh = common::context()
        .complete("The king has a dog. The king has", &options)
        .unwrap();
    assert_eq!(
        numbers(&other),
        numbers(&fresh),
        "the memory makes no difference to the text"
    );
    // What was generated is remembered as well.
    let prompt: Vec<Token> = context.remembered().to_vec();
    let longer = context.generate_tokens(&prompt, &options).unwrap().usage();
    assert_eq!(longer.reused_prompt_tokens, prompt.len() - 1);
    context.clear().unwrap();
    assert!(context.remembered().is_empty());
    let cleared = context
        .complete("The king has a cat. The king has", &options)
        .unwrap();
    assert_eq!(
        (cleared.usage.reused_prompt_tokens, numbers(&cleared)),
        (0, numbers(&first))
    );
}

#[test]
fn the_batch_size_makes_no_difference() {
    let prompt = "The little dog ran to the river. ".repeat(20);
    let expected = context().complete(&prompt, &greedy()).unwrap();
    for n_batch in [1, 7, 32, 100_000] {
        let options = ContextOptions {
            n_batch,
            ..one_thread()
        };
        let completion = model()
            .context(&options)
            .unwrap()
            .complete(&prompt, &greedy())
            .unwrap();
        assert_eq!(completion.text, expected.text, "n_batch: {n_batch}");
    }
}

#[test]
fn logprobs_are_probabilities_in_order() {
    let n_vocab = model().n_vocab();
    let options = GenerateOptions {
        logprobs: Some(n_vocab),
        max_tokens: Some(5),
        ..greedy()
    };
    let completion = context().complete(DRAGON, &options).unwrap();
    assert_eq!(completion.tokens.len(), 5);
    for token in &completion.tokens {
        let logprobs = token.logprobs.as_ref().unwrap();
        assert_eq!(logprobs.top.len(), n_vocab as usize);
        let sum: f64 = logprobs
            .top
            .iter()
            .map(|top| f64::from(top.logprob).exp())
            .sum();
        assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        assert!(
            logprobs
                .top
                .windows(2)
                .all(|pair| pair[0].logprob >= pair[1].logprob)
        );
        // Greedy takes the first.
        assert_eq!(logprobs.top[0].token, token.token);
        assert_eq!(logprobs.top[0].bytes, token.bytes);
        assert!((logprobs.top[0].logprob - logprobs.logprob).abs() < f32::EPSILON);
    }
    let few = GenerateOptions {
        logprobs: Some(3),
        ..options.clone()
    };
    let few = context().complete(DRAGON, &few).unwrap();
    for (few, all) in few.tokens.iter().zip(&completion.tokens) {
        let all = all.logprobs.as_ref().unwrap();
        assert_eq!(few.logprobs.as_ref().unwrap().top, all.top[..3]);
    }
    let none = GenerateOptions {
        logprobs: Some(0),
        ..options
    };
    let none = context().complete(DRAGON, &none).unwrap();
    assert!(none.tokens[0].logprobs.as_ref().unwrap().top.is_empty());
    let plain = GenerateOptions {
        max_tokens: Some(1),
        ..greedy()
    };
    assert_eq!(
        context().complete(DRAGON, &plain).unwrap().tokens[0].logprobs,
        None
    );
}

#[test]
fn another_thread_can_cancel() {
    let cancel = CancelToken::new();
    let forever = GenerateOptions {
        cancel: Some(cancel.clone()),
        ..with(SamplingOptions {
            logit_bias: [0, 2]
                .map(|token| (Token(token), f32::NEG_INFINITY))
                .to_vec(),
            ..SamplingOptions::greedy()
        })
    };
    let mut context = context();
    let mut generation = context.generate("Once", &forever).unwrap();
    generation.next().unwrap().unwrap();
    std::thread::spawn(move || cancel.cancel()).join().unwrap();
    let before = generation.usage().completion_tokens;
    assert_eq!(generation.by_ref().count(), 0, "nothing was held back");
    assert_eq!(
        generation.usage().completion_tokens,
        before,
        "not one token more"
    );
    assert_eq!(generation.finish_reason(), Some(&FinishReason::Cancelled));
    // The context is as good as before.
    assert_eq!(
        context.complete(DRAGON, &greedy()).unwrap().text,
        common::context().complete(DRAGON, &greedy()).unwrap().text
    );
}

#[test]
fn a_prompt_can_be_cancelled_before_and_while_it_is_processed() {
    let mut context = context();
    let prompt = vec![Token(300); 1000];
    let cancel = CancelToken::new();
    cancel.cancel();
    let options = GenerateOptions {
        cancel: Some(cancel),
        ..greedy()
    };
    let mut generation = context.generate_tokens(&prompt, &options).unwrap();
    assert_eq!(generation.finish_reason(), Some(&FinishReason::Cancelled));
    assert!(generation.next().is_none());
    assert!(context.remembered().is_empty());

    // Whenever it comes, what is remembered afterwards is true.
    let expected = common::context()
        .generate_tokens(&prompt, &greedy())
        .unwrap()
        .complete()
        .unwrap();
    let mut cancelled = 0;
    for wait in [0, 1, 3, 10, 30] {
        let cancel = CancelToken::new();
        let options = GenerateOptions {
            cancel: Some(cancel.clone()),
            max_tokens: Some(0),
            ..greedy()
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(wait));
                cancel.cancel();
            });
            let generation = context.generate_tokens(&prompt, &options).unwrap();
            cancelled += usize::from(generation.finish_reason() == Some(&FinishReason::Cancelled));
        });
        assert_eq!(context.remembered(), &prompt[..context.remembered().len()]);
        let completion = context
            .generate_tokens(&prompt, &greedy())
            .unwrap()
            .complete()
            .unwrap();
        assert_eq!(completion.text, expected.text);
        context.clear().unwrap();
    }
    assert!(
        cancelled > 0,
        "a thousand tokens take longer than these waits"
    );
}

#[test]
fn loading_reports_progress_and_can_be_cancelled() {
    let mut seen = Vec::new();
    let go_on = std::ops::ControlFlow::Continue(());
    Model::options()
        .progress(|fraction| {
            seen.push(fraction);
            go_on
        })
        .load(common::STORY)
        .unwrap();
    assert!(seen.len() > 2 && seen.windows(2).all(|pair| pair[0] <= pair[1]));
    assert!((seen[seen.len() - 1] - 1.0).abs() < f32::EPSILON);

    let mut calls = 0;
    let stopped = Model::options()
        .progress(|_| {
            calls += 1;
            if calls == 2 {
                std::ops::ControlFlow::Break(())
            } else {
                go_on
            }
        })
        .load(common::STORY);
    assert!(matches!(stopped, Err(LlamaError::Cancelled)));
    assert_eq!(calls, 2);

    let cancel = CancelToken::new();
    cancel.cancel();
    assert!(matches!(
        Model::options().cancel(cancel).load(common::STORY),
        Err(LlamaError::Cancelled)
    ));
}

#[test]
#[should_panic(expected = "from the callback")]
fn a_panic_in_the_progress_callback_comes_out() {
    let _never = Model::options()
        .progress(|_| panic!("from the callback"))
        .load(common::STORY);
}

#[test]
fn every_way_of_loading_gives_the_same_text() {
    let expected = context().complete(DRAGON, &greedy()).unwrap().text;
    let read = Model::options()
        .mmap(false)
        .check_tensors(true)
        .load(common::STORY)
        .unwrap();
    let mut context = read.context(&one_thread()).unwrap();
    drop(read);
    assert_eq!(context.complete(DRAGON, &greedy()).unwrap().text, expected);
}

#[test]
fn a_model_without_weights_has_a_tokenizer_only() {
    let model = Model::options()
        .vocab_only(true)
        .load(common::STORY)
        .unwrap();
    assert!(model.is_vocab_only());
    assert_eq!(
        model
            .tokenize("a dog", Special::AsText, false)
            .unwrap()
            .len(),
        2
    );
    let error = model.context(&one_thread()).unwrap_err();
    assert!(matches!(error, LlamaError::Unsupported { .. }), "{error}");
    assert!(matches!(
        model.embedder(&EmbedOptions::default()),
        Err(LlamaError::Unsupported { .. })
    ));
}

#[test]
fn context_options_out_of_range_are_errors() {
    let error = |options: ContextOptions| model().context(&options).unwrap_err().to_string();
    assert_eq!(
        error(ContextOptions {
            n_batch: 0,
            ..one_thread()
        }),
        "Expected 1 to 1073741824 for option n_batch (found: 0)"
    );
    for n_ctx in [16 * 1024 + 1, u32::MAX] {
        assert_eq!(
            error(ContextOptions {
                n_ctx,
                ..one_thread()
            }),
            format!("Expected 0 to 16384 for option n_ctx (found: {n_ctx})")
        );
    }
    let threads = NonZeroUsize::new(513);
    let too_many = "Expected 1 to 512 for option threads (found: 513)";
    assert_eq!(
        error(ContextOptions {
            threads,
            ..one_thread()
        }),
        too_many
    );
    let options = EmbedOptions {
        threads,
        ..EmbedOptions::default()
    };
    assert_eq!(
        model().embedder(&options).unwrap_err().to_string(),
        too_many
    );
    assert_eq!(
        model()
            .context(&ContextOptions {
                n_ctx: 1,
                ..one_thread()
            })
            .unwrap()
            .n_ctx(),
        256
    );
}
