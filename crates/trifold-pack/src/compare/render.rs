//! The report for people, for pages and for programs.

use std::fmt::Write as _;

use super::{Beside, Coload, Outcome, Report, Row, Tests};
use crate::{layout::Layout, text};

/// JSON.
#[must_use]
pub fn to_json(report: &Report) -> String {
    text::pretty(report)
}

/// The schema of [`to_json`].
#[must_use]
pub fn schema() -> String {
    text::schema::<Report>()
}

const HEADS: [&str; 10] = [
    "layout",
    "build s (cold, warm)",
    "wheel MB",
    "installed MB",
    "ggml revisions in one process",
    "exported private symbols",
    "co-load",
    "start-up ms",
    "resident MB, all loaded",
    "tests",
];

/// A table of Markdown, and what it was measured with.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut text = format!(
        "| {} |\n|{}\n",
        HEADS.join(" | "),
        "---|".repeat(HEADS.len())
    );
    for row in &report.rows {
        // Writing to a string does not fail.
        let _ = writeln!(text, "| {} |", cells(row).join(" | "));
    }
    let _ = write!(
        text,
        "\n{}, Python {}, {}; engines: {}. Start-up is what importing all engines adds to the {:.0} ms of the \
         bare interpreter.\n",
        report.tool,
        report.python,
        report.machine,
        report.engines.join(", "),
        report.bare_start_ms
    );
    text
}

/// The table with its columns aligned, and the tests that failed.
#[must_use]
pub fn human(report: &Report) -> String {
    let rows: Vec<[String; 10]> = report.rows.iter().map(cells).collect();
    let mut text = String::new();
    for (column, head) in HEADS.iter().enumerate().skip(1) {
        let _ = writeln!(text, "{head}");
        for row in &rows {
            let _ = writeln!(text, "  {:<14} {}", row[0], row[column]);
        }
    }
    for row in &report.rows {
        for failure in &row.tests.failures {
            let _ = writeln!(text, "{}: failed: {failure}", row.layout);
        }
        if let Some(Beside { name, removed, .. }) = &row.plugin
            && let Outcome::Fails(words) = removed
        {
            let _ = writeln!(text, "{}: failed: {name} removed: {words}", row.layout);
        }
    }
    text
}

/// As people write it.
pub(super) fn title(row: &Row) -> String {
    let layout = row.layout.parse::<Layout>();
    layout.map_or_else(|_| row.layout.clone(), |layout| layout.to_string())
}

fn cells(row: &Row) -> [String; 10] {
    let wheels: u64 = row.wheels.iter().map(|wheel| wheel.bytes).sum();
    let count = match row.wheels.len() {
        1 => String::new(),
        count => format!(" in {count}"),
    };
    let plus = |bytes: fn(&Beside) -> u64| match &row.plugin {
        Some(beside) => format!(" + {}", megabytes(bytes(beside))),
        None => String::new(),
    };
    [
        title(row),
        format!(
            "{}, {:.0}",
            row.cold_seconds
                .map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.0}")),
            row.warm_seconds
        ),
        format!(
            "{}{count}{}",
            megabytes(wheels),
            plus(|beside| beside.wheel.bytes)
        ),
        megabytes(row.installed_bytes) + &plus(|beside| beside.installed_bytes),
        revisions(row),
        text::thousands(row.private_exports as u64),
        coload(&row.coload),
        outcome(&row.start_ms, |milliseconds| format!("{milliseconds:.1}")),
        outcome(&row.resident_bytes, |bytes| megabytes(*bytes)),
        tests(&row.tests) + &row.plugin.as_ref().map_or_else(String::new, removed),
    ]
}

fn outcome<T>(outcome: &Outcome<T>, show: impl Fn(&T) -> String) -> String {
    match outcome {
        Outcome::Works(value) => show(value),
        Outcome::Fails(words) => format!("fails: {}", words.replace('|', "\\|")),
    }
}

/// The most that there can be, which versions, and what comes of trying otherwise.
fn revisions(row: &Row) -> String {
    let list = |versions: &Vec<String>| {
        let mut different = versions.clone();
        different.sort();
        different.dedup();
        format!("{} ({})", different.len(), different.join(", "))
    };
    match &row.own_ggml {
        Outcome::Works(versions) => list(versions),
        Outcome::Fails(words) => format!(
            "{}; with their own: {}",
            outcome(&row.ggml, list),
            words.replace('|', "\\|")
        ),
    }
}

