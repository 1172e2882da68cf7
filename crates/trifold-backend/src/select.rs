//! Which devices there are, and which one an engine gets.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use trifold_runtime::{EngineError, Host, host::DeviceKind};

use crate::{
    BackendError, Device, DeviceRequest, Plugin, Refusal, Search,
    load::{self, Loaded},
    remote,
    request::{DeviceName, Place, each_once},
    search::{Missed, Named, TRUST},
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
    check_trust();
    let mut refused = refusals(load_all(host, search, |_| true).missed);
    let present = present(host)?;
    let mut devices = present.devices;
    refused.extend(present.refused);
    devices.retain_mut(|device| match ask_memory(host, device) {
        Ok(()) => true,
        Err(refusal) => {
            refused.push(refusal);
            false
        }
    });
    Ok(Devices { devices, refused })
}

/// Asks a device of this computer for its memory. One of another computer is not asked: a server that has gone,
/// or serves somebody else, is none of those who only look.
fn ask_memory(host: &'static Host, device: &mut Device) -> Result<(), Refusal> {
    if device.server.is_some() {
        return Ok(());
    }
    match (host.memory(device.handle), &device.plugin) {
        (Ok(memory), _) => {
            device.memory_free = memory.free;
            device.memory_total = memory.total;
            Ok(())
        }
        (Err(error), Some(plugin)) => Err(failed(&plugin.path, &device.kind, &error)),
        // The CPU works without.
        (Err(_), None) => Ok(()),
    }
}

/// A device that cannot say what it is.
fn failed(plugin: &Path, kind: &str, error: &EngineError) -> Refusal {
    let path = plugin.to_owned();
    let said = error.to_string();
    Refusal::new(plugin, BackendError::Failed { path, said }).of_kind(Some(kind.to_owned()))
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
    if *request != DeviceRequest::Cpu {
        check_trust();
    }
    match request {
        DeviceRequest::Cpu => Ok(Vec::new()),
        DeviceRequest::Auto => automatic(host, search),
        DeviceRequest::Named(names) => named(host, request, names, search),
    }
}

fn automatic(host: &'static Host, search: &Search) -> Result<Vec<Device>, BackendError> {
    let candidates = search.candidates();
    let mut missed = candidates.missed;
    for candidate in &candidates.plugins {
        match load::load(host, &candidate.plugin, search, |_| true) {
            Ok(Some(loaded)) => {
                let present = present(host)?;
                let mut found = present.devices.into_iter();
                // A server is used only by who names it.
                let own = |device: &Device| {
                    device.accelerator.is_some()
                        && device.server.is_none()
                        && device
                            .plugin
                            .as_ref()
                            .is_some_and(|plugin| plugin.path == loaded.path)
                };
                if let Some(device) = found.find(own) {
                    let why = format!("the first device of {}", loaded.note.title);
                    say(host, &device.to_string(), &why);
                    warn_of_named(host, &without_spares(host, missed));
                    return Ok(vec![device]);
                }
                let failures = present.refused.into_iter();
                let failures = failures.filter(|refusal| refusal.path == loaded.path);
                missed.extend(failures.map(|refusal| Missed {
                    refusal,
                    named: candidate.named,
                }));
            }
            Ok(None) => {}
            Err(failure) => missed.push(Missed::new(candidate, failure)),
        }
    }
    let why = match missed.first() {
        Some(first) if missed.len() > 1 => {
            let more = missed.len() - 1;
            format!("{}; {more} more plugins cannot be used", first.refusal)
        }
        Some(first) => first.refusal.to_string(),
        None if candidates.plugins.is_empty() => "there is no backend plugin".into(),
        None => "no backend plugin has a device here".into(),
    };
    warn_of_named(host, &missed);
    say(host, "cpu", &why);
    Ok(Vec::new())
}

fn say(host: &Host, device: &str, why: &str) {
    tracing::info!(target: "trifold::backend", engine = host.engine().name(), "device {device}: {why}");
}

/// What somebody has named is missed by nobody but them, and they read no information.
fn warn_of_named(host: &Host, missed: &[Missed]) {
    for Missed { refusal, .. } in missed.iter().filter(|one| one.named != Named::No) {
        let hint = refusal.error.hint();
        let hint = hint.map_or_else(String::new, |hint| format!(" ({hint})"));
        tracing::warn!(
            target: "trifold::backend",
            engine = host.engine().name(),
            "backend plugin not used: {refusal}{hint}"
        );
    }
}

/// A value that means nothing here must not look as if it did.
fn check_trust() {
    let value = std::env::var_os(TRUST).unwrap_or_default();
    if !["", "0", "1"].iter().any(|known| value == *known) {
        tracing::warn!(
            target: "trifold::backend",
            "Expected 1 in {TRUST}, or nothing (found: {}): it has no effect",
            value.display()
        );
    }
}

