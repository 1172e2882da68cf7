//! Three engines in one process, each with its own ggml, at work at once.
//!
//! `cargo xtask test` runs this in both modes; in pinned mode the three ggml are three revisions.

use std::path::PathBuf;

use trifold_diffusion::{GenerateOptions as Drawing, ModelOptions, Sampler, Seed};
use trifold_llama::{ContextOptions, GenerateOptions, SamplingOptions};
use trifold_whisper::Options;

/// Rounds that each engine goes through while the others do.
const ROUNDS: usize = 3;

#[test]
fn each_engine_reports_its_own_ggml() {
    let versions = [
        trifold_llama::ggml_version().unwrap(),
        trifold_whisper::ggml_version().unwrap(),
        trifold_diffusion::ggml_version().unwrap(),
    ];
    match trifold_llama_sys::GGML_MODE {
        "pinned" => assert_eq!(versions, ["0.26.0", "0.9.5", "0.12.0"]),
        _ => assert_eq!(versions, ["0.26.0"; 3]),
    }
}

#[test]
fn interleaved_on_threads_they_answer_as_alone() {
    let alone = (tell(), listen(), draw());
    assert!(alone.0.len() > 20, "{}", alone.0);
    assert_eq!(alone.1, "Tell me a story about a little dog.");
    assert!(
        alone.2.iter().any(|byte| *byte > 200),
        "the picture is black"
    );

    std::thread::scope(|scope| {
        let tellers: Vec<_> = (0..ROUNDS).map(|_| scope.spawn(tell)).collect();
        let listeners: Vec<_> = (0..ROUNDS).map(|_| scope.spawn(listen)).collect();
        let painters: Vec<_> = (0..ROUNDS).map(|_| scope.spawn(draw)).collect();
        for teller in tellers {
            assert_eq!(teller.join().unwrap(), alone.0);
        }
        for listener in listeners {
            assert_eq!(listener.join().unwrap(), alone.1);
        }
        for painter in painters {
            assert!(painter.join().unwrap() == alone.2, "the picture differs");
        }
    });
}

fn model(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../models")
        .join(path)
}

fn tell() -> String {
    let model = trifold_llama::Model::load(model("story/trifold-story.gguf")).unwrap();
    let one = std::num::NonZeroUsize::MIN;
    let mut context = model
        .context(&ContextOptions {
            threads: Some(one),
            ..ContextOptions::default()
        })
        .unwrap();
    let options = GenerateOptions {
        max_tokens: Some(64),
        sampling: SamplingOptions::greedy(),
        ..GenerateOptions::default()
    };
    context.complete("Once upon a time", &options).unwrap().text
}

fn listen() -> String {
    let model = trifold_whisper::Model::load(model("speech/trifold-speech.bin")).unwrap();
    let options = Options {
        threads: Some(1),
        ..Options::default()
    };
    let file = self::model("speech/samples/story-about-a-dog.wav");
    model
        .transcriber()
        .unwrap()
        .transcribe_file(file, &options)
        .unwrap()
        .text
}

fn draw() -> Vec<u8> {
    let mut options = ModelOptions::new(model("picture/trifold-picture.gguf"));
    options.threads = Some(std::num::NonZeroUsize::MIN);
    let mut drawing = Drawing::new("a red circle on a blue background");
    (
        drawing.width,
        drawing.height,
        drawing.steps,
        drawing.guidance,
    ) = (128, 128, 4, 1.0);
    drawing.sampler = Some(Sampler::Lcm);
    drawing.seed = Seed::Fixed(5);
    let mut model = trifold_diffusion::Model::load_with(&options).unwrap();
    model.generate(&drawing).unwrap().remove(0).rgb8
}
