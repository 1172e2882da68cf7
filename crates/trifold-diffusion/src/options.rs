use std::{
    collections::BTreeMap,
    fmt,
    hash::{BuildHasher as _, RandomState},
    num::NonZeroUsize,
    path::PathBuf,
    str::FromStr,
};

use trifold_backend::DeviceOptions;
use trifold_runtime::threads;

use crate::{DiffusionError, Picture, Sampler, Scheduler};

/// Which files make up a model, and how the engine uses them.
///
/// ```no_run
/// use trifold_diffusion::{Model, ModelOptions, Part};
///
/// // A model in parts, as Flux or Z-Image are distributed.
/// let mut options = ModelOptions::default();
/// options.parts.insert(Part::Diffusion, "z_image_turbo-Q4_0.gguf".into());
/// options.parts.insert(Part::Llm, "qwen3-4b-Q4_0.gguf".into());
/// options.parts.insert(Part::Vae, "ae.safetensors".into());
/// options.flash_attention = true;
/// let model = Model::load_with(&options)?;
/// # Ok::<_, trifold_diffusion::DiffusionError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ModelOptions {
    /// One file with all of the model, or with most of it.
    pub model: Option<PathBuf>,
    /// Parts in files of their own.
    pub parts: BTreeMap<Part, PathBuf>,
    /// Threads to compute with, 1 to 512. Default: the physical cores that this process may use, shared with
    /// whatever other engines compute at the time ([`trifold_runtime::threads`]).
    pub threads: Option<NonZeroUsize>,
    /// Map the files into memory instead of copying their weights. The files must not change as long
    /// as the model is in use: what is cut off ends the process. Default: no.
    pub mmap: bool,
    /// Compute attention without storing its whole matrix: less memory, slightly other numbers.
    /// Default: no.
    pub flash_attention: bool,
    /// What to compute on. Default: the first accelerator that a plugin brings, else the CPU.
    pub devices: DeviceOptions,
}

impl ModelOptions {
    /// A model in one file.
    pub fn new(model: impl Into<PathBuf>) -> Self {
        Self {
            model: Some(model.into()),
            ..Self::default()
        }
    }

    pub(crate) fn check(&self) -> Result<(), DiffusionError> {
        match self.threads {
            Some(count) if count.get() > threads::MAX => {
                Err(invalid("threads", count, format!("1 to {}", threads::MAX)))
            }
            _ => Ok(()),
        }
    }

    /// The file to name in messages: the model itself, or the first of its parts.
    pub(crate) fn main_file(&self) -> Option<&PathBuf> {
        self.model
            .as_ref()
            .or_else(|| self.parts.get(&Part::Diffusion))
    }
}

/// A part of a model that can come in a file of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Part {
    /// CLIP-G, a text encoder.
    ClipG,
    /// CLIP-L, a text encoder.
    ClipL,
    /// The diffusion model itself, without text encoders and autoencoder.
    Diffusion,
    /// A language model as text encoder, such as Qwen.
    Llm,
    /// T5-XXL, a text encoder.
    T5xxl,
    /// TAESD, a tiny autoencoder, to be used instead of the full one.
    TinyVae,
    /// The autoencoder.
    Vae,
}