fn named(
    host: &'static Host,
    request: &DeviceRequest,
    names: &[DeviceName],
    search: &Search,
) -> Result<Vec<Device>, BackendError> {
    if !each_once(names) {
        return Err(BackendError::Request {
            found: request.to_string(),
        });
    }
    let wanted = |kind: &str| names.iter().any(|name| name.kind == kind);
    let Looked { mut missed, places } = load_all(host, search, wanted);
    for name in names {
        if let Place::Server(address) = &name.place {
            remote::add(host, &name.kind, address)?;
        }
    }
    let there = present(host)?.devices;
    let find = |name: &DeviceName| {
        there
            .iter()
            .find(|device| device.accelerator.is_some() && device.is(name))
            .cloned()
    };
    if let Some(found) = names.iter().map(find).collect() {
        warn_of_named(host, &missed);
        return Ok(found);
    }
    // The others are told of, too: one of them may be meant.
    for other in load_all(host, search, |kind| !wanted(kind)).missed {
        let same = |one: &Missed| one.refusal.path == other.refusal.path;
        if !missed.iter().any(same) {
            missed.push(other);
        }
    }
    let present = present(host)?;
    let mut tried = refusals(missed);
    tried.extend(present.refused);
    Err(BackendError::NoDevice {
        request: request.to_string(),
        there: present.devices.iter().map(Device::id).collect(),
        tried,
        searched: places,
    })
}

/// What has come of a search.
pub(crate) struct Looked {
    pub(crate) missed: Vec<Missed>,
    /// The places that were searched, if there was no plugin in any.
    pub(crate) places: Vec<PathBuf>,
}

/// Loads every plugin whose kind is wanted.
pub(crate) fn load_all(
    host: &'static Host,
    search: &Search,
    wanted: impl Fn(&str) -> bool,
) -> Looked {
    let mut candidates = search.candidates();
    let mut missed = candidates.missed;
    for candidate in &candidates.plugins {
        let plugin = &candidate.plugin;
        if let Err(failure) = load::load(host, plugin, search, |note| wanted(&note.kind)) {
            missed.push(Missed::new(candidate, failure));
        }
    }
    // A place that was refused is told with the reason.
    let refused = |place: &PathBuf| missed.iter().any(|one| one.refusal.path == *place);
    candidates
        .places
        .retain(|place| candidates.plugins.is_empty() && !refused(place));
    Looked {
        missed: without_spares(host, missed),
        places: candidates.places,
    }
}

/// Leaves out the plugins for other devices of a kind that is loaded: packages bring several, such as those for
/// older and newer GPUs, and at most one of them has something to do here.
fn without_spares(host: &'static Host, mut missed: Vec<Missed>) -> Vec<Missed> {
    let loaded = load::loaded(host);
    missed.retain(|one| {
        let spare = matches!(
            *one.refusal.error,
            BackendError::Refused { .. } | BackendError::KindTaken { .. }
        );
        let is_there = loaded
            .iter()
            .any(|other| Some(&other.note.kind) == one.refusal.kind.as_ref());
        // Who names a file asks for that one.
        !(spare && is_there && one.named != Named::Itself)
    });
    missed
}

pub(crate) fn refusals(missed: Vec<Missed>) -> Vec<Refusal> {
    missed.into_iter().map(|one| one.refusal).collect()
}

/// What the engine has now.
struct Present {
    /// All devices, the CPU first; nobody has asked for their memory.
    devices: Vec<Device>,
    /// Those that cannot say what they are.
    refused: Vec<Refusal>,
}

fn present(host: &'static Host) -> Result<Present, BackendError> {
    let loaded = load::loaded(host);
    let mut counts: BTreeMap<(String, Option<String>), usize> = BTreeMap::new();
    let mut accelerators = 0;
    let mut devices = Vec::new();
    let mut refused = Vec::new();
    for found in host.devices()? {
        let owner = loaded.iter().find(|one| one.backend == found.backend);
        let described = match (host.describe(found.handle), owner) {
            (Ok(described), _) => described,
            (Err(error), None) => return Err(error.into()),
            (Err(error), Some(owner)) => {
                refused.push(failed(&owner.path, &owner.note.kind, &error));
                // It keeps its number: the next one must not answer in its place.
                *counts.entry((owner.note.kind.clone(), None)).or_default() += 1;
                accelerators += 1;
                continue;
            }
        };
        let plugin = owner.map(|loaded| plugin_of(loaded));
        let kind = owner.map_or("cpu", |loaded| &loaded.note.kind).to_owned();
        let accelerator = (described.kind == DeviceKind::Gpu).then(|| {
            accelerators += 1;
            accelerators - 1
        });
        if plugin.is_none() && described.kind != DeviceKind::Cpu {
            continue;
        }
        let server = owner.and_then(|_| remote::server_of(host, &described.description));
        let index = counts.entry((kind.clone(), server.clone())).or_default();
        devices.push(Device {
            kind,
            index: *index,
            server,
            name: described.name,
            description: described.description,
            memory_free: 0,
            memory_total: 0,
            plugin,
            handle: found.handle,
            accelerator,
        });
        *index += 1;
    }
    devices.sort_by_key(|device| device.plugin.is_some());
    Ok(Present { devices, refused })
}

fn plugin_of(loaded: &Loaded) -> Plugin {
    Plugin {
        name: loaded.note.name.clone(),
        title: loaded.note.title.clone(),
        version: loaded.note.version.clone(),
        path: loaded.path.clone(),
    }
}
