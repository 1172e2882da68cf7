//! Several models, contexts and threads at once.

mod common;

use common::{STORY, context, greedy, model, one_thread};
use trifold_llama::{
    ChatMessage, Context, ContextOptions, Embedder, GenerateOptions, Model, SamplingOptions,
};

#[test]
fn what_may_cross_threads_does() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<Model>();
    sync::<Model>();
    send::<Context>();
    send::<Embedder>();
    send::<trifold_llama::LlamaError>();
    sync::<trifold_llama::LlamaError>();
}

#[test]
fn two_models_at_once_on_two_threads() {
    let questions = ["What is 3 + 4?", "What is the opposite of big?"];
    let expected = questions.map(|question| {
        context()
            .chat(&[ChatMessage::user(question)], &greedy())
            .unwrap()
            .complete()
            .unwrap()
            .text
    });
    std::thread::scope(|scope| {
        for (question, expected) in questions.iter().zip(&expected) {
            scope.spawn(move || {
                let model = Model::load(STORY).unwrap();
                for _ in 0..5 {
                    let mut context = model.context(&one_thread()).unwrap();
                    let answer = context
                        .chat(&[ChatMessage::user(*question)], &greedy())
                        .unwrap();
                    assert_eq!(answer.complete().unwrap().text, *expected);
                }
            });
        }
    });
}

#[test]
fn several_contexts_of_one_model_take_turns() {
    let model = model();
    let expected = context()
        .complete("Once upon a time", &greedy())
        .unwrap()
        .text;
    let mut contexts: Vec<Context> = (0..3)
        .map(|_| model.context(&one_thread()).unwrap())
        .collect();
    let options = greedy();
    let mut running: Vec<_> = contexts
        .iter_mut()
        .map(|context| {
            (
                context.generate("Once upon a time", &options).unwrap(),
                String::new(),
            )
        })
        .collect();
    drop(model);
    while running
        .iter()
        .any(|(generation, _)| generation.finish_reason().is_none())
    {
        for (generation, text) in &mut running {
            if let Some(piece) = generation.next() {
                text.push_str(&piece.unwrap().text);
            }
        }
    }
    assert!(running.iter().all(|(_, text)| *text == expected));
}

#[test]
fn a_context_may_move_to_another_thread() {
    let mut context = context();
    let options = GenerateOptions {
        max_tokens: Some(10),
        ..greedy()
    };
    let here = context.complete("Once", &options).unwrap();
    let there = std::thread::spawn(move || context.complete("Once", &options).unwrap())
        .join()
        .unwrap();
    assert_eq!(here.text, there.text);
    assert!(there.usage.reused_prompt_tokens > 0);
}

#[test]
fn the_number_of_threads_makes_no_difference() {
    let text = |options: &ContextOptions| {
        let options = ContextOptions {
            n_ctx: 256,
            ..options.clone()
        };
        let generate = GenerateOptions {
            max_tokens: Some(4),
            sampling: SamplingOptions::greedy(),
            ..GenerateOptions::default()
        };
        model()
            .context(&options)
            .unwrap()
            .complete("Once upon a time, a", &generate)
            .unwrap()
            .text
    };
    let expected = text(&one_thread());
    assert_eq!(text(&ContextOptions::default()), expected);
    let two = ContextOptions {
        threads: std::num::NonZeroUsize::new(2),
        ..one_thread()
    };
    assert_eq!(text(&two), expected);
}
