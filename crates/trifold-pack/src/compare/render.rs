//! The report for people, for pages and for programs.

use std::fmt::Write as _;

use super::{Coload, Outcome, Report, Row, Tests};
use crate::text;

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
    }
    text
}

fn cells(row: &Row) -> [String; 10] {
    let wheels: u64 = row.wheels.iter().map(|wheel| wheel.bytes).sum();
    let count = match row.wheels.len() {
        1 => String::new(),
        count => format!(" in {count}"),
    };
    [
        row.layout.clone(),
        format!(
            "{}, {:.0}",
            row.cold_seconds
                .map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.0}")),
            row.warm_seconds
        ),
        format!("{}{count}", megabytes(wheels)),
        megabytes(row.installed_bytes),
        revisions(row),
        text::thousands(row.private_exports as u64),
        coload(&row.coload),
        outcome(&row.start_ms, |milliseconds| format!("{milliseconds:.1}")),
        outcome(&row.resident_bytes, |bytes| megabytes(*bytes)),
        tests(&row.tests),
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

fn megabytes(bytes: u64) -> String {
    format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10)
}

/// A plot of the sizes: bars for wheels, installed files and resident memory.
#[must_use]
pub fn svg(report: &Report) -> String {
    const BARS: [(&str, &str); 3] = [
        ("wheels", "#4269d0"),
        ("installed", "#efb118"),
        ("resident, all loaded", "#3ca951"),
    ];
    const LEFT: u32 = 130;
    const WIDTH: u32 = 480;
    const ROW: u32 = 64;
    let values: Vec<[u64; 3]> = report
        .rows
        .iter()
        .map(|row| {
            let resident = match row.resident_bytes {
                Outcome::Works(bytes) => bytes,
                Outcome::Fails(_) => 0,
            };
            let wheels = row.wheels.iter().map(|wheel| wheel.bytes).sum();
            [wheels, row.installed_bytes, resident]
        })
        .collect();
    let most = values.iter().flatten().copied().max().unwrap_or(1).max(1);
    let count = u32::try_from(values.len()).unwrap_or(0);
    let height = 40 + ROW * count;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 700 {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"700\" height=\"{height}\" fill=\"white\"/>\n"
    );
    let mut x = LEFT;
    for (name, colour) in BARS {
        let _ = writeln!(
            text,
            "<rect x=\"{x}\" y=\"10\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"19\">{name}, MB</text>",
            x + 15
        );
        x += 150;
    }
    let mut top = 34;
    for (row, values) in report.rows.iter().zip(&values) {
        let _ = writeln!(
            text,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 8,
            top + 30,
            row.layout
        );
        for (value, (_, colour)) in values.iter().zip(BARS) {
            let length = u64::from(WIDTH) * value / most;
            let _ = writeln!(
                text,
                "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{length}\" height=\"14\" fill=\"{colour}\"/>\
                 <text x=\"{}\" y=\"{}\">{}</text>",
                u64::from(LEFT) + length + 4,
                top + 11,
                megabytes(*value)
            );
            top += 17;
        }
        top += ROW - 3 * 17;
    }
    text + "</svg>\n"
}
