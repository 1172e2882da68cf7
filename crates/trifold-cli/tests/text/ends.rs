//! Interrupts, pipes and full disks.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use crate::{ENDLESS, chat, embed, generate, support::trifold};

#[test]
fn an_interrupt_stops_the_text_and_keeps_what_was_printed() {
    let mut running = trifold(ENDLESS).start();
    let before = running.wait_for("there");
    running.interrupt();
    let outcome = running.finish();
    assert_eq!(outcome.code, Some(130), "{outcome}");
    assert!(
        outcome.stdout.ends_with('\n') && !before.is_empty(),
        "{outcome}"
    );
    assert!(outcome.stderr.contains("stopped"), "{outcome}");
}

#[test]
fn an_interrupt_ends_a_chat_that_waits() {
    let mut running = chat(&[]).start_reading(Stdio::piped());
    running.send("My name is Tom.\n");
    running.wait_for("Tom!\n");
    running.interrupt();
    assert_eq!(running.finish().code, Some(130));
}

#[test]
fn an_interrupt_ends_the_work_on_many_texts() {
    let lines = "Once upon a time there lived a little dog.\n".repeat(20_000);
    let mut running = embed(&[]).stdin(lines).start();
    running.wait_for("\n");
    running.interrupt();
    let outcome = running.finish();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(130), ""));
}

#[test]
fn nothing_is_wrong_when_the_reader_has_enough() {
    let mut running = trifold(ENDLESS).start();
    running.wait_for("there");
    running.close_stdout();
    let outcome = running.finish();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_full_disk_is_an_error() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let outcome = generate(&["Once"]).run_into(full());
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome
            .stderr
            .contains("error: Could not write to standard output"),
        "{outcome}"
    );
    assert!(
        outcome.stderr.contains("No space left on device"),
        "{outcome}"
    );
    assert_eq!(embed(&["Once"]).run_into(full()).code, Some(1));
}

#[test]
fn nothing_is_left_in_the_working_folder() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = generate(&["-q", "-n3", "Once"]).folder(folder.path()).run();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(count(folder.path()), 0);
}

fn count(folder: &Path) -> usize {
    fs_err::read_dir(folder).unwrap().count()
}
