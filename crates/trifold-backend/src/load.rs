//! Loads a plugin into an engine: once for each engine, and for good.
#![allow(unsafe_code)] // the loader of shared libraries, the one purpose of this module

use std::{
    ffi::{CStr, CString, c_void},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use trifold_runtime::{
    Host, cpu,
    host::{BackendHandle, Route},
    log,
};

use crate::{
    BackendError, Note, Search, fingerprint::differences, note, probe, search::Packaged, trust,
};

/// Why a plugin was not loaded.
pub(crate) struct Failure {
    /// The plugin's kind, if that could be read.
    pub(crate) kind: Option<String>,
    pub(crate) error: BackendError,
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        Self { kind: None, error }
    }
}

/// The version of `crates/trifold-build/shim/plugin/plugin.h` that is known here.
const INTERFACE: u32 = 1;

/// Mirrors `trifold_plugin_facts`.
#[repr(C)]
struct Facts {
    interface: u32,
    size: u32,
}

type InfoFn = unsafe extern "C" fn() -> *const Facts;
type ConnectFn = unsafe extern "C" fn(*const Route) -> bool;

/// A plugin that an engine has loaded.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) path: PathBuf,
    pub(crate) note: Note,
    pub(crate) backend: BackendHandle,
}

/// What became of a file, until it changes: only what will be so again.
struct Entry {
    host: &'static Host,
    file: Identity,
    note: Note,
    result: Result<Arc<Loaded>, BackendError>,
}

