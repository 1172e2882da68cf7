//! The extension module `trifold_llama._native`: llama.cpp, sealed, as Python objects.
//!
//! Thin on purpose: `trifold_llama` around it has the API, with its documentation.

#![allow(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands over what it has made of an argument"
)]

mod failure;
mod generate;
mod model;
mod options;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::{
        generate::Generation,
        model::{Model, devices, versions},
    };
    #[pymodule_export]
    use trifold_python::CancelToken;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        trifold_python::set_up(module, "trifold_llama", env!("CARGO_PKG_VERSION"))
    }
}
