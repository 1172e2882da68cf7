//! All engines on another device: the twin, a plugin that plays an accelerator with memory of its own.

mod support;

use std::path::{Path, PathBuf};

use support::{SAME_TO_THE_EYE, psnr, trifold};
use trifold_backend::{Device, DeviceOptions, Search};
use trifold_build::{Builder, Mode, plugin::Options as PluginOptions};
use trifold_diffusion::{GenerateOptions as Drawing, ModelOptions, Sampler, Seed};
use trifold_llama::{ContextOptions, GenerateOptions, SamplingOptions};
use trifold_whisper::{Hooks, Options};

/// The twin for an engine; in the aligned mode it is the same for all.
fn twin(engine: &str) -> PathBuf {
    let builder = Builder::from_env().unwrap();
    let options = PluginOptions {
        engine: (builder.mode == Mode::Pinned).then(|| engine.to_owned()),
        ..PluginOptions::default()
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("twin-{engine}"));
    builder.plugin("twin", &options, &folder).unwrap().path
}

fn on(device: &str, plugin: &Path) -> DeviceOptions {
    DeviceOptions {
        device: device.parse().unwrap(),
        search: Search::only([plugin]),
    }
}

/// A beginning after which no two words are nearly as likely as each other: there rounding would decide.
const PROMPT: &str = "Tell me a story about a little dog.";

fn model(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../models")
        .join(path)
}

#[test]
fn texts_are_the_same_whole_in_parts_and_split() {
    let plugin = twin("llama");
    let tell = |device: &str, layers: Option<u32>, split: &[f32]| {
        let mut options = trifold_llama::Model::options()
            .device(on(device, &plugin))
            .tensor_split(split);
        if let Some(layers) = layers {
            options = options.gpu_layers(layers);
        }
        let model = options.load(model("story/trifold-story.gguf")).unwrap();
        let ids: Vec<String> = model.devices().iter().map(Device::id).collect();
        let one_thread = ContextOptions {
            threads: 1.try_into().ok(),
            ..ContextOptions::default()
        };
        let options = GenerateOptions {
            max_tokens: Some(24),
            sampling: SamplingOptions::greedy(),
            ..GenerateOptions::default()
        };
        let mut context = model.context(&one_thread).unwrap();
        let told = context.complete(PROMPT, &options).unwrap();
        (ids.join(","), told.text)
    };
    let (none, expected) = tell("cpu", None, &[]);
    assert_eq!(none, "");
    assert!(expected.len() > 40, "{expected}");
    for (device, layers, split) in [
        ("twin:0", None, &[][..]),
        ("auto", Some(1), &[]),
        ("twin:1", Some(0), &[]),
        ("twin:0,twin:1", None, &[]),
        ("twin:1,twin:0", None, &[3.0, 1.0]),
    ] {
        let (ids, text) = tell(device, layers, split);
        assert_eq!(ids, if device == "auto" { "twin:0" } else { device });
        assert_eq!(text, expected, "{device} {layers:?} {split:?}");
    }
    let wrong = trifold_llama::Model::options()
        .device(on("twin:0,twin:1", &plugin))
        .tensor_split([1.0])
        .load(model("story/trifold-story.gguf"))
        .unwrap_err();
    assert!(wrong.to_string().contains("tensor_split"), "{wrong}");
}

#[test]
fn speech_is_the_same() {
    let plugin = twin("whisper");
    let listen = |device: &str| {
        let path = model("speech/trifold-speech.bin");
        let devices = on(device, &plugin);
        let model = trifold_whisper::Model::load_on(path, &devices, &mut Hooks::new()).unwrap();
        let options = Options {
            threads: Some(1),
            word_timestamps: true,
            ..Options::default()
        };
        let mut transcriber = model.transcriber().unwrap();
        let file = self::model("speech/samples/kitchen-light.wav");
        let transcript = transcriber.transcribe_file(file, &options).unwrap();
        (model.device().map(trifold_whisper::Device::id), transcript)
    };
    let (none, expected) = listen("cpu");
    assert_eq!(none, None);
    assert_eq!(expected.text, "Turn on the kitchen light.");
    for device in ["twin:1", "auto"] {
        let (found, transcript) = listen(device);
        let id = if device == "auto" { "twin:0" } else { device };
        assert_eq!(found.as_deref(), Some(id));
        assert_eq!(transcript.text, expected.text, "{device}");
    }
    let path = model("speech/trifold-speech.bin");
    let two = on("twin:0,twin:1", &plugin);
    let error = trifold_whisper::Model::load_on(path, &two, &mut Hooks::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Expected one device for whisper.cpp (found: twin:0,twin:1)"
    );
}

