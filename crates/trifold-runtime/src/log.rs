//! What engines say: to `tracing`, line by line, and on demand into an error message.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

/// Lines kept of one call; the last ones say why it failed.
const KEPT_LINES: usize = 8;

/// The level that continues the line before it.
const MORE: i32 = 5;

thread_local! {
    static PENDING: RefCell<Option<(i32, String)>> = const { RefCell::new(None) };
    static KEPT: RefCell<Option<VecDeque<String>>> = const { RefCell::new(None) };
    static FAILURE_EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `call` and keeps the warnings and errors that the engine logs on this thread meanwhile.
///
/// Engines often return null and say why in the log only. Returns the last lines, oldest first.
pub fn keeping<R>(call: impl FnOnce() -> R) -> (R, Vec<String>) {
    let outer = KEPT.replace(Some(VecDeque::new()));
    let expected = FAILURE_EXPECTED.replace(false);
    let result = call();
    flush();
    FAILURE_EXPECTED.set(expected);
    let lines = KEPT.replace(outer).unwrap_or_default();
    (result, lines.into())
}

/// Says that the engine is made to fail, for instance because its call was cancelled: until the end of
/// [`keeping`], what it says on this thread is for the debug level only, and not kept. Elsewhere it does
/// nothing.
pub fn expect_failure() {
    FAILURE_EXPECTED.set(KEPT.with_borrow(Option::is_some));
}

/// Takes a piece of text; whole lines are passed on.
///
/// Lines are emitted after the borrow has ended: a subscriber may call an engine itself. On a thread
/// whose locals are gone, each piece counts as a line.
pub(crate) fn receive(engine: &'static str, level: i32, text: &str) {
    let lines = PENDING.try_with(|pending| lines(&mut pending.borrow_mut(), level, text));
    for (level, line) in lines.unwrap_or_else(|_| vec![(level, text.to_owned())]) {
        emit(engine, level, &line);
    }
}

/// The lines that `text` completes, with their levels; the rest stays in `pending`.
fn lines(pending: &mut Option<(i32, String)>, level: i32, text: &str) -> Vec<(i32, String)> {
    let mut lines = Vec::new();
    let (mut level, mut rest) = match pending.take() {
        Some((first, start)) if level == MORE => (first, start + text),
        Some(before) => {
            lines.push(before);
            (level, text.to_owned())
        }
        None => (level, text.to_owned()),
    };
    if level == MORE {
        level = 2;
    }
    while let Some(end) = rest.find('\n') {
        lines.push((level, rest[..end].to_owned()));
        rest.drain(..=end);
    }
    if !rest.is_empty() {
        *pending = Some((level, rest));
    }
    lines
}

fn flush() {
    if let Some((level, text)) = PENDING.take() {
        emit("engine", level, &text);
    }
}

fn emit(engine: &'static str, level: i32, line: &str) {
    let line = line.trim_end_matches(['\r', ' ']);
    // Loaders draw dots to show progress.
    if line.trim_matches('.').is_empty() {
        return;
    }
    let expected = FAILURE_EXPECTED.try_with(Cell::get).unwrap_or(false);
    let level = if expected { level.min(2) } else { level };
    if level >= 3 {
        // No thread-local: nobody waits for the lines either.
        let _ = KEPT.try_with(|kept| {
            if let Some(lines) = kept.borrow_mut().as_mut() {
                if lines.len() == KEPT_LINES {
                    lines.pop_front();
                }
                lines.push_back(line.to_owned());
            }
        });
    }
    match level {
        4 => tracing::error!(target: "trifold::engine", engine, "{line}"),
        3 => tracing::warn!(target: "trifold::engine", engine, "{line}"),
        2 => tracing::debug!(target: "trifold::engine", engine, "{line}"),
        _ => tracing::trace!(target: "trifold::engine", engine, "{line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{expect_failure, keeping, receive};

    #[test]
    fn lines_are_put_together_from_pieces() {
        let ((), lines) = keeping(|| {
            receive("test", 4, "could not ");
            receive("test", 5, "read\nsecond");
            receive("test", 5, " line\n");
            receive("test", 2, "not an error\n");
            receive("test", 3, "....");
            receive("test", 4, "no newline");
        });
        assert_eq!(lines, ["could not read", "second line", "no newline"]);
    }

    #[test]
    fn what_was_expected_is_not_kept() {
        let ((), lines) = keeping(|| {
            receive("test", 4, "a real error\n");
            let ((), inner) = keeping(|| {
                expect_failure();
                receive("test", 4, "failed to go on\n");
            });
            assert!(inner.is_empty());
            receive("test", 3, "another\n");
        });
        assert_eq!(lines, ["a real error", "another"]);
    }

    #[test]
    fn only_the_last_lines_are_kept_and_only_inside() {
        receive("test", 4, "before\n");
        let ((), lines) = keeping(|| (0..20).for_each(|n| receive("test", 4, &format!("{n}\n"))));
        assert_eq!(lines, ["12", "13", "14", "15", "16", "17", "18", "19"]);
    }
}
