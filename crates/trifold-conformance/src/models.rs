//! The models: the demo models, and random ones beside them; or large random ones alone.
//!
//! What random weights give has no meaning, but every weight has its part in it, and their types differ
//! from those of the demo models, so that other kernels run. Each takes from a demo model what is no weight:
//! the tokenizer, or the dimensions.

mod gguf;
mod random;
mod speech;

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// Every random model begins with it.
const SEED: u64 = 20_260_101;

/// The mean gain of the norm that logits follow from: it gives them a spread of about 4. With gains near 1 all
/// tokens would be about as probable, and which one wins a matter of the last digit.
const CONFIDENCE: f32 = 4.0;

/// Which models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Size {
    /// The demo models, and random ones of their size.
    #[default]
    Small,
    /// Random ones that give a GPU something to do: text of a thousand million weights, speech as large as the
    /// model that is called base, pictures of nine hundred million.
    Large,
}

/// The files of all models.
pub(crate) struct Files {
    folder: PathBuf,
    size: Size,
    random: TempDir,
}

/// A model of one engine.
pub(crate) struct Model {
    /// What it is.
    pub(crate) name: &'static str,
    /// Its file.
    pub(crate) path: PathBuf,
    /// Of its file.
    pub(crate) sha256: String,
    /// Whether its weights are random.
    pub(crate) random: bool,
}

#[cfg_attr(
    not(all(feature = "diffusion", feature = "llama", feature = "whisper")),
    allow(dead_code, reason = "each engine uses its own, and the tests use all")
)]
impl Files {
    /// `folder` is that of the demo models.
    pub(crate) fn make(folder: &Path, size: Size) -> Result<Self> {
        Ok(Self {
            folder: folder.into(),
            size,
            random: tempfile::tempdir().context("Could not create a folder for the models")?,
        })
    }

    /// The models of llama.cpp.
    pub(crate) fn text(&self) -> Result<Vec<Model>> {
        let demo = self.folder.join("story/trifold-story.gguf");
        let bytes = gguf::random_text(&demo, self.size)?;
        let name = match self.size {
            Size::Small => "random, qwen2, q4_K q5_K q6_K q5_0",
            Size::Large => "random, qwen2, 1.1 billion weights, q4_K q6_K",
        };
        self.models(demo, name, "text.gguf", &bytes)
    }

    /// The models of whisper.cpp.
    pub(crate) fn speech(&self) -> Result<Vec<Model>> {
        let demo = self.folder.join("speech/trifold-speech.bin");
        let bytes = speech::random(&demo, self.size)?;
        let name = match self.size {
            Size::Small => "random, q8_0",
            Size::Large => "random, base, q8_0",
        };
        self.models(demo, name, "speech.bin", &bytes)
    }

    /// The models of stable-diffusion.cpp.
    pub(crate) fn picture(&self) -> Result<Vec<Model>> {
        let demo = self.folder.join("picture/trifold-picture.gguf");
        let bytes = gguf::random_picture(&demo, self.size)?;
        let name = match self.size {
            Size::Small => "random, z_image, q8_0 q5_0",
            Size::Large => "random, z_image, 0.9 billion weights, q8_0 q5_0",
        };
        self.models(demo, name, "picture.gguf", &bytes)
    }

    /// The recordings, by name.
    pub(crate) fn recordings(&self) -> Result<Vec<PathBuf>> {
        let folder = self.folder.join("speech/samples");
        let mut found = Vec::new();
        for entry in fs_err::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "wav") {
                found.push(path);
            }
        }
        anyhow::ensure!(
            !found.is_empty(),
            "Expected recordings in: {}",
            folder.display()
        );
        found.sort();
        Ok(found)
    }

    fn models(
        &self,
        demo: PathBuf,
        name: &'static str,
        file: &str,
        bytes: &[u8],
    ) -> Result<Vec<Model>> {
        let path = self.random.path().join(file);
        fs_err::write(&path, bytes)?;
        let mut models = Vec::new();
        if self.size == Size::Small {
            models.push(Model::new("demo", demo, false)?);
        }
        models.push(Model::new(name, path, true)?);
        Ok(models)
    }
}

impl Model {
    fn new(name: &'static str, path: PathBuf, random: bool) -> Result<Self> {
        let sha256 = Sha256::digest(fs_err::read(&path)?);
        Ok(Self {
            name,
            sha256: sha256.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            }),
            path,
            random,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check that each kind of file has to pass before an engine sees it.
    type Check = fn(PathBuf) -> Result<trifold_formats::ModelFile, trifold_formats::FormatError>;
    type Make = fn(&Files) -> Result<Vec<Model>>;

    const KINDS: [(Make, Check); 3] = [
        (Files::text, trifold_formats::check_text_model),
        (Files::speech, trifold_formats::check_speech_model),
        (Files::picture, trifold_formats::check_picture_model),
    ];

    fn files(size: Size) -> Files {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        Files::make(&demo, size).unwrap()
    }

    #[test]
    fn random_models_are_the_same_every_time_and_pass_all_checks() {
        let (one, other) = (files(Size::Small), files(Size::Small));
        for (models, check) in KINDS {
            let [_, random] = models(&one).unwrap().try_into().ok().unwrap();
            let [trained, again] = models(&other).unwrap().try_into().ok().unwrap();
            assert_eq!(random.sha256, again.sha256);
            assert_ne!(random.sha256, trained.sha256);
            assert!(random.random && !trained.random);
            check(random.path).unwrap();
        }
    }
}