fn coload(runs: &[Coload]) -> String {
    let one = |found: &Coload| {
        if found.safe {
            return format!("{}: safe", found.flags);
        }
        let mut words = Vec::new();
        if found.failures > 0 {
            words.push(format!("{} of {} runs fail", found.failures, found.runs));
        }
        if found.symbols > 0 {
            let count = text::thousands(found.symbols as u64);
            words.push(format!("{count} symbols of another"));
        }
        words.extend(found.unknown.clone());
        format!("{}: {}", found.flags, words.join(", "))
    };
    if runs.is_empty() {
        return "–".to_owned();
    }
    if runs.iter().all(|found| found.safe) {
        return "safe".to_owned();
    }
    runs.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn tests(tests: &Tests) -> String {
    let mut words = vec![format!("{} passed", tests.passed)];
    if tests.failed > 0 {
        words.push(format!("{} failed", tests.failed));
    }
    words.join(", ")
}

/// What is left without the plugin.
fn removed(beside: &Beside) -> String {
    let words = outcome(&beside.removed, |_| "as before".to_owned());
    format!("; {} removed: {words}", beside.name)
}

pub(super) fn megabytes(bytes: u64) -> String {
    format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10)
}

#[cfg(test)]
mod tests {
    use super::super::{Wheel, plot::svg};
    use super::*;

    fn row(layout: &str) -> Row {
        Row {
            layout: layout.into(),
            cold_seconds: None,
            warm_seconds: 7.6,
            wheels: vec![Wheel {
                name: "a.whl".into(),
                bytes: 12_345_678,
            }],
            installed_bytes: 45_000_000,
            plugin: None,
            ggml: Outcome::Works(vec!["0.26.0".into(), "0.26.0".into()]),
            own_ggml: Outcome::Works(vec!["0.26.0".into(), "0.9.5".into()]),
            private_exports: 0,
            coload: vec![together("local", 0, 0), together("global", 0, 0)],
            start_ms: Outcome::Works(5.66),
            resident_bytes: Outcome::Works(210_987_654),
            tests: Tests {
                passed: 7,
                ..Tests::default()
            },
        }
    }

    fn together(flags: &str, failures: usize, symbols: usize) -> Coload {
        Coload {
            flags: flags.into(),
            safe: failures + symbols == 0,
            failures,
            runs: 12,
            symbols,
            unknown: None,
        }
    }

    /// One layout with which all is well, and one with which nothing is.
    fn report() -> Report {
        let bad = Row {
            cold_seconds: Some(600.2),
            own_ggml: Outcome::Fails("undefined symbol: a|b<c".into()),
            private_exports: 17_296,
            coload: vec![together("local", 0, 3), together("global", 12, 1200)],
            start_ms: Outcome::Fails("SIGSEGV".into()),
            resident_bytes: Outcome::Fails("SIGSEGV".into()),
            tests: Tests {
                passed: 5,
                failed: 2,
                skipped: 0,
                failures: vec!["test_a".into(), "test_b".into()],
            },
            ..row("monolith")
        };
        Report {
            schema: 1,
            tool: "trifold-pack 0.1.0".into(),
            python: "3.11.7".into(),
            machine: "a <CPU> & more, 2 threads".into(),
            engines: vec!["llama".into(), "whisper".into()],
            seconds: 61.0,
            bare_start_ms: 12.4,
            rows: vec![bad, row("split")],
        }
    }

    #[test]
    fn cells_tell_figures_and_what_comes_of_what_fails() {
        let rows = report().rows.iter().map(cells).collect::<Vec<_>>();
        assert_eq!(
            rows[1],
            [
                "split",
                "–, 8",
                "12.3",
                "45.0",
                "2 (0.26.0, 0.9.5)",
                "0",
                "safe",
                "5.7",
                "210.9",
                "7 passed",
            ]
        );
        assert_eq!(
            rows[0],
            [
                "monolith",
                "600, 8",
                "12.3",
                "45.0",
                "1 (0.26.0); with their own: undefined symbol: a\\|b<c",
                "17,296",
                "local: 3 symbols of another; global: 12 of 12 runs fail, 1,200 symbols of another",
                "fails: SIGSEGV",
                "fails: SIGSEGV",
                "5 passed, 2 failed",
            ]
        );
    }

