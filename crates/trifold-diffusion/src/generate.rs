use std::{cell::Cell, ffi::CString, sync::mpsc, thread, time::Duration};

use trifold_diffusion_sys::Watch;
use trifold_runtime::{CancelToken, EngineError, log, threads};

use crate::{
    DiffusionError, Failure, GenerateOptions, Model, Parameters, Picture, Sampler, Scheduler,
    engine_thread,
    ffi::{Image, Init, Request},
    memory,
    options::invalid,
};

/// How far a drawing is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Progress {
    /// Weights were read from the file, which happens when they are first needed. Text encoder,
    /// diffusion model and autoencoder are read one after the other.
    Weights {
        /// Tensors that were read.
        done: u32,
        /// Tensors to be read for this part of the model.
        total: u32,
    },
    /// A step of the sampler was done.
    Step {
        /// The picture of the batch, from 1.
        picture: u32,
        /// The pictures in the batch.
        pictures: u32,
        /// The step, from 1.
        step: u32,
        /// The steps of each picture. With an initial picture they are fewer than asked for.
        steps: u32,
        /// How long the step took.
        time: Duration,
    },
}

impl Model {
    /// Draws, and returns as many pictures as the batch has.
    ///
    /// ```
    /// # use trifold_diffusion::{GenerateOptions, Model, Seed};
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/picture/trifold-picture.gguf");
    /// let mut model = Model::load(path)?;
    /// let mut options = GenerateOptions::new("a green tree on a white background");
    /// (options.width, options.height, options.steps, options.guidance) = (128, 128, 4, 1.0);
    /// options.seed = Seed::Fixed(7);
    /// options.batch = 2;
    ///
    /// let pictures = model.generate(&options)?;
    /// assert_eq!(pictures.iter().map(|picture| picture.seed).collect::<Vec<_>>(), [7, 8]);
    ///
    /// options.width = 0;
    /// let error = model.generate(&options).unwrap_err();
    /// assert_eq!(error.to_string(), "Invalid option width: 0 (expected 64 to 8192)");
    /// # Ok::<_, trifold_diffusion::DiffusionError>(())
    /// ```
    pub fn generate(&mut self, options: &GenerateOptions) -> Result<Vec<Picture>, DiffusionError> {
        self.generate_with(options, &CancelToken::new(), |_| {})
    }

    /// Draws like [`Model::generate`], reports progress, and stops when `cancel` says so.
    ///
    /// `on_progress` is called on this thread, while the engine goes on with its own. A cancelled
    /// drawing ends within milliseconds, except while weights are read; the pictures of the batch that
    /// were done are lost. The model can be used again.
    ///
    /// ```
    /// # use trifold_diffusion::{GenerateOptions, Model};
    /// use trifold_diffusion::{CancelToken, DiffusionError, Progress};
    ///
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/picture/trifold-picture.gguf");
    /// # let mut model = Model::load(path)?;
    /// # let mut options = GenerateOptions::new("a cat");
    /// # (options.width, options.height) = (128, 128);
    /// let cancel = CancelToken::new();
    /// let result = model.generate_with(&options, &cancel, |progress| {
    ///     if let Progress::Step { step: 3, .. } = progress {
    ///         cancel.cancel(); // or from any other thread
    ///     }
    /// });
    /// assert!(matches!(result, Err(DiffusionError::Cancelled)));
    /// # Ok::<_, DiffusionError>(())
    /// ```
    pub fn generate_with(
        &mut self,
        options: &GenerateOptions,
        cancel: &CancelToken,
        mut on_progress: impl FnMut(Progress),
    ) -> Result<Vec<Picture>, DiffusionError> {
        self.check_usable()?;
        let plan = self.plan(options)?;
        if cancel.is_cancelled() {
            return Err(DiffusionError::Cancelled);
        }
        let lease = threads::lease(self.options.threads);
        let (events, received) = mpsc::channel();
        let abandoned = CancelToken::new();
        let request = plan.request(options);
        let draw = || {
            let watch = Watcher {
                cancel: [cancel, &abandoned],
                stopped: Cell::new(false),
                threads: lease.count_i32(),
                events,
                pictures: options.batch,
                picture: Cell::new(0),
                step: Cell::new(0),
            };
            let (result, lines) = log::keeping(|| self.context.generate(&request, &watch));
            (result, lines, watch.stopped.get())
        };
        let report = || {
            let _abandon = OnPanic(&abandoned);
            received.into_iter().for_each(&mut on_progress);
        };
        let (result, lines, stopped) =
            engine_thread::run(draw, report).map_err(DiffusionError::Thread)?;
        match result {
            Ok(Some(images)) => self.pictures(options, &plan, images),
            Ok(None) if stopped => Err(DiffusionError::Cancelled),
            Ok(None) => Err(self.failed(Failure::Nothing(lines))),
            Err(error) if stopped && is_missing_result(&error) => Err(DiffusionError::Cancelled),
            Err(error) => {
                if error.interrupted_the_call() {
                    self.context.poison();
                }
                Err(self.failed(Failure::Error(error)))
            }
        }
    }

