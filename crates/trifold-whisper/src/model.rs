use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fs_err::File;
use serde::Serialize;
use trifold_backend::{Device, DeviceOptions};
use trifold_formats::{ModelFile, WhisperHparams, check_speech_model};
use trifold_runtime::log;

use crate::ffi::{self, Context, LoadError};
use crate::hooks::WatchedFile;
use crate::options::invalid;
use crate::{Hooks, Transcriber, WhisperError};

/// A speech model in memory. Clones share it; any number of threads can transcribe with one model,
/// each with a [`Transcriber`] of its own.
///
/// ```
/// use trifold_whisper::Model;
///
/// let model = Model::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/speech/trifold-speech.bin"))?;
/// assert_eq!(model.info().size, "tiny");
/// assert_eq!(model.info().weights, "q5_0");
/// assert_eq!(model.languages().next(), Some(("en", "english")));
/// # Ok::<_, trifold_whisper::WhisperError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    context: Arc<Context>,
    info: ModelInfo,
    device: Option<Device>,
    /// The first token that is no text.
    first_special_token: i32,
    languages: &'static [(String, String)],
}

/// What is known about a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelInfo {
    /// The file that it was loaded from.
    pub path: PathBuf,
    /// The file's size, in bytes.
    pub file_bytes: u64,
    /// How long loading took.
    #[serde(serialize_with = "crate::transcript::as_seconds")]
    pub load_time: Duration,
    /// The size class that the number of layers stands for: `tiny`, `base`, `small`, `medium`, `large` or
    /// `unknown`.
    pub size: String,
    /// Whether it knows other languages than English.
    pub multilingual: bool,
    /// The type of its matrices, such as `f16` or `q5_0`.
    pub weights: String,
    /// The hyperparameters, as they are in the file.
    pub hparams: WhisperHparams,
}

impl Model {
    /// Loads a model in whisper.cpp's own format (`ggml-*.bin`).
    ///
    /// The whole header is checked before the engine sees the file.
    ///
    /// # Errors
    /// [`WhisperError::Model`] if the file is missing, damaged or no speech model;
    /// [`WhisperError::ModelRead`] if it cannot be read to its end;
    /// [`WhisperError::LoadRefused`] and [`WhisperError::Engine`] if the engine cannot load it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, WhisperError> {
        Self::load_with(path, &mut Hooks::new())
    }

    /// As [`Model::load`], under watch: [`Hooks::on_progress`] hears how much of the file was read.
    ///
    /// ```
    /// use trifold_whisper::{Hooks, Model};
    ///
    /// # const SPEECH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/speech");
    /// let mut last = 0;
    /// let mut hooks = Hooks::new().on_progress(|percent| last = percent);
    /// Model::load_with(format!("{SPEECH}/trifold-speech.bin"), &mut hooks)?;
    /// drop(hooks);
    /// assert_eq!(last, 100);
    /// # Ok::<_, trifold_whisper::WhisperError>(())
    /// ```
    ///
    /// # Errors
    /// Also [`WhisperError::Cancelled`].
    pub fn load_with(path: impl AsRef<Path>, hooks: &mut Hooks) -> Result<Self, WhisperError> {
        Self::load_on(path, &DeviceOptions::default(), hooks)
    }

    /// As [`Model::load_with`], to compute on a device of your choice. The others take the first accelerator
    /// that a plugin brings, if there is one.
    ///
    /// ```
    /// use trifold_whisper::{Hooks, Model};
    ///
    /// # const SPEECH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/speech");
    /// let path = format!("{SPEECH}/trifold-speech.bin");
    /// let model = Model::load_on(&path, &"cpu".parse()?, &mut Hooks::new())?;
    /// assert!(model.device().is_none());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Also [`WhisperError::Device`].
    pub fn load_on(
        path: impl AsRef<Path>,
        devices: &DeviceOptions,
        hooks: &mut Hooks,
    ) -> Result<Self, WhisperError> {
        let path = path.as_ref();
        let started = Instant::now();
        let checked = check_speech_model(path)?;
        let device = devices.select_one(&trifold_whisper_sys::HOST)?;
        let accelerator = device.as_ref().and_then(Device::accelerator);
        let context = load_context(path, checked.len(), accelerator, hooks)?;
        let info = describe(&checked, &context, started.elapsed())?;
        let first_special_token = context
            .first_special_token()
            .map_err(WhisperError::engine("load speech model"))?;
        let known = ffi::languages().map_err(WhisperError::engine("list the languages"))?;
        let count = language_count(&info.hparams).min(known.len());
        let inner = Inner {
            context: Arc::new(context),
            info,
            device,
            first_special_token,
            languages: &known[..count],
        };
        hooks.report(100);
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Makes a transcriber, which has the working memory for one transcription at a time.
    pub fn transcriber(&self) -> Result<Transcriber, WhisperError> {
        Transcriber::new(self)
    }

    /// What is known about the model.
    pub fn info(&self) -> &ModelInfo {
        &self.inner.info
    }

    /// The accelerator that computes; none if it is the CPU.
    pub fn device(&self) -> Option<&Device> {
        self.inner.device.as_ref()
    }

    /// The languages that the model has tokens for, as code and English name. Whether it was trained for
    /// all of them is another matter.
    pub fn languages(&self) -> impl ExactSizeIterator<Item = (&'static str, &'static str)> + use<> {
        self.inner
            .languages
            .iter()
            .map(|(code, name)| (code.as_str(), name.as_str()))
    }

    /// Finds a language by code or English name.
    pub(crate) fn language(
        &self,
        wanted: &str,
    ) -> Result<(&'static str, &'static str), WhisperError> {
        let is_wanted = |(code, name): &(&str, &str)| {
            code.eq_ignore_ascii_case(wanted) || name.eq_ignore_ascii_case(wanted)
        };
        self.languages().find(is_wanted).ok_or_else(|| {
            let expected = if self.inner.info.multilingual {
                let codes: Vec<&str> = self.languages().map(|(code, _)| code).collect();
                format!("one of {}", codes.join(", "))
            } else {
                "en: this model knows only English".to_owned()
            };
            invalid("language", wanted, expected)
        })
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.inner.context
    }

    pub(crate) fn first_special_token(&self) -> i32 {
        self.inner.first_special_token
    }
}

