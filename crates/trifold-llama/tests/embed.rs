//! Embeddings.

mod common;

use std::{num::NonZeroUsize, time::Duration};

use common::model;
use trifold_llama::{CancelToken, EmbedOptions, Embedder, LlamaError, Pooling};

fn options() -> EmbedOptions {
    EmbedOptions {
        threads: NonZeroUsize::new(1),
        ..EmbedOptions::default()
    }
}

fn embedder() -> Embedder {
    model().embedder(&options()).unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn vectors_have_the_models_width_and_length_one() {
    let vectors = embedder().embed(&["a red cat", "Monday"]).unwrap();
    assert_eq!(vectors.len(), 2);
    for vector in &vectors {
        assert_eq!(vector.len(), 256);
        assert!((cosine(vector, vector) - 1.0).abs() < 1e-5);
    }
    let raw = EmbedOptions {
        normalize: false,
        ..options()
    };
    let raw = model()
        .embedder(&raw)
        .unwrap()
        .embed(&["a red cat"])
        .unwrap();
    let length = cosine(&raw[0], &raw[0]).sqrt();
    assert!((length - 1.0).abs() > 0.1, "{length}");
    assert!(
        (cosine(&raw[0], &vectors[0]) - length).abs() < 1e-3 * length,
        "the same direction"
    );
}

#[test]
fn the_same_text_has_the_same_vector() {
    let mut embedder = embedder();
    let alone = embedder.embed(&["a red cat"]).unwrap();
    let together = embedder
        .embed(&["a blue cat", "a red cat", "x", "a red cat"])
        .unwrap();
    assert!(cosine(&alone[0], &together[1]) > 0.999);
    assert!(cosine(&together[1], &together[3]) > 0.99999);
    assert!(embedder.embed(&[]).unwrap().is_empty());
}

#[test]
fn similar_texts_are_near() {
    let texts = [
        ["a red cat", "a blue cat"],
        [
            "Tell me a story about a dog.",
            "Tell me a story about a cat.",
        ],
        ["What is 3 + 4?", "What is 5 + 4?"],
        [
            "Once upon a time there was a king.",
            "Once upon a time there was a queen.",
        ],
    ];
    let vectors = embedder().embed(texts.as_flattened()).unwrap();
    for (i, a) in vectors.iter().enumerate() {
        let nearest = (0..vectors.len())
            .filter(|j| *j != i)
            .max_by(|j, k| cosine(a, &vectors[*j]).total_cmp(&cosine(a, &vectors[*k])));
        assert_eq!(nearest, Some(i ^ 1), "{}", texts.as_flattened()[i]);
    }
}

#[test]
fn more_texts_than_fit_at_once() {
    let mut embedder = embedder();
    let texts: Vec<String> = (0..150)
        .map(|n| format!("{n} little dogs ran to the river"))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let all = embedder.embed(&texts).unwrap();
    assert_eq!(all.len(), 150);
    for index in [0, 63, 64, 149] {
        let alone = embedder.embed(&[texts[index]]).unwrap();
        assert!(cosine(&alone[0], &all[index]) > 0.999, "{index}");
    }
}

#[test]
fn texts_that_are_longer_than_what_is_processed_at_once() {
    let options = EmbedOptions {
        n_ctx: 4096,
        ..options()
    };
    let mut embedder = model().embedder(&options).unwrap();
    assert_eq!(embedder.n_ctx(), 4096);
    let texts = [700, 900, 2500, 30, 1500, 600].map(|words| "river ".repeat(words));
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let all = embedder.embed(&texts).unwrap();
    assert_eq!(all.len(), texts.len());
    for (text, vector) in texts.iter().zip(&all) {
        let alone = embedder.embed(&[text]).unwrap();
        assert!(cosine(&alone[0], vector) > 0.999, "{} bytes", text.len());
    }
}

#[test]
fn pooling_makes_a_difference() {
    let text = "the small dog and the big cat";
    let vectors = [Pooling::Mean, Pooling::Cls, Pooling::Last].map(|pooling| {
        let options = EmbedOptions {
            pooling: Some(pooling),
            ..options()
        };
        let mut embedder = model().embedder(&options).unwrap();
        assert_eq!(embedder.pooling(), pooling);
        embedder.embed(&[text]).unwrap().remove(0)
    });
    assert_eq!(
        embedder().pooling(),
        Pooling::Mean,
        "the model says nothing"
    );
    assert!(cosine(&vectors[0], &vectors[1]) < 0.99);
    assert!(cosine(&vectors[0], &vectors[2]) < 0.99);
    assert!(cosine(&vectors[1], &vectors[2]) < 0.99);
}

#[test]
fn a_text_that_does_not_fit_is_an_error_with_its_number() {
    let mut embedder = embedder();
    assert_eq!(embedder.n_ctx(), 1024);
    let fits = "a ".repeat(1000);
    assert_eq!(embedder.embed(&[&fits]).unwrap().len(), 1);
    let error = embedder.embed(&["a", &"a ".repeat(2000)]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("Text 2 does not fit the context: expected at most 1024 tokens (found: "),
        "{error}"
    );
    let error = embedder.embed(&[&"a ".repeat(5_000_000)]).unwrap_err();
    assert!(matches!(
        error,
        LlamaError::ContextOverflow { at_least: true, .. }
    ));
    // The model begins every text with a token, so that an empty one has something.
    assert_eq!(embedder.embed(&[""]).unwrap().len(), 1);
}

#[test]
fn it_can_be_cancelled() {
    let cancel = CancelToken::new();
    let options = EmbedOptions {
        cancel: Some(cancel.clone()),
        ..options()
    };
    let mut embedder = model().embedder(&options).unwrap();
    assert!(embedder.embed(&["a"]).is_ok());
    cancel.cancel();
    assert!(matches!(embedder.embed(&["a"]), Err(LlamaError::Cancelled)));
}

#[test]
fn it_can_be_cancelled_in_the_middle_and_used_again() {
    let mut embedder = embedder();
    let before = embedder.embed(&["a red cat"]).unwrap();
    let long = "river ".repeat(900);
    let texts = vec![long.as_str(); 200];
    let cancel = CancelToken::new();
    embedder.cancelled_by(&cancel);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            cancel.cancel();
        });
        embedder.embed(&texts)
    });
    assert!(matches!(result, Err(LlamaError::Cancelled)));
    embedder.cancelled_by(&CancelToken::new());
    assert_eq!(embedder.embed(&["a red cat"]).unwrap(), before);
}
