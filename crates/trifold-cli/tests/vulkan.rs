//! All engines on Vulkan, by Mesa's driver for CPUs (lavapipe). `cargo xtask test vulkan` says what it needs and runs
//! it; it is no part of the whole, for compiling the shaders takes minutes.

mod support;

use std::path::{Path, PathBuf};

use support::{Answers, Run, trifold};
use trifold_build::{Builder, plugin::Options};

fn plugin() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vulkan");
    let builder = Builder::from_env().unwrap();
    let plugin = builder.plugin("vulkan", &Options::default(), &folder);
    plugin.unwrap().path
}

/// The program with the plugin, and with that driver alone.
fn with(plugin: &Path, run: Run) -> Run {
    run.env("TRIFOLD_BACKEND_PATH", plugin)
        .env("VK_DRIVER_FILES", lavapipe())
}

/// ggml takes a driver for CPUs only if it is told its number.
fn chosen(run: Run) -> Run {
    run.env("GGML_VK_VISIBLE_DEVICES", "0")
}

/// The file that tells Vulkan's loader where the driver is.
fn lavapipe() -> PathBuf {
    let folder = Path::new("/usr/share/vulkan/icd.d");
    let files = fs_err::read_dir(folder).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    let found = files.find(|path| path.to_string_lossy().contains("lvp_icd"));
    found.expect("lavapipe: on Debian the package mesa-vulkan-drivers")
}

#[test]
fn all_engines_answer_as_on_the_cpu() {
    let plugin = plugin();
    let answers = |device: &'static str| {
        Answers::given(|run| chosen(with(&plugin, run)).args(["--device", device]))
    };
    answers("vulkan").assert_like(&answers("cpu"), "vulkan");
}

#[test]
fn what_is_not_there_is_said() {
    let plugin = plugin();
    let devices = || with(&plugin, trifold(["devices"]));
    let listed = chosen(devices()).run();
    assert!(listed.stdout.contains("vulkan:0"), "{listed}");
    let listed = devices().run();
    assert!(!listed.stdout.contains("vulkan:0"), "{listed}");
    assert!(listed.stdout.contains("Vulkan finds no GPU"), "{listed}");
    let listed = devices().env("VK_DRIVER_FILES", "nowhere.json").run();
    assert!(listed.stdout.contains("Vulkan finds no driver"), "{listed}");
}
