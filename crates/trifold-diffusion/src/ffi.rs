//! All calls into the engine, each in a thin safe function: the only unsafe code of this crate.
#![allow(unsafe_code)] // calls of C functions, the one purpose of this module

use std::{
    ffi::{CStr, CString, c_char},
    mem::MaybeUninit,
    ptr::NonNull,
    sync::{Mutex, PoisonError},
};

use trifold_diffusion_sys as sys;
use trifold_diffusion_sys::{Watch, raw};
use trifold_runtime::EngineError;

use crate::{Failure, Part, Sampler, Scheduler};

/// The engine fills tables of tensor names when it first needs them, without a lock.
static LOADING: Mutex<()> = Mutex::new(());

pub(crate) fn version() -> Result<String, EngineError> {
    // SAFETY: no arguments; the text is a constant.
    unsafe { sys::sd_version().map(|text| owned(text)) }
}

pub(crate) fn ggml_version() -> Result<String, EngineError> {
    // SAFETY: no arguments; the text is a constant.
    unsafe { sys::ggml_version().map(|text| owned(text)) }
}

pub(crate) fn system_info() -> Result<String, EngineError> {
    // SAFETY: no arguments; the text is made once, under a lock, and stays.
    unsafe { sys::sd_get_system_info().map(|text| owned(text)) }
}

/// The CPU level of the kernels in use.
pub(crate) fn cpu_level() -> Result<&'static str, EngineError> {
    Ok(sys::ENGINE.cpu()?.level)
}

#[cfg(test)]
pub(crate) fn sampler_name(number: raw::sample_method_t) -> Result<String, EngineError> {
    // SAFETY: any number is taken; the text is a constant.
    unsafe { sys::sd_sample_method_name(number).map(|text| owned(text)) }
}

#[cfg(test)]
pub(crate) fn scheduler_name(number: raw::scheduler_t) -> Result<String, EngineError> {
    // SAFETY: any number is taken; the text is a constant.
    unsafe { sys::sd_scheduler_name(number).map(|text| owned(text)) }
}

/// # Safety
/// `text` must be null or a C string that stays for the time of the call.
unsafe fn owned(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// What a context is made of.
pub(crate) struct ContextParams {
    pub(crate) model: Option<CString>,
    pub(crate) parts: Vec<(Part, CString)>,
    pub(crate) threads: i32,
    pub(crate) mmap: bool,
    pub(crate) flash_attention: bool,
    /// ggml's name of the device that computes.
    pub(crate) device: CString,
}

/// A loaded model of the engine.
#[derive(Debug)]
pub(crate) struct Context {
    raw: NonNull<raw::sd_ctx_t>,
    poisoned: bool,
}

// SAFETY: the engine keeps nothing about a context in thread-locals, and ggml's threads live only as
// long as one computation; so a context may move to another thread between calls.
unsafe impl Send for Context {}

// SAFETY: the functions that take `&self` read fields that are set while the model is loaded and not
// written afterwards; everything that writes takes `&mut self`.
unsafe impl Sync for Context {}

impl Context {
    /// Loads a model. `None`: the engine refused it, and logged why.
    pub(crate) fn load(params: &ContextParams) -> Result<Option<Self>, Failure> {
        let mut raw_params = MaybeUninit::<raw::sd_ctx_params_t>::zeroed();
        // SAFETY: the pointer is valid for writing; the function fills in the defaults. Zeroes are a
        // valid value of every field before that.
        let mut raw_params = unsafe {
            sys::sd_ctx_params_init(raw_params.as_mut_ptr()).map_err(Failure::Error)?;
            raw_params.assume_init()
        };
        if let Some(model) = &params.model {
            raw_params.model_path = model.as_ptr();
        }
        for (part, path) in &params.parts {
            *part_field(&mut raw_params, *part) = path.as_ptr();
        }
        raw_params.n_threads = params.threads;
        raw_params.enable_mmap = params.mmap;
        raw_params.flash_attn = params.flash_attention;
        raw_params.diffusion_flash_attn = params.flash_attention;
        raw_params.backend = params.device.as_ptr();

        let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        let (context, vocabularies) = sys::noting_vocabularies(|| {
            // SAFETY: all texts live until the end of this function, and the engine copies them.
            unsafe { sys::new_sd_ctx(&raw const raw_params) }
        });
        let context = context.map_err(|error| {
            // The engine knows the name of the vocabulary only.
            vocabularies.map_or(Failure::Error(error), Failure::Vocabularies)
        })?;
        Ok(NonNull::new(context).map(|raw| Self {
            raw,
            poisoned: false,
        }))
    }

    /// Whether the model makes single pictures.
    pub(crate) fn makes_pictures(&self) -> Result<bool, EngineError> {
        // SAFETY: the context is alive.
        unsafe { sys::sd_ctx_supports_image_generation(self.raw.as_ptr()) }
    }

    /// The sampler that the engine uses by default. `None`: one that this crate has no name for.
    pub(crate) fn default_sampler(&self) -> Result<Option<Sampler>, EngineError> {
        // SAFETY: the context is alive.
        unsafe { sys::sd_get_default_sample_method(self.raw.as_ptr()) }.map(Sampler::from_raw)
    }

    /// The scheduler that the engine uses by default, as above.
    pub(crate) fn default_scheduler(
        &self,
        sampler: Sampler,
    ) -> Result<Option<Scheduler>, EngineError> {
        // SAFETY: the context is alive.
        unsafe { sys::sd_get_default_scheduler(self.raw.as_ptr(), sampler.to_raw()) }
            .map(Scheduler::from_raw)
    }

    /// Draws. `None`: the engine made nothing, and logged why.
    pub(crate) fn generate(
        &mut self,
        request: &Request<'_>,
        watch: &dyn Watch,
    ) -> Result<Option<Vec<Image>>, EngineError> {
        let mut params = MaybeUninit::<raw::sd_img_gen_params_t>::zeroed();
        // SAFETY: the pointer is valid for writing; the function fills in the defaults. Zeroes are a
        // valid value of every field before that.
        let mut params = unsafe {
            sys::sd_img_gen_params_init(params.as_mut_ptr())?;
            params.assume_init()
        };
        request.fill(&mut params);
        let images = sys::watch(watch, || {
            // SAFETY: the context is alive and `&mut` keeps others out; what the parameters point to
            // lives as long as `request`, and the engine does not write to it.
            let images = unsafe { sys::generate_image(self.raw.as_ptr(), &raw const params) }?;
            // Owned here already, so that it is freed if a panic in `watch` goes on.
            Ok::<_, EngineError>(NonNull::new(images).map(|raw| Images {
                raw,
                count: params.batch_count,
            }))
        })?;
        Ok(images.map(|images| images.copy()))
    }

    /// Gives the context up: it is in an unknown state.
    pub(crate) fn poison(&mut self) {
        self.poisoned = true;
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // After a failed assertion nobody knows what is still valid: freeing could crash, so it leaks.
        if self.poisoned {
            return;
        }
        // SAFETY: the context is alive, and nobody uses it after this.
        if let Err(error) = unsafe { sys::free_sd_ctx(self.raw.as_ptr()) } {
            tracing::warn!(%error, "a picture model could not be freed");
        }
    }
}

fn part_field(params: &mut raw::sd_ctx_params_t, part: Part) -> &mut *const c_char {
    match part {
        Part::ClipG => &mut params.clip_g_path,
        Part::ClipL => &mut params.clip_l_path,
        Part::Diffusion => &mut params.diffusion_model_path,
        Part::Llm => &mut params.llm_path,
        Part::T5xxl => &mut params.t5xxl_path,
        Part::TinyVae => &mut params.taesd_path,
        Part::Vae => &mut params.vae_path,
    }
}

/// What to draw.
pub(crate) struct Request<'a> {
    pub(crate) prompt: &'a CStr,
    pub(crate) negative_prompt: &'a CStr,
    pub(crate) width: i32,
    pub(crate) height: i32,
    pub(crate) steps: i32,
    pub(crate) guidance: f32,
    /// `None`: the engine's default.
    pub(crate) sampler: Option<Sampler>,
    /// `None`: the engine's default.
    pub(crate) scheduler: Option<Scheduler>,
    pub(crate) seed: i64,
    pub(crate) batch: i32,
    pub(crate) clip_skip: Option<i32>,
    pub(crate) init: Option<Init<'a>>,
}

