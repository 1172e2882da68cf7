use std::borrow::Cow;
use std::ffi::CString;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use trifold_runtime::log;
use trifold_runtime::threads::{self, Lease};
use trifold_whisper_sys as sys;

use crate::ffi::{self, Observer as _, RawSegment, Settings, State};
use crate::hooks::Watch;
use crate::options::invalid;
use crate::words::{Layout, is_written_without_blanks, trimmed};
use crate::{
    Decoding, Hooks, Language, Model, Options, SpokenLanguage, Timings, Transcript, WhisperError,
    audio,
};

/// Samples further from 0 than this are taken for a mistake in scaling: float audio may exceed 1 a
/// little, 16-bit audio that was not scaled does so by far.
pub const MAX_SAMPLE: f32 = 8.0;

/// Shorter audio is filled up with silence: the engine skips what is shorter than 0.1 s.
const SHORTEST: usize = audio::SAMPLE_RATE as usize;

/// Transcribes, one audio after the other. It has the working memory: some 100 to 500 MB, by the size of
/// the model.
///
/// It can be moved to another thread, but not used by two at once; make one for each thread instead
/// ([`Model::transcriber`] is cheap beside a transcription). Calls do not depend on those before them,
/// except that sampling at temperatures above 0 goes on with the same random numbers.
///
/// ```
/// use trifold_whisper::{Language, Model, Options, audio};
///
/// # const SPEECH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/speech");
/// let model = Model::load(format!("{SPEECH}/trifold-speech.bin"))?;
/// let samples = audio::load(format!("{SPEECH}/samples/time-in-london.wav"))?;
///
/// let options = Options { language: Language::from("en"), word_timestamps: true, ..Options::default() };
/// let transcript = model.transcriber()?.transcribe(&samples, &options)?;
/// let words: Vec<&str> = transcript.segments[0].words.iter().map(|word| word.text.as_str()).collect();
/// assert_eq!(words, ["What", "time", "is", "it", "in", "London?"]);
/// # Ok::<_, trifold_whisper::WhisperError>(())
/// ```
#[derive(Debug)]
pub struct Transcriber {
    model: Model,
    state: State,
}

impl Transcriber {
    pub(crate) fn new(model: &Model) -> Result<Self, WhisperError> {
        const WHAT: &str = "make room for a transcription";
        let (state, said) = log::keeping(|| State::new(model.context()));
        match state.map_err(WhisperError::engine(WHAT))? {
            Some(state) => Ok(Self {
                model: model.clone(),
                state,
            }),
            None => Err(WhisperError::EngineCode {
                what: WHAT,
                code: 0,
                said,
            }),
        }
    }

    /// The model that it uses.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Transcribes samples: mono, 16 kHz ([`audio::SAMPLE_RATE`]), −1 to 1, up to ±[`MAX_SAMPLE`]. Audio
    /// shorter than a second is filled up with silence.
    ///
    /// # Errors
    /// - [`WhisperError::NoSamples`], [`WhisperError::Sample`], [`WhisperError::AudioTooLong`]: the samples;
    /// - [`WhisperError::Option`]: the options;
    /// - [`WhisperError::Engine`], [`WhisperError::EngineCode`], [`WhisperError::DamagedModel`]: the engine.
    ///   After a [`WhisperError::Engine`] every call is [`WhisperError::Poisoned`].
    pub fn transcribe(
        &mut self,
        samples: &[f32],
        options: &Options,
    ) -> Result<Transcript, WhisperError> {
        self.transcribe_with(samples, options, &mut Hooks::new())
    }

    /// As [`Transcriber::transcribe`], under watch.
    ///
    /// # Errors
    /// Also [`WhisperError::Cancelled`].
    pub fn transcribe_with(
        &mut self,
        samples: &[f32],
        options: &Options,
        hooks: &mut Hooks,
    ) -> Result<Transcript, WhisperError> {
        let started = Instant::now();
        self.check_usable()?;
        options.check(self.model.info())?;
        check_samples(samples)?;
        let window = options.window(samples.len())?;
        self.check_length(window.len())?;
        let part = filled_up(&samples[window.clone()]);
        let lease = threads::lease(options.explicit_threads());

        let (language, detection) = self.language(&part, options, hooks, &lease)?;
        let layout = self.layout(&part, &window, &language, options);
        let settings = self.settings(&language, options, &lease)?;
        let engine_started = Instant::now();
        let raw = self.run(&settings, &part, &layout, hooks)?;
        let engine = engine_started.elapsed();

        let worked = engine + detection.unwrap_or_default();
        Ok(Transcript {
            text: trimmed(
                &raw.iter()
                    .flat_map(|segment| segment.text.clone())
                    .collect::<Vec<_>>(),
            ),
            language,
            segments: raw
                .iter()
                .flat_map(|segment| layout.convert(segment))
                .collect(),
            duration: audio::duration(samples.len()),
            timings: Timings {
                audio: None,
                detection,
                engine,
                total: started.elapsed(),
                real_time_factor: audio::duration(window.len()).as_secs_f64()
                    / worked.as_secs_f64().max(f64::EPSILON),
                threads: lease.count().get(),
            },
        })
    }

