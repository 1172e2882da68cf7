//! All engines on Vulkan, by Mesa's driver for CPUs (lavapipe). `cargo xtask test vulkan` says what it needs and runs
//! it; it is no part of the whole, for compiling the shaders takes minutes.

mod support;

use std::path::{Path, PathBuf};

use support::{Run, SAME_TO_THE_EYE, psnr, trifold};
use trifold_build::{Builder, plugin::Options};

fn plugin() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vulkan");
    let builder = Builder::from_env().unwrap();
    let plugin = builder.plugin("vulkan", &Options::default(), &folder);
    plugin.unwrap().path
}

/// The program with the plugin, and with that driver alone.
fn with(plugin: &Path, arguments: &[&str]) -> Run {
    trifold(arguments)
        .env("TRIFOLD_BACKEND_PATH", plugin)
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
    let answer = |arguments: &[&str], device: &str| {
        let arguments = [arguments, &["--device", device, "--quiet"]].concat();
        let outcome = chosen(with(&plugin, &arguments)).run();
        assert_eq!(outcome.code, Some(0), "{device}: {outcome}");
        outcome
    };
    // A beginning after which no two words are nearly as likely as each other: there rounding would decide.
    let story = [
        "generate",
        "Tell me a story about a little dog.",
        "--temperature",
        "0",
        "--max-tokens",
        "24",
    ];
    let told = answer(&story, "cpu").stdout;
    assert!(told.len() > 40, "{told}");
    assert_eq!(answer(&story, "vulkan").stdout, told);

    let sample =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/speech/samples/kitchen-light.wav");
    let hear = ["transcribe", sample.to_str().unwrap()];
    let heard = answer(&hear, "cpu").stdout;
    assert!(heard.contains("Turn on the kitchen light."), "{heard}");
    assert_eq!(answer(&hear, "vulkan").stdout, heard);

    let folder = tempfile::tempdir().unwrap();
    let draw = |device: &str| {
        let picture = folder.path().join(format!("{device}.png"));
        let place = picture.to_str().unwrap();
        answer(
            &[
                "draw", "a house", "--seed", "5", "--steps", "2", "-W", "64", "-H", "64", "-o",
                place,
            ],
            device,
        );
        trifold_diffusion::read_png(&picture).unwrap().rgb8
    };
    let psnr = psnr(&draw("vulkan"), &draw("cpu"));
    assert!(psnr > SAME_TO_THE_EYE, "the picture differs by {psnr} dB");
}

#[test]
fn what_is_not_there_is_said() {
    let plugin = plugin();
    let devices = || with(&plugin, &["devices"]);
    let listed = chosen(devices()).run();
    assert!(listed.stdout.contains("vulkan:0"), "{listed}");
    let listed = devices().run();
    assert!(!listed.stdout.contains("vulkan:0"), "{listed}");
    assert!(listed.stdout.contains("Vulkan finds no GPU"), "{listed}");
    let listed = devices().env("VK_DRIVER_FILES", "nowhere.json").run();
    assert!(listed.stdout.contains("Vulkan finds no driver"), "{listed}");
}
