use std::{error::Error as _, fmt, path::PathBuf, sync::Arc};

use trifold_runtime::EngineError;

use crate::{
    fingerprint::Difference,
    request::{DeviceName, DeviceRequest, Place},
};

/// Why a plugin was not taken, or a device not found. [`BackendError::hint`] says what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// A text that asks for no device.
    #[error(
        "Expected a device such as auto, cpu, cuda or cuda:1, or several with commas, each once (found: {found:?})"
    )]
    Request {
        /// The text.
        found: String,
    },
    /// No device is as it was asked for.
    #[error(
        "Device not found: {request} (there are: {}){}{}", there.join(", "), Tried(tried), Searched(searched)
    )]
    NoDevice {
        /// What was asked for.
        request: String,
        /// The devices that there are.
        there: Vec<String>,
        /// Every plugin that was looked at in vain, and why.
        tried: Vec<Refusal>,
        /// The places that were searched, if there was no plugin in any.
        searched: Vec<PathBuf>,
    },
    /// There is no plugin for a task.
    #[error(
        "Backend plugin not found: {kind}{}{}",
        Tried(tried),
        Searched(searched)
    )]
    NoPlugin {
        /// Its kind.
        kind: &'static str,
        /// Every plugin that was looked at in vain, and why.
        tried: Vec<Refusal>,
        /// The places that were searched, if there was no plugin in any.
        searched: Vec<PathBuf>,
    },
    /// More than one device for an engine that uses one.
    #[error("Expected one device for {engine} (found: {request})")]
    TooMany {
        /// What was asked for.
        request: String,
        /// The engine.
        engine: &'static str,
    },
    /// A place to look for plugins that is no full path.
    #[error("Expected a full path of a backend plugin or folder in {place} (found: {})", path.display())]
    RelativePath {
        /// Who named it.
        place: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// A plugin, or a folder of plugins, could not be read.
    #[error("{what}: {}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// A file that is no plugin.
    #[error("Expected a backend plugin at: {} (found: {found})", path.display())]
    NotAPlugin {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// A plugin that is not whole.
    #[error("Damaged backend plugin: {} ({what})", path.display())]
    Damaged {
        /// The plugin.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A plugin that others can change.
    #[error("Backend plugin that cannot be trusted: {} ({why})", path.display())]
    Untrusted {
        /// The plugin.
        path: PathBuf,
        /// Who can change it.
        why: String,
    },
    /// A plugin that is not the one that its package has.
    #[error("Wrong SHA-256 of the backend plugin: {} (expected {expected}, found {found})", path.display())]
    Digest {
        /// The plugin.
        path: PathBuf,
        /// What the package says.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// A plugin for another ggml.
    #[error(
        "The backend plugin does not fit {engine}: {} ({difference}{})", path.display(), More(*more)
    )]
    Fingerprint {
        /// The plugin.
        path: PathBuf,
        /// The engine.
        engine: &'static str,
        /// The first field that differs.
        difference: Box<Difference>,
        /// How many more differ.
        more: usize,
        /// The package that the plugin comes from.
        package: String,
    },
    /// A plugin for a newer CPU.
    #[error("The backend plugin needs a newer CPU: {} (found no {})", path.display(), missing.join(", "))]
    Cpu {
        /// The plugin.
        path: PathBuf,
        /// What the CPU lacks.
        missing: Vec<String>,
    },
    /// A second plugin for the same devices.
    #[error("A plugin for {kind} is in use already: {} (besides: {})", other.display(), path.display())]
    KindTaken {
        /// The plugin.
        path: PathBuf,
        /// Its kind.
        kind: String,
        /// The one in use.
        other: PathBuf,
    },
    /// A plugin that ended the process that tried it.
    #[error("The backend plugin crashed when it was tried: {} ({how}{})", path.display(), Said(said))]
    Crashed {
        /// The plugin.
        path: PathBuf,
        /// The signal or exit code.
        how: String,
        /// The last words.
        said: String,
    },
    /// A plugin that did not come to an end.
    #[error("The backend plugin did not answer within {seconds} s when it was tried: {}", path.display())]
    Hung {
        /// The plugin.
        path: PathBuf,
        /// How long it had.
        seconds: u64,
    },
    /// A plugin that works, and finds nothing here to work with, such as a driver.
    #[error("The backend plugin cannot be used here: {}{}", path.display(), Said(said))]
    Refused {
        /// The plugin.
        path: PathBuf,
        /// Its words.
        said: String,
    },
    /// A plugin that does not start, or whose device does not say what it is.
    #[error("The backend plugin does not work: {}{}", path.display(), Said(said))]
    Failed {
        /// The plugin.
        path: PathBuf,
        /// Its words.
        said: String,
    },
    /// The loader could not load it.
    #[error("Could not load the backend plugin: {} ({why})", path.display())]
    Load {
        /// The plugin.
        path: PathBuf,
        /// The loader's words.
        why: String,
    },
    /// A function is missing.
    #[error("The backend plugin has no function {name}: {}", path.display())]
    Entry {
        /// The plugin.
        path: PathBuf,
        /// The function.
        name: &'static str,
    },
    /// A plugin of another trifold.
    #[error("The backend plugin has another interface: {} (expected {expected}, found {found})", path.display())]
    Interface {
        /// The plugin.
        path: PathBuf,
        /// The version that this trifold has.
        expected: u32,
        /// The plugin's.
        found: u32,
    },
    /// A server whose devices cannot be used.
    #[error("Could not use the devices of: {address}{}", Said(why))]
    Server {
        /// Where it was looked for.
        address: String,
        /// Why.
        why: String,
    },
    /// A device cannot be served to other computers.
    #[error("Could not serve at: {address}{}", Said(why))]
    Serve {
        /// Where.
        address: String,
        /// Why.
        why: String,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A plugin that was not taken, and why; shown as the error with its causes, in one line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// The plugin, or the place where one was looked for.
    pub path: PathBuf,
    /// The plugin's kind, such as `cuda`, if that could be read.
    pub kind: Option<String>,
    /// Why.
    pub error: Box<BackendError>,
}

impl Refusal {
    pub(crate) fn new(path: impl Into<PathBuf>, error: BackendError) -> Self {
        Self {
            path: path.into(),
            kind: None,
            error: Box::new(error),
        }
    }

    pub(crate) fn of_kind(self, kind: Option<String>) -> Self {
        Self { kind, ..self }
    }

    /// Whether it may be why there is no device of this kind.
    fn may_be(&self, kind: &str) -> bool {
        self.kind.as_deref().is_none_or(|own| own == kind)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        let mut cause = self.error.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl BackendError {
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            what,
            path: path.into(),
            source: Arc::new(source),
        }
    }

    /// One sentence on what to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Request { .. } => "`trifold devices` lists those that there are".into(),
            Self::NoDevice {
                request,
                there,
                tried,
                ..
            } => no_device_hint(request, there, tried),
            Self::NoPlugin { kind, tried, .. } => no_plugin_hint(kind, tried),
            Self::TooMany { .. } => "Text models can be split over several devices, others cannot".into(),
            Self::RelativePath { .. } => {
                "Name the whole path: what lies in the working directory is never loaded".into()
            }
            Self::Server { .. } => {
                "Start `trifold rpc-server` there, of the same version, and see that its address can be reached; it \
                 serves one client at a time"
                    .into()
            }
            Self::Serve { .. } => "Choose an address of this computer and a port that nobody uses".into(),
            Self::Engine(error) => return error.hint(),
            Self::Io { .. } => return None,
            Self::NotAPlugin { .. } => {
                "Plugins are named libtrifold-backend-*.so; `trifold-pack plugin` builds them".into()
            }
            Self::Damaged { .. } | Self::Digest { .. } | Self::Entry { .. } => {
                "Install the plugin's package anew".into()
            }
            Self::Untrusted { .. } => "Make it, and its folder, your own or root's, and not writable by everybody; \
                 or set TRIFOLD_BACKEND_TRUST=1 if you trust whoever can write there"
                .into(),
            Self::Fingerprint { package, .. } => format!(
                "Install the {package} that belongs to this version of trifold: \
                 pip install --upgrade {package}"
            ),
            Self::Interface { .. } => {
                "Install the plugin's package in the version that belongs to this trifold".into()
            }
            Self::KindTaken { .. } => {
                "Nothing, if it has your devices; else name the one you want in TRIFOLD_BACKEND_PATH".into()
            }
            Self::Cpu { .. } => "Use the CPU itself: device cpu".into(),
            Self::Crashed { .. } | Self::Hung { .. } | Self::Failed { .. } => {
                "See that the device's driver works; device cpu leaves the plugin out".into()
            }
            Self::Refused { .. } => {
                "See that there is such a device, and that its driver is installed".into()
            }
            Self::Load { why, .. } if why.ends_with("not found") => {
                "It was built for a newer system: install its package with pip, which chooses one for this system, or \
                 build it here with `trifold-pack plugin`"
                    .into()
            }
            Self::Load { .. } => {
                "Install the plugin's package anew: it depends on the libraries that it needs".into()
            }
        })
    }
}

