//! Progress, and how drawing is stopped.

mod support;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    time::Duration,
};

use support::{demo_model, draw, good, steps, tiny};
use trifold_diffusion::{CancelToken, DiffusionError, InitPicture, Progress};

#[test]
fn steps_are_reported_once_each_and_weights_on_the_first_call() {
    let mut model = demo_model();
    let mut options = tiny("a cat", 1);
    (options.batch, options.steps) = (2, 3);
    let mut progress = Vec::new();
    model
        .generate_with(&options, &CancelToken::new(), |event| progress.push(event))
        .unwrap();
    let expected = [
        (1, 1, 3),
        (1, 2, 3),
        (1, 3, 3),
        (2, 1, 3),
        (2, 2, 3),
        (2, 3, 3),
    ];
    assert_eq!(steps(&progress), expected);
    let total: u32 = progress
        .iter()
        .map(|progress| match *progress {
            Progress::Weights { done, total } if done == total => total,
            Progress::Step { pictures, time, .. } => {
                assert!(
                    pictures == 2 && time < Duration::from_secs(60),
                    "{progress:?}"
                );
                0
            }
            _ => 0,
        })
        .sum();
    assert!(
        total > 150,
        "weights of all parts but the encoder of pictures: {total}"
    );
}

#[test]
fn an_initial_picture_leaves_fewer_steps() {
    let mut model = demo_model();
    let mut options = tiny("a cat", 1);
    options.steps = 10;
    options.init = Some(InitPicture::new(1, 1, vec![255, 0, 0], 0.5));
    let mut progress = Vec::new();
    model
        .generate_with(&options, &CancelToken::new(), |event| progress.push(event))
        .unwrap();
    let steps = steps(&progress);
    let count = u32::try_from(steps.len()).unwrap();
    assert!((4..=7).contains(&count), "{steps:?}");
    assert_eq!(steps.last(), Some(&(1, count, count)));
}

#[test]
fn cancelled_before_it_starts() {
    let cancel = CancelToken::new();
    cancel.cancel();
    let mut called = false;
    let result = demo_model().generate_with(&tiny("a cat", 1), &cancel, |_| called = true);
    assert!(matches!(result, Err(DiffusionError::Cancelled)) && !called);
}

#[test]
fn cancelled_at_any_point_the_model_can_be_used_again() {
    let options = tiny("a red circle", 9);
    let mut events = 0;
    let all = demo_model()
        .generate_with(&options, &CancelToken::new(), |_| events += 1)
        .unwrap();
    let mut cancelled = 0;
    // From the text encoder's weights to the last step.
    for at in 0..events {
        let mut model = demo_model();
        let cancel = CancelToken::new();
        let mut seen = 0;
        let result = model.generate_with(&options, &cancel, |_| {
            if seen == at {
                cancel.cancel();
            }
            seen += 1;
        });
        match result {
            Err(DiffusionError::Cancelled) => cancelled += 1,
            // It came too late.
            Ok(pictures) => assert!(pictures == all),
            Err(error) => panic!("{error}"),
        }
        assert!(draw(&mut model, &options) == all[0], "after a stop at {at}");
    }
    // How many come in time depends on the machine; the first one does, there is all to be read yet.
    assert!(cancelled > 0, "none of {events}");
}

#[test]
fn cancelled_while_the_first_weights_are_read() {
    let cancel = CancelToken::new();
    let mut model = demo_model();
    let result = model.generate_with(&tiny("a red circle", 9), &cancel, |progress| {
        if !cancel.is_cancelled() {
            assert!(matches!(progress, Progress::Weights { .. }), "{progress:?}");
            cancel.cancel();
        }
    });
    // The text encoder comes first: the engine asserts that it gave something.
    assert!(
        matches!(result, Err(DiffusionError::Cancelled)),
        "{result:?}"
    );
    draw(&mut model, &tiny("a red circle", 9));
}

#[test]
fn cancelled_from_another_thread_in_the_middle_of_a_step() {
    let mut model = demo_model();
    let cancel = CancelToken::new();
    let mut options = good("a red circle", 9);
    // A minute and more.
    options.steps = 1000;
    let (started, wait) = mpsc::channel();
    let last = std::thread::scope(|scope| {
        let cancel = &cancel;
        scope.spawn(move || {
            wait.recv().unwrap();
            cancel.cancel();
        });
        let mut last = 0;
        let result = model.generate_with(&options, cancel, |progress| {
            if let Progress::Step { step, .. } = progress {
                last = step;
                if step == 2 {
                    started.send(()).unwrap();
                }
            }
        });
        assert!(
            matches!(result, Err(DiffusionError::Cancelled)),
            "{result:?}"
        );
        last
    });
    assert!(last < 500, "stopped after {last} steps");
    draw(&mut model, &tiny("a red circle", 9));
}

#[test]
fn other_models_are_not_stopped() {
    let options = good("a red circle", 9);
    let expected = draw(&mut demo_model(), &options);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut model = demo_model();
            for _ in 0..5 {
                let cancel = CancelToken::new();
                let result = model.generate_with(&good("a cat", 1), &cancel, |_| cancel.cancel());
                assert!(matches!(result, Err(DiffusionError::Cancelled)));
            }
        });
        scope.spawn(|| assert!(draw(&mut demo_model(), &options) == expected));
    });
}

#[test]
fn a_panic_in_the_callback_stops_the_call_and_goes_on_after_it() {
    let mut model = demo_model();
    let options = tiny("a red circle", 9);
    let expected = draw(&mut model, &options);
    let result = catch_unwind(AssertUnwindSafe(|| {
        model.generate_with(&options, &CancelToken::new(), |progress| {
            if let Progress::Step { step, .. } = progress {
                panic!("at step {step}");
            }
        })
    }));
    let payload = result.unwrap_err();
    assert_eq!(payload.downcast_ref::<String>().unwrap(), "at step 1");
    assert!(draw(&mut model, &options) == expected);
}