    /// Transcribes an audio file, of any format that [`audio::load`] knows.
    ///
    /// # Errors
    /// Also those of [`audio::load`].
    pub fn transcribe_file(
        &mut self,
        path: impl AsRef<Path>,
        options: &Options,
    ) -> Result<Transcript, WhisperError> {
        self.transcribe_file_with(path, options, &mut Hooks::new())
    }

    /// As [`Transcriber::transcribe_file`], under watch. Decoding the file is no part of the progress.
    ///
    /// # Errors
    /// Also [`WhisperError::Cancelled`].
    pub fn transcribe_file_with(
        &mut self,
        path: impl AsRef<Path>,
        options: &Options,
        hooks: &mut Hooks,
    ) -> Result<Transcript, WhisperError> {
        // Before the work of decoding.
        self.check_usable()?;
        options.check(self.model.info())?;
        let started = Instant::now();
        let samples = audio::load_with(path, hooks)?;
        let loaded = started.elapsed();
        let mut transcript = self.transcribe_with(&samples, options, hooks)?;
        transcript.timings.audio = Some(loaded);
        transcript.timings.total = started.elapsed();
        Ok(transcript)
    }

    /// How probable the model takes each of its languages to be, in the first 30 s of samples as for
    /// [`Transcriber::transcribe`]: the likeliest first. A model that knows only English is sure of it.
    ///
    /// # Errors
    /// As [`Transcriber::transcribe`].
    pub fn detect_language(
        &mut self,
        samples: &[f32],
        threads: Option<usize>,
    ) -> Result<Vec<SpokenLanguage>, WhisperError> {
        self.detect_language_with(samples, threads, &Hooks::new())
    }

    /// As [`Transcriber::detect_language`], until [`Hooks::cancelled_by`] ends it; there is no progress to
    /// report.
    ///
    /// # Errors
    /// Also [`WhisperError::Cancelled`].
    pub fn detect_language_with(
        &mut self,
        samples: &[f32],
        threads: Option<usize>,
        hooks: &Hooks,
    ) -> Result<Vec<SpokenLanguage>, WhisperError> {
        self.check_usable()?;
        check_samples(samples)?;
        let options = Options {
            threads,
            ..Options::default()
        };
        options.check(self.model.info())?;
        let lease = threads::lease(options.explicit_threads());
        self.detect(&filled_up(samples), hooks, &lease)
    }

    fn check_usable(&self) -> Result<(), WhisperError> {
        if self.state.is_broken() {
            Err(WhisperError::Poisoned)
        } else {
            Ok(())
        }
    }

    /// The engine counts samples, and the numbers of its spectrogram, in 32 bits.
    fn check_length(&self, samples: usize) -> Result<(), WhisperError> {
        const HOP: usize = 160;
        const LIMIT: usize = i32::MAX as usize;
        // The spectrogram goes on for 30 s of silence, and a little.
        let frames = LIMIT / self.model.info().hparams.n_mels.max(1) as usize;
        let max = frames
            .saturating_sub(3100)
            .saturating_mul(HOP)
            .min(LIMIT - SHORTEST);
        if samples <= max {
            return Ok(());
        }
        Err(WhisperError::AudioTooLong {
            found: audio::duration(samples),
            max: audio::duration(max),
        })
    }

    /// The language as given, or detected, and how long that took.
    fn language(
        &mut self,
        samples: &[f32],
        options: &Options,
        hooks: &Hooks,
        lease: &Lease,
    ) -> Result<(SpokenLanguage, Option<Duration>), WhisperError> {
        let started = Instant::now();
        let language = match &options.language {
            Language::Given(wanted) => {
                return Ok((spoken(self.model.language(wanted)?, None), None));
            }
            Language::Detect => self.detect(samples, hooks, lease)?.into_iter().next(),
        };
        // Every model knows a language; formats without are refused.
        let language =
            language.map_or_else(|| self.model.language("en").map(|en| spoken(en, None)), Ok)?;
        Ok((language, Some(started.elapsed())))
    }

