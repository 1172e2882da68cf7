//! What whisper.cpp gives.

use anyhow::{Context as _, Result};
use trifold_whisper::{Hooks, Language, Model, Options, Transcriber};

use crate::{
    Place,
    answers::{Answers, Case, Output},
    models::Files,
};

pub(crate) fn answers(files: &Files, on: &Place) -> Result<Answers> {
    let mut cases = Vec::new();
    let recordings = files.recordings()?;
    for file in files.speech()? {
        let model = Model::load_on(&file.path, &on.devices, &mut Hooks::new())?;
        let mut transcriber = model.transcriber()?;
        for recording in &recordings {
            let input = recording.file_name().unwrap_or_default().to_string_lossy();
            let samples = trifold_whisper::audio::load(recording)?;
            cases.push(Case {
                model: file.name,
                random: file.random,
                sha256: file.sha256.clone(),
                input: input.clone().into_owned(),
                output: output(&mut transcriber, &samples, on)
                    .with_context(|| format!("{}: {input}", file.name))?,
            });
        }
    }
    Ok(Answers {
        engine: "whisper",
        ggml_version: trifold_whisper::ggml_version()?,
        cases,
    })
}

fn output(transcriber: &mut Transcriber, samples: &[f32], on: &Place) -> Result<Output> {
    // The first attempt is the only one, whatever it gives: later ones are sampled.
    let options = Options {
        language: Language::from("en"),
        temperature_step: 0.0,
        entropy_threshold: 0.0,
        logprob_threshold: -100.0,
        no_speech_threshold: 1.0,
        threads: Some(on.threads.get()),
        ..Options::default()
    };
    let transcript = transcriber.transcribe(samples, &options)?;
    Ok(Output::Transcript {
        tokens: transcript
            .segments
            .iter()
            .flat_map(|segment| &segment.tokens)
            .map(|token| (token.id, token.probability))
            .collect(),
        text: transcript.text,
        languages: languages(transcriber, samples, on)?,
    })
}

fn languages(transcriber: &mut Transcriber, samples: &[f32], on: &Place) -> Result<Vec<f32>> {
    let mut languages = transcriber.detect_language(samples, Some(on.threads.get()))?;
    languages.sort_by(|one, other| one.code.cmp(&other.code));
    Ok(languages
        .iter()
        .filter_map(|language| Some(language.probability?.ln()))
        .collect())
}
