//! The report as a picture: a row for each layout, a column of bars for each figure.

use std::fmt::Write as _;

use super::{
    Beside, Coload, Outcome, Report, Row,
    render::{megabytes, title},
};
use crate::text;

/// Of names, and of each column.
const NAMES: u32 = 118;
const COLUMN: u32 = 122;

/// The longest bar, so that its figure fits beside it.
const BAR: u32 = 60;

/// Of the heading, of each row, and of the note below.
const HEAD: u32 = 62;
const ROW: u32 = 30;
const NOTE: u32 = 30;

/// Beside everything.
const MARGIN: u32 = 16;

/// A page may be light or dark, and need not say so to its pictures: this one has a ground of its own.
const STYLE: &str = "\
<style>
  .ground { fill: #ffffff; stroke: #d0d7de }
  .band { fill: #f6f8fa }
  .bar { fill: #2f6fb5 }
  .bad { fill: #b3261e }
  text { fill: #1f2328 }
  .quiet { fill: #59636e }
  text.bad { fill: #b3261e }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; stroke: #3d444d }
    .band { fill: #161b22 }
    .bar { fill: #5b9be0 }
    .bad { fill: #f0776c }
    text { fill: #e6edf3 }
    .quiet { fill: #9198a1 }
    text.bad { fill: #f0776c }
  }
</style>
";

/// A column: its heading in two lines, and what it shows of each row.
struct Column {
    heading: [&'static str; 2],
    cells: Vec<Cell>,
}

enum Cell {
    /// A figure, and how it is written. Fewer of what is `bad` are better than any.
    Bar { value: f64, text: String, bad: bool },
    /// Words, and whether they are bad news.
    Words { text: String, bad: bool },
}

/// A plot of the figures, as SVG.
#[must_use]
pub fn svg(report: &Report) -> String {
    let columns = columns(report);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX / 1000);
    let width = 2 * MARGIN + NAMES + COLUMN * count(columns.len());
    let height = HEAD + ROW * count(report.rows.len()) + NOTE;
    let mut picture = Picture {
        text: format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             font-family=\"system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif\" \
             font-size=\"13\">\n<title>What each layout costs and gives</title>\n{STYLE}\
             <rect class=\"ground\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n",
            width - 1,
            height - 1
        ),
    };
    for (number, row) in (0..).zip(&report.rows) {
        let top = HEAD + ROW * number;
        if number % 2 == 0 {
            picture.rectangle("band", 1, top, width - 2, ROW);
        }
        picture.words("", MARGIN, top + 20, &title(row));
    }
    for (number, column) in (0..).zip(&columns) {
        column.draw(&mut picture, MARGIN + NAMES + COLUMN * number);
    }
    let note = format!("{}; {}", report.engines.join(", "), report.machine);
    picture.words("quiet", MARGIN, height - 11, &note);
    picture.text + "</svg>\n"
}

fn columns(report: &Report) -> Vec<Column> {
    let column = |heading, cell: fn(&Row) -> Cell| Column {
        heading,
        cells: report.rows.iter().map(cell).collect(),
    };
    let mut columns = vec![
        column(["wheels", "MB"], |row| {
            let wheels = row.wheels.iter().map(|wheel| wheel.bytes);
            size(wheels.chain(plugin(row, |beside| beside.wheel.bytes)).sum())
        }),
        column(["installed", "MB"], |row| {
            size(row.installed_bytes + plugin(row, |beside| beside.installed_bytes).unwrap_or(0))
        }),
        column(["memory", "all loaded, MB"], |row| {
            outcome(&row.resident_bytes, |&bytes| size(bytes))
        }),
        column(["import", "of all, ms"], |row| {
            outcome(&row.start_ms, |&value| Cell::Bar {
                value,
                text: format!("{value:.1}"),
                bad: false,
            })
        }),
        column(["private symbols", "seen by others"], |row| {
            let count = u32::try_from(row.private_exports).unwrap_or(u32::MAX);
            Cell::Bar {
                value: f64::from(count),
                text: text::thousands(count.into()),
                bad: count > 0,
            }
        }),
    ];
    for (flags, heading) in [
        ("local", ["in one process", "RTLD_LOCAL"]),
        ("global", ["in one process", "RTLD_GLOBAL"]),
    ] {
        let find = |row: &Row| row.coload.iter().position(|found| found.flags == flags);
        if report.rows.iter().all(|row| find(row).is_some()) && !report.rows.is_empty() {
            let cells = report
                .rows
                .iter()
                .filter_map(|row| find(row).map(|index| together(&row.coload[index])));
            columns.push(Column {
                heading,
                cells: cells.collect(),
            });
        }
    }
    columns
}

/// What the plugin beside the engines adds.
fn plugin(row: &Row, bytes: fn(&Beside) -> u64) -> Option<u64> {
    row.plugin.as_ref().map(bytes)
}

fn size(bytes: u64) -> Cell {
    // Tenths of a megabyte are all that is shown.
    let tenths = u32::try_from(bytes / 100_000).unwrap_or(u32::MAX);
    Cell::Bar {
        value: f64::from(tenths),
        text: megabytes(bytes),
        bad: false,
    }
}

fn outcome<T>(outcome: &Outcome<T>, show: impl Fn(&T) -> Cell) -> Cell {
    match outcome {
        Outcome::Works(value) => show(value),
        Outcome::Fails(_) => Cell::Words {
            text: "fails".into(),
            bad: true,
        },
    }
}

fn together(found: &Coload) -> Cell {
    let text = match (found.safe, found.failures, found.symbols) {
        (true, ..) => "safe".to_owned(),
        (false, 0, 0) => "unknown".to_owned(),
        (false, 0, _) => "mixed up".to_owned(),
        (false, failures, _) => format!("{failures} of {} fail", found.runs),
    };
    Cell::Words {
        text,
        bad: !found.safe,
    }
}

impl Column {
    fn draw(&self, picture: &mut Picture, left: u32) {
        let [first, second] = self.heading;
        picture.words("", left, 26, first);
        picture.words("quiet", left, 44, second);
        let most = self.cells.iter().map(|cell| match cell {
            Cell::Bar { value, .. } => *value,
            Cell::Words { .. } => 0.0,
        });
        let most = most.fold(0.0, f64::max);
        for (number, cell) in (0..).zip(&self.cells) {
            let top = HEAD + ROW * number;
            match cell {
                Cell::Bar { value, text, bad } => {
                    let share = if most > 0.0 {
                        value.max(0.0) / most
                    } else {
                        0.0
                    };
                    // As wide as it is, but something for what is not nothing.
                    let length = (share * f64::from(BAR)).max(if *value > 0.0 { 1.5 } else { 0.0 });
                    picture.bar(if *bad { "bad" } else { "bar" }, left, top + 8, length);
                    picture.figure(f64::from(left) + length, top + 20, text);
                }
                Cell::Words { text, bad } => {
                    picture.words(if *bad { "bad" } else { "" }, left, top + 20, text);
                }
            }
        }
    }
}

struct Picture {
    text: String,
}

/// Writing to a string does not fail.
impl Picture {
    fn rectangle(&mut self, class: &str, x: u32, y: u32, width: u32, height: u32) {
        let _ = writeln!(
            self.text,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        );
    }

    fn bar(&mut self, class: &str, x: u32, y: u32, length: f64) {
        let _ = writeln!(
            self.text,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{length:.1}\" height=\"14\" rx=\"1.5\"/>"
        );
    }

    /// Beside its bar, or in the bar's place.
    fn figure(&mut self, end: f64, y: u32, text: &str) {
        let _ = writeln!(
            self.text,
            "<text x=\"{:.1}\" y=\"{y}\">{}</text>",
            end + 5.0,
            escaped(text)
        );
    }

    fn words(&mut self, class: &str, x: u32, y: u32, text: &str) {
        let _ = writeln!(
            self.text,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>",
            escaped(text)
        );
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
