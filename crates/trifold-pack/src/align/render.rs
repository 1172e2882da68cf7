//! The report for people and for programs.

mod plugins;

use std::fmt::Write as _;

use super::{Attempt, Candidate, Case, Difference, Measure, Report, Verdict};
use crate::text::{self, clean, plural, thousands};

/// Of each list, for people; programs get all.
const SHOWN: usize = 8;

/// The schema of [`to_json`].
pub fn schema() -> String {
    text::schema::<Report>()
}

/// Writes the report for programs.
pub fn to_json(report: &Report) -> String {
    text::pretty(report)
}

/// Writes the report for people.
pub fn human(report: &Report) -> String {
    let mut text = String::new();
    for engine in &report.engines {
        let _ = writeln!(
            text,
            "{} {} ships ggml {} ({}){}",
            engine.title,
            engine.version,
            engine.ggml_version,
            engine.ggml_commit,
            if engine.pinned { ", and needs it" } else { "" }
        );
    }
    if !report.distances.is_empty() {
        text += "\nDifferences in memory\n";
    }
    for distance in &report.distances {
        let [one, other] = &distance.engines;
        let _ = writeln!(
            text,
            "  {one} and {other}: {}",
            summary(&distance.differences)
        );
    }
    for candidate in &report.candidates {
        let _ = writeln!(
            text,
            "\nAgainst the ggml of {}, {}",
            candidate.engine, candidate.ggml_version
        );
        let rows: Vec<[String; COLUMNS]> = std::iter::once(HEAD.map(str::to_owned))
            .chain(candidate.attempts.iter().map(row))
            .collect();
        text += &table(&rows);
        for attempt in candidate
            .attempts
            .iter()
            .filter(|found| !found.cases.is_empty())
        {
            let _ = writeln!(text, "  {}: {}", attempt.engine, worst(&attempt.cases));
        }
        text += &details(candidate, "  ", "");
        let _ = writeln!(text, "  {}", conclusion(candidate));
    }
    for plugin in &report.plugins {
        text += &plugins::human(plugin);
    }
    text
}

/// Writes the report as a page of documentation, without a title.
pub fn markdown(report: &Report) -> String {
    let mut text =
        String::from("| engine | version | its own ggml | commit |\n|---|---|---|---|\n");
    for engine in &report.engines {
        let _ = writeln!(
            text,
            "| {} ({}) | {} | {} | {} |",
            engine.name, engine.title, engine.version, engine.ggml_version, engine.ggml_commit
        );
    }
    text.push('\n');
    if !report.distances.is_empty() {
        text += "### How far they are apart in memory\n\n";
    }
    for distance in &report.distances {
        let [one, other] = &distance.engines;
        let _ = writeln!(
            text,
            "**{one} and {other}**: {}. Among them:\n",
            summary(&distance.differences)
        );
        for difference in telling(&distance.differences) {
            let _ = writeln!(
                text,
                "- `{}`: `{}` and `{}`",
                difference.field, difference.expected, difference.found
            );
        }
        text.push('\n');
    }
    for candidate in &report.candidates {
        let _ = writeln!(
            text,
            "### Against the ggml of {}, {}\n",
            candidate.engine, candidate.ggml_version
        );
        let _ = writeln!(
            text,
            "| {} | differences |\n|{}",
            HEAD.join(" | "),
            "---|".repeat(COLUMNS + 1)
        );
        for attempt in &candidate.attempts {
            let row = row(attempt).join(" | ");
            let _ = writeln!(text, "| {row} | {} |", worst(&attempt.cases));
        }
        text.push('\n');
        let details = details(candidate, "- ", "`");
        if !details.is_empty() {
            text += &details;
            text.push('\n');
        }
        text += "| engine | model | input | differences | within |\n|---|---|---|---|---|\n";
        for attempt in &candidate.attempts {
            for case in &attempt.cases {
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} |",
                    attempt.engine,
                    case.model,
                    clean(&case.input.replace('\n', "\\n")).replace('|', "\\|"),
                    measure(&case.measure),
                    if case.within { "yes" } else { "**no**" }
                );
            }
        }
        let _ = writeln!(text, "\n**{}**\n", conclusion(candidate));
    }
    for plugin in &report.plugins {
        text += &plugins::markdown(plugin);
    }
    for (random, word) in [(false, "trained"), (true, "random")] {
        let limits = report.tolerances.of(random);
        let _ = writeln!(
            text,
            "Tolerances of {word} models: logits differ by at most {} and {} in the mean, probabilities of \
             transcribed tokens by at most {}, pictures have a PSNR of at least {} dB{}.\n",
            limits.logits_max,
            limits.logits_mean,
            limits.probability_max,
            limits.psnr_min,
            if limits.same_text {
                "; they write the same text"
            } else {
                ""
            }
        );
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

const COLUMNS: usize = 5;

const HEAD: [&str; COLUMNS] = [
    "engine",
    "its own ggml",
    "compiles",
    "deprecated calls",
    "verdict",
];

fn row(attempt: &Attempt) -> [String; COLUMNS] {
    let (compiles, deprecated) = match &attempt.compiled {
        None => ("not tried".to_owned(), String::new()),
        Some(compiled) => (
            match compiled.errors.len() {
                0 => plural(compiled.files, "file", "files"),
                count => format!("no: {}", plural(count, "error", "errors")),
            },
            compiled.deprecations.len().to_string(),
        ),
    };
    [
        attempt.engine.clone(),
        fingerprint(&attempt.differences),
        compiles,
        deprecated,
        verdict(attempt.verdict).into(),
    ]
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Equal => "the same numbers",
        Verdict::Within => "within the tolerances",
        Verdict::Beyond => "other numbers",
        Verdict::DoesNotCompile => "does not compile",
        Verdict::DoesNotRun => "does not run",
        Verdict::Pinned => "needs its own",
    }
}

