use std::{
    ffi::CString,
    num::NonZeroUsize,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use trifold_backend::Device;
use trifold_formats::{FormatError, ModelFile};
use trifold_runtime::{log, threads};

use crate::{
    DiffusionError, Failure, GenerateOptions, ModelOptions, Part, Sampler, Scheduler,
    engine_thread,
    ffi::{Context, ContextParams},
    preset::Preset,
    traits::Traits,
};

/// A picture model, ready to draw.
///
/// It can be sent to another thread and shared; drawing takes `&mut self`, because the engine draws
/// one picture at a time with a model. Several models draw at once without knowing of each other.
///
/// The engine reads weights when it first needs them: the files must stay where they are.
#[derive(Debug)]
pub struct Model {
    pub(crate) context: Context,
    pub(crate) options: ModelOptions,
    pub(crate) traits: Traits,
    preset: Option<Preset>,
    device: Option<Device>,
    pub(crate) path: PathBuf,
}

impl Model {
    /// Loads a model in one file: GGUF or safetensors.
    ///
    /// A tiny autoencoder (TAESD, tensors named `tae.…`) in the same file is used if there is no full
    /// one.
    ///
    /// ```
    /// use trifold_diffusion::{Model, Sampler, Scheduler};
    ///
    /// let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/picture/trifold-picture.gguf");
    /// let model = Model::load(path)?;
    /// assert_eq!(model.default_sampler()?, Some(Sampler::Euler));
    /// assert_eq!(model.default_scheduler(Sampler::Lcm)?, Some(Scheduler::Lcm));
    ///
    /// let error = Model::load("no/such/model.gguf").unwrap_err();
    /// assert_eq!(error.to_string(), "Failed to open model file: no/such/model.gguf");
    /// # Ok::<_, trifold_diffusion::DiffusionError>(())
    /// ```
    pub fn load(path: impl Into<PathBuf>) -> Result<Self, DiffusionError> {
        Self::load_with(&ModelOptions::new(path))
    }

    /// Loads a model that may come in several files, with options.
    ///
    /// The header of every file is checked before the engine sees it.
    pub fn load_with(options: &ModelOptions) -> Result<Self, DiffusionError> {
        options.check()?;
        let path = options.main_file().ok_or(DiffusionError::NoModel)?.clone();
        let mut options = options.clone();
        let model = options
            .model
            .as_ref()
            .map(trifold_formats::check_picture_model)
            .transpose()?;
        let parts = options
            .parts
            .iter()
            .map(|(part, path)| check_part(*part, path))
            .collect::<Result<Vec<_>, _>>()?;

        let traits = Traits::of(model.iter().chain(&parts));
        let no_vae =
            !options.parts.contains_key(&Part::Vae) && !options.parts.contains_key(&Part::TinyVae);
        if let Some(model) = options
            .model
            .clone()
            .filter(|_| no_vae && traits.own_tiny_vae)
        {
            options.parts.insert(Part::TinyVae, model);
        }

        let device = options.devices.select_one(&trifold_diffusion_sys::HOST)?;
        let context = load_context(&options, device.as_ref(), &path)?;
        if !context.makes_pictures()? {
            return Err(DiffusionError::WrongKind { model: path });
        }
        Ok(Self {
            context,
            options,
            traits,
            preset: model.as_ref().and_then(Preset::of),
            device,
            path,
        })
    }

    /// The file that the model was loaded from; of a model in parts, that of the diffusion model.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The accelerator that computes; none if it is the CPU.
    pub fn device(&self) -> Option<&Device> {
        self.device.as_ref()
    }

    /// The options that suit this model, with this prompt: those of [`GenerateOptions::new`], unless
    /// its file tells that it is one for which other ones are known.
    ///
    /// ```
    /// # use trifold_diffusion::{Model, Sampler};
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/picture/trifold-picture.gguf");
    /// let options = Model::load(path)?.default_options("a red circle");
    /// assert_eq!((options.width, options.height), (128, 128));
    /// assert_eq!(options.sampler, Some(Sampler::Lcm));
    /// # Ok::<_, trifold_diffusion::DiffusionError>(())
    /// ```
    pub fn default_options(&self, prompt: impl Into<String>) -> GenerateOptions {
        let mut options = GenerateOptions::new(prompt);
        if let Some(preset) = &self.preset {
            preset.apply(&mut options);
        }
        options
    }

    /// The sampler that is used where none is chosen; `None` if it is one without a name here.
    pub fn default_sampler(&self) -> Result<Option<Sampler>, DiffusionError> {
        self.check_usable()?;
        Ok(self.context.default_sampler()?)
    }

    /// The scheduler that is used with this sampler where none is chosen, as above.
    pub fn default_scheduler(&self, sampler: Sampler) -> Result<Option<Scheduler>, DiffusionError> {
        self.check_usable()?;
        Ok(self.context.default_scheduler(sampler)?)
    }

    /// Widths and heights must be multiples of this: 8, 16 or 64, as the model's kind has it.
    pub fn size_step(&self) -> u32 {
        self.traits.size_step
    }

    /// Errs after a failure that left the engine in an unknown state.
    pub(crate) fn check_usable(&self) -> Result<(), DiffusionError> {
        if self.context.is_poisoned() {
            return Err(DiffusionError::Poisoned {
                model: self.path.clone(),
            });
        }
        Ok(())
    }
}

fn load_context(
    options: &ModelOptions,
    device: Option<&Device>,
    path: &Path,
) -> Result<Context, DiffusionError> {
    let failed = |source| DiffusionError::Load {
        model: path.to_owned(),
        source,
    };
    let params = ContextParams {
        model: options.model.as_deref().map(c_path).transpose()?,
        parts: options
            .parts
            .iter()
            .map(|(part, path)| Ok((*part, c_path(path)?)))
            .collect::<Result<_, DiffusionError>>()?,
        threads: to_i32(options.threads.unwrap_or_else(threads::budget)),
        mmap: options.mmap,
        flash_attention: options.flash_attention,
        device: c_text(device.map_or("CPU", |device| &device.name))?,
    };
    let (result, lines) = engine_thread::run(|| log::keeping(|| Context::load(&params)), || {})
        .map_err(DiffusionError::Thread)?;
    match result {
        Ok(Some(context)) => Ok(context),
        Ok(None) => Err(failed(Failure::Nothing(lines))),
        Err(failure) => Err(failed(failure)),
    }
}

/// A text encoder may be a text model; everything else is part of a picture model.
fn check_part(part: Part, path: &Path) -> Result<ModelFile, FormatError> {
    let file = ModelFile::open(path)?;
    if is_text_encoder(part) {
        file.check_picture_part()?;
    } else {
        file.check_picture()?;
    }
    Ok(file)
}

fn is_text_encoder(part: Part) -> bool {
    matches!(part, Part::ClipG | Part::ClipL | Part::Llm | Part::T5xxl)
}

fn c_path(path: &Path) -> Result<CString, DiffusionError> {
    // No file has such a name, so the checks before this have refused it.
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| crate::options::invalid("path", path.display(), "a path without NUL"))
}

fn c_text(text: &str) -> Result<CString, DiffusionError> {
    CString::new(text).map_err(|_| crate::options::invalid("device", text, "a name without NUL"))
}

fn to_i32(count: NonZeroUsize) -> i32 {
    i32::try_from(count.get()).unwrap_or(i32::MAX)
}
