use std::{fmt, path::PathBuf};

use trifold_runtime::host::DeviceHandle;

use crate::request::{DeviceName, Place};

/// A device that an engine can compute on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// What it is asked for by: `cpu`, or the kind of its plugin, such as `cuda`.
    pub kind: String,
    /// Which one of its kind, or of its server, from 0.
    pub index: usize,
    /// The server that has it, `host:port`; none for one of this computer.
    pub server: Option<String>,
    /// ggml's name for it, such as `CUDA0`.
    pub name: String,
    /// What it is, such as the name of the GPU.
    pub description: String,
    /// Bytes of memory that nobody uses; 0 if it does not say, or was not asked: [`devices`](crate::devices) asks
    /// those of this computer, [`select`](crate::select) none, as a GPU sets up a context for the answer.
    pub memory_free: u64,
    /// Bytes of memory in all; 0 as above.
    pub memory_total: u64,
    /// The plugin that brought it; none for the CPU.
    pub plugin: Option<Plugin>,
    pub(crate) handle: DeviceHandle,
    pub(crate) accelerator: Option<usize>,
}

/// A plugin that an engine has loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plugin {
    /// Its name, such as `cuda13`.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Its version.
    pub version: String,
    /// Its file.
    pub path: PathBuf,
}

impl Device {
    /// How it is asked for, such as `cuda:0`.
    pub fn id(&self) -> String {
        match (&self.server, &self.plugin) {
            (Some(server), _) => format!("{}:{server}", self.kind),
            (None, Some(_)) => format!("{}:{}", self.kind, self.index),
            (None, None) => self.kind.clone(),
        }
    }

    pub(crate) fn is(&self, name: &DeviceName) -> bool {
        let place = match (&name.place, &self.server) {
            (Place::Index(index), None) => self.index == *index,
            (Place::Server(address), Some(server)) => self.index == 0 && address == server,
            _ => false,
        };
        place && self.kind == name.kind
    }

    /// The device of the engine's ggml that it was found for; no other engine knows it.
    pub fn handle(&self) -> DeviceHandle {
        self.handle
    }

    /// Which of the engine's accelerators it is, in the order of its ggml, from 0.
    pub fn accelerator(&self) -> Option<usize> {
        self.accelerator
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.id(), self.description)
    }
}
