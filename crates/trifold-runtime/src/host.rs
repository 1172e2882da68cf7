//! What a backend loader needs of an engine: loading a plugin into the engine's ggml, and the devices there.
//!
//! The C++ half is `crates/trifold-build/shim/host.cpp`; `trifold-backend` stands on this.
#![allow(unsafe_code)] // calls of C functions, the one purpose of this module

use std::{
    ffi::{CStr, c_char, c_void},
    mem::MaybeUninit,
    ptr::NonNull,
};

use crate::{
    Engine, EngineError,
    guard::{Fault, LogFn},
};

/// Where a plugin's log goes, and its failed checks; mirrors `trifold_plugin_route`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Route {
    log: LogFn,
    inside: unsafe extern "C" fn() -> bool,
    abort: unsafe extern "C-unwind" fn(*const c_char),
}

/// A backend that an engine's ggml has loaded: `ggml_backend_reg_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendHandle(NonNull<c_void>);

/// A device of an engine's ggml: `ggml_backend_dev_t`. It means something to that engine only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceHandle(NonNull<c_void>);

// SAFETY: registrations are never freed, and ggml lets any thread look at them.
unsafe impl Send for BackendHandle {}
// SAFETY: as above.
unsafe impl Sync for BackendHandle {}
// SAFETY: devices are never freed, and ggml lets any thread use them.
unsafe impl Send for DeviceHandle {}
// SAFETY: as above.
unsafe impl Sync for DeviceHandle {}

impl DeviceHandle {
    /// As ggml knows it.
    pub fn as_ptr(self) -> *mut c_void {
        self.0.as_ptr()
    }
}

/// What an engine may use a device for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceKind {
    /// The CPU, with its own memory.
    Cpu,
    /// An accelerator with memory of its own, or one that shares the CPU's.
    Gpu,
    /// Something that helps the CPU.
    Other,
}

/// A device that an engine's ggml has.
#[derive(Clone, Copy, Debug)]
pub struct HostDevice {
    /// Itself.
    pub handle: DeviceHandle,
    /// The backend that it belongs to.
    pub backend: BackendHandle,
}

/// What a device says of itself.
#[derive(Clone, Debug)]
pub struct Description {
    /// What it may be used for.
    pub kind: DeviceKind,
    /// Its name, such as `CUDA0`.
    pub name: String,
    /// What it is, such as the name of the GPU.
    pub description: String,
}

/// The memory of a device.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Bytes that nobody uses; 0 if it does not say.
    pub free: u64,
    /// Bytes in all; 0 if it does not say.
    pub total: u64,
}

/// The engine's table; mirrors `host` of the shim. Each function but those of the route is guarded.
#[repr(C)]
#[derive(Debug)]
pub struct Table {
    route: Route,
    load: unsafe extern "C" fn(*mut Fault, *mut *mut c_void, *const c_char) -> bool,
    count: unsafe extern "C" fn(*mut Fault, *mut usize) -> bool,
    at: unsafe extern "C" fn(*mut Fault, *mut RawDevice, usize) -> bool,
    describe: unsafe extern "C" fn(*mut Fault, *mut RawDescription, *mut c_void) -> bool,
    memory: unsafe extern "C" fn(*mut Fault, *mut RawMemory, *mut c_void) -> bool,
    procedure:
        unsafe extern "C" fn(*mut Fault, *mut *mut c_void, *mut c_void, *const c_char) -> bool,
    call: unsafe extern "C" fn(*mut Fault, *mut (), *mut c_void) -> bool,
    add_server:
        unsafe extern "C" fn(*mut Fault, *mut *mut c_void, *mut c_void, *const c_char) -> bool,
    serve: unsafe extern "C" fn(
        *mut Fault,
        *mut bool,
        *mut c_void,
        *const c_char,
        usize,
        *mut c_void,
    ) -> bool,
}

/// Mirrors `device` of the shim.
#[repr(C)]
struct RawDevice {
    handle: *mut c_void,
    backend: *mut c_void,
}

/// Mirrors `description` of the shim.
#[repr(C)]
struct RawDescription {
    kind: i32,
    name: *const c_char,
    description: *const c_char,
}

/// Mirrors `memory` of the shim.
#[repr(C)]
struct RawMemory {
    free: usize,
    total: usize,
}

/// An engine, as a backend loader sees it. Each `-sys` crate has one.
#[derive(Debug)]
pub struct Host {
    engine: &'static Engine,
    fingerprint: &'static str,
    table: fn() -> *const Table,
}

impl Host {
    /// Describes a host.
    ///
    /// # Safety
    /// `table` must return the table of the engine's own sealed object, which lives forever.
    #[doc(hidden)] // for the `sealed_engine!` macro
    pub const unsafe fn new(
        engine: &'static Engine,
        fingerprint: &'static str,
        table: fn() -> *const Table,
    ) -> Self {
        Self {
            engine,
            fingerprint,
            table,
        }
    }

