//! The models: the demo models, and random ones beside them.
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
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// Every random model begins with it.
const SEED: u64 = 20_260_101;

/// The mean gain of the norm that logits follow from: it gives them a spread of about 4. With gains near 1 all
/// tokens would be about as probable, and which one wins a matter of the last digit.
const CONFIDENCE: f32 = 4.0;

/// The files of all models.
pub(crate) struct Files {
    folder: PathBuf,
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
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        Ok(Self {
            folder: folder.into(),
            random: tempfile::tempdir().context("Could not create a folder for the models")?,
        })
    }

    /// The models of llama.cpp.
    pub(crate) fn text(&self) -> Result<[Model; 2]> {
        let demo = self.folder.join("story/trifold-story.gguf");
        let random = self.write("text.gguf", &gguf::random_text(&demo)?)?;
        models(demo, "random, qwen2, q4_K q5_K q6_K q5_0", random)
    }

    /// The models of whisper.cpp.
    pub(crate) fn speech(&self) -> Result<[Model; 2]> {
        let demo = self.folder.join("speech/trifold-speech.bin");
        let random = self.write("speech.bin", &speech::random(&demo)?)?;
        models(demo, "random, q8_0", random)
    }

    /// The models of stable-diffusion.cpp.
    pub(crate) fn picture(&self) -> Result<[Model; 2]> {
        let demo = self.folder.join("picture/trifold-picture.gguf");
        let random = self.write("picture.gguf", &gguf::random_picture(&demo)?)?;
        models(demo, "random, z_image, q8_0 q5_0", random)
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

    fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.random.path().join(name);
        fs_err::write(&path, bytes)?;
        Ok(path)
    }
}

fn models(demo: PathBuf, name: &'static str, random: PathBuf) -> Result<[Model; 2]> {
    let model = |name, path: PathBuf, random| -> Result<Model> {
        let sha256 = Sha256::digest(fs_err::read(&path)?);
        Ok(Model {
            name,
            sha256: sha256.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            }),
            path,
            random,
        })
    };
    Ok([model("demo", demo, false)?, model(name, random, true)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check that each kind of file has to pass before an engine sees it.
    type Check = fn(PathBuf) -> Result<trifold_formats::ModelFile, trifold_formats::FormatError>;
    type Make = fn(&Files) -> Result<[Model; 2]>;

    #[test]
    fn random_models_are_the_same_every_time_and_pass_all_checks() {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        let one = Files::make(&demo).unwrap();
        let other = Files::make(&demo).unwrap();
        let kinds: [(Make, Check); 3] = [
            (Files::text, trifold_formats::check_text_model),
            (Files::speech, trifold_formats::check_speech_model),
            (Files::picture, trifold_formats::check_picture_model),
        ];
        for (models, check) in kinds {
            let [_, random] = models(&one).unwrap();
            let [trained, again] = models(&other).unwrap();
            assert_eq!(random.sha256, again.sha256);
            assert_ne!(random.sha256, trained.sha256);
            assert!(random.random && !trained.random);
            check(random.path).unwrap();
        }
    }
}
