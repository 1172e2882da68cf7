//! The extension module `trifold_whisper._native`: whisper.cpp, sealed, as Python objects.
//!
//! Thin on purpose: `trifold_whisper` around it has the API, with its documentation.

#![allow(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands over what it has made of an argument"
)]

mod audio;
mod failure;
mod model;
mod options;
mod transcribe;
mod transcript;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::{
        audio::{load_audio, resample},
        model::{Model, devices, versions},
        transcribe::Transcription,
        transcript::{to_json, to_srt, to_text, to_vtt},
    };
    #[pymodule_export]
    use trifold_python::CancelToken;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("MAX_DURATION", crate::audio::MAX_DURATION)?;
        module.add("MAX_SAMPLE", trifold_whisper::MAX_SAMPLE)?;
        module.add("SAMPLE_RATE", trifold_whisper::audio::SAMPLE_RATE)?;
        trifold_python::set_up(module, "trifold_whisper", env!("CARGO_PKG_VERSION"))
    }
}