    /// The engine.
    pub fn engine(&self) -> &'static Engine {
        self.engine
    }

    /// The fingerprint of its ggml: what must be equal for a plugin to share memory with it. Lines of
    /// `field<tab>value`; `trifold-backend` compares them.
    pub fn fingerprint(&self) -> &'static str {
        self.fingerprint
    }

    /// Where a plugin shall send its log and its failed checks.
    pub fn route(&self) -> Route {
        self.table().route
    }

    fn table(&self) -> &'static Table {
        // SAFETY: the promise of `new`.
        unsafe { &*(self.table)() }
    }

    fn call<R>(
        &self,
        call: impl FnOnce(&'static Table, *mut Fault, *mut R) -> bool,
    ) -> Result<R, EngineError> {
        let mut result = MaybeUninit::<R>::uninit();
        let table = self.table();
        self.engine
            .call(|fault| call(table, fault, result.as_mut_ptr()))?;
        // SAFETY: the guarded call returned without a fault, so it wrote its result; `()` needs none.
        Ok(unsafe { result.assume_init() })
    }

    /// Has the engine's ggml load the backend in a shared library. `None` if it does not want to; the log
    /// says why.
    ///
    /// # Safety
    /// Code of the library runs, and shares memory with the engine: it must be a plugin of the same
    /// fingerprint.
    ///
    /// # Errors
    /// What the engine throws.
    pub unsafe fn load(&self, path: &CStr) -> Result<Option<BackendHandle>, EngineError> {
        // SAFETY: a function of the table with this signature; the path lives until after the call.
        let backend = self
            .call(|table, fault, result| unsafe { (table.load)(fault, result, path.as_ptr()) })?;
        Ok(NonNull::new(backend).map(BackendHandle))
    }

    /// Adds the devices of a server (`host:port`), as a backend of their own. `None` if this backend knows no
    /// servers, or the server has no device. Adding one twice gives the same.
    ///
    /// # Errors
    /// What the engine throws, for instance because there is no server.
    pub fn add_server(
        &self,
        backend: BackendHandle,
        address: &CStr,
    ) -> Result<Option<BackendHandle>, EngineError> {
        // SAFETY: a function of the table with this signature; the address lives until after the call.
        let server = self.call(|table, fault, result| unsafe {
            (table.add_server)(fault, result, backend.0.as_ptr(), address.as_ptr())
        })?;
        Ok(NonNull::new(server).map(BackendHandle))
    }

    /// Serves a device to other computers at `address` (`host:port`), computing with so many threads where
    /// that is a choice. Returns only if that cannot go on: false if this backend cannot serve.
    ///
    /// # Errors
    /// What the engine throws.
    pub fn serve(
        &self,
        backend: BackendHandle,
        address: &CStr,
        threads: usize,
        device: DeviceHandle,
    ) -> Result<bool, EngineError> {
        // SAFETY: as in `add_server`; the device is one of this engine's, or else of one with the same ggml.
        self.call(|table, fault, result| unsafe {
            let (backend, device) = (backend.0.as_ptr(), device.as_ptr());
            (table.serve)(fault, result, backend, address.as_ptr(), threads, device)
        })
    }

    /// All devices that the engine's ggml has; none of them is asked anything.
    ///
    /// # Errors
    /// What the engine throws.
    pub fn devices(&self) -> Result<Vec<HostDevice>, EngineError> {
        // SAFETY: a function of the table with this signature.
        let count = self.call(|table, fault, result| unsafe { (table.count)(fault, result) })?;
        (0..count)
            .filter_map(|index| {
                // SAFETY: as above; there are so many devices, and they are never removed.
                let raw =
                    self.call(|table, fault, result| unsafe { (table.at)(fault, result, index) });
                raw.map(|raw| device(&raw)).transpose()
            })
            .collect()
    }

    /// Asks one of the engine's devices what it is.
    ///
    /// # Errors
    /// What the engine throws.
    pub fn describe(&self, device: DeviceHandle) -> Result<Description, EngineError> {
        // SAFETY: a function of the table with this signature; devices are never removed.
        let raw = self.call(|table, fault, result| unsafe {
            (table.describe)(fault, result, device.as_ptr())
        })?;
        Ok(description(&raw))
    }

    /// Asks one of the engine's devices for its memory. A GPU sets up a context for the answer, which takes time
    /// and some of that memory. A device of another computer is asked over the network: if that fails while a
    /// model uses it, the process may end, so leave those alone.
    ///
    /// # Errors
    /// What the engine throws.
    pub fn memory(&self, device: DeviceHandle) -> Result<Memory, EngineError> {
        // SAFETY: as in `describe`.
        let raw: RawMemory = self.call(|table, fault, result| unsafe {
            (table.memory)(fault, result, device.as_ptr())
        })?;
        Ok(Memory {
            free: raw.free as u64,
            total: raw.total as u64,
        })
    }

    /// Calls a function without arguments that a backend offers by name, guarded. False if it has none of
    /// this name.
    ///
    /// # Safety
    /// It must be a function of type `void (void)`.
    ///
    /// # Errors
    /// What the engine throws.
    pub unsafe fn call_procedure(
        &self,
        backend: BackendHandle,
        name: &CStr,
    ) -> Result<bool, EngineError> {
        // SAFETY: a function of the table with this signature; the name lives until after the call.
        let function = self.call(|table, fault, result| unsafe {
            (table.procedure)(fault, result, backend.0.as_ptr(), name.as_ptr())
        })?;
        if function.is_null() {
            return Ok(false);
        }
        // SAFETY: as above; the caller promises the function's type.
        self.call(|table, fault, result: *mut ()| unsafe {
            (table.call)(fault, result, function)
        })?;
        Ok(true)
    }
}

fn device(raw: &RawDevice) -> Option<HostDevice> {
    Some(HostDevice {
        handle: DeviceHandle(NonNull::new(raw.handle)?),
        backend: BackendHandle(NonNull::new(raw.backend)?),
    })
}

fn description(raw: &RawDescription) -> Description {
    let text = |text: *const c_char| {
        if text.is_null() {
            return String::new();
        }
        // SAFETY: names of backends are C strings that live as long as the backend.
        let text = unsafe { CStr::from_ptr(text) };
        text.to_string_lossy().into_owned()
    };
    Description {
        kind: match raw.kind {
            1 => DeviceKind::Cpu,
            2 => DeviceKind::Gpu,
            _ => DeviceKind::Other,
        },
        name: text(raw.name),
        description: text(raw.description),
    }
}
