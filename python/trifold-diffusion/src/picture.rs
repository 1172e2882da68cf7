//! Pictures and their parameters: values on both sides.

use std::path::PathBuf;

use pyo3::{prelude::*, types::PyBytes};
use trifold_diffusion::{Parameters, Picture};

use crate::failure::failure;

/// `(prompt, negative prompt, settings)`
pub(crate) type RawParameters = (String, String, Vec<(String, String)>);

/// `(width, height, rgb8, seed, parameters)`
pub(crate) type RawPicture<'py> = (u32, u32, Bound<'py, PyBytes>, u64, RawParameters);

/// `(width, height, rgb8, parameters)`
type RawStoredPicture<'py> = (u32, u32, Bound<'py, PyBytes>, Option<RawParameters>);

pub(crate) fn raw(py: Python<'_>, picture: Picture) -> RawPicture<'_> {
    let rgb8 = PyBytes::new(py, &picture.rgb8);
    let parameters = raw_parameters(picture.parameters);
    (
        picture.width,
        picture.height,
        rgb8,
        picture.seed,
        parameters,
    )
}

fn raw_parameters(parameters: Parameters) -> RawParameters {
    (
        parameters.prompt,
        parameters.negative_prompt,
        parameters.settings,
    )
}

fn parameters(raw: Option<RawParameters>) -> Parameters {
    let mut parameters = Parameters::default();
    if let Some(raw) = raw {
        (
            parameters.prompt,
            parameters.negative_prompt,
            parameters.settings,
        ) = raw;
    }
    parameters
}

/// A PNG file in memory.
#[pyfunction]
pub(crate) fn png(
    py: Python<'_>,
    width: u32,
    height: u32,
    rgb8: Vec<u8>,
    parameters: Option<RawParameters>,
) -> PyResult<Bound<'_, PyBytes>> {
    let picture = Picture::new(width, height, rgb8, 0, self::parameters(parameters));
    let file = py.detach(|| picture.png());
    Ok(PyBytes::new(py, &file.map_err(|error| failure(&error))?))
}

/// A PNG file, whole or not at all.
#[pyfunction]
pub(crate) fn save_png(
    py: Python<'_>,
    path: PathBuf,
    width: u32,
    height: u32,
    rgb8: Vec<u8>,
    parameters: Option<RawParameters>,
) -> PyResult<()> {
    let picture = Picture::new(width, height, rgb8, 0, self::parameters(parameters));
    let saved = py.detach(|| picture.save_png(path));
    Ok(saved.map_err(|error| failure(&error))?)
}

/// The pixels and the parameters of a PNG file.
#[pyfunction]
pub(crate) fn read_png(py: Python<'_>, path: PathBuf) -> PyResult<RawStoredPicture<'_>> {
    let picture = py
        .detach(|| trifold_diffusion::read_png(path))
        .map_err(|error| failure(&error))?;
    Ok((
        picture.width,
        picture.height,
        PyBytes::new(py, &picture.rgb8),
        picture.parameters.map(raw_parameters),
    ))
}

/// Reads the text form of parameters.
#[pyfunction]
pub(crate) fn parse_parameters(text: &str) -> RawParameters {
    raw_parameters(Parameters::parse(text))
}

/// Writes the text form of parameters.
#[pyfunction]
pub(crate) fn format_parameters(
    prompt: String,
    negative_prompt: String,
    settings: Vec<(String, String)>,
) -> String {
    parameters(Some((prompt, negative_prompt, settings))).to_string()
}