    /// Checks the options, and settles what they leave open.
    fn plan(&self, options: &GenerateOptions) -> Result<Plan, DiffusionError> {
        options.check()?;
        let step = self.traits.size_step;
        for (option, size) in [("width", options.width), ("height", options.height)] {
            if size % step != 0 {
                return Err(invalid(
                    option,
                    size,
                    format!("a multiple of {step} for this model"),
                ));
            }
        }
        let sampler = match options.sampler {
            Some(sampler) => Some(sampler),
            None => self.context.default_sampler()?,
        };
        let scheduler = match (options.scheduler, sampler) {
            (Some(scheduler), _) => Some(scheduler),
            (None, Some(sampler)) => self.context.default_scheduler(sampler)?,
            (None, None) => None,
        };
        if let Some(scheduler) = scheduler {
            self.check_scheduler(scheduler, options.steps)?;
        }
        memory::check(options)?;
        Ok(Plan {
            prompt: c_text("prompt", &options.prompt)?,
            negative_prompt: c_text("negative prompt", &options.negative_prompt)?,
            sampler,
            scheduler,
            seed: options.seed.draw(),
        })
    }

    fn check_scheduler(&self, scheduler: Scheduler, steps: u32) -> Result<(), DiffusionError> {
        if scheduler == Scheduler::Ays && !self.traits.takes_ays {
            return Err(invalid(
                "scheduler",
                scheduler,
                "another for this model: this one is for SD 1 and XL",
            ));
        }
        let min = scheduler.min_steps();
        if steps < min {
            return Err(invalid(
                "steps",
                steps,
                format!("at least {min} for the scheduler {scheduler}"),
            ));
        }
        Ok(())
    }

    fn pictures(
        &self,
        options: &GenerateOptions,
        plan: &Plan,
        images: Vec<Image>,
    ) -> Result<Vec<Picture>, DiffusionError> {
        let check = |image: &Image| {
            let is_whole = !image.data.is_empty() && image.channels == 3;
            is_whole && (image.width, image.height) == (options.width, options.height)
        };
        if let Some(image) = images.iter().find(|image| !check(image)) {
            let Image {
                width,
                height,
                channels,
                ..
            } = image;
            return Err(self.failed(Failure::Size {
                width: *width,
                height: *height,
                channels: *channels,
            }));
        }
        let pictures = (plan.seed..).zip(images).map(|(seed, image)| Picture {
            width: image.width,
            height: image.height,
            rgb8: image.data,
            seed,
            parameters: self.parameters(options, plan, seed),
        });
        Ok(pictures.collect())
    }

