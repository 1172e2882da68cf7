//! The extension module `trifold_whisper._native`: whisper.cpp, sealed, as Python objects.
//!
//! Thin on purpose: `trifold_whisper` around it has the API, with its documentation.

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
    use trifold_python::Package;

    #[pymodule_export]
    use crate::{
        audio::{load_audio, resample},
        model::Model,
        transcribe::Transcription,
        transcript::{to_json, to_srt, to_text, to_vtt},
    };
    #[pymodule_export]
    use trifold_python::CancelToken;

    /// The versions of what is sealed inside, and how it was built.
    #[pyfunction]
    fn versions(py: Python<'_>) -> PyResult<Vec<(&'static str, String)>> {
        crate::model::versions(py)
    }

    /// Stops every running call: no engine may compute while the process takes itself apart.
    #[pyfunction]
    fn shut_down(py: Python<'_>) {
        trifold_python::shut_down(py);
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        trifold_python::check_interpreter(module.py())?;
        Package {
            name: "trifold_whisper",
        }
        .install();
        module.add("MAX_DURATION", crate::audio::MAX_DURATION)?;
        module.add("MAX_SAMPLE", trifold_whisper::MAX_SAMPLE)?;
        module.add("SAMPLE_RATE", trifold_whisper::audio::SAMPLE_RATE)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