#[test]
fn pictures_are_the_same() {
    let plugin = twin("diffusion");
    let draw = |device: &str| {
        let mut options = ModelOptions::new(model("picture/trifold-picture.gguf"));
        options.threads = 1.try_into().ok();
        options.devices = on(device, &plugin);
        let mut model = trifold_diffusion::Model::load_with(&options).unwrap();
        let mut drawing = Drawing::new("a red circle on a blue background");
        (drawing.width, drawing.height) = (64, 64);
        drawing.sampler = Some(Sampler::Lcm);
        (drawing.steps, drawing.guidance) = (2, 1.0);
        drawing.seed = Seed::Fixed(1);
        let picture = model.generate(&drawing).unwrap().remove(0);
        (
            model.device().map(trifold_diffusion::Device::id),
            picture.rgb8,
        )
    };
    let (none, expected) = draw("cpu");
    assert_eq!(none, None);
    let (found, picture) = draw("twin:1");
    assert_eq!(found.as_deref(), Some("twin:1"));
    // The CPU may have a higher level than the twin, and computes in another order.
    let psnr = psnr(&picture, &expected);
    assert!(psnr > SAME_TO_THE_EYE, "{psnr} dB");
}

#[test]
fn the_program_lists_devices_and_refuses_what_is_not_there() {
    let plugin = twin("llama");
    let plugin = plugin.to_str().unwrap();
    let listed = trifold(["devices", "--backend", plugin]).run();
    assert_eq!(listed.code, Some(0), "{listed}");
    let rows = |name: &str| {
        listed
            .stdout
            .lines()
            .filter(|line| line.trim_start().starts_with(name))
            .count()
    };
    assert!(rows("cpu") == 3 && rows("twin:0") >= 1, "{listed}");
    assert!(listed.stdout.contains("plugin twin 0.1.0"), "{listed}");

    let model = model("story/trifold-story.gguf");
    let generate = |device: &str| {
        trifold([
            "generate",
            PROMPT,
            "--model",
            model.to_str().unwrap(),
            "--max-tokens",
            "8",
            "--temperature",
            "0",
            "--backend",
            plugin,
            "--device",
            device,
        ])
        .run()
    };
    let (cpu, other) = (generate("cpu"), generate("twin:1"));
    assert_eq!(other.code, Some(0), "{other}");
    assert_eq!(cpu.stdout, other.stdout);
    let missing = generate("cuda");
    assert_eq!(missing.code, Some(1), "{missing}");
    let expected = "error: Device not found: cuda:0 (there are: cpu, twin:0, twin:1)";
    assert!(missing.stderr.contains(expected), "{missing}");
    assert_eq!(generate("cuda:x").code, Some(2));
}

#[test]
fn layers_and_shares_reach_the_engine() {
    let plugin = twin("llama");
    let model = model("story/trifold-story.gguf");
    let generate = |options: &[&str]| {
        let mut arguments = vec!["generate", PROMPT, "--model", model.to_str().unwrap()];
        arguments.extend(["--max-tokens", "1", "--backend", plugin.to_str().unwrap()]);
        arguments.extend(["-vv"].iter().chain(options));
        trifold(arguments).run()
    };
    let two = ["--device", "twin:0,twin:1"];
    for (options, expected) in [
        (&["--device", "twin:1"][..], (0, 9)),
        (&["--device", "twin", "--gpu-layers", "3"], (3, 0)),
        (&["--device", "twin", "--gpu-layers", "0"], (0, 0)),
        (&[two[0], two[1], "--tensor-split", "2,1"], (6, 3)),
        (&[two[0], two[1], "--tensor-split", "1,2"], (3, 6)),
    ] {
        let outcome = generate(options);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        // As the engine's log says of each layer; the last one is the output.
        let on = |device: &str| {
            let lines = outcome.stderr.lines();
            lines
                .filter(|line| {
                    line.contains("load_tensors: layer")
                        && line.contains(&format!("assigned to device {device}"))
                })
                .count()
        };
        assert_eq!(
            (on("TWIN0"), on("TWIN1")),
            expected,
            "{options:?}: {outcome}"
        );
    }
    let wrong = generate(&[two[0], two[1], "--tensor-split", "1,2,3"]);
    assert_eq!(wrong.code, Some(1), "{wrong}");
    let words = "Expected a share of each of the 2 devices, 0 or more, and not all 0 for option \
                 tensor_split (found: [1.0, 2.0, 3.0])";
    assert!(wrong.stderr.contains(words), "{wrong}");
    for bad in [["--gpu-layers", "some"], ["--tensor-split", "1,most"]] {
        let wrong = generate(&bad);
        assert_eq!(wrong.code, Some(2), "{wrong}");
        assert!(wrong.stderr.contains(bad[0]), "{wrong}");
    }
}
