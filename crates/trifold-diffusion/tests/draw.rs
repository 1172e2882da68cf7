//! What is drawn, and that it can be drawn again.

mod support;

use support::{
    MODEL, demo_model, draw, good, is_blue, is_red, is_yellow, mean, one_thread, quick, steps, tiny,
};
use trifold_diffusion::{
    CancelToken, InitPicture, Model, ModelOptions, Part, Picture, Sampler, Scheduler, Seed,
};

#[test]
fn colours_and_places_are_those_of_the_prompt() {
    let mut model = demo_model();
    let circle = draw(&mut model, &good("a red circle on a blue background", 1));
    assert_eq!(
        (circle.width, circle.height, circle.rgb8.len()),
        (128, 128, 128 * 128 * 3)
    );
    assert!(is_red(mean(&circle, 64, 64)), "{:?}", mean(&circle, 64, 64));
    for (x, y) in [(8, 8), (120, 8), (8, 120), (120, 120)] {
        assert!(
            is_blue(mean(&circle, x, y)),
            "{:?} at {x},{y}",
            mean(&circle, x, y)
        );
    }

    let other = draw(&mut model, &good("a blue square on a yellow background", 1));
    assert!(is_blue(mean(&other, 64, 64)), "{:?}", mean(&other, 64, 64));
    assert!(is_yellow(mean(&other, 8, 8)), "{:?}", mean(&other, 8, 8));
}

#[test]
fn a_seed_gives_its_picture_again_and_others_give_others() {
    let mut model = demo_model();
    let options = tiny("a cat", 42);
    let first = draw(&mut model, &options);
    assert_eq!(first.seed, 42);
    assert!(first == draw(&mut model, &options), "the same model");
    assert!(first == draw(&mut demo_model(), &options), "another model");
    assert!(
        first.rgb8 != draw(&mut model, &tiny("a cat", 43)).rgb8,
        "another seed"
    );
    assert!(
        first.rgb8 != draw(&mut model, &tiny("a dog", 42)).rgb8,
        "another prompt"
    );
}

#[test]
fn a_random_seed_is_told_and_is_another_every_time() {
    let mut model = demo_model();
    let mut options = tiny("a house", 0);
    options.seed = Seed::Random;
    let first = draw(&mut model, &options);
    assert_ne!(first.seed, draw(&mut model, &options).seed);
    assert!(first.seed < 1 << 32);
    assert_eq!(first.parameters.seed(), Some(first.seed));
    options.seed = Seed::Fixed(first.seed);
    assert!(first == draw(&mut model, &options));
}

#[test]
fn a_batch_is_what_its_seeds_give_alone() {
    let mut model = demo_model();
    let mut options = tiny("a fish in the sea", 10);
    options.batch = 3;
    let batch = model.generate(&options).unwrap();
    assert_eq!(batch.len(), 3);
    for (picture, seed) in batch.iter().zip(10..) {
        assert!(
            *picture == draw(&mut model, &tiny("a fish in the sea", seed)),
            "seed {seed}"
        );
    }
}

/// Numbers that are none come out as one flat colour.
fn is_flat(picture: &Picture) -> bool {
    let first = picture.pixel(0, 0).unwrap();
    let others = picture
        .rgb8
        .as_chunks()
        .0
        .iter()
        .filter(|pixel: &&[u8; 3]| **pixel != first);
    others.count() < 500
}

#[test]
fn every_sampler_draws_and_reports_each_step_once() {
    let mut model = demo_model();
    let mut options = tiny("a red circle on a blue background", 3);
    for sampler in Sampler::ALL {
        options.sampler = Some(*sampler);
        for (count, expected) in [
            (1, vec![(1, 1, 1)]),
            (3, vec![(1, 1, 3), (1, 2, 3), (1, 3, 3)]),
        ] {
            options.steps = count;
            let mut progress = Vec::new();
            let pictures = model
                .generate_with(&options, &CancelToken::new(), |event| progress.push(event))
                .unwrap();
            assert_eq!(steps(&progress), expected, "{sampler}");
            assert!(!is_flat(&pictures[0]), "{sampler}, {count} steps");
            assert_eq!(pictures[0].parameters.get("Sampler"), Some(sampler.name()));
        }
    }
}

#[test]
fn every_scheduler_draws() {
    let mut model = demo_model();
    let mut options = tiny("a red circle on a blue background", 3);
    for scheduler in Scheduler::ALL
        .iter()
        .filter(|scheduler| **scheduler != Scheduler::Ays)
    {
        options.scheduler = Some(*scheduler);
        // This one has a table of up to 20 steps.
        let many = if *scheduler == Scheduler::Gits { 21 } else { 4 };
        for steps in [scheduler.min_steps(), many] {
            options.steps = steps;
            let picture = draw(&mut model, &options);
            assert!(!is_flat(&picture), "{scheduler}, {steps} steps");
            assert_eq!(
                picture.parameters.get("Schedule type"),
                Some(scheduler.name())
            );
        }
    }
}

