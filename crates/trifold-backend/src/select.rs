//! Which devices there are, and which one an engine gets.

use std::collections::BTreeMap;

use trifold_runtime::{Host, host::DeviceKind};

use crate::{
    BackendError, Device, DeviceRequest, Plugin, Refusal, Search,
    load::{self, Loaded},
    remote,
    request::{DeviceName, Place},
};

/// The devices of an engine, and the plugins that were looked at in vain.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Devices {
    /// All devices; the CPU comes first.
    pub devices: Vec<Device>,
    /// Plugins that cannot be used, and why.
    pub refused: Vec<Refusal>,
}

/// Which devices to compute on, and where their plugins are looked for: what every engine's options have.
///
/// ```
/// use trifold_backend::DeviceOptions;
///
/// let options: DeviceOptions = "cuda:1".parse()?;
/// assert_eq!(options.device.to_string(), "cuda:1");
/// # Ok::<_, trifold_backend::BackendError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceOptions {
    /// The devices. Default: the first accelerator that there is, else the CPU.
    pub device: DeviceRequest,
    /// Where to look. Default: every place of [`crate::search`].
    pub search: Search,
}

impl DeviceOptions {
    /// [`select`] of what these options ask for.
    ///
    /// # Errors
    /// As there.
    pub fn select(&self, host: &'static Host) -> Result<Vec<Device>, BackendError> {
        select(host, &self.device, &self.search)
    }

    /// [`DeviceOptions::select`] for an engine that computes on one device; none stands for the CPU.
    ///
    /// # Errors
    /// Also [`BackendError::TooMany`].
    pub fn select_one(&self, host: &'static Host) -> Result<Option<Device>, BackendError> {
        if let DeviceRequest::Named(names) = &self.device
            && names.len() > 1
        {
            return Err(BackendError::TooMany {
                request: self.device.to_string(),
                engine: host.engine().name(),
            });
        }
        Ok(self.select(host)?.into_iter().next())
    }
}

impl From<DeviceRequest> for DeviceOptions {
    fn from(device: DeviceRequest) -> Self {
        Self {
            device,
            ..Self::default()
        }
    }
}

impl std::str::FromStr for DeviceOptions {
    type Err = BackendError;

    fn from_str(text: &str) -> Result<Self, BackendError> {
        Ok(text.parse::<DeviceRequest>()?.into())
    }
}

/// Finds, checks and loads all plugins, and lists all devices.
///
/// ```no_run
/// use trifold_backend::{Search, devices};
///
/// # fn main() -> Result<(), trifold_backend::BackendError> {
/// let found = devices(&trifold_llama_sys::HOST, &Search::default())?;
/// for device in &found.devices {
///     println!("{} {} {}", device.id(), device.description, device.memory_total);
/// }
/// for refusal in &found.refused {
///     println!("{}", refusal.error);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`BackendError::Engine`] if the engine itself cannot run; what is wrong with a plugin is in
/// [`Devices::refused`].
pub fn devices(host: &'static Host, search: &Search) -> Result<Devices, BackendError> {
    let refused = load_all(host, search, |_| true);
    Ok(Devices {
        devices: present(host)?,
        refused,
    })
}

/// Finds the devices that are asked for, in that order; none stands for the CPU alone. Says in one line of
/// the log what was chosen, and why, if that was left open.
///
/// # Errors
/// [`BackendError::NoDevice`] with everything that was tried, if one that is asked for is not there.
pub fn select(
    host: &'static Host,
    request: &DeviceRequest,
    search: &Search,
) -> Result<Vec<Device>, BackendError> {
    match request {
        DeviceRequest::Cpu => Ok(Vec::new()),
        DeviceRequest::Auto => automatic(host, search),
        DeviceRequest::Named(names) => named(host, request, names, search),
    }
}

