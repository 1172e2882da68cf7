//! The extension module `trifold_diffusion._native`: stable-diffusion.cpp, sealed, as Python objects.
//!
//! Thin on purpose: `trifold_diffusion` around it has the API, with its documentation.

mod failure;
mod model;
mod options;
mod picture;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    use pyo3::{prelude::*, types::PyTuple};
    use trifold_diffusion::{Sampler, Scheduler};
    use trifold_python::Package;

    #[pymodule_export]
    use crate::{
        model::Model,
        picture::{format_parameters, parse_parameters, png, read_png, save_png},
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
        let py = module.py();
        trifold_python::check_interpreter(py)?;
        Package {
            name: "trifold_diffusion",
        }
        .install();
        let samplers = Sampler::ALL.iter().map(|sampler| sampler.name());
        let schedulers = Scheduler::ALL.iter().map(|scheduler| scheduler.name());
        module.add("SAMPLERS", PyTuple::new(py, samplers)?)?;
        module.add("SCHEDULERS", PyTuple::new(py, schedulers)?)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
