//! Reads what the preloaded helper (`shim/crash.c`) wrote in the child: which signal, what is mapped
//! where, and the addresses of the call stack.
//!
//! The child may have died in the middle of it, and what it loads may have written into the same
//! descriptor: whatever is not understood is left out.

use std::str;

/// The signal that asks a child where it is, before it is killed.
pub(super) const ASK: i32 = 3;

const MOST_REPORTS: usize = 8;
const MOST_MAPPINGS: usize = 65_536;
const MOST_FRAMES: usize = 128;

/// Everything a child reported.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reports {
    /// Whether the helper was there at all.
    pub(super) ready: bool,
    pub(super) reports: Vec<Report>,
}

/// Where the process was when a signal came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) signal: i32,
    /// The address that could not be accessed, for a SIGSEGV or SIGBUS.
    pub(super) address: u64,
    /// What is mapped where, by rising address.
    pub(super) mappings: Vec<Mapping>,
    /// Addresses inside of the calls, innermost first.
    pub(super) frames: Vec<u64>,
    /// Whether the helper came to its end.
    pub(super) complete: bool,
}

/// A part of a file in memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Where in the file it begins.
    pub(super) offset: u64,
    pub(super) path: String,
}

impl Reports {
    /// The report of the signal that ended the process.
    pub(super) fn fatal(&self) -> Option<&Report> {
        self.reports.iter().find(|report| report.signal != ASK)
    }

    /// The report that was asked for.
    pub(super) fn asked(&self) -> Option<&Report> {
        self.reports.iter().find(|report| report.signal == ASK)
    }
}

impl Report {
    /// The file that an address lies in.
    pub(super) fn mapping(&self, address: u64) -> Option<&Mapping> {
        self.mappings
            .iter()
            .find(|mapping| (mapping.start..mapping.end).contains(&address))
    }
}

/// Reads a report. Any bytes will do.
pub(super) fn parse(bytes: &[u8]) -> Reports {
    let mut found = Reports::default();
    let mut in_maps = false;
    for line in bytes.split(|&byte| byte == b'\n') {
        let words = || str::from_utf8(line).unwrap_or_default().split(' ');
        let first = words().next().unwrap_or_default();
        if first == "ready" {
            found.ready = true;
            continue;
        }
        if first == "signal" {
            in_maps = false;
            if found.reports.len() < MOST_REPORTS
                && let Some(report) = signal(words().skip(1))
            {
                found.reports.push(report);
            }
            continue;
        }
        let Some(report) = found.reports.last_mut().filter(|report| !report.complete) else {
            continue;
        };
        match first {
            "maps" => in_maps = true,
            "end" if in_maps => in_maps = false,
            "end" => report.complete = true,
            "frame" => {
                if let Some(address) = words().nth(1).and_then(hexadecimal)
                    && report.frames.len() < MOST_FRAMES
                {
                    report.frames.push(address);
                }
            }
            _ if in_maps && report.mappings.len() < MOST_MAPPINGS => {
                report.mappings.extend(mapping(line));
            }
            _ => {}
        }
    }
    for report in &mut found.reports {
        from_the_signal_on(report);
    }
    found
}

/// `NUMBER CODE ADDRESS PC`. The last one is kept as the first frame, until the frames are known.
fn signal<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Report> {
    let signal = words.next()?.parse().ok()?;
    let _code = words.next()?;
    let address = hexadecimal(words.next()?)?;
    let pc = hexadecimal(words.next()?)?;
    Some(Report {
        signal,
        address,
        frames: vec![pc],
        ..Report::default()
    })
}

/// Leaves out the frames of the helper: what it was called from is the instruction that the signal
/// interrupted.
fn from_the_signal_on(report: &mut Report) {
    let pc = report.frames[0];
    let walked = &report.frames[1..];
    if let Some(at) = walked.iter().position(|&frame| frame == pc) {
        report.frames.drain(..=at);
    }
}

fn hexadecimal(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

/// `START-END PERMISSIONS OFFSET DEVICE INODE PATH`, of files only.
fn mapping(line: &[u8]) -> Option<Mapping> {
    let path = line.iter().position(|&byte| byte == b'/')?;
    let mut words = str::from_utf8(&line[..path]).ok()?.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let offset = words.nth(1)?;
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        offset: u64::from_str_radix(offset, 16).ok()?,
        path: String::from_utf8_lossy(&line[path..]).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REPORT: &str = "\
ready 41
signal 11 1 0x8 0x1040
maps
00001000-00002000 r-xp 00000040 08:01 77                   /lib/with a space.so
00002000-00003000 rw-p 00000000 00:00 0                    [heap]
end maps
frame 0x7000
frame 0x6fff
frame 0x1040
frame 0x1080
end
";

    #[test]
    fn what_the_helper_writes() {
        let found = parse(REPORT.as_bytes());
        assert!(found.ready);
        let report = found.fatal().unwrap();
        assert_eq!((report.signal, report.address), (11, 8));
        assert_eq!(report.frames, [0x1040, 0x1080]);
        assert_eq!(report.mappings.len(), 1);
        assert_eq!(report.mapping(0x1fff).unwrap().path, "/lib/with a space.so");
        assert_eq!(report.mapping(0x1fff).unwrap().offset, 0x40);
        assert!(report.mapping(0x2000).is_none());
        assert!(report.complete);
        assert_eq!(found.asked(), None);
    }

    #[test]
    fn an_answer_before_a_crash() {
        let text = format!("{}{REPORT}", REPORT.replace("signal 11 1", "signal 3 0"));
        let found = parse(text.as_bytes());
        assert_eq!(found.asked().map(|report| report.signal), Some(3));
        assert_eq!(found.fatal().map(|report| report.signal), Some(11));
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
            parse(&bytes);
        }

        /// The process may end at any byte, and others may write between.
        #[test]
        fn any_end_and_any_change(
            end in 0..REPORT.len(),
            at in 0..REPORT.len(),
            byte in any::<u8>(),
        ) {
            let whole = parse(REPORT.as_bytes());
            let cut = parse(&REPORT.as_bytes()[..end]);
            prop_assert!(cut.reports.len() <= 1);
            if let Some(report) = cut.fatal() {
                prop_assert!(report.mappings.len() <= whole.reports[0].mappings.len());
            }
            let mut changed = REPORT.as_bytes().to_vec();
            changed[at] = byte;
            parse(&changed);
        }

        #[test]
        fn any_words(lines in proptest::collection::vec(
            prop_oneof![
                "(signal|frame|maps|end maps|end|ready)",
                "signal -?[0-9]{1,12} -?[0-9]{1,3} 0x[0-9a-f]{1,18} 0x[0-9a-f]{1,18}",
                "frame 0x[0-9a-f]{0,18}",
                "[0-9a-f]{1,18}-[0-9a-f]{1,18} r-xp [0-9a-f]{1,18} 08:01 7 /.{0,9}",
            ], 0..40)
        ) {
            let found = parse(lines.join("\n").as_bytes());
            prop_assert!(found.reports.len() <= MOST_REPORTS);
            prop_assert!(found.reports.iter().all(|report| !report.frames.is_empty()));
        }
    }
}