/// What to draw, and how.
///
/// The defaults are the engine's: 512x512, 20 steps, guidance 7. They suit Stable Diffusion 1; other
/// models say in their documentation what suits them, and of some it is known
/// ([`Model::default_options`](crate::Model::default_options)).
///
/// ```
/// use trifold_diffusion::{GenerateOptions, Sampler, Seed};
///
/// let mut options = GenerateOptions::new("a red circle on a blue background");
/// (options.width, options.height) = (128, 128);
/// options.sampler = Some(Sampler::Lcm);
/// options.steps = 12;
/// options.guidance = 2.5;
/// options.seed = Seed::Fixed(42);
/// assert_eq!(options.batch, 1);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GenerateOptions {
    /// What to draw. At most [`MAX_PROMPT_BYTES`](Self::MAX_PROMPT_BYTES), without NUL. `(word)`,
    /// `(word:1.3)` and `[word]` change the weight of words. It may be empty.
    pub prompt: String,
    /// What not to draw, by the same rules. It has no effect where the guidance is 1.
    pub negative_prompt: String,
    /// Width in pixels, from 64 to 8192, a multiple of [`Model::size_step`](crate::Model::size_step).
    pub width: u32,
    /// Height in pixels, as the width.
    pub height: u32,
    /// Steps of the sampler, from 1 (some schedulers: 2, see [`Scheduler::min_steps`]) to 1000.
    pub steps: u32,
    /// How closely to follow the prompt: the scale of classifier-free guidance, from 0 to 100. 1 is
    /// none, and takes half the time.
    pub guidance: f32,
    /// The sampler. Default: the engine's for this model.
    pub sampler: Option<Sampler>,
    /// The scheduler. Default: the engine's for this model and sampler.
    pub scheduler: Option<Scheduler>,
    /// Where the noise comes from. Default: random.
    pub seed: Seed,
    /// How many pictures to draw, from 1 to 64. Picture `i` has the seed of the first plus `i`, and
    /// is what that seed gives alone.
    pub batch: u32,
    /// How many of CLIP's last layers to leave out, plus one; from 1 to 11. Models without CLIP
    /// ignore it. Default: the engine's for this model.
    pub clip_skip: Option<u32>,
    /// A picture to start from. Default: none, only noise.
    pub init: Option<InitPicture>,
}

impl GenerateOptions {
    /// The longest prompt, in bytes: far more than any text encoder has seen in training, and little
    /// enough for the engine's parser, which needs stack for every byte.
    pub const MAX_PROMPT_BYTES: usize = 4096;

    /// The defaults, with this prompt.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            negative_prompt: String::new(),
            width: 512,
            height: 512,
            steps: 20,
            guidance: 7.0,
            sampler: None,
            scheduler: None,
            seed: Seed::Random,
            batch: 1,
            clip_skip: None,
            init: None,
        }
    }

    /// Checks what can be checked without a model.
    pub(crate) fn check(&self) -> Result<(), DiffusionError> {
        check_text("prompt", &self.prompt)?;
        check_text("negative prompt", &self.negative_prompt)?;
        check_range("width", self.width, 64, 8192)?;
        check_range("height", self.height, 64, 8192)?;
        check_range("steps", self.steps, 1, 1000)?;
        check_range("batch", self.batch, 1, 64)?;
        if let Some(clip_skip) = self.clip_skip {
            check_range("clip skip", clip_skip, 1, 11)?;
        }
        // Written so that NaN is refused.
        if !(0.0..=100.0).contains(&self.guidance) {
            return Err(invalid("guidance", self.guidance, "0 to 100"));
        }
        if let Some(init) = &self.init {
            init.check()?;
        }
        self.seed.check(self.batch)
    }
}

/// A picture to start from (img2img).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InitPicture {
    /// Width in pixels. Where it is not the new picture's, the picture is scaled.
    pub width: u32,
    /// Height in pixels, as the width.
    pub height: u32,
    /// Rows from the top, three bytes (red, green, blue) a pixel.
    pub rgb8: Vec<u8>,
    /// How far to go from it: more than 0 (hardly) to 1 (as far as without it). That share of the
    /// steps is run.
    pub strength: f32,
}

impl InitPicture {
    /// Starts from `rgb8`, rows from the top, three bytes a pixel.
    pub fn new(width: u32, height: u32, rgb8: Vec<u8>, strength: f32) -> Self {
        Self {
            width,
            height,
            rgb8,
            strength,
        }
    }

    /// Starts from a picture that was drawn before.
    pub fn from_picture(picture: &Picture, strength: f32) -> Self {
        Self::new(
            picture.width,
            picture.height,
            picture.rgb8.clone(),
            strength,
        )
    }