/// What to do to have the first device of a request that is not there.
fn no_device_hint(request: &str, there: &[String], tried: &[Refusal]) -> String {
    let names = match request.parse() {
        Ok(DeviceRequest::Named(names)) => names,
        _ => Vec::new(),
    };
    let missing = |name: &&DeviceName| !there.contains(&name.to_string());
    let Some(name) = names.iter().find(missing) else {
        return no_plugin_hint("", tried);
    };
    let of_kind = |id: &String| {
        id.strip_prefix(&name.kind)
            .is_some_and(|rest| rest.starts_with(':'))
    };
    match name.place {
        Place::Index(_) if name.kind == RPC => {
            "Name the server that lends it: rpc:HOST:PORT, where `trifold rpc-server` runs".into()
        }
        Place::Index(_) if there.iter().any(of_kind) => {
            "Ask for one that there is; numbers begin at 0".into()
        }
        _ => no_plugin_hint(&name.kind, tried),
    }
}

/// The kind of plugins that have a server.
pub(crate) const RPC: &str = "rpc";

/// What to do to have a plugin of a kind.
fn no_plugin_hint(kind: &str, tried: &[Refusal]) -> String {
    let mut reasons = tried.iter().filter(|one| one.may_be(kind));
    if let Some(hint) = reasons.find_map(|one| one.error.hint()) {
        return hint;
    }
    let package = match kind {
        "cuda" => "the package trifold-cuda13",
        RPC => "the package trifold-rpc",
        "vulkan" => "the package trifold-vulkan",
        _ => "the plugin's package",
    };
    format!(
        "Install {package}, or name the plugin's folder in TRIFOLD_BACKEND_PATH; `trifold devices` lists what is \
         there"
    )
}

/// A list of what was tried, each on its own line.
struct Tried<'a>(&'a [Refusal]);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for refusal in self.0 {
            write!(f, "\n  tried: {refusal}")?;
        }
        Ok(())
    }
}

/// Where nothing was, each on its own line.
struct Searched<'a>(&'a [PathBuf]);

impl fmt::Display for Searched<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in self.0 {
            write!(f, "\n  no plugin in: {}", place.display())?;
        }
        Ok(())
    }
}

struct More(usize);

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            more => write!(f, "; {more} more differ"),
        }
    }
}

struct Said<'a>(&'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => Ok(()),
            said => write!(f, ": {said}"),
        }
    }
}
