//! The extension module `trifold_diffusion._native`: stable-diffusion.cpp, sealed, as Python objects.
//!
//! Thin on purpose: `trifold_diffusion` around it has the API, with its documentation.

#![allow(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands over what it has made of an argument"
)]

mod failure;
mod model;
mod options;
mod picture;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    use pyo3::{prelude::*, types::PyTuple};
    use trifold_diffusion::{Sampler, Scheduler};

    #[pymodule_export]
    use crate::{
        model::{Model, devices, versions},
        picture::{format_parameters, parse_parameters, png, read_png, save_png},
    };
    #[pymodule_export]
    use trifold_python::CancelToken;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        let samplers = Sampler::ALL.iter().map(|sampler| sampler.name());
        let schedulers = Scheduler::ALL.iter().map(|scheduler| scheduler.name());
        module.add("SAMPLERS", PyTuple::new(py, samplers)?)?;
        module.add("SCHEDULERS", PyTuple::new(py, schedulers)?)?;
        trifold_python::set_up(module, "trifold_diffusion", env!("CARGO_PKG_VERSION"))
    }
}