#[test]
fn the_options_matter() {
    let mut model = demo_model();
    let plain = tiny("a tree", 5);
    let picture = draw(&mut model, &plain).rgb8;
    let mut guided = plain.clone();
    guided.guidance = 4.0;
    let guided_picture = draw(&mut model, &guided).rgb8;
    assert!(guided_picture != picture, "guidance");
    let mut negative = guided.clone();
    negative.negative_prompt = "green".into();
    assert!(
        draw(&mut model, &negative).rgb8 != guided_picture,
        "negative prompt"
    );
    let mut sampler = plain.clone();
    sampler.sampler = Some(Sampler::EulerA);
    assert!(draw(&mut model, &sampler).rgb8 != picture, "sampler");
    let mut steps = plain.clone();
    steps.steps = 3;
    assert!(draw(&mut model, &steps).rgb8 != picture, "steps");
    let mut scheduler = plain;
    scheduler.scheduler = Some(Scheduler::Karras);
    assert!(draw(&mut model, &scheduler).rgb8 != picture, "scheduler");
}

#[test]
fn an_initial_picture_is_kept_as_far_as_its_strength_says() {
    let mut model = demo_model();
    let start = draw(&mut model, &good("a red circle on a blue background", 1));
    let difference = |rgb8: &[u8]| -> u64 {
        rgb8.iter()
            .zip(&start.rgb8)
            .map(|(a, b)| u64::from(a.abs_diff(*b)))
            .sum()
    };
    let mut options = good("a yellow circle on a blue background", 2);
    let differences = [0.1, 0.7, 1.0].map(|strength| {
        options.init = Some(InitPicture::from_picture(&start, strength));
        difference(&draw(&mut model, &options).rgb8)
    });
    assert!(differences.is_sorted(), "{differences:?}");
    // Nearly the same picture, through the autoencoder: less than 12 of 255 on average.
    assert!(
        differences[0] < 12 * start.rgb8.len() as u64,
        "{differences:?}"
    );

    // Any size is scaled.
    options.init = Some(InitPicture::new(3, 2, vec![200; 18], 0.5));
    assert_eq!(draw(&mut model, &options).width, 128);
}

#[test]
fn other_sizes_come_out_as_asked() {
    let mut model = demo_model();
    assert_eq!(model.size_step(), 8);
    for (width, height) in [(64, 64), (72, 200), (256, 128)] {
        let mut options = quick("a red circle", 1);
        (options.width, options.height) = (width, height);
        let picture = draw(&mut model, &options);
        assert_eq!((picture.width, picture.height), (width, height));
    }
}

#[test]
fn ways_to_load_and_to_compute_give_the_same_picture() {
    let mut options = tiny("a boat on the sea", 8);
    options.steps = 1;
    let expected = draw(&mut demo_model(), &options);

    let mut mapped = one_thread(MODEL);
    mapped.mmap = true;
    assert!(
        draw(&mut Model::load_with(&mapped).unwrap(), &options) == expected,
        "mmap"
    );

    let mut named = one_thread(MODEL);
    named.parts.insert(Part::TinyVae, MODEL.into());
    assert!(
        draw(&mut Model::load_with(&named).unwrap(), &options) == expected,
        "named autoencoder"
    );

    let default = ModelOptions::new(MODEL);
    assert!(
        draw(&mut Model::load_with(&default).unwrap(), &options) == expected,
        "default threads"
    );

    let mut flash = one_thread(MODEL);
    flash.flash_attention = true;
    let flash = draw(&mut Model::load_with(&flash).unwrap(), &options);
    let difference: u64 = flash
        .rgb8
        .iter()
        .zip(&expected.rgb8)
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    assert!(
        difference < 4 * expected.rgb8.len() as u64,
        "flash attention: {difference}"
    );
}

#[test]
fn models_on_threads_draw_what_they_draw_alone() {
    let prompts = ["a red circle on a blue background", "a house on a hill"];
    let options = prompts.map(|prompt| {
        let mut options = good(prompt, 4);
        options.steps = 3;
        options
    });
    let alone = options
        .each_ref()
        .map(|options| draw(&mut demo_model(), options));
    std::thread::scope(|scope| {
        for (options, alone) in options.iter().zip(&alone) {
            scope.spawn(move || {
                // Loading, too, at the same time.
                let mut model = demo_model();
                for _ in 0..2 {
                    assert!(draw(&mut model, options) == *alone);
                }
            });
        }
    });
}

#[test]
fn a_model_moves_between_threads() {
    let options = tiny("a star", 6);
    let mut model = demo_model();
    let here = draw(&mut model, &options);
    let there =
        std::thread::scope(|scope| scope.spawn(|| draw(&mut model, &options)).join().unwrap());
    assert!(here == there);
    std::thread::spawn(move || drop(model)).join().unwrap();
}

#[test]
fn prompts_of_all_kinds_are_drawn() {
    let mut model = demo_model();
    let long = "a red circle, ".repeat(4096 / 14);
    let word = "x".repeat(4096);
    let brackets = "(".repeat(4096);
    let prompts = [
        "",
        " ",
        "\n\t",
        "(((",
        ")))",
        "[[]]",
        "(a:1.5)",
        "(a:-)",
        "(a:1e999)",
        "a \\( b",
        "BREAK",
        "B",
        "ünïcödé 円 🎈",
        "<|im_end|>",
        "<lora:x:1>",
        &long,
        &word,
        &brackets,
    ];
    for prompt in prompts {
        let mut options = tiny(prompt, 1);
        (options.steps, options.guidance) = (1, 2.0);
        options.negative_prompt = prompt.into();
        draw(&mut model, &options);
    }
}