    /// In the first 30 s: the engine would make a spectrogram of all samples, and look at no more of it.
    fn detect(
        &mut self,
        samples: &[f32],
        hooks: &Hooks,
        lease: &Lease,
    ) -> Result<Vec<SpokenLanguage>, WhisperError> {
        const WHAT: &str = "detect the language";
        if hooks.is_cancelled() {
            return Err(WhisperError::Cancelled);
        }
        let languages = self.model.languages();
        if let (1, Some(only)) = (languages.len(), self.model.languages().next()) {
            return Ok(vec![spoken(only, Some(1.0))]);
        }
        let window = samples.len().min(30 * audio::SAMPLE_RATE as usize);
        let n_vocab = self.model.info().hparams.n_vocab as usize;
        let start = self
            .model
            .context()
            .start_token()
            .map_err(WhisperError::engine(WHAT))?;
        let (logits, said) = log::keeping(|| {
            sys::cancellable(hooks.token(), || {
                self.state
                    .first_logits(&samples[..window], lease.count_i32(), n_vocab)
            })
        });
        let Some(logits) = logits.map_err(WhisperError::engine(WHAT))? else {
            if hooks.is_cancelled() {
                return Err(WhisperError::Cancelled);
            }
            return Err(WhisperError::EngineCode {
                what: WHAT,
                code: -1,
                said,
            });
        };
        // The tokens of the languages follow the one that begins a transcript.
        let first = usize::try_from(start).unwrap_or(0) + 1;
        let logits = logits
            .get(first..first + languages.len())
            .unwrap_or_default();
        check_numbers(logits)?;
        let mut found: Vec<SpokenLanguage> = languages
            .zip(softmax(logits))
            .map(|(language, probability)| spoken(language, Some(probability)))
            .collect();
        found.sort_by(|a, b| {
            f32::total_cmp(&b.probability.unwrap_or(0.0), &a.probability.unwrap_or(0.0))
        });
        Ok(found)
    }

    fn layout<'s>(
        &self,
        samples: &'s [f32],
        window: &Range<usize>,
        language: &SpokenLanguage,
        options: &Options,
    ) -> Layout<'s> {
        Layout {
            samples,
            window: audio::duration(window.start)..audio::duration(window.end),
            first_special_token: self.model.first_special_token(),
            characters: is_written_without_blanks(&language.code),
            word_timestamps: options.word_timestamps,
            max_chars: options.max_segment_chars,
        }
    }

    fn settings(
        &self,
        language: &SpokenLanguage,
        options: &Options,
        lease: &Lease,
    ) -> Result<Settings, WhisperError> {
        let small = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let (beam_size, best_of) = match options.decoding {
            Decoding::Greedy { best_of } => (None, small(best_of)),
            Decoding::Beam { size, best_of } => (Some(small(size)), small(best_of)),
        };
        Ok(Settings {
            threads: lease.count_i32(),
            // The codes have no NUL.
            language: CString::new(language.code.as_str()).unwrap_or_default(),
            translate: options.translate,
            single_segment: options.single_segment,
            suppress_blank: options.suppress_blank,
            suppress_non_speech: options.suppress_non_speech,
            prompt: self.prompt(options.initial_prompt.as_deref().unwrap_or_default())?,
            beam_size,
            best_of,
            temperature: options.temperature,
            temperature_step: options.temperature_step,
            entropy_threshold: options.entropy_threshold,
            logprob_threshold: options.logprob_threshold,
            no_speech_threshold: options.no_speech_threshold,
        })
    }

    /// The tokens of the initial prompt. The engine would drop what is too much without a word.
    fn prompt(&self, text: &str) -> Result<Vec<i32>, WhisperError> {
        let Ok(text) = CString::new(text) else {
            return Err(invalid(
                "initial_prompt",
                format_args!("{text:?}"),
                "a text without NUL",
            ));
        };
        let tokens = self
            .model
            .context()
            .tokenize(&text)
            .map_err(WhisperError::engine("tokenize the initial prompt"))?;
        let max = (self.model.info().hparams.n_text_ctx / 2).saturating_sub(1) as usize;
        if tokens.len() > max {
            let value = format!("{} tokens", tokens.len());
            return Err(invalid(
                "initial_prompt",
                value,
                format!("at most {max} tokens"),
            ));
        }
        Ok(tokens)
    }

    fn run(
        &mut self,
        settings: &Settings,
        samples: &[f32],
        layout: &Layout,
        hooks: &mut Hooks,
    ) -> Result<Vec<RawSegment>, WhisperError> {
        const WHAT: &str = "transcribe";
        let cancel = hooks.token().cloned();
        let mut watch = Watch::new(hooks, layout);
        let (result, said) = log::keeping(|| {
            sys::cancellable(cancel.as_ref(), || {
                self.state.full(settings, samples, &mut watch)
            })
        });
        let result = result.map_err(WhisperError::engine(WHAT))?;
        // Stopped between two runs of the model, or made to fail in the middle of one.
        if watch.has_stopped() || (result.is_err() && watch.stop()) {
            return Err(WhisperError::Cancelled);
        }
        let segments = result.map_err(|code| WhisperError::EngineCode {
            what: WHAT,
            code,
            said,
        })?;
        let n_vocab = self.model.info().hparams.n_vocab as usize;
        check_numbers(
            self.state
                .logits(n_vocab)
                .map_err(WhisperError::engine(WHAT))?,
        )?;
        watch.progress(100);
        Ok(segments)
    }
}

