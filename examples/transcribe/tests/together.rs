//! The fourth engine is sealed as the three are, and runs beside them.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread,
};

use transcribe_example::Session;
use trifold_build::{Builder, Mode, cache::Cache, config::Config, elf};

const RECORDING: &str = "speech/samples/story-about-a-dog.wav";

#[test]
fn it_defines_its_api_and_nothing_else() {
    let config = Config::load()
        .unwrap()
        .with_engines(include_str!("../engines.toml"));
    let builder = Builder {
        config: config.unwrap(),
        cache: Cache::open().unwrap(),
        mode: Mode::Aligned,
    };
    // As the build script left it.
    let sealed = builder.build("transcribe").unwrap();
    let found = elf::symbols(&sealed.object).unwrap();
    assert_eq!(found.global, sealed.exports.symbols());
    assert!(found.global.len() > 100);
    assert!(
        found
            .global
            .iter()
            .all(|name| name.starts_with("trifold_transcribe_"))
    );
    assert!(found.unique.is_empty());
    assert_eq!(found.groups, 0);
}

#[test]
fn four_engines_in_one_process_answer_as_each_alone() {
    let alone = [transcript(), text(), other_transcript(), picture()];
    assert!(alone[0].contains("little dog"), "{}", alone[0]);
    assert_eq!(alone[0].trim(), alone[2].trim());
    let together = [transcript, text, other_transcript, picture].map(thread::spawn);
    let together = together.map(|thread| thread.join().unwrap());
    assert_eq!(together, alone);
}

#[test]
fn a_file_that_is_no_model_is_refused() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    assert!(matches!(
        Session::open(&path, 1),
        Err(transcribe_example::Error::Refused(_))
    ));
}

/// By transcribe.cpp, which reads whisper.cpp's models.
fn transcript() -> String {
    let mut session = Session::open(&model_path("speech/trifold-speech.bin"), 1).unwrap();
    session.transcribe(&samples()).unwrap()
}

/// By whisper.cpp.
fn other_transcript() -> String {
    let model = trifold_whisper::Model::load(model_path("speech/trifold-speech.bin")).unwrap();
    let options = trifold_whisper::Options {
        threads: Some(1),
        ..trifold_whisper::Options::default()
    };
    let mut transcriber = model.transcriber().unwrap();
    transcriber
        .transcribe_file(model_path(RECORDING), &options)
        .unwrap()
        .text
}

fn text() -> String {
    let model = trifold_llama::Model::load(model_path("story/trifold-story.gguf")).unwrap();
    let options = trifold_llama::ContextOptions {
        threads: Some(NonZeroUsize::MIN),
        ..trifold_llama::ContextOptions::default()
    };
    let mut context = model.context(&options).unwrap();
    let options = trifold_llama::GenerateOptions {
        max_tokens: Some(32),
        sampling: trifold_llama::SamplingOptions::greedy(),
        ..trifold_llama::GenerateOptions::default()
    };
    context.complete("Once upon a time", &options).unwrap().text
}

fn picture() -> String {
    let mut options =
        trifold_diffusion::ModelOptions::new(model_path("picture/trifold-picture.gguf"));
    options.threads = Some(NonZeroUsize::MIN);
    let mut drawing = trifold_diffusion::GenerateOptions::new("a red circle on a blue background");
    (drawing.width, drawing.height, drawing.steps) = (64, 64, 2);
    drawing.seed = trifold_diffusion::Seed::Fixed(5);
    let mut model = trifold_diffusion::Model::load_with(&options).unwrap();
    format!("{:?}", model.generate(&drawing).unwrap()[0].rgb8)
}

fn samples() -> Vec<f32> {
    let mut reader = hound::WavReader::open(model_path(RECORDING)).unwrap();
    assert_eq!(
        (reader.spec().sample_rate, reader.spec().channels),
        (16_000, 1)
    );
    let samples = reader.samples::<i16>();
    samples
        .map(|sample| f32::from(sample.unwrap()) / 32768.0)
        .collect()
}

fn model_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../models")
        .join(name)
}