    fn parameters(&self, options: &GenerateOptions, plan: &Plan, seed: u64) -> Parameters {
        let mut parameters = Parameters {
            prompt: options.prompt.clone(),
            negative_prompt: options.negative_prompt.clone(),
            ..Parameters::default()
        };
        parameters.set("Steps", options.steps);
        if let Some(sampler) = plan.sampler {
            parameters.set("Sampler", sampler);
        }
        if let Some(scheduler) = plan.scheduler {
            parameters.set("Schedule type", scheduler);
        }
        parameters.set("CFG scale", options.guidance);
        parameters.set("Seed", seed);
        parameters.set("Size", format_args!("{}x{}", options.width, options.height));
        if let Some(name) = self.path.file_stem() {
            parameters.set("Model", name.to_string_lossy());
        }
        if let Some(clip_skip) = options.clip_skip {
            parameters.set("Clip skip", clip_skip);
        }
        if let Some(init) = &options.init {
            parameters.set("Denoising strength", init.strength);
        }
        parameters.set("Version", concat!("trifold ", env!("CARGO_PKG_VERSION")));
        parameters
    }

    fn failed(&self, source: Failure) -> DiffusionError {
        DiffusionError::Generate {
            model: self.path.clone(),
            source,
        }
    }
}

/// Whether the engine only found that a stopped computation gave nothing: it says that of text
/// encoders with an assertion. Everything on the way out of there cleans up after itself.
fn is_missing_result(error: &EngineError) -> bool {
    matches!(error, EngineError::Assertion { message, .. } if message.contains(".empty()) failed"))
}

fn c_text(option: &'static str, text: &str) -> Result<CString, DiffusionError> {
    CString::new(text).map_err(|_| invalid(option, "text with NUL", "text without NUL"))
}

/// Options with all that they left open.
struct Plan {
    prompt: CString,
    negative_prompt: CString,
    sampler: Option<Sampler>,
    scheduler: Option<Scheduler>,
    seed: u64,
}

impl Plan {
    fn request<'a>(&'a self, options: &'a GenerateOptions) -> Request<'a> {
        // The options were checked: no number is as large as i32::MAX, no seed as i64::MAX.
        let int = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        Request {
            prompt: &self.prompt,
            negative_prompt: &self.negative_prompt,
            width: int(options.width),
            height: int(options.height),
            steps: int(options.steps),
            guidance: options.guidance,
            sampler: self.sampler,
            scheduler: self.scheduler,
            seed: i64::try_from(self.seed).unwrap_or(i64::MAX),
            batch: int(options.batch),
            clip_skip: options.clip_skip.map(int),
            init: options.init.as_ref().map(|init| Init {
                width: init.width,
                height: init.height,
                rgb8: &init.rgb8,
                strength: init.strength,
            }),
        }
    }
}

/// Cancels when a panic drops it.
struct OnPanic<'a>(&'a CancelToken);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.cancel();
        }
    }
}

/// Sees to one drawing, on the engine's thread.
struct Watcher<'a> {
    cancel: [&'a CancelToken; 2],
    /// Whether the engine was told to stop.
    stopped: Cell<bool>,
    threads: i32,
    events: mpsc::Sender<Progress>,
    pictures: u32,
    /// The picture and its step that the engine is at.
    picture: Cell<u32>,
    step: Cell<u32>,
}

impl Watcher<'_> {
    fn report(&self, progress: Progress) {
        // Nobody listens any more after a panic there; the engine is about to be stopped.
        let _ = self.events.send(progress);
    }
}

impl Watch for Watcher<'_> {
    fn stepped(&self, step: i32, steps: i32, seconds: f32) {
        let step = step.unsigned_abs();
        let last = self.step.replace(step);
        if step == 0 {
            // The start of a picture; samplers that evaluate the model twice a step say it twice.
            if last != 0 || self.picture.get() == 0 {
                self.picture.set(self.picture.get() + 1);
            }
            return;
        }
        self.report(Progress::Step {
            picture: self.picture.get(),
            pictures: self.pictures,
            step,
            steps: steps.unsigned_abs(),
            time: Duration::try_from_secs_f32(seconds).unwrap_or_default(),
        });
    }

    fn loaded(&self, done: i32, total: i32) {
        self.report(Progress::Weights {
            done: done.unsigned_abs(),
            total: total.unsigned_abs(),
        });
    }

    fn is_cancelled(&self) -> bool {
        let cancelled = self.cancel.iter().any(|token| token.is_cancelled());
        if cancelled {
            self.stopped.set(true);
        }
        cancelled
    }

    fn threads(&self) -> Option<i32> {
        Some(self.threads)
    }
}
