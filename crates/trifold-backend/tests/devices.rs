//! A plugin in all three engines of one process: devices, log, failed checks.

mod common;

use common::{hosts, twin};
use trifold_backend::{Device, DeviceRequest, Search, devices, select};
use trifold_runtime::{EngineError, log};

#[test]
fn one_process_three_engines_one_plugin() {
    for (name, host) in hosts() {
        let path = twin(name);
        let search = Search::only([&path]);
        let found = devices(host, &search).unwrap();
        assert!(found.refused.is_empty(), "{name}: {:?}", found.refused);
        let ids: Vec<String> = found.devices.iter().map(Device::id).collect();
        assert_eq!(ids, ["cpu", "twin:0", "twin:1"], "{name}");
        let device = &found.devices[2];
        assert_eq!(device.name, "TWIN1");
        assert_eq!(device.accelerator(), Some(1));
        assert!(device.memory_total > device.memory_free && device.memory_free > 0);
        let plugin = device.plugin.as_ref().unwrap();
        assert_eq!((plugin.name.as_str(), &plugin.path), ("twin", &path));

        let select = |text: &str| {
            let request: DeviceRequest = text.parse().unwrap();
            let devices = select(host, &request, &search)?;
            Ok::<_, trifold_backend::BackendError>(
                devices.iter().map(Device::id).collect::<Vec<_>>(),
            )
        };
        assert!(select("cpu").unwrap().is_empty());
        assert_eq!(select("auto").unwrap(), ["twin:0"]);
        assert_eq!(select("twin").unwrap(), ["twin:0"]);
        assert_eq!(select("twin:1,twin:0").unwrap(), ["twin:1", "twin:0"]);
        let error = select("twin:2").unwrap_err();
        assert_eq!(
            error.to_string(),
            "Device not found: twin:2 (there are: cpu, twin:0, twin:1)"
        );

        // Its log goes where the engine's goes; so does what it prints.
        let backend = host.devices().unwrap()[1].backend;
        #[allow(unsafe_code)] // a test of that very call
        // SAFETY: the twin's functions of these names take nothing and return nothing.
        let call = |name| unsafe { host.call_procedure(backend, name) };
        let (spoke, lines) = log::keeping(|| call(c"trifold_twin_speak"));
        assert!(spoke.unwrap());
        assert_eq!(lines, ["the twin logs", "the twin prints"], "{name}");

        // A check that fails in it is an error of this engine's call, again and again.
        for _ in 0..2 {
            let error = call(c"trifold_twin_fail_a_check").unwrap_err();
            let EngineError::Assertion { engine, message } = error else {
                panic!("{error}");
            };
            assert_eq!(engine, host.engine().name());
            assert!(message.contains("a check of the twin"), "{message}");
        }
        assert!(!call(c"no_such_function").unwrap());
    }
}
