//! What whisper.cpp gives.

use anyhow::{Context as _, Result};
use trifold_whisper::{Language, Model, Options, Transcriber};

use crate::{
    answers::{Answers, Case, Output},
    models::Files,
};

pub(crate) fn answers(files: &Files) -> Result<Answers> {
    let mut cases = Vec::new();
    let recordings = files.recordings()?;
    for file in files.speech()? {
        let mut transcriber = Model::load(&file.path)?.transcriber()?;
        for recording in &recordings {
            let input = recording.file_name().unwrap_or_default().to_string_lossy();
            let samples = trifold_whisper::audio::load(recording)?;
            cases.push(Case {
                model: file.name,
                random: file.random,
                sha256: file.sha256.clone(),
                input: input.clone().into_owned(),
                output: output(&mut transcriber, &samples)
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

fn output(transcriber: &mut Transcriber, samples: &[f32]) -> Result<Output> {
    // The first attempt is the only one, whatever it gives: later ones are sampled.
    let options = Options {
        language: Language::from("en"),
        temperature_step: 0.0,
        entropy_threshold: 0.0,
        logprob_threshold: -100.0,
        no_speech_threshold: 1.0,
        threads: Some(1),
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
        languages: languages(transcriber, samples)?,
    })
}

fn languages(transcriber: &mut Transcriber, samples: &[f32]) -> Result<Vec<f32>> {
    let mut languages = transcriber.detect_language(samples, Some(1))?;
    languages.sort_by(|one, other| one.code.cmp(&other.code));
    Ok(languages
        .iter()
        .filter_map(|language| Some(language.probability?.ln()))
        .collect())
}
