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
    use trifold_python::Package;

    #[pymodule_export]
    use crate::{generate::Generation, model::Model};
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
            name: "trifold_llama",
        }
        .install();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
