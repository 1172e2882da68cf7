//! Options that cannot be served are errors that name them, before the engine is asked.

mod support;

use std::num::NonZeroUsize;

use support::{demo_model, draw, good, quick};
use trifold_diffusion::{
    DiffusionError, GenerateOptions, InitPicture, Model, ModelOptions, Scheduler, Seed,
};

/// The message for a change to good options, which must not cost the model.
fn refused(model: &mut Model, change: impl FnOnce(&mut GenerateOptions)) -> String {
    let mut options = good("a red circle", 1);
    change(&mut options);
    let error = model.generate(&options).unwrap_err();
    assert!(matches!(error, DiffusionError::Option { .. }), "{error:?}");
    error.to_string()
}

/// Makes an option invalid.
type Spoil = fn(&mut GenerateOptions);

#[test]
fn values_out_of_range() {
    let model = &mut demo_model();
    let cases: [(&str, Spoil); 21] = [
        ("width: 0 (expected 64 to 8192)", |o| o.width = 0),
        ("width: 100000 (expected 64 to 8192)", |o| o.width = 100_000),
        (
            "width: 100 (expected a multiple of 8 for this model)",
            |o| o.width = 100,
        ),
        ("height: 0 (expected 64 to 8192)", |o| o.height = 0),
        ("height: 4294967295 (expected 64 to 8192)", |o| {
            o.height = u32::MAX;
        }),
        ("steps: 0 (expected 1 to 1000)", |o| o.steps = 0),
        ("steps: 1001 (expected 1 to 1000)", |o| o.steps = 1001),
        ("guidance: -1 (expected 0 to 100)", |o| o.guidance = -1.0),
        ("guidance: NaN (expected 0 to 100)", |o| {
            o.guidance = f32::NAN;
        }),
        ("guidance: inf (expected 0 to 100)", |o| {
            o.guidance = f32::INFINITY;
        }),
        ("batch: 0 (expected 1 to 64)", |o| o.batch = 0),
        ("batch: 65 (expected 1 to 64)", |o| o.batch = 65),
        ("clip skip: 0 (expected 1 to 11)", |o| o.clip_skip = Some(0)),
        (
            "seed: 18446744073709551615 (expected at most 9223372036854775807 for 1 pictures)",
            |o| o.seed = Seed::Fixed(u64::MAX),
        ),
        (
            "seed: 9223372036854775807 (expected at most 9223372036854775806 for 2 pictures)",
            |o| (o.seed, o.batch) = (Seed::Fixed(Seed::MAX), 2),
        ),
        (
            "prompt: 10000000 bytes (expected at most 4096 bytes)",
            |o| o.prompt = "a ".repeat(5_000_000),
        ),
        (
            "negative prompt: 4097 bytes (expected at most 4096 bytes)",
            |o| o.negative_prompt = "b".repeat(4097),
        ),
        ("prompt: a NUL at byte 1 (expected text without NUL)", |o| {
            o.prompt = "a\0b".into();
        }),
        ("strength: 0 (expected more than 0, at most 1)", |o| {
            o.init = Some(InitPicture::new(1, 1, vec![0; 3], 0.0));
        }),
        (
            "width of the initial picture: 0 (expected 1 to 8192)",
            |o| o.init = Some(InitPicture::new(0, 1, vec![], 0.5)),
        ),
        (
            "data of the initial picture: 5 bytes (expected 12 bytes for 2x2)",
            |o| o.init = Some(InitPicture::new(2, 2, vec![0; 5], 0.5)),
        ),
    ];
    for (expected, change) in cases {
        assert_eq!(refused(model, change), format!("Invalid option {expected}"));
    }
    draw(model, &quick("a red circle", 1));
}

#[test]
fn schedulers_that_this_model_or_so_few_steps_cannot_use() {
    let model = &mut demo_model();
    assert_eq!(
        refused(model, |o| o.scheduler = Some(Scheduler::Ays)),
        "Invalid option scheduler: ays (expected another for this model: this one is for SD 1 and XL)"
    );
    for scheduler in [Scheduler::Karras, Scheduler::Exponential, Scheduler::Gits] {
        assert_eq!(
            refused(model, |o| (o.scheduler, o.steps) = (Some(scheduler), 1)),
            format!("Invalid option steps: 1 (expected at least 2 for the scheduler {scheduler})")
        );
    }
}

#[test]
fn more_threads_than_the_engine_can_start() {
    let mut options = ModelOptions::default();
    options.threads = NonZeroUsize::new(513);
    let error = Model::load_with(&options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Invalid option threads: 513 (expected 1 to 512)"
    );
}

#[test]
fn no_model_at_all() {
    let error = Model::load_with(&ModelOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "Expected a model file (found: none)");
    assert!(error.hint().is_some());
}

/// They run on the plugin that `TRIFOLD_BACKEND_PATH` names, if it names one, and else on the CPU.
#[test]
fn the_tests_run_where_they_are_told_to() {
    let model = demo_model();
    let used = model
        .device()
        .and_then(|device| Some(device.plugin.as_ref()?.path.clone()));
    let Some(named) = std::env::var_os("TRIFOLD_BACKEND_PATH") else {
        assert_eq!(used, None);
        return;
    };
    let used = used.expect("a device of the plugin that is named");
    let mut named = std::env::split_paths(&named).map(|path| fs_err::canonicalize(path).unwrap());
    assert!(
        named.any(|path| used.starts_with(path)),
        "{}",
        used.display()
    );
}
