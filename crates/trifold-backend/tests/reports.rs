//! What is said when a device is not there, and of plugins that are not used.

mod common;

use std::{path::PathBuf, time::Duration};

use common::{hosts, twin};
use trifold_backend::{BackendError, Device, Packaged, Search, devices, select};

/// A copy of the twin for an engine with another name, but of the same kind.
fn other_twin(engine: &str, folder: &tempfile::TempDir) -> PathBuf {
    let mut bytes = fs_err::read(twin(engine)).unwrap();
    let (from, to) = (b"\nname\ttwin\n", b"\nname\ttwun\n");
    let at = bytes.windows(from.len()).position(|part| part == from);
    let at = at.unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    let path = folder.path().join("libtrifold-backend-twun.so");
    fs_err::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_spare_plugin_of_a_kind_is_no_problem() {
    let (name, host) = hosts()[0];
    let folder = tempfile::tempdir().unwrap();
    let spare = other_twin(name, &folder);
    let mut search = Search::only([twin(name)]);
    // Not looked into: the kind has its plugin.
    search.packages = vec![Packaged {
        path: spare.clone(),
        sha256: Some("00".repeat(32)),
    }];
    for _ in 0..2 {
        let found = devices(host, &search).unwrap();
        assert!(found.refused.is_empty(), "{:?}", found.refused);
        let ids: Vec<String> = found.devices.iter().map(Device::id).collect();
        assert_eq!(ids, ["cpu", "twin:0", "twin:1"]);
    }
    let chosen = select(host, &"auto".parse().unwrap(), &search).unwrap();
    let plugin = chosen[0].plugin.as_ref().unwrap();
    assert_eq!((plugin.name.as_str(), &plugin.path), ("twin", &twin(name)));
}

#[test]
fn a_failure_that_passes_is_not_kept() {
    let (name, host) = hosts()[1];
    // A file of its own: no other engine may have tried it.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("again.so");
    fs_err::copy(twin(name), &path).unwrap();
    let mut search = Search::only([&path]);
    search.limit = Duration::from_nanos(1);
    let found = devices(host, &search).unwrap();
    let hung = |error: &BackendError| matches!(error, BackendError::Hung { .. });
    assert!(hung(&found.refused[0].error), "{:?}", found.refused);
    assert_eq!(found.refused[0].kind.as_deref(), Some("twin"));

    let found = devices(host, &Search::only([&path])).unwrap();
    assert!(found.refused.is_empty(), "{:?}", found.refused);
    assert_eq!(found.devices.len(), 3);
}

#[test]
fn a_device_that_is_not_there_is_told_with_what_to_do() {
    let (name, host) = hosts()[2];
    let empty = tempfile::tempdir().unwrap();
    let missing = empty.path().join("missing.so");
    let search = Search::only([twin(name), empty.path().to_owned(), missing.clone()]);
    let fail = |request: &str, search: &Search| {
        let error = select(host, &request.parse().unwrap(), search).unwrap_err();
        (error.to_string(), error.hint().unwrap())
    };
    // Asked for before anything is loaded: what there is is told all the same.
    let (text, hint) = fail("gpu", &search);
    let folder = empty.path().display();
    let expected = format!(
        "Device not found: gpu:0 (there are: cpu, twin:0, twin:1)\n  \
         tried: Expected a backend plugin at: {folder} (found: a folder without any libtrifold-backend-*.so)\n  \
         tried: Could not find: {}: No such file or directory",
        missing.display()
    );
    assert!(text.starts_with(&expected), "{text}\n{expected}");
    assert!(hint.contains("libtrifold-backend-*.so"), "{hint}");

    let search = Search::only([twin(name)]);
    for (request, expected) in [
        ("gpu", "Install the plugin's package"),
        ("cuda", "trifold-cuda13"),
        ("rpc:127.0.0.1:1", "trifold-rpc"),
        ("rpc", "rpc:HOST:PORT"),
        ("twin:0,twin:7", "Ask for one that there is"),
        ("twin:0,cuda:7", "trifold-cuda13"),
    ] {
        let (text, hint) = fail(request, &search);
        assert!(hint.contains(expected), "{request}: {hint}\n{text}");
    }
}

#[test]
fn no_device_is_asked_for_twice() {
    let found = "twin:0,twin".parse::<trifold_backend::DeviceRequest>();
    let error = found.unwrap_err();
    assert!(error.to_string().contains("each once"), "{error}");
}
