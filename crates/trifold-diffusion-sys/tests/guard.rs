//! Real failures inside the engine come back as errors, with its own words, and leave the rest of
//! the process as it was.
#![allow(unsafe_code)] // these are the unsafe functions themselves

use std::{ffi::CString, mem::MaybeUninit, ptr};

use trifold_diffusion_sys::{self as sys, EngineError, raw};

const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../models/picture/trifold-picture.gguf"
);

/// A picture of one channel: the engine asserts that there are three.
fn failing_assertion() -> Result<bool, EngineError> {
    let mut data = [0; 64];
    let image = raw::sd_image_t {
        width: 8,
        height: 8,
        channel: 1,
        data: data.as_mut_ptr(),
    };
    // SAFETY: the picture has the size that it says.
    unsafe { sys::preprocess_canny(image, 0.5, 0.5, 0.5, 0.5, false) }
}

/// A path of null: `std::string` throws.
fn thrown_exception() -> Result<*mut raw::upscaler_ctx_t, EngineError> {
    // SAFETY: the null goes to a constructor of `std::string` that checks for it.
    unsafe { sys::new_upscaler_ctx(ptr::null(), false, 1, 64, ptr::null(), ptr::null()) }
}

/// A picture of 2^60 pixels: the engine allocates before it looks at the data.
fn failing_allocation() -> Result<bool, EngineError> {
    let mut data = [0; 3];
    let image = raw::sd_image_t {
        width: 1 << 30,
        height: 1 << 28,
        channel: 3,
        data: data.as_mut_ptr(),
    };
    // SAFETY: the allocation fails, so that the picture is not read.
    unsafe { sys::preprocess_canny(image, 0.5, 0.5, 0.5, 0.5, false) }
}

struct Context(*mut raw::sd_ctx_t);

impl Context {
    fn load() -> Self {
        let path = CString::new(MODEL).unwrap();
        let mut params = MaybeUninit::<raw::sd_ctx_params_t>::zeroed();
        // SAFETY: the function fills the parameters in; the path lives until the model is loaded.
        let context = unsafe {
            sys::sd_ctx_params_init(params.as_mut_ptr()).unwrap();
            let params = &mut *params.as_mut_ptr();
            params.model_path = path.as_ptr();
            params.taesd_path = path.as_ptr();
            params.n_threads = 1;
            sys::new_sd_ctx(params).unwrap()
        };
        assert!(!context.is_null());
        Self(context)
    }

    /// Draws in one step; the bytes of the picture.
    fn draw(&mut self, seed: i64) -> Vec<u8> {
        let prompt = CString::new("a red circle").unwrap();
        let mut params = MaybeUninit::<raw::sd_img_gen_params_t>::zeroed();
        // SAFETY: as above; the engine returns one picture of the size asked for.
        unsafe {
            sys::sd_img_gen_params_init(params.as_mut_ptr()).unwrap();
            let params = &mut *params.as_mut_ptr();
            params.prompt = prompt.as_ptr();
            (params.width, params.height, params.seed) = (128, 128, seed);
            params.sample_params.sample_steps = 1;
            params.sample_params.guidance.txt_cfg = 1.0;
            let images = sys::generate_image(self.0, params).unwrap();
            assert!(!images.is_null());
            let image = *images;
            assert_eq!((image.width, image.height, image.channel), (128, 128, 3));
            let bytes = std::slice::from_raw_parts(image.data, 128 * 128 * 3).to_vec();
            sys::free_sd_images(images, 1).unwrap();
            bytes
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made by `new_sd_ctx`, and freed once.
        unsafe { sys::free_sd_ctx(self.0) }.unwrap();
    }
}

#[test]
fn a_failed_assertion_is_an_error_that_poisons() {
    let error = failing_assertion().unwrap_err();
    assert!(
        matches!(
            error,
            EngineError::Assertion {
                engine: "stable-diffusion.cpp",
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.poisons());
    let message = error.to_string();
    assert!(
        message.contains("GGML_ASSERT(rgb_img.shape()[2] >= 3) failed"),
        "{message}"
    );
    // Not where the source lay when it was compiled.
    assert!(
        message.contains(" diffusion/src/runtime/preprocessing.hpp:"),
        "{message}"
    );
}

#[test]
fn an_exception_is_an_error_with_its_words() {
    let error = thrown_exception().unwrap_err();
    assert!(matches!(error, EngineError::Exception { .. }), "{error:?}");
    assert!(!error.poisons());
    assert!(error.to_string().contains("basic_string"), "{error}");
}

#[test]
fn an_allocation_that_fails_is_an_error() {
    let error = failing_allocation().unwrap_err();
    match &error {
        EngineError::OutOfMemory { .. } => {}
        // `std::vector` refuses some sizes itself.
        EngineError::Exception { message, .. } => assert!(message.contains("vector"), "{message}"),
        _ => panic!("{error:?}"),
    }
}

#[test]
fn a_model_goes_on_working_between_failures_on_its_thread_and_others() {
    let alone = Context::load().draw(5);
    let mut context = Context::load();
    for _ in 0..3 {
        failing_assertion().unwrap_err();
        thrown_exception().unwrap_err();
        std::thread::scope(|scope| {
            scope.spawn(|| failing_assertion().unwrap_err());
            assert!(context.draw(5) == alone);
        });
    }
}

/// The engine's own log has one buffer for all threads, of 4096 bytes; the shim's has neither limit.
#[test]
fn a_missing_model_is_null_and_its_words_are_kept_whole() {
    let path = format!("no/such/{}.gguf", "x".repeat(6000));
    let c_path = CString::new(path.as_str()).unwrap();
    let mut params = MaybeUninit::<raw::sd_ctx_params_t>::zeroed();
    let (context, lines) = trifold_runtime::log::keeping(|| {
        // SAFETY: as above.
        unsafe {
            sys::sd_ctx_params_init(params.as_mut_ptr()).unwrap();
            (*params.as_mut_ptr()).model_path = c_path.as_ptr();
            sys::new_sd_ctx(params.as_ptr()).unwrap()
        }
    });
    assert!(context.is_null());
    assert!(lines.iter().any(|line| line.contains(&path)), "{lines:?}");
}
