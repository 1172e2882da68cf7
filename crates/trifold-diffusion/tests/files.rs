//! Damaged, missing and wrong files: an error or a picture, but never a crash.

mod support;

use std::{error::Error, num::NonZeroUsize, os::unix::fs::FileExt as _, path::Path};

use support::{MODEL, SPEECH, STORY, demo_model, draw, one_thread, tiny};
use trifold_diffusion::{DiffusionError, Model, Part};

/// Loads a file and, if that works, draws with it.
fn try_file(path: &Path) -> Result<(), DiffusionError> {
    let mut model = Model::load_with(&one_thread(path))?;
    let mut options = tiny("a red circle", 1);
    options.steps = 1;
    model.generate(&options)?;
    Ok(())
}

fn messages(error: &DiffusionError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Where the tensors' data begins.
fn header_bytes() -> usize {
    let file = trifold_formats::ModelFile::open(MODEL).unwrap();
    usize::try_from(file.gguf().unwrap().data_offset).unwrap()
}

/// In one process; the program's tests flip a bit at every percent, each in a process of its own.
#[test]
fn a_bit_flipped_here_and_there_in_the_header() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flipped.gguf");
    fs_err::copy(MODEL, &path).unwrap();
    let header = fs_err::read(MODEL).unwrap()[..header_bytes()].to_vec();
    let put = |byte: u8, at: usize| {
        let file = fs_err::OpenOptions::new().write(true).open(&path).unwrap();
        file.file().write_all_at(&[byte], at as u64).unwrap();
    };
    let mut refused = 0;
    for percent in (0..100).step_by(5) {
        let at = header.len() * percent / 100;
        put(header[at] ^ (1 << (percent % 8)), at);
        if let Err(error) = try_file(&path) {
            assert!(
                messages(&error).contains("flipped.gguf"),
                "{}",
                messages(&error)
            );
            refused += 1;
        }
        put(header[at], at);
    }
    assert!(refused > 10, "{refused}");
    try_file(&path).unwrap();
}

#[test]
fn truncated_at_every_percent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.gguf");
    fs_err::copy(MODEL, &path).unwrap();
    let file = fs_err::OpenOptions::new().write(true).open(&path).unwrap();
    let (header, whole) = (header_bytes() as u64, file.metadata().unwrap().len());
    // Of the whole, and then of the header: shorter every time.
    let lengths = (1..100).rev().map(|percent| whole * percent / 100);
    let lengths = lengths.chain((0..100).rev().map(|percent| header * percent / 100));
    assert!(lengths.clone().is_sorted_by(|a, b| a > b));
    for length in lengths {
        file.set_len(length).unwrap();
        let error = try_file(&path).unwrap_err();
        assert!(
            matches!(error, DiffusionError::Format(_)),
            "{}",
            messages(&error)
        );
        assert!(messages(&error).contains("cut.gguf") && error.hint().is_some());
    }
}

#[test]
fn files_that_are_no_picture_models() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.gguf");
    fs_err::write(&empty, "").unwrap();
    let text = folder.path().join("text.safetensors");
    fs_err::write(&text, "once upon a time").unwrap();
    let pickle = folder.path().join("model.ckpt");
    fs_err::write(&pickle, b"\x80\x02}q\x00.").unwrap();
    let missing = folder.path().join("missing.gguf");
    for path in [
        &empty,
        &text,
        &pickle,
        &missing,
        folder.path(),
        Path::new(STORY),
        Path::new(SPEECH),
    ] {
        let error = try_file(path).unwrap_err();
        assert!(
            matches!(error, DiffusionError::Format(_)),
            "{}",
            messages(&error)
        );
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        assert!(error.hint().is_some(), "{error}");
    }
}

#[test]
fn parts_are_checked_too() {
    let mut options = one_thread(MODEL);
    options.parts.insert(Part::Vae, SPEECH.into());
    let error = Model::load_with(&options).unwrap_err();
    assert!(
        matches!(error, DiffusionError::Format(_)) && error.to_string().contains(SPEECH),
        "{error}"
    );

    let mut options = one_thread(MODEL);
    options.parts.insert(Part::TinyVae, STORY.into());
    let error = Model::load_with(&options).unwrap_err();
    assert!(
        matches!(error, DiffusionError::Format(_)) && error.to_string().contains(STORY),
        "{error}"
    );
}

#[test]
fn a_text_model_as_text_encoder_of_the_wrong_size() {
    let mut options = one_thread(MODEL);
    options.parts.insert(Part::Llm, STORY.into());
    // It is a sound file for this part, so the engine decides.
    match Model::load_with(&options) {
        Err(error) => assert!(
            matches!(error, DiffusionError::Load { .. }),
            "{}",
            messages(&error)
        ),
        Ok(mut model) => {
            // An error would do as well; a crash would not.
            let result = model.generate(&tiny("a red circle", 1));
            assert!(
                matches!(result, Ok(_) | Err(DiffusionError::Generate { .. })),
                "{result:?}"
            );
        }
    }
}

/// The engine finds out while it reads weights, on threads of its own.
#[test]
fn a_tensor_of_integers_where_there_should_be_none() {
    const NAME: &str = "model.diffusion_model.cap_pad_token";
    let mut model = fs_err::read(MODEL).unwrap();
    let end = model
        .windows(NAME.len())
        .position(|window| window == NAME.as_bytes())
        .unwrap()
        + NAME.len();
    // One dimension of 256, and the type: f32 becomes i32, which is as large.
    assert_eq!(
        model[end..][..16],
        [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    model[end + 12] = 26;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("integers.gguf");
    fs_err::write(&path, &model).unwrap();
    for threads in [1, 3] {
        let mut options = one_thread(&path);
        options.threads = NonZeroUsize::new(threads);
        let mut model = Model::load_with(&options).unwrap();
        let error = model.generate(&tiny("a red circle", 1)).unwrap_err();
        let text = messages(&error);
        assert!(
            text.contains("integers.gguf") && text.contains("type i32 unsupported"),
            "{text}"
        );
        let error = model.generate(&tiny("a red circle", 1)).unwrap_err();
        assert!(
            matches!(error, DiffusionError::Poisoned { .. }),
            "{}",
            messages(&error)
        );
    }
    draw(&mut demo_model(), &tiny("a red circle", 1));
}

#[test]
fn a_file_that_goes_away_after_loading() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gone.gguf");
    fs_err::copy(MODEL, &path).unwrap();
    let mut model = Model::load_with(&one_thread(&path)).unwrap();
    fs_err::remove_file(&path).unwrap();
    let options = tiny("a red circle", 1);
    let error = model.generate(&options).unwrap_err();
    assert!(
        matches!(error, DiffusionError::Generate { .. }),
        "{}",
        messages(&error)
    );
    // The engine failed one of its checks over it: the model says that it is lost, whatever is asked.
    let error = model.generate(&options).unwrap_err();
    assert!(
        matches!(error, DiffusionError::Poisoned { .. }),
        "{}",
        messages(&error)
    );
    assert_eq!(error.hint().unwrap(), "Load the model again.");
    assert!(matches!(
        model.default_sampler(),
        Err(DiffusionError::Poisoned { .. })
    ));
    drop(model);
    draw(&mut demo_model(), &options);
}