    #[test]
    fn a_plugin_is_told_apart_from_what_it_stands_beside() {
        let beside = |removed| Beside {
            name: "rpc".into(),
            wheel: Wheel {
                name: "b.whl".into(),
                bytes: 200_000,
            },
            installed_bytes: 500_000,
            removed,
        };
        let mut report = report();
        report.rows.remove(0);
        report.rows[0].layout = "split-plugin".into();
        report.rows[0].plugin = Some(beside(Outcome::Works(vec!["llama".into()])));
        let cells = cells(&report.rows[0]);
        assert_eq!(cells[0], "split + plugin");
        assert_eq!(cells[2..4], ["12.3 + 0.2", "45.0 + 0.5"]);
        assert_eq!(cells[9], "7 passed; rpc removed: as before");
        assert!(report.is_sound());
        assert!(svg(&report).contains(">split + plugin</text>"));

        report.rows[0].plugin = Some(beside(Outcome::Fails("other answers: llama".into())));
        assert!(!report.is_sound());
        let text = human(&report);
        let last = "split-plugin: failed: rpc removed: other answers: llama\n";
        assert!(text.ends_with(last), "{text}");
        let read: serde_json::Value = serde_json::from_str(&to_json(&report)).unwrap();
        assert_eq!(read["rows"][0]["plugin"]["wheel"]["bytes"], 200_000);
        assert_eq!(read["rows"][0]["wheels"][0]["bytes"], 12_345_678);
    }

    #[test]
    fn a_page_has_a_line_for_each_layout_and_a_program_reads_it_back() {
        let report = report();
        let page = markdown(&report);
        let widths = page.lines().take(4).map(|line| {
            let bars = line.matches('|').count() - line.matches("\\|").count();
            (bars, line.starts_with("| ") || line.starts_with("|-"))
        });
        assert!(widths.eq([(11, true); 4]), "{page}");
        let text = human(&report);
        assert!(text.contains("monolith: failed: test_b\n"), "{text}");
        let read: serde_json::Value = serde_json::from_str(&to_json(&report)).unwrap();
        assert_eq!(read["rows"][0]["start_ms"]["fails"], "SIGSEGV");
        assert_eq!(read["rows"][1]["resident_bytes"]["works"], 210_987_654);
        assert!(!report.is_sound());
    }

    #[test]
    fn a_plot_keeps_to_its_frame_and_escapes_what_it_is_told() {
        let plot = svg(&report());
        assert!(plot.contains("a &lt;CPU> &amp; more"), "{plot}");
        assert!(plot.contains(">12 of 12 fail</text>"), "{plot}");
        assert!(plot.contains(">mixed up</text>"), "{plot}");
        let number = |line: &str, name: &str| -> Option<f64> {
            let rest = line.split_once(&format!(" {name}=\""))?.1;
            rest.split_once('"')?.0.parse().ok()
        };
        let size = plot.split_once("viewBox=\"0 0 ").unwrap().1;
        let (width, rest) = size.split_once(' ').unwrap();
        let (height, _) = rest.split_once('"').unwrap();
        let (width, height): (f64, f64) = (width.parse().unwrap(), height.parse().unwrap());
        let mut bars = 0;
        for line in plot.lines().filter(|line| line.starts_with("<rect")) {
            let value = |name| number(line, name).unwrap();
            assert!(value("x") + value("width") <= width, "{line}");
            assert!(value("y") + value("height") <= height, "{line}");
            bars += usize::from(line.contains("class=\"ba"));
        }
        // Three sizes of two layouts, one of which has no memory; the time of one; symbols; one band.
        assert!(bars >= 8, "{plot}");
    }

    #[test]
    fn one_engine_is_not_loaded_together() {
        let mut report = report();
        for row in &mut report.rows {
            row.coload.clear();
        }
        assert_eq!(cells(&report.rows[1])[6], "–");
        assert!(!svg(&report).contains("RTLD_"));
    }
}
