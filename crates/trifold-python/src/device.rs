//! Devices: what Python asks for, and what it is told.

use std::path::PathBuf;

use pyo3::prelude::*;
use trifold_backend::{BackendError, Device, DeviceOptions, Packaged, Search};
use trifold_runtime::Host;

use crate::{Failure, Options, engine_failure};

/// The plugins that Python's packages offer: paths, and the SHA-256 of those that state one.
type Plugins = Vec<(PathBuf, Option<String>)>;

impl Options<'_> {
    /// `device`, one or several, and `plugins`, which the package finds.
    ///
    /// # Errors
    /// As [`Options::take`].
    pub fn devices(&mut self) -> PyResult<DeviceOptions> {
        let mut devices = DeviceOptions::default();
        if let Some(names) = self.strings("device")? {
            let request = names.join(",").parse();
            devices.device = request.map_err(|error| device_failure(&error))?;
        }
        devices.search = search(self.take("plugins")?.unwrap_or_default());
        Ok(devices)
    }
}

fn search(plugins: Plugins) -> Search {
    let mut search = Search::default();
    search.python_packages = false;
    search.packages = plugins
        .into_iter()
        .map(|(path, sha256)| Packaged { path, sha256 })
        .collect();
    search
}

/// What a device that is not there is called in every package.
pub fn device_failure(error: &BackendError) -> Failure {
    let class = match error {
        BackendError::Engine(error) => return engine_failure(error),
        BackendError::Request { .. } | BackendError::TooMany { .. } => "OptionError",
        _ => "DeviceError",
    };
    Failure::of(class, error, error.hint())
}

/// A device, as Python's `Device` has it: id, kind, name, description, free and total memory in bytes; and of
/// its plugin name, version and path.
pub type DeviceRow = (
    String,
    String,
    String,
    String,
    u64,
    u64,
    Option<(String, String, PathBuf)>,
);

/// The devices of an engine, and what is wrong with plugins that cannot be used.
///
/// # Errors
/// `EngineError` if the engine cannot run.
pub fn devices(
    py: Python<'_>,
    host: &'static Host,
    plugins: Plugins,
) -> PyResult<(Vec<DeviceRow>, Vec<String>)> {
    let search = search(plugins);
    let found = py
        .detach(|| trifold_backend::devices(host, &search))
        .map_err(|error| device_failure(&error))?;
    let refused = found.refused.iter().map(|refusal| {
        let hint = refusal.error.hint();
        let hint = hint.map_or_else(String::new, |hint| format!(" ({hint})"));
        format!("{refusal}{hint}")
    });
    Ok((
        found.devices.into_iter().map(row).collect(),
        refused.collect(),
    ))
}

fn row(device: Device) -> DeviceRow {
    let plugin = device.plugin.clone();
    (
        device.id(),
        device.kind,
        device.name,
        device.description,
        device.memory_free,
        device.memory_total,
        plugin.map(|plugin| (plugin.name, plugin.version, plugin.path)),
    )
}
