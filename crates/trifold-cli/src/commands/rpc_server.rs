//! `trifold rpc-server`: lends this computer to text models elsewhere.

use std::net::{SocketAddr, SocketAddrV4};

use trifold_backend::BackendError;
use trifold_runtime::threads;

use crate::{error::CliError, interrupt, ui::Ui};

const HOST: &trifold_runtime::Host = &trifold_llama_sys::HOST;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  trifold rpc-server\n  trifold rpc-server --listen 192.168.1.7:50052 --device cuda\n  \
                  trifold generate --device rpc:192.168.1.7:50052,rpc:192.168.1.8:50052 \"Once upon a time\"\n\n\
                  The protocol has neither encryption nor passwords, and whoever reaches the address can read and\n\
                  write this process's memory: listen on a network only where you trust everybody."
)]
pub(crate) struct Args {
    /// The address to listen at. One of this computer's own unless you say another.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:50052")]
    listen: SocketAddrV4,

    /// Threads, for a CPU [default: physical cores].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

pub(crate) fn run(args: &Args, ui: &Ui) -> Result<(), CliError> {
    let search = ui.devices().search.clone();
    let device = device(ui)?;
    let address = args.listen;
    // ggml's server says only that it failed, not why.
    std::net::TcpListener::bind(SocketAddr::V4(address)).map_err(|source| BackendError::Serve {
        address: address.to_string(),
        why: source.to_string(),
    })?;
    if !address.ip().is_loopback() {
        ui.note(&format!(
            "{address} is not only this computer's: whoever reaches it can read and write this process's memory"
        ));
    }
    ui.note(&format!("Serving {device} at {address}; Ctrl-C ends it"));
    let threads = args
        .threads
        .or_else(|| threads::physical_cores().map(usize::from))
        .unwrap_or(1);
    interrupt::wait_for(move || trifold_backend::serve(HOST, &search, address, threads, &device))??;
    Ok(())
}

/// The device to serve, as the option says: an accelerator of this computer if there is one, unless another is
/// asked for.
fn device(ui: &Ui) -> Result<trifold_backend::Device, CliError> {
    let options = ui.devices();
    if let Some(device) = options.select_one(HOST)? {
        return Ok(device);
    }
    // Its own, which comes first: no plugin is looked for.
    let nowhere = trifold_backend::Search::only(Vec::<&str>::new());
    let devices = trifold_backend::devices(HOST, &nowhere)?.devices;
    let missing = || BackendError::NoDevice {
        request: "cpu".into(),
        there: Vec::new(),
        tried: Vec::new(),
        searched: Vec::new(),
    };
    Ok(devices.into_iter().next().ok_or_else(missing)?)
}