impl Entry {
    fn is_of(&self, host: &Host) -> bool {
        std::ptr::eq(self.host, host)
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Identity {
    path: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Identity {
    fn of(path: &Path) -> Result<Self, BackendError> {
        // Our own error has the path.
        let found = std::fs::metadata(path)
            .map_err(|source| BackendError::io("Could not read", path, source))?;
        Ok(Self {
            path: path.to_owned(),
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            changed: (found.mtime(), found.mtime_nsec()),
        })
    }
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    /// Files that were tried, for whichever engine, and how it went.
    trials: Trials,
    /// SHA-256s of files: a plugin may have a hundred megabytes.
    digests: Vec<(Identity, String)>,
}

/// What came of trying plugins, each in a process of its own.
#[derive(Default)]
struct Trials {
    passed: Vec<Identity>,
    failed: Vec<FailedTrial>,
}

struct FailedTrial {
    file: Identity,
    /// How long it had.
    limit: Duration,
    at: Instant,
    error: BackendError,
}

impl Trials {
    /// Who opens many models must not wait for each of them until a driver that hangs has hung again; a driver that
    /// is installed meanwhile is found soon enough.
    const KEPT: Duration = Duration::from_secs(10);

    fn run(&mut self, file: &Identity, limit: Duration) -> Result<(), BackendError> {
        if self.passed.contains(file) {
            return Ok(());
        }
        self.failed.retain(|one| one.at.elapsed() < Self::KEPT);
        let known = self.failed.iter().find(|one| {
            let patient = !matches!(one.error, BackendError::Hung { .. }) || one.limit >= limit;
            one.file == *file && patient
        });
        if let Some(known) = known {
            return Err(known.error.clone());
        }
        match probe::run(&file.path, limit) {
            Ok(()) => {
                self.passed.push(file.clone());
                Ok(())
            }
            Err(error) => {
                self.failed.push(FailedTrial {
                    file: file.clone(),
                    limit,
                    at: Instant::now(),
                    error: error.clone(),
                });
                Err(error)
            }
        }
    }
}

/// One at a time: two threads must not both load what the other has just begun with.
static STATE: Mutex<State> = Mutex::new(State {
    entries: Vec::new(),
    trials: Trials {
        passed: Vec::new(),
        failed: Vec::new(),
    },
    digests: Vec::new(),
});

/// Checks a candidate, and loads it into an engine, unless that was done before. `wanted` says from its note
/// whether it is wanted at all; `None` if not.
pub(crate) fn load(
    host: &'static Host,
    candidate: &Packaged,
    search: &Search,
    wanted: impl Fn(&Note) -> bool,
) -> Result<Option<Arc<Loaded>>, Failure> {
    let path = trust::place(&candidate.path, search)?;
    let file = Identity::of(&path)?;
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let known = state
        .entries
        .iter()
        .find(|entry| entry.is_of(host) && entry.file == file)
        .map(|entry| (entry.note.clone(), entry.result.clone()));
    if let Some((note, result)) = known {
        if !wanted(&note) {
            return Ok(None);
        }
        // Whoever has loaded it may have known of no package.
        let result = state
            .compare(&file, candidate.sha256.as_deref())
            .and(result);
        let kind = Some(note.kind);
        return result.map(Some).map_err(|error| Failure { kind, error });
    }
    let note = note::read(&path)?;
    if !wanted(&note) {
        return Ok(None);
    }
    let kind = Some(note.kind.clone());
    let loaded = state.load(host, file, note, candidate.sha256.as_deref(), search);
    loaded.map(Some).map_err(|error| Failure { kind, error })
}

impl State {
    /// Loads what is not known yet.
    fn load(
        &mut self,
        host: &'static Host,
        file: Identity,
        note: Note,
        sha256: Option<&str>,
        search: &Search,
    ) -> Result<Arc<Loaded>, BackendError> {
        match self.of_kind(host, &note) {
            // The same plugin in another place.
            Some(loaded) if loaded.note.name == note.name => return Ok(loaded),
            Some(other) => {
                return Err(BackendError::KindTaken {
                    path: file.path,
                    kind: note.kind,
                    other: other.path.clone(),
                });
            }
            None => {}
        }
        self.compare(&file, sha256)?;
        let result = load_new(host, &file, note.clone(), search, &mut self.trials);
        // All else may go better the next time: a driver is installed, a machine has memory again.
        let lasts = match &result {
            Ok(_) => true,
            Err(error) => matches!(
                error,
                BackendError::Fingerprint { .. }
                    | BackendError::Cpu { .. }
                    | BackendError::Entry { .. }
                    | BackendError::Interface { .. }
            ),
        };
        if lasts {
            self.entries.push(Entry {
                host,
                file,
                note,
                result: result.clone(),
            });
        }
        result
    }

    /// An engine has one of each kind: two, such as those for older and newer GPUs, would each list all devices.
    fn of_kind(&self, host: &Host, note: &Note) -> Option<Arc<Loaded>> {
        self.entries.iter().find_map(|entry| {
            let loaded = entry.result.as_ref().ok()?;
            let same = loaded.note.name == note.name || loaded.note.kind == note.kind;
            (entry.is_of(host) && same).then(|| Arc::clone(loaded))
        })
    }

    /// Compares a plugin with what its package states, if it comes with one.
    fn compare(&mut self, file: &Identity, sha256: Option<&str>) -> Result<(), BackendError> {
        let Some(sha256) = sha256 else {
            return Ok(());
        };
        let known = self.digests.iter().find(|(known, _)| known == file);
        let found = if let Some((_, digest)) = known {
            digest.clone()
        } else {
            let digest = trust::digest(&file.path)?;
            self.digests.push((file.clone(), digest.clone()));
            digest
        };
        if found.eq_ignore_ascii_case(sha256) {
            return Ok(());
        }
        Err(BackendError::Digest {
            path: file.path.clone(),
            expected: sha256.to_owned(),
            found,
        })
    }
}

/// The plugins that an engine has loaded.
pub(crate) fn loaded(host: &'static Host) -> Vec<Arc<Loaded>> {
    let state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let entries = state.entries.iter().filter(|entry| entry.is_of(host));
    entries
        .filter_map(|entry| entry.result.as_ref().ok().cloned())
        .collect()
}

fn load_new(
    host: &'static Host,
    file: &Identity,
    note: Note,
    search: &Search,
    trials: &mut Trials,
) -> Result<Arc<Loaded>, BackendError> {
    let path = &file.path;
    fits(host, path, &note)?;
    host.engine().ready()?;
    trials.run(file, search.limit)?;
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| BackendError::Load {
        path: path.clone(),
        why: "its path has a zero byte".into(),
    })?;
    let library = open(path, &name)?;
    connect(host, path, library)?;
    // SAFETY: a plugin with the engine's own fingerprint, which has come through its trial.
    let (backend, lines) = log::keeping(|| unsafe { host.load(&name) });
    let backend = backend?.ok_or_else(|| BackendError::Failed {
        path: path.clone(),
        said: lines.join("; "),
    })?;
    tracing::debug!(
        target: "trifold::backend",
        engine = host.engine().name(),
        plugin = %path.display(),
        "loaded {} {}",
        note.name,
        note.version
    );
    Ok(Arc::new(Loaded {
        path: path.clone(),
        note,
        backend,
    }))
}

/// What can be told without running any of its code.
fn fits(host: &'static Host, path: &Path, note: &Note) -> Result<(), BackendError> {
    let mut found = differences(host.fingerprint(), &note.fingerprint).into_iter();
    if let Some(first) = found.next() {
        return Err(BackendError::Fingerprint {
            path: path.to_owned(),
            engine: host.engine().name(),
            difference: Box::new(first),
            more: found.count(),
            package: note.package.clone(),
        });
    }
    let missing: Vec<String> = note
        .cpu_features
        .iter()
        .filter(|feature| !cpu::has(feature))
        .cloned()
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(BackendError::Cpu {
        path: path.to_owned(),
        missing,
    })
}

/// Opens a shared library, never to be closed: its code may be on any thread's stack.
fn open(path: &Path, name: &CStr) -> Result<*mut c_void, BackendError> {
    let flags = libc::RTLD_NOW | libc::RTLD_LOCAL | libc::RTLD_NODELETE;
    // SAFETY: the name is a full path. The library's constructors run: its trial has shown that they do.
    let library = unsafe { libc::dlopen(name.as_ptr(), flags) };
    if library.is_null() {
        return Err(BackendError::Load {
            path: path.to_owned(),
            why: last_error(),
        });
    }
    Ok(library)
}

/// Why the last call on this thread failed.
fn last_error() -> String {
    // SAFETY: it may be called at any time; the text is this thread's until the next call.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "for no reason that the loader tells".into();
    }
    // SAFETY: not null, so a C string.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}

/// Sends the plugin's log and failed checks to the engine.
fn connect(host: &'static Host, path: &Path, library: *mut c_void) -> Result<(), BackendError> {
    function(path, library, c"ggml_backend_init")?;
    let info = function(path, library, c"trifold_plugin_info")?;
    let connect = function(path, library, c"trifold_plugin_connect")?;
    // SAFETY: the function of this name has this type in every version.
    let info: InfoFn = unsafe { std::mem::transmute(info) };
    // SAFETY: it has no arguments, and returns a constant that begins with its version.
    let found = unsafe { (*info()).interface };
    if found != INTERFACE {
        return Err(BackendError::Interface {
            path: path.to_owned(),
            expected: INTERFACE,
            found,
        });
    }
    // SAFETY: the function of this name has this type in this version of the interface.
    let connect: ConnectFn = unsafe { std::mem::transmute(connect) };
    let route = host.route();
    // SAFETY: the route lives until after the call, and its functions are the engine's, for good.
    if unsafe { connect(&raw const route) } {
        return Ok(());
    }
    Err(BackendError::Load {
        path: path.to_owned(),
        why: "too many engines use it".into(),
    })
}

fn function(
    path: &Path,
    library: *mut c_void,
    name: &'static CStr,
) -> Result<*mut c_void, BackendError> {
    // SAFETY: an open library, and a C string.
    let found = unsafe { libc::dlsym(library, name.as_ptr()) };
    if found.is_null() {
        return Err(BackendError::Entry {
            path: path.to_owned(),
            name: name.to_str().unwrap_or_default(),
        });
    }
    Ok(found)
}