fn automatic(host: &'static Host, search: &Search) -> Result<Vec<Device>, BackendError> {
    let (candidates, mut refused) = search.candidates();
    for candidate in &candidates {
        match load::load(host, candidate, search, |_| true) {
            Ok(Some(loaded)) => {
                let mut found = present(host)?.into_iter();
                let own = |device: &Device| {
                    device.accelerator.is_some()
                        && device
                            .plugin
                            .as_ref()
                            .is_some_and(|plugin| plugin.path == loaded.path)
                };
                if let Some(device) = found.find(own) {
                    let why = format!("the first device of {}", loaded.note.title);
                    say(host, &device.to_string(), &why);
                    return Ok(vec![device]);
                }
                let path = loaded.path.clone();
                let said = "it has no device".to_owned();
                let error = BackendError::Refused { path, said };
                refused.push(Refusal::new(&loaded.path, error));
            }
            Ok(None) => {}
            Err(error) => refused.push(Refusal::new(&candidate.path, error)),
        }
    }
    let why = match refused.first() {
        Some(first) if refused.len() > 1 => {
            format!(
                "{}; {} more plugins cannot be used",
                first.error,
                refused.len() - 1
            )
        }
        Some(first) => first.error.to_string(),
        None => "there is no backend plugin".into(),
    };
    say(host, "cpu", &why);
    Ok(Vec::new())
}

fn say(host: &Host, device: &str, why: &str) {
    tracing::info!(target: "trifold::backend", engine = host.engine().name(), "device {device}: {why}");
}

fn named(
    host: &'static Host,
    request: &DeviceRequest,
    names: &[DeviceName],
    search: &Search,
) -> Result<Vec<Device>, BackendError> {
    let wanted = |kind: &str| names.iter().any(|name| name.kind == kind);
    let refused = load_all(host, search, wanted);
    for name in names {
        if let Place::Server(address) = &name.place {
            remote::add(host, &name.kind, address)?;
        }
    }
    let there = present(host)?;
    let find = |name: &DeviceName| {
        there
            .iter()
            .find(|device| device.accelerator.is_some() && device.is(name))
            .cloned()
    };
    let found: Option<Vec<Device>> = names.iter().map(find).collect();
    found.ok_or_else(|| BackendError::NoDevice {
        request: request.to_string(),
        there: there.iter().map(Device::id).collect(),
        tried: refused,
    })
}

/// Loads every plugin whose kind is wanted. Returns those that could not be.
pub(crate) fn load_all(
    host: &'static Host,
    search: &Search,
    wanted: impl Fn(&str) -> bool,
) -> Vec<Refusal> {
    let (candidates, mut refused) = search.candidates();
    for candidate in &candidates {
        if let Err(error) = load::load(host, candidate, search, |note| wanted(&note.kind)) {
            refused.push(Refusal::new(&candidate.path, error));
        }
    }
    refused
}

/// All devices that the engine has now. Its own CPU comes first.
fn present(host: &'static Host) -> Result<Vec<Device>, BackendError> {
    let loaded = load::loaded(host);
    let mut counts: BTreeMap<(String, Option<String>), usize> = BTreeMap::new();
    let mut accelerators = 0;
    let mut devices = Vec::new();
    for found in host.devices()? {
        let owner = loaded.iter().find(|one| one.backend == found.backend);
        let plugin = owner.map(|loaded| plugin_of(loaded));
        let kind = owner.map_or("cpu", |loaded| &loaded.note.kind).to_owned();
        let accelerator = (found.kind == DeviceKind::Gpu).then(|| {
            accelerators += 1;
            accelerators - 1
        });
        if plugin.is_none() && found.kind != DeviceKind::Cpu {
            continue;
        }
        let server = owner.and_then(|_| remote::server_of(host, &found.description));
        let index = counts.entry((kind.clone(), server.clone())).or_default();
        devices.push(Device {
            kind,
            index: *index,
            server,
            name: found.name,
            description: found.description,
            memory_free: found.memory_free,
            memory_total: found.memory_total,
            plugin,
            handle: found.handle,
            accelerator,
        });
        *index += 1;
    }
    devices.sort_by_key(|device| device.plugin.is_some());
    Ok(devices)
}

fn plugin_of(loaded: &Loaded) -> Plugin {
    Plugin {
        name: loaded.note.name.clone(),
        title: loaded.note.title.clone(),
        version: loaded.note.version.clone(),
        path: loaded.path.clone(),
    }
}
