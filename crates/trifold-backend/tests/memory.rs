//! A device that fails when it is asked for its memory: only those who list devices notice.

mod common;

use common::{hosts, twin};
use trifold_backend::{BackendError, Device, Search, devices, select};

#[test]
fn selection_asks_no_device_for_its_memory() {
    let (name, host) = hosts()[0];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("twin-tired.so");
    fs_err::copy(twin(name), &path).unwrap();
    let search = Search::only([&path]);
    let ids = |devices: &[Device]| devices.iter().map(Device::id).collect::<Vec<_>>();
    let selected = |request: &str| {
        let devices = select(host, &request.parse().unwrap(), &search).unwrap();
        assert!(devices.iter().all(|device| device.memory_total == 0));
        ids(&devices)
    };
    for _ in 0..3 {
        assert_eq!(selected("auto"), ["twin:0"]);
        assert_eq!(selected("twin:1,twin:0"), ["twin:1", "twin:0"]);
    }
    let first = devices(host, &search).unwrap();
    assert_eq!(ids(&first.devices), ["cpu", "twin:0", "twin:1"]);
    assert!(first.devices.iter().all(|device| device.memory_total > 0));
    assert!(first.refused.is_empty(), "{:?}", first.refused);

    // Now they fail: each is left out, and says why.
    let second = devices(host, &search).unwrap();
    assert_eq!(ids(&second.devices), ["cpu"]);
    assert_eq!(second.refused.len(), 2, "{:?}", second.refused);
    for refusal in &second.refused {
        assert_eq!(refusal.path, path);
        let right = matches!(&*refusal.error, BackendError::Failed { said, .. } if said.contains("is_named"));
        assert!(right, "{}", refusal.error);
    }
    assert_eq!(selected("twin:1"), ["twin:1"]);
}