fn fingerprint(differences: &[Difference]) -> String {
    if differences.is_empty() {
        "equal".to_owned()
    } else {
        plural(differences.len(), "difference", "differences")
    }
}

/// The largest differences, of trained and of random models.
fn worst(cases: &[Case]) -> String {
    let mut parts = Vec::new();
    for (random, word) in [(false, "trained"), (true, "random")] {
        let measures: Vec<&Measure> = cases
            .iter()
            .filter(|case| case.random == random)
            .map(|case| &case.measure)
            .collect();
        if measures.is_empty() {
            continue;
        }
        let text = if measures.iter().all(|measure| measure.is_equal()) {
            "none".into()
        } else {
            together(&measures)
        };
        parts.push(format!("{word}: {text}"));
    }
    parts.join("; ")
}

/// Measures of one kind: the largest of each number.
fn together(measures: &[&Measure]) -> String {
    let largest = |number: fn(&Measure) -> Option<f64>| {
        let numbers = measures.iter().filter_map(|measure| number(measure));
        numbers.fold(0.0, f64::max)
    };
    let texts = measures.iter().filter(|measure| writes_the_same(measure));
    let texts = format!("{} of {} texts equal", texts.count(), measures.len());
    match measures.first() {
        Some(Measure::Text { .. }) => format!(
            "logits max {:.2e}, mean {:.2e}; {texts}",
            largest(logits_max),
            largest(logits_mean)
        ),
        Some(Measure::Transcript { .. }) => format!(
            "{texts}; probabilities of tokens max {:.2e}; logits of languages max {:.2e}, mean {:.2e}",
            largest(|measure| match measure {
                Measure::Transcript { max, .. } => Some(*max),
                _ => None,
            }),
            largest(logits_max),
            largest(logits_mean)
        ),
        Some(Measure::Picture { .. }) => {
            let psnr = measures.iter().filter_map(|measure| match measure {
                Measure::Picture { psnr, .. } => *psnr,
                _ => None,
            });
            format!("PSNR {:.1} dB", psnr.fold(f64::INFINITY, f64::min))
        }
        None => String::new(),
    }
}

fn writes_the_same(measure: &Measure) -> bool {
    match measure {
        Measure::Text {
            tokens,
            equal_tokens,
            ..
        } => tokens == equal_tokens,
        Measure::Transcript {
            expected, found, ..
        } => expected == found,
        Measure::Picture { .. } => true,
    }
}

fn logits_max(measure: &Measure) -> Option<f64> {
    match measure {
        Measure::Text { max, .. } => Some(*max),
        Measure::Transcript { languages_max, .. } => Some(*languages_max),
        Measure::Picture { .. } => None,
    }
}

fn logits_mean(measure: &Measure) -> Option<f64> {
    match measure {
        Measure::Text { mean, .. } => Some(*mean),
        Measure::Transcript { languages_mean, .. } => Some(*languages_mean),
        Measure::Picture { .. } => None,
    }
}

fn measure(measure: &Measure) -> String {
    if measure.is_equal() {
        return "none".into();
    }
    match measure {
        Measure::Text {
            positions,
            max,
            mean,
            tokens,
            equal_tokens,
        } => format!(
            "logits max {max:.2e}, mean {mean:.2e} at {positions} positions, {equal_tokens} of {tokens} \
             tokens equal"
        ),
        Measure::Transcript {
            tokens,
            equal_tokens,
            max,
            mean,
            languages_max,
            languages_mean,
            expected,
            found,
        } => {
            let text = if expected == found {
                "same text".to_owned()
            } else {
                let (expected, found) = parting(expected, found);
                format!(
                    "other text after {equal_tokens} of {tokens} tokens: \"{found}\", not \"{expected}\""
                )
            };
            let probabilities = if *equal_tokens > 0 {
                format!(", probabilities max {max:.2e}, mean {mean:.2e}")
            } else {
                String::new()
            };
            format!(
                "{text}{probabilities}; logits of languages max {languages_max:.2e}, mean \
                 {languages_mean:.2e}"
            )
        }
        Measure::Picture { psnr, max } => format!(
            "PSNR {:.1} dB, largest {max} of 255",
            psnr.unwrap_or(f64::INFINITY)
        ),
    }
}

