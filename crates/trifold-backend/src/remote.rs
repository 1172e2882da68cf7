//! Devices of other computers, by a plugin that speaks with a server there.
//!
//! ggml's protocol has neither encryption nor passwords, and its server trusts what clients send: it is for
//! networks only where everybody is trusted. Nothing is served beyond this computer unless told.

use std::{
    ffi::CString,
    net::SocketAddrV4,
    sync::{Mutex, PoisonError},
};

use trifold_runtime::{Host, log};

use crate::{
    BackendError, Device, Search,
    error::RPC,
    hello, load,
    select::{load_all, refusals},
};

/// A server whose devices an engine has.
struct Server {
    host: &'static Host,
    address: String,
}

impl Server {
    fn is(&self, host: &Host, address: &str) -> bool {
        std::ptr::eq(self.host, host) && self.address == address
    }
}

/// Held for moments only: whoever looks at devices needs it.
static SERVERS: Mutex<Vec<Server>> = Mutex::new(Vec::new());

/// Held while a server is asked: it has one client at a time, and this process must not keep itself waiting.
static ASKING: Mutex<()> = Mutex::new(());

/// Adds the devices of a server to an engine, unless that was done before. Does nothing if no plugin of this kind
/// is loaded: then there is no such device.
pub(crate) fn add(host: &'static Host, kind: &str, address: &str) -> Result<(), BackendError> {
    let loaded = load::loaded(host);
    let Some(plugin) = loaded.iter().find(|plugin| plugin.note.kind == kind) else {
        return Ok(());
    };
    let failed = |why: String| BackendError::Server {
        address: address.to_owned(),
        why,
    };
    let _asking = ASKING.lock().unwrap_or_else(PoisonError::into_inner);
    // ggml connects, and waits for an answer, without a limit. It keeps its connection while a model has the
    // device.
    hello::say(address).map_err(failed)?;
    let known = |servers: &[Server]| servers.iter().any(|server| server.is(host, address));
    if known(&SERVERS.lock().unwrap_or_else(PoisonError::into_inner)) {
        return Ok(());
    }
    let text = CString::new(address).map_err(|_| failed("not an address".into()))?;
    let (added, lines) = log::keeping(|| host.add_server(plugin.backend, &text));
    let added = added.map_err(|error| failed(error.to_string()))?;
    if added.is_none() {
        return Err(failed(or(&lines, "it has no device")));
    }
    let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
    servers.push(Server {
        host,
        address: address.to_owned(),
    });
    Ok(())
}

/// The server that has a device: ggml describes it by the server's address.
pub(crate) fn server_of(host: &'static Host, description: &str) -> Option<String> {
    let servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = servers.iter().any(|server| server.is(host, description));
    known.then(|| description.to_owned())
}

/// Serves a device of this computer to others, with the plugin of the kind `rpc`, and returns only if that
/// cannot go on. `threads` is for a CPU. One client at a time.
///
/// Whoever reaches the address can have this process compute, and read and write its memory: use a loopback
/// address, or a network where everybody is trusted.
///
/// ```no_run
/// use trifold_backend::{Search, devices, serve};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let host = &trifold_llama_sys::HOST;
/// let cpu = devices(host, &Search::default())?.devices.remove(0);
/// serve(host, &Search::default(), "127.0.0.1:50052".parse()?, 4, &cpu)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`BackendError::NoPlugin`], [`BackendError::Serve`] if the address cannot be had, what the engine throws.
pub fn serve(
    host: &'static Host,
    search: &Search,
    address: SocketAddrV4,
    threads: usize,
    device: &Device,
) -> Result<(), BackendError> {
    let looked = load_all(host, search, |kind| kind == RPC);
    let loaded = load::loaded(host);
    let Some(plugin) = loaded.iter().find(|plugin| plugin.note.kind == RPC) else {
        return Err(BackendError::NoPlugin {
            kind: RPC,
            tried: refusals(looked.missed),
            searched: looked.places,
        });
    };
    let failed = |why: String| BackendError::Serve {
        address: address.to_string(),
        why,
    };
    let text = CString::new(address.to_string()).map_err(|_| failed("not an address".into()))?;
    let (served, lines) =
        log::keeping(|| host.serve(plugin.backend, &text, threads, device.handle()));
    if served? {
        return Err(failed(or(&lines, "the address cannot be had")));
    }
    Err(failed("the plugin has no server".into()))
}

fn or(lines: &[String], else_: &str) -> String {
    if lines.is_empty() {
        else_.into()
    } else {
        lines.join("; ")
    }
}
