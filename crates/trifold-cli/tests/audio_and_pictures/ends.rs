//! Full disks and interrupts.

use fs_err as fs;
use std::path::PathBuf;
use tempfile::TempDir;

use crate::{
    ROUGH, draw, files, folder, path, refused, sample, support, support::snapshot, transcribe, wav,
};

/// The demo models are in the cache, so that only what a command writes meets the full disk.
fn fill_cache() {
    for name in ["demo:speech", "demo:picture"] {
        trifold_hub::resolve_in(
            &trifold_hub::Source::parse(name).unwrap(),
            &support::cache(),
        )
        .unwrap();
    }
}

#[test]
fn full_disks_leave_nothing() {
    fill_cache();
    let here = folder();
    let circle = ["a circle", "-o", "circle.png", "-q"]
        .into_iter()
        .chain(ROUGH);
    snapshot!(draw(circle).folder(&here).with_small_files(), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: Could not write: circle.png
      Caused by: File too large (os error 27)

    hint: write to another disk, or raise the limit on the size of files
    ");
    let old = here.path().join("old.json");
    fs::write(&old, "as it was").unwrap();
    let outcome = transcribe([&*sample("kitchen-light.wav"), "-q", "-o", "old.json"])
        .folder(&here)
        .with_small_files();
    refused(
        &outcome.run(),
        "Could not write: old.json\n  Caused by: File too large",
    );
    assert_eq!(fs::read_to_string(old).unwrap(), "as it was");
    assert_eq!(files(&here), ["old.json"]);
    // Devices are written to as they are, and stay what they are.
    let outcome = transcribe([&*sample("kitchen-light.wav"), "-q", "-o", "/dev/full"]).run();
    refused(
        &outcome,
        "Could not write: /dev/full\n  Caused by: No space left on device",
    );
    let full = || {
        fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
            .into_parts()
            .0
    };
    refused(
        &transcribe([&*sample("kitchen-light.wav")]).run_into(full()),
        "Could not write to standard output",
    );
}

/// Some minutes of speech.
fn long_recording(folder: &TempDir) -> PathBuf {
    let samples = trifold_whisper::audio::load(sample("two-sentences.wav")).unwrap();
    let path = folder.path().join("long.wav");
    fs::write(&path, wav(&samples.repeat(200))).unwrap();
    path
}

#[test]
fn interrupted_while_transcribing() {
    let here = folder();
    let long = long_recording(&here);
    // Segments come while the work goes on.
    let mut running = transcribe([&*path(&long)]).start();
    assert_eq!(
        running.wait_for("\n"),
        "Tell me a story about a hungry duck.\n"
    );
    running.interrupt();
    let outcome = running.finish();
    assert_eq!(
        (outcome.code, &*outcome.stderr),
        (Some(130), ""),
        "{outcome}"
    );

    let mut running = transcribe([&*path(&long), "-o", "long.txt", "-v"])
        .folder(&here)
        .start();
    running.wait_for_stderr("whisper_");
    running.interrupt();
    let outcome = running.finish();
    assert_eq!(outcome.code, Some(130), "{outcome}");
    assert_eq!(files(&here), ["long.wav"]);
}

#[test]
fn interrupted_while_drawing() {
    let here = folder();
    let mut running = draw(["a circle", "--steps", "1000", "-v"])
        .folder(&here)
        .start();
    running.wait_for_stderr("sampling");
    running.interrupt();
    let outcome = running.finish();
    assert_eq!(
        (outcome.code, &*outcome.stdout),
        (Some(130), ""),
        "{outcome}"
    );
    assert_eq!(files(&here), [""; 0]);
}

/// A pipe that nobody writes to.
#[test]
fn interrupted_while_waiting_for_a_prompt() {
    let (reader, writer) = std::io::pipe().unwrap();
    let here = folder();
    let mut running = draw(["-", "-v"]).folder(&here).start_reading(reader);
    running.wait_for_stderr("Reading");
    running.interrupt();
    assert_eq!(running.finish().code, Some(130));
    drop(writer);
}