fn load_context(
    path: &Path,
    length: u64,
    accelerator: Option<usize>,
    hooks: &mut Hooks,
) -> Result<Context, WhisperError> {
    let read_error = |source| WhisperError::ModelRead {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(read_error)?;
    let mut reader = WatchedFile::new(BufReader::new(file), length, hooks);
    let (result, said) = log::keeping(|| Context::load(&mut reader, accelerator));
    match result {
        Err(LoadError::Read(_)) if hooks.is_cancelled() => Err(WhisperError::Cancelled),
        Ok(Some(context)) => Ok(context),
        Ok(None) => Err(WhisperError::LoadRefused {
            path: path.to_owned(),
            said,
        }),
        Err(LoadError::Read(source)) => Err(read_error(source)),
        Err(LoadError::Engine(source)) => Err(WhisperError::Engine {
            what: "load speech model",
            source,
        }),
    }
}

fn describe(
    file: &ModelFile,
    context: &Context,
    load_time: Duration,
) -> Result<ModelInfo, WhisperError> {
    // `check_speech_model` gives nothing else.
    let Some(whisper) = file.whisper() else {
        return Err(WhisperError::LoadRefused {
            path: file.path().to_owned(),
            said: Vec::new(),
        });
    };
    let hparams = whisper.hparams;
    Ok(ModelInfo {
        path: file.path().to_owned(),
        file_bytes: file.len(),
        load_time,
        size: context
            .kind()
            .map_err(WhisperError::engine("load speech model"))?,
        multilingual: hparams.is_multilingual(),
        weights: hparams
            .weight_type()
            .map_or_else(|| "unknown".to_owned(), |kind| kind.to_string()),
        hparams,
    })
}

/// How many tokens of languages there are. The engine has names for all that any model knows, and
/// does not look whether this one has a token for them: the next tokens have other meanings.
fn language_count(hparams: &WhisperHparams) -> usize {
    if hparams.is_multilingual() {
        hparams.n_vocab.saturating_sub(51766) as usize
    } else {
        1
    }
}