fn check_samples(samples: &[f32]) -> Result<(), WhisperError> {
    if samples.is_empty() {
        return Err(WhisperError::NoSamples);
    }
    // Not `abs() > MAX`: NaN is not within either.
    match samples
        .iter()
        .position(|sample| !(-MAX_SAMPLE..=MAX_SAMPLE).contains(sample))
    {
        Some(index) => Err(WhisperError::Sample {
            index,
            value: samples[index],
        }),
        None => Ok(()),
    }
}

fn check_numbers(logits: &[f32]) -> Result<(), WhisperError> {
    // Tokens may be ruled out by −∞.
    match logits
        .iter()
        .find(|logit| logit.is_nan() || **logit == f32::INFINITY)
    {
        Some(&found) => Err(WhisperError::DamagedModel { found }),
        None => Ok(()),
    }
}

fn filled_up(samples: &[f32]) -> Cow<'_, [f32]> {
    const { assert!(SHORTEST > ffi::MIN_SAMPLES) };
    if samples.len() >= SHORTEST {
        return Cow::Borrowed(samples);
    }
    let mut longer = samples.to_vec();
    longer.resize(SHORTEST, 0.0);
    Cow::Owned(longer)
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f32> = logits.iter().map(|logit| (logit - max).exp()).collect();
    let sum: f32 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

fn spoken((code, name): (&str, &str), probability: Option<f32>) -> SpokenLanguage {
    SpokenLanguage {
        code: code.to_owned(),
        name: name.to_owned(),
        probability,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Model, Options, WhisperError};

    #[test]
    fn a_transcriber_that_failed_inside_is_not_used_again() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../models/speech/trifold-speech.bin"
        );
        let model = Model::load(path).unwrap();
        let options = Options {
            threads: Some(1),
            ..Options::default()
        };
        let (mut failed, mut other) = (model.transcriber().unwrap(), model.transcriber().unwrap());
        let samples = vec![0.0; 16_000];
        let before = other.transcribe(&samples, &options).unwrap();

        let error = WhisperError::engine("fail on purpose")(failed.state.fail().unwrap_err());
        assert_eq!(error.to_string(), "Failed to fail on purpose");
        let words = std::error::Error::source(&error).unwrap().to_string();
        assert!(words.contains("GGML_ASSERT"), "{words}");
        assert!(error.hint().unwrap().contains("report it"));

        for _ in 0..2 {
            let error = failed.transcribe(&samples, &options).unwrap_err();
            assert!(matches!(error, WhisperError::Poisoned), "{error}");
            assert!(error.hint().unwrap().contains("new transcriber"));
        }
        let error = failed.transcribe_file("speech.wav", &options).unwrap_err();
        assert!(matches!(error, WhisperError::Poisoned), "{error}");
        let error = failed.detect_language(&samples, Some(1)).unwrap_err();
        assert!(matches!(error, WhisperError::Poisoned), "{error}");

        assert_eq!(
            other.transcribe(&samples, &options).unwrap().segments,
            before.segments
        );
        let mut new = model.transcriber().unwrap();
        assert_eq!(
            new.transcribe(&samples, &options).unwrap().segments,
            before.segments
        );
    }
}
