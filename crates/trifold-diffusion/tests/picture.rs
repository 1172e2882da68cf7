//! Pictures as files.

mod support;

use std::{path::Path, process::Command};

use support::{demo_model, draw, quick};
use trifold_diffusion::{DiffusionError, Picture, read_png};

fn picture(prompt: &str) -> Picture {
    let mut options = quick(prompt, 12);
    options.negative_prompt = "rain, \"snow\"".into();
    options.clip_skip = Some(2);
    draw(&mut demo_model(), &options)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_file_gives_back_the_picture_and_its_parameters() {
    let folder = tempfile::tempdir().unwrap();
    for prompt in [
        "a red circle\non a hill, (big:1.2)",
        "ein großer Bär",
        "円 🎈",
        "",
    ] {
        let picture = picture(prompt);
        let path = folder.path().join("picture.png");
        picture.save_png(&path).unwrap();
        assert!(fs_err::read(&path).unwrap() == picture.png().unwrap());

        let stored = read_png(&path).unwrap();
        assert_eq!((stored.width, stored.height), (128, 128));
        assert!(stored.rgb8 == picture.rgb8);
        let parameters = stored.parameters.unwrap();
        assert_eq!(parameters, picture.parameters);
        assert_eq!(parameters.prompt, prompt);
        assert_eq!(parameters.negative_prompt, "rain, \"snow\"");
        let expected = [
            ("Steps", "2"),
            ("Sampler", "lcm"),
            ("Schedule type", "lcm"),
            ("CFG scale", "1"),
            ("Seed", "12"),
            ("Size", "128x128"),
            ("Model", "trifold-picture"),
            ("Clip skip", "2"),
            ("Version", concat!("trifold ", env!("CARGO_PKG_VERSION"))),
        ];
        assert_eq!(
            parameters.settings,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(
            names(folder.path()),
            ["picture.png"],
            "nothing else is left"
        );
    }
}

#[test]
fn the_parameters_lie_where_other_tools_look() {
    let png = picture("a cat").png().unwrap();
    let chunk = b"tEXtparameters\0a cat\nNegative prompt: rain, \"snow\"\nSteps: 2, Sampler: lcm, ";
    assert!(png.windows(chunk.len()).any(|window| window == chunk));
}

#[test]
fn places_that_cannot_be_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let picture = picture("a cat");
    let missing = folder.path().join("no/such/folder/picture.png");
    let file = folder.path().join("file");
    fs_err::write(&file, "").unwrap();
    let under_file = file.join("picture.png");
    for path in [missing.as_path(), under_file.as_path(), folder.path()] {
        let error = picture.save_png(path).unwrap_err();
        assert!(matches!(error, DiffusionError::Save { .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            format!("Failed to write picture: {}", path.display())
        );
    }
    assert_eq!(names(folder.path()), ["file"], "nothing else is left");
}

/// The file is larger than this process may write, as on a full disk.
#[test]
fn a_file_that_does_not_fit_leaves_what_was_there() {
    const FOLDER: &str = "TRIFOLD_TEST_FOLDER";
    if let Some(folder) = std::env::var_os(FOLDER) {
        let error = picture("a cat")
            .save_png(Path::new(&folder).join("picture.png"))
            .unwrap_err();
        assert!(matches!(error, DiffusionError::Save { .. }), "{error:?}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.png");
    fs_err::write(&path, "what was there").unwrap();
    // The limit is in blocks of 512 or 1024 bytes; a picture takes more than one of either.
    // Its output goes through pipes, which have no such limit.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "a_file_that_does_not_fit_leaves_what_was_there",
            "--nocapture",
        ])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert_eq!(fs_err::read_to_string(&path).unwrap(), "what was there");
    assert_eq!(
        names(folder.path()),
        ["picture.png"],
        "nothing else is left"
    );
}

#[test]
fn any_colour_type_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.png");
    let cases: [(png::ColorType, png::BitDepth, &[u8], [u8; 6]); 5] = [
        (
            png::ColorType::Rgb,
            png::BitDepth::Eight,
            &[1, 2, 3, 4, 5, 6],
            [1, 2, 3, 4, 5, 6],
        ),
        (
            png::ColorType::Rgba,
            png::BitDepth::Eight,
            &[1, 2, 3, 0, 4, 5, 6, 9],
            [1, 2, 3, 4, 5, 6],
        ),
        (
            png::ColorType::Grayscale,
            png::BitDepth::Sixteen,
            &[7, 0, 8, 0],
            [7, 7, 7, 8, 8, 8],
        ),
        (
            png::ColorType::Grayscale,
            png::BitDepth::One,
            &[0b1000_0000],
            [255, 255, 255, 0, 0, 0],
        ),
        (
            png::ColorType::GrayscaleAlpha,
            png::BitDepth::Eight,
            &[7, 1, 8, 2],
            [7, 7, 7, 8, 8, 8],
        ),
    ];
    for (color, depth, data, expected) in cases {
        let mut encoder = png::Encoder::new(fs_err::File::create(&path).unwrap(), 2, 1);
        encoder.set_color(color);
        encoder.set_depth(depth);
        encoder
            .write_header()
            .unwrap()
            .write_image_data(data)
            .unwrap();
        let stored = read_png(&path).unwrap();
        assert_eq!(
            (stored.rgb8.as_slice(), stored.parameters),
            (expected.as_slice(), None),
            "{color:?}"
        );
    }
}

#[test]
fn files_that_are_no_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let png = picture("a cat").png().unwrap();
    let path = folder.path().join("cut.png");
    for length in [0, 1, 8, 20, 40, png.len() / 2, png.len() - 13] {
        fs_err::write(&path, &png[..length]).unwrap();
        let error = read_png(&path).unwrap_err();
        assert!(
            matches!(error, DiffusionError::Read { .. }),
            "{length} bytes: {error:?}"
        );
        assert_eq!(
            error.to_string(),
            format!("Failed to read picture: {}", path.display())
        );
    }
    assert!(matches!(
        read_png(folder.path()),
        Err(DiffusionError::Read { .. })
    ));
    assert!(matches!(
        read_png("no/such.png"),
        Err(DiffusionError::Read { .. })
    ));
}

#[test]
fn pixels_by_place() {
    let mut picture = picture("a cat");
    assert_eq!(
        picture.pixel(3, 2).unwrap(),
        picture.rgb8[(2 * 128 + 3) * 3..][..3]
    );
    assert_eq!(
        (
            picture.pixel(128, 0),
            picture.pixel(0, 128),
            picture.pixel(0, u32::MAX)
        ),
        (None, None, None)
    );
    picture.rgb8.clear();
    assert_eq!(picture.pixel(0, 0), None);
    assert!(matches!(picture.png(), Err(DiffusionError::Encode(_))));
}
