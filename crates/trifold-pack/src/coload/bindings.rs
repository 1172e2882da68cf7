//! Reads what glibc's loader says with `LD_DEBUG=bindings`: which file took which symbol from which
//! other file.
//!
//! The log of a large package has a hundred megabytes: it is read line by line, and nothing of it is
//! kept here.

use std::io::{self, BufRead};

/// Longer lines are passed over. Mangled C++ names have a few kilobytes at most.
const LONGEST_LINE: usize = 64 * 1024;

/// A line of the log that says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A reference was resolved.
    Binding {
        /// The file that needs the symbol.
        source: &'a [u8],
        /// The file that has it.
        target: &'a [u8],
        symbol: &'a [u8],
        /// Empty if the reference has none.
        version: &'a [u8],
    },
    /// The constructors of a file are about to run.
    Constructors(&'a [u8]),
}

/// Gives each line of the log that says something to `each`; returns how many were too long.
pub(super) fn read(mut log: impl BufRead, mut each: impl FnMut(Line<'_>)) -> io::Result<usize> {
    let mut line = Vec::new();
    let mut too_long = 0;
    loop {
        line.clear();
        match next_line(&mut log, &mut line)? {
            Next::End => return Ok(too_long),
            Next::TooLong => too_long += 1,
            Next::Line => {
                if let Some(line) = parse(&line) {
                    each(line);
                }
            }
        }
    }
}

enum Next {
    Line,
    TooLong,
    End,
}

fn next_line(log: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Next> {
    let mut any = false;
    let mut too_long = false;
    loop {
        let block = log.fill_buf()?;
        if block.is_empty() {
            break;
        }
        any = true;
        let end = block.iter().position(|&byte| byte == b'\n');
        let part = &block[..end.unwrap_or(block.len())];
        if line.len() + part.len() > LONGEST_LINE {
            too_long = true;
        } else if !too_long {
            line.extend_from_slice(part);
        }
        let used = end.map_or(block.len(), |end| end + 1);
        log.consume(used);
        if end.is_some() {
            break;
        }
    }
    Ok(match (any, too_long) {
        (false, _) => Next::End,
        (true, true) => Next::TooLong,
        (true, false) => Next::Line,
    })
}

/// `PID:<tab>binding file SOURCE [NAMESPACE] to TARGET [NAMESPACE]: normal symbol `SYMBOL' [VERSION]`,
/// or `PID:<tab>calling init: FILE`.
pub(super) fn parse(line: &[u8]) -> Option<Line<'_>> {
    let (pid, message) = split(line, b":\t")?;
    if !pid.trim_ascii().iter().all(u8::is_ascii_digit) {
        return None;
    }
    if let Some(file) = message.strip_prefix(b"calling init: ") {
        return (!file.is_empty()).then_some(Line::Constructors(file));
    }
    let message = message.strip_prefix(b"binding file ")?;
    let (source, rest) = file(message, b" to ")?;
    let (target, rest) = file(rest, b": ")?;
    let (_kind, rest) = split(rest, b" symbol `")?;
    // A name has no apostrophe, but the text after it might.
    let (symbol, rest) = split(rest, b"'")?;
    let version = rest
        .strip_prefix(b" [")
        .and_then(|rest| rest.strip_suffix(b"]"))
        .unwrap_or_default();
    (!symbol.is_empty()).then_some(Line::Binding {
        source,
        target,
        symbol,
        version,
    })
}

/// A path followed by ` [NAMESPACE]` and `then`; and what comes after. A path may have brackets.
fn file<'a>(text: &'a [u8], then: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut from = 0;
    loop {
        let open = from + find(&text[from..], b" [")?;
        let digits = text[open + 2..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let rest = &text[open + 2 + digits..];
        if digits > 0
            && let Some(rest) = rest
                .strip_prefix(b"]")
                .and_then(|rest| rest.strip_prefix(then))
        {
            return (open > 0).then_some((&text[..open], rest));
        }
        from = open + 2;
    }
}

fn split<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    find(text, at).map(|start| (&text[..start], &text[start + at.len()..]))
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    fn binding<'a>(
        source: &'a str,
        target: &'a str,
        symbol: &'a str,
        version: &'a str,
    ) -> Line<'a> {
        Line::Binding {
            source: source.as_bytes(),
            target: target.as_bytes(),
            symbol: symbol.as_bytes(),
            version: version.as_bytes(),
        }
    }

    #[test]
    fn lines_of_glibc() {
        let cases = [
            (
                "      3051:\tbinding file /a/liba.so [0] to /lib/libc.so.6 [0]: normal symbol `memcpy' [GLIBC_2.14]",
                Some(binding(
                    "/a/liba.so",
                    "/lib/libc.so.6",
                    "memcpy",
                    "GLIBC_2.14",
                )),
            ),
            (
                "3051:\tbinding file /a [1]/l b.so [0] to python [12]: protected symbol `x'",
                Some(binding("/a [1]/l b.so", "python", "x", "")),
            ),
            (
                "      3051:\tcalling init: /a/liba.so",
                Some(Line::Constructors(b"/a/liba.so")),
            ),
            ("      3051:\t", None),
            ("      3051:\tcalling fini: /a/liba.so [0]", None),
            ("      x:\tcalling init: /a/liba.so", None),
            ("binding file /a [0] to /b [0]: normal symbol `x'", None),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let mut log = b"7:\tcalling init: /".to_vec();
        log.resize(3 * LONGEST_LINE, b'x');
        log.extend_from_slice(b"\n7:\tcalling init: /b\n7:\tcalling init: /c");
        let mut found = Vec::new();
        let too_long = read(BufReader::with_capacity(100, &*log), |line| {
            let Line::Constructors(file) = line else {
                panic!("{line:?}");
            };
            found.push(file.to_vec());
        });
        assert_eq!(too_long.unwrap(), 1);
        assert_eq!(found, [b"/b", b"/c"]);
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..4096), block in 1_usize..64) {
            let mut lines = 0;
            read(BufReader::with_capacity(block, &*bytes), |_| lines += 1).unwrap();
            prop_assert!(lines <= bytes.len());
        }

        #[test]
        fn what_is_written_is_read(
            pid in 1_u32..4_000_000,
            source in "/[ -~]{1,40}[a-z]",
            target in "/[ -~]{1,40}[a-z]",
            symbol in "[A-Za-z_.$@][A-Za-z0-9_.$@]{0,60}",
            version in proptest::option::of("[A-Z]{1,9}_[0-9.]{1,5}"),
        ) {
            // What separates the parts cannot be told from a file name that has it inside.
            prop_assume!(!source.contains("] to ") && !target.contains("]: "));
            let version_text = version.as_ref().map(|version| format!(" [{version}]"));
            let line = format!(
                "{pid:10}:\tbinding file {source} [0] to {target} [0]: normal symbol `{symbol}'{}",
                version_text.unwrap_or_default(),
            );
            let version = version.unwrap_or_default();
            prop_assert_eq!(
                parse(line.as_bytes()),
                Some(binding(&source, &target, &symbol, &version))
            );
        }

        #[test]
        fn any_change(at in 0_usize..90, byte in any::<u8>()) {
            let mut line =
                b"  3051:\tbinding file /a/liba.so [0] to /l/libc.so.6 [0]: normal symbol `memcpy' [GLIBC_2.14]"
                    .to_vec();
            line[at] = byte;
            parse(&line);
        }
    }
}