    fn check(&self) -> Result<(), DiffusionError> {
        check_range("width of the initial picture", self.width, 1, 8192)?;
        check_range("height of the initial picture", self.height, 1, 8192)?;
        let expected = u64::from(self.width) * u64::from(self.height) * 3;
        if self.rgb8.len() as u64 != expected {
            let found = format!("{} bytes", self.rgb8.len());
            let expected = format!("{expected} bytes for {}x{}", self.width, self.height);
            return Err(invalid("data of the initial picture", found, expected));
        }
        // Written so that NaN is refused.
        if !(self.strength > 0.0 && self.strength <= 1.0) {
            return Err(invalid("strength", self.strength, "more than 0, at most 1"));
        }
        Ok(())
    }
}

/// Where the noise comes from that a picture is made of.
///
/// ```
/// use trifold_diffusion::Seed;
///
/// assert_eq!("42".parse::<Seed>()?, Seed::Fixed(42));
/// assert_eq!("random".parse::<Seed>()?, Seed::Random);
/// let error = "-1".parse::<Seed>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "Invalid option seed: -1 (expected random, or 0 to 9223372036854775807)"
/// );
/// # Ok::<_, trifold_diffusion::DiffusionError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Seed {
    /// This number, at most [`Seed::MAX`]: the same number gives the same picture.
    Fixed(u64),
    /// Another number below 2^32 every time. [`Picture::seed`] says which.
    #[default]
    Random,
}

impl Seed {
    /// The largest seed that the engine takes.
    pub const MAX: u64 = i64::MAX.cast_unsigned();

    fn check(self, batch: u32) -> Result<(), DiffusionError> {
        match self {
            Self::Fixed(seed) if seed > Self::MAX - u64::from(batch - 1) => {
                let last = Self::MAX - u64::from(batch - 1);
                Err(invalid(
                    "seed",
                    seed,
                    format!("at most {last} for {batch} pictures"),
                ))
            }
            _ => Ok(()),
        }
    }

    /// The number itself.
    pub(crate) fn draw(self) -> u64 {
        match self {
            Self::Fixed(seed) => seed,
            // Keyed by the operating system's randomness. 32 bits are enough, and can be typed.
            Self::Random => RandomState::new().hash_one(()) >> 32,
        }
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(seed) => seed.fmt(f),
            Self::Random => f.pad("random"),
        }
    }
}

impl FromStr for Seed {
    type Err = DiffusionError;

    fn from_str(text: &str) -> Result<Self, DiffusionError> {
        if text == "random" {
            return Ok(Self::Random);
        }
        match text.parse() {
            Ok(seed) if seed <= Self::MAX => Ok(Self::Fixed(seed)),
            _ => Err(invalid(
                "seed",
                text,
                format!("random, or 0 to {}", Self::MAX),
            )),
        }
    }
}

fn check_text(option: &'static str, text: &str) -> Result<(), DiffusionError> {
    if text.len() > GenerateOptions::MAX_PROMPT_BYTES {
        let expected = format!("at most {} bytes", GenerateOptions::MAX_PROMPT_BYTES);
        return Err(invalid(option, format!("{} bytes", text.len()), expected));
    }
    match text.find('\0') {
        None => Ok(()),
        Some(at) => Err(invalid(
            option,
            format!("a NUL at byte {at}"),
            "text without NUL",
        )),
    }
}

fn check_range(option: &'static str, value: u32, min: u32, max: u32) -> Result<(), DiffusionError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(invalid(option, value, format!("{min} to {max}")))
}

pub(crate) fn invalid(
    option: &'static str,
    value: impl fmt::Display,
    expected: impl Into<String>,
) -> DiffusionError {
    DiffusionError::Option {
        option,
        value: value.to_string(),
        expected: expected.into(),
    }
}