/// What to start from.
pub(crate) struct Init<'a> {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// `width * height * 3` bytes.
    pub(crate) rgb8: &'a [u8],
    pub(crate) strength: f32,
}

impl Request<'_> {
    /// Points to what is borrowed; the result must not be used longer than that lives.
    fn fill(&self, params: &mut raw::sd_img_gen_params_t) {
        params.prompt = self.prompt.as_ptr();
        params.negative_prompt = self.negative_prompt.as_ptr();
        params.width = self.width;
        params.height = self.height;
        params.seed = self.seed;
        params.batch_count = self.batch;
        params.sample_params.sample_steps = self.steps;
        params.sample_params.guidance.txt_cfg = self.guidance;
        if let Some(sampler) = self.sampler {
            params.sample_params.sample_method = sampler.to_raw();
        }
        if let Some(scheduler) = self.scheduler {
            params.sample_params.scheduler = scheduler.to_raw();
        }
        if let Some(clip_skip) = self.clip_skip {
            params.clip_skip = clip_skip;
        }
        if let Some(init) = &self.init {
            assert_eq!(
                init.rgb8.len() as u64,
                u64::from(init.width) * u64::from(init.height) * 3
            );
            params.init_image = raw::sd_image_t {
                width: init.width,
                height: init.height,
                channel: 3,
                // The engine reads it only.
                data: init.rgb8.as_ptr().cast_mut(),
            };
            params.strength = init.strength;
        }
    }
}

/// One picture as the engine gave it.
pub(crate) struct Image {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) channels: u32,
    /// `width * height * channels` bytes, or nothing.
    pub(crate) data: Vec<u8>,
}

/// The engine's pictures, to be freed.
struct Images {
    raw: NonNull<raw::sd_image_t>,
    count: i32,
}

impl Images {
    fn copy(&self) -> Vec<Image> {
        let count = usize::try_from(self.count).unwrap_or(0);
        // SAFETY: the engine returned an array with one picture for each of the batch.
        let images = unsafe { std::slice::from_raw_parts(self.raw.as_ptr(), count) };
        images.iter().map(copy_image).collect()
    }
}

fn copy_image(image: &raw::sd_image_t) -> Image {
    let size = u64::from(image.width) * u64::from(image.height) * u64::from(image.channel);
    let size = if image.data.is_null() {
        0
    } else {
        usize::try_from(size).unwrap_or(0)
    };
    let data = if size == 0 {
        Vec::new()
    } else {
        // SAFETY: the engine allocated this many bytes for the picture and filled them in.
        unsafe { std::slice::from_raw_parts(image.data, size) }.to_vec()
    };
    Image {
        width: image.width,
        height: image.height,
        channels: image.channel,
        data,
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        // SAFETY: the engine returned this array, of this length, and nobody uses it after this.
        if let Err(error) = unsafe { sys::free_sd_images(self.raw.as_ptr(), self.count) } {
            tracing::warn!(%error, "pictures could not be freed");
        }
    }
}