/// Where two texts part: some characters of each.
fn parting(one: &str, other: &str) -> (String, String) {
    let common = one.chars().zip(other.chars()).take_while(|(a, b)| a == b);
    let start = common.count().saturating_sub(SHOWN);
    let part = |text: &str| {
        let part: String = text.chars().skip(start).take(4 * SHOWN).collect();
        let before = if start > 0 { "…" } else { "" };
        let after = if text.chars().count() > start + 4 * SHOWN {
            "…"
        } else {
            ""
        };
        format!("{before}{}{after}", clean(&part))
    };
    (part(one), part(other))
}

/// Errors, deprecations and problems, with their places.
fn details(candidate: &Candidate, bullet: &str, quote: &str) -> String {
    let mut text = String::new();
    for attempt in &candidate.attempts {
        let name = &attempt.engine;
        if let Some(problem) = &attempt.problem {
            let problem = problem.lines().next().unwrap_or_default();
            let _ = writeln!(text, "{bullet}{name}: {}", clean(problem));
        }
        let Some(compiled) = &attempt.compiled else {
            continue;
        };
        for header in &compiled.own_headers {
            let _ = writeln!(
                text,
                "{bullet}{name} includes {quote}{}{quote} of its own ggml, whatever it is compiled against",
                clean(header)
            );
        }
        for (word, found) in [
            ("error", &compiled.errors),
            ("deprecated", &compiled.deprecations),
        ] {
            for diagnostic in found.iter().take(SHOWN) {
                let (place, message) = (clean(&diagnostic.place), clean(&diagnostic.message));
                let _ = writeln!(text, "{bullet}{word}: {quote}{place}{quote}: {message}");
            }
            if found.len() > SHOWN {
                let _ = writeln!(text, "{bullet}and {} more", found.len() - SHOWN);
            }
        }
    }
    text
}

fn conclusion(candidate: &Candidate) -> String {
    let alone: Vec<&str> = candidate
        .attempts
        .iter()
        .filter(|attempt| !attempt.verdict.may_share())
        .map(|attempt| attempt.engine.as_str())
        .collect();
    let version = &candidate.ggml_version;
    let group = match &candidate.group[..] {
        [] => format!("Nobody may share a backend for ggml {version}"),
        [one] => format!("Only {one} may use a backend for ggml {version}"),
        several => format!(
            "May share a backend for ggml {version}: {}",
            several.join(", ")
        ),
    };
    match &alone[..] {
        [] => group,
        alone => format!("{group}; with their own: {}", alone.join(", ")),
    }
}

/// `123 differences: 80 enumerators, 40 fields of structs, …`
fn summary(differences: &[Difference]) -> String {
    if differences.is_empty() {
        return "none".into();
    }
    let count = |prefix: &str| {
        let found = differences
            .iter()
            .filter(|found| found.field.starts_with(prefix));
        found.count()
    };
    let (enums, structs, functions) = (count("enum "), count("struct "), count("function "));
    let others = differences.len() - enums - structs - functions;
    format!(
        "{} ({} of enumerators, {} of structs, {} of functions, {} of versions and definitions)",
        plural(differences.len(), "difference", "differences"),
        thousands(enums as u64),
        thousands(structs as u64),
        thousands(functions as u64),
        thousands(others as u64),
    )
}

/// Of each kind the first few: versions and definitions, structs' sizes, enumerators.
fn telling(differences: &[Difference]) -> impl Iterator<Item = &Difference> {
    let of = |wanted: fn(&str) -> bool, count: usize| {
        differences
            .iter()
            .filter(move |found| wanted(&found.field))
            .take(count)
    };
    of(
        |field| !field.contains(' ') || field.starts_with("ggml "),
        SHOWN,
    )
    .chain(of(|field| field.ends_with(": size"), SHOWN / 2))
    .chain(of(|field| field.starts_with("enum ggml_op:"), SHOWN / 4))
    .chain(of(|field| field.starts_with("enum ggml_type:"), SHOWN / 4))
}

/// Columns of equal width.
fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    rows.iter().fold(String::new(), |mut text, row| {
        let mut line = String::from("  ");
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
        text
    })
}
