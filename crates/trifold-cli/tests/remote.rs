//! A text model on other computers, played by processes of this one.

mod support;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use support::trifold;
use trifold_build::{Builder, Mode, plugin::Options};

fn plugin() -> PathBuf {
    let builder = Builder::new(Mode::Aligned).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rpc");
    let plugin = builder.plugin("rpc", &Options::default(), &folder);
    plugin.unwrap().path
}

/// A port that nobody uses now.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(plugin: &Path) -> Self {
        let address = free_address();
        let mut child = Command::new(env!("CARGO_BIN_EXE_trifold"))
            .args(["rpc-server", "--threads", "1", "--listen"])
            .arg(address.to_string())
            .arg("--backend")
            .arg(plugin)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "no answer at {address}");
            assert!(child.try_wait().unwrap().is_none(), "it has ended");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_model_split_over_two_servers_says_what_it_says_alone() {
    let plugin = plugin();
    let generate = |device: &str| {
        let model =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/story/trifold-story.gguf");
        trifold([
            "generate",
            "Once upon a time",
            "--max-tokens",
            "24",
            "--temperature",
            "0",
            "--threads",
            "1",
            "--device",
            device,
            "--model",
            model.to_str().unwrap(),
            "--backend",
            plugin.to_str().unwrap(),
        ])
        .run()
    };
    let alone = generate("cpu");
    assert_eq!(alone.code, Some(0), "{alone}");
    let servers = [Server::start(&plugin), Server::start(&plugin)];
    let devices = servers
        .each_ref()
        .map(|server| format!("rpc:{}", server.address));
    let both = generate(&devices.join(","));
    assert_eq!(both.code, Some(0), "{both}");
    assert_eq!(both.stdout, alone.stdout);

    // Taken by the first of them.
    let address = servers[0].address.to_string();
    let backend = plugin.to_str().unwrap();
    let taken = trifold(["rpc-server", "--listen", &address, "--backend", backend]).run();
    assert_eq!(taken.code, Some(1), "{taken}");
    let expected = format!("Could not serve at: {address}");
    assert!(taken.stderr.contains(&expected), "{taken}");

    let nobody = format!("rpc:{}", free_address());
    let missing = generate(&nobody);
    assert_eq!(missing.code, Some(1), "{missing}");
    let expected = nobody.replacen("rpc:", "Could not use the devices of: ", 1);
    assert!(missing.stderr.contains(&expected), "{missing}");
    assert!(missing.stderr.contains("trifold rpc-server"), "{missing}");
}
