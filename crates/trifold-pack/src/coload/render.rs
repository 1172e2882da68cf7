//! The report as text.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::{
    report::{
        Binding, BindingKind, Outcome, PackageKind, Report, Run, Safety, Seen, Step, Verdict,
    },
    symbols::Frame,
};
use crate::{owners, text};

/// Of a call stack, and of what was printed as errors.
const FRAMES_SHOWN: usize = 10;
const LINES_SHOWN: usize = 5;

/// Of those that fail alike.
const ORDERS_SHOWN: usize = 4;

/// Of each family.
const SYMBOLS_SHOWN: usize = 3;
const LONGEST_SYMBOL: usize = 40;

const LONGEST_NAME: usize = 72;
const LONGEST_LINE: usize = 160;

/// The schema of [`to_json`].
pub fn schema() -> String {
    text::schema::<Report>()
}

/// Writes the report for programs.
pub fn to_json(report: &Report) -> String {
    text::pretty(report)
}

/// Writes the report for people. The same report gives the same text.
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    for part in [
        head(report),
        matrix(report, "Alone", &report.alone),
        matrix(report, "Together", &report.together),
        failures(report),
        bindings(report),
        notes(report),
        verdicts(report),
    ] {
        if !text.is_empty() && !part.is_empty() {
            text.push('\n');
        }
        text.push_str(&part);
    }
    text
}

fn head(report: &Report) -> String {
    format!(
        "Python {} at: {}{}\n{} packages, {} of {} orders{}; {} s for each process\n",
        report.python.version,
        text::clean(&report.python.executable),
        if report.python.new_environment {
            ", in a new environment"
        } else {
            ""
        },
        report.packages.len(),
        report.orders_tried,
        report.orders_possible,
        if report.packages.len() > 2 {
            " of all, both of each pair"
        } else {
            ""
        },
        report.time_limit,
    )
}

/// One line an order, one column for each of the flags.
fn matrix(report: &Report, title: &str, runs: &[Run]) -> String {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        let name = names(report, &run.order);
        let cell = cell(
            report,
            run,
            std::ptr::eq(runs, &raw const *report.together).then_some(number),
        );
        match rows.last_mut() {
            Some((last, cells)) if *last == name => cells.push(cell),
            _ => rows.push((name, vec![cell])),
        }
    }
    let header = report
        .flags
        .iter()
        .map(|flags| flags.name().to_owned())
        .collect();
    let rows: Vec<_> = std::iter::once((title.to_owned(), header))
        .chain(
            rows.into_iter()
                .map(|(name, cells)| (format!("  {name}"), cells)),
        )
        .collect();
    table(&rows)
}

fn table(rows: &[(String, Vec<String>)]) -> String {
    let width = |texts: &mut dyn Iterator<Item = &String>| {
        texts
            .map(|text| text.chars().count())
            .max()
            .unwrap_or_default()
    };
    let first = width(&mut rows.iter().map(|(name, _)| name));
    let columns = rows
        .iter()
        .map(|(_, cells)| cells.len())
        .max()
        .unwrap_or_default();
    let widths: Vec<_> = (0..columns)
        .map(|column| width(&mut rows.iter().filter_map(|(_, cells)| cells.get(column))))
        .collect();
    let mut text = String::new();
    for (name, cells) in rows {
        let mut line = format!("{name:first$}");
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(line, "  {cell:width$}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn cell(report: &Report, run: &Run, number: Option<usize>) -> String {
    match &run.outcome {
        Outcome::Exit { code, .. } => format!("exit {code}"),
        Outcome::Ok => {
            let taken = number.map_or(0, |number| taken_in(report, number));
            match (taken, run.seen) {
                (0, Seen::All) => "ok".into(),
                (0, _) => "ok?".into(),
                (taken, _) => format!("binds {}", grouped(taken)),
            }
        }
        other => other.name().into(),
    }
}

/// How many symbols packages took from each other in a run.
fn taken_in(report: &Report, number: usize) -> usize {
    report
        .bindings
        .iter()
        .filter(|binding| binding.kind == BindingKind::Package)
        .flat_map(|binding| &binding.symbols)
        .filter(|symbol| symbol.runs.contains(&number))
        .count()
}

/// Runs that failed in the same way are told once.
fn failures(report: &Report) -> String {
    let mut groups: Vec<Vec<&Run>> = Vec::new();
    for run in report.alone.iter().chain(&report.together) {
        if matches!(run.outcome, Outcome::Ok | Outcome::Skipped { .. }) {
            continue;
        }
        let alike = |group: &&mut Vec<&Run>| {
            let first = group[0];
            let is_alone = |run: &Run| run.order.len() == 1;
            first.outcome == run.outcome && is_alone(first) == is_alone(run)
        };
        match groups.iter_mut().find(alike) {
            Some(group) => group.push(run),
            None => groups.push(vec![run]),
        }
    }
    let texts: Vec<_> = groups
        .into_iter()
        .map(|runs| {
            format!(
                "{}\n{}{}",
                what(report, &runs[0].outcome),
                orders(report, &runs),
                details(runs[0])
            )
        })
        .collect();
    texts.join("\n")
}

fn what(report: &Report, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok | Outcome::Skipped { .. } => outcome.name().into(),
        Outcome::Crash { step, signal, .. } => format!("{signal} {}", during(report, *step)),
        Outcome::Exception {
            step,
            kind,
            message,
        } => {
            let message = text::clean(message.lines().next().unwrap_or_default());
            let message = shortened(&message, LONGEST_LINE);
            format!("{kind} {}: {message}", during(report, *step))
        }
        Outcome::Exit { step, code } => format!("Exit code {code} {}", during(report, *step)),
        Outcome::Hang { step, .. } => {
            format!(
                "Still running after {} s, {}",
                report.time_limit,
                during(report, *step)
            )
        }
    }
}

fn orders(report: &Report, runs: &[&Run]) -> String {
    let mut text = String::new();
    for run in runs.iter().take(ORDERS_SHOWN) {
        let alone = if run.order.len() == 1 { " alone" } else { "" };
        let order = names(report, &run.order);
        let _ = writeln!(text, "  with {}: {order}{alone}", run.flags.constant());
    }
    if runs.len() > ORDERS_SHOWN {
        let _ = writeln!(text, "  … and in {} more runs", runs.len() - ORDERS_SHOWN);
    }
    text
}

fn details(run: &Run) -> String {
    let mut text = String::new();
    let lines: Vec<_> = run
        .stderr
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    for line in &lines[lines.len().saturating_sub(LINES_SHOWN)..] {
        let _ = writeln!(
            text,
            "  stderr: {}",
            shortened(&text::clean(line), LONGEST_LINE)
        );
    }
    let none = Vec::new();
    let (frames, python) = match &run.outcome {
        Outcome::Crash { frames, .. } => (frames, &none),
        Outcome::Hang { frames, python, .. } => (frames, python),
        _ => return text,
    };
    for call in python.iter().take(LINES_SHOWN) {
        let _ = writeln!(text, "  {}", shortened(&text::clean(call), LONGEST_LINE));
    }
    if frames.is_empty() {
        text.push_str("  (no call stack: the packages handle the signal themselves, or it cannot be caught)\n");
    }
    for (number, frame) in frames.iter().take(FRAMES_SHOWN).enumerate() {
        let _ = writeln!(text, "  #{number:<2} {}", call(frame));
    }
    if frames.len() > FRAMES_SHOWN {
        let _ = writeln!(
            text,
            "  … {} more (--json has them)",
            frames.len() - FRAMES_SHOWN
        );
    }
    text
}

fn call(frame: &Frame) -> String {
    let place = match &frame.file {
        Some(file) => format!("{}+{:#x}", short_path(file), frame.address),
        None => format!("{:#x}, where no file is mapped", frame.address),
    };
    match &frame.function {
        Some(function) => format!(
            "{} ({place})",
            shortened(&text::clean(function), LONGEST_NAME)
        ),
        None => place,
    }
}

fn bindings(report: &Report) -> String {
    let mut text = String::new();
    let mut taken: Vec<_> = of_kind(report, BindingKind::Package).collect();
    taken.sort_by_key(|binding| (binding.from, binding.to));
    for of_same in taken.chunk_by(|a, b| (a.from, a.to) == (b.from, b.to)) {
        let symbols = of_same.iter().map(|binding| binding.symbols.len()).sum();
        let _ = writeln!(
            text,
            "{} takes {} of {} ({})",
            report.packages[of_same[0].from].name,
            plural(symbols, "symbol"),
            report.packages[of_same[0].to].name,
            in_which(report, of_same),
        );
        for binding in of_same {
            let _ = writeln!(
                text,
                "  {} ← {}",
                short_path(&binding.source),
                short_path(&binding.target)
            );
            text.push_str(&families(binding));
        }
    }
    text
}

fn of_kind(report: &Report, kind: BindingKind) -> impl Iterator<Item = &Binding> {
    report
        .bindings
        .iter()
        .filter(move |binding| binding.kind == kind)
}

/// The families, the largest first, each with a few of its symbols.
fn families(binding: &Binding) -> String {
    let mut families: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for symbol in &binding.symbols {
        families
            .entry(&symbol.family)
            .or_default()
            .push(&symbol.name);
    }
    let mut families: Vec<_> = families.into_iter().collect();
    families.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(b.0)));
    let rows: Vec<_> = families
        .into_iter()
        .map(|(family, symbols)| {
            let mut shown: Vec<_> = symbols
                .iter()
                .take(SYMBOLS_SHOWN)
                .map(|name| shortened(&text::clean(&owners::readable(name)), LONGEST_SYMBOL))
                .collect();
            shown.dedup();
            if symbols.len() > SYMBOLS_SHOWN {
                shown.push("…".into());
            }
            let count = grouped(symbols.len());
            (
                format!("    {}", text::clean(family)),
                vec![count, shown.join(", ")],
            )
        })
        .collect();
    table(&rows)
}

/// With which flags, and in how many runs.
fn in_which(report: &Report, bindings: &[&Binding]) -> String {
    let symbols = bindings.iter().flat_map(|binding| &binding.symbols);
    let runs: BTreeSet<_> = symbols.flat_map(|symbol| &symbol.runs).collect();
    let parts: Vec<_> = report
        .flags
        .iter()
        .filter_map(|&flags| {
            let of_flags = runs
                .iter()
                .filter(|&&&run| report.together[run].flags == flags);
            let count = of_flags.count();
            (count > 0).then(|| format!("{}: {}", flags.constant(), plural(count, "run")))
        })
        .collect();
    parts.join(", ")
}

/// What does not decide.
fn notes(report: &Report) -> String {
    let mut text = String::new();
    for package in &report.packages {
        if package.files.is_empty() && package.kind != PackageKind::Library {
            let _ = writeln!(
                text,
                "note: {} loads no native code of its own when it is imported; name the module that does",
                package.name
            );
        }
    }
    let mut system: BTreeMap<(usize, usize), (usize, BTreeSet<&str>)> = BTreeMap::new();
    for binding in of_kind(report, BindingKind::System) {
        let (symbols, libraries) = system.entry((binding.from, binding.to)).or_default();
        *symbols += binding.symbols.len();
        libraries.extend(
            [&binding.source, &binding.target]
                .into_iter()
                .filter(|file| {
                    !report
                        .packages
                        .iter()
                        .any(|package| package.files.contains(file))
                })
                .map(|file| short_path(file)),
        );
    }
    for ((from, to), (symbols, libraries)) in system {
        let libraries: Vec<_> = libraries.into_iter().collect();
        let _ = writeln!(
            text,
            "note: beside {}, {} are resolved in another way for {}, by way of {}",
            report.packages[to].name,
            plural(symbols, "symbol"),
            report.packages[from].name,
            libraries.join(", "),
        );
    }
    text
}

fn verdicts(report: &Report) -> String {
    let mut text = String::from("Verdict\n");
    for of_same in report.verdicts.chunk_by(|a, b| a.packages == b.packages) {
        let names: Vec<_> = of_same[0]
            .packages
            .iter()
            .map(|&package| report.packages[package].name.as_str())
            .collect();
        let alike = of_same.iter().all(|verdict| verdict.safety == Safety::Safe);
        let parts: Vec<_> = if alike {
            let flags: Vec<_> = of_same
                .iter()
                .map(|verdict| verdict.flags.constant())
                .collect();
            vec![format!("safe with {}", flags.join(" and "))]
        } else {
            of_same
                .iter()
                .map(|verdict| statement(report, verdict))
                .collect()
        };
        let _ = writeln!(text, "  {}: {}", names.join(" + "), parts.join("; "));
    }
    text
}

fn statement(report: &Report, verdict: &Verdict) -> String {
    let with = verdict.flags.constant();
    let mut reasons = Vec::new();
    if !verdict.failures.is_empty() {
        let orders = report
            .together
            .iter()
            .filter(|run| run.flags == verdict.flags && run.order.len() == verdict.packages.len())
            .filter(|run| {
                run.order
                    .iter()
                    .all(|package| verdict.packages.contains(package))
            })
            .count();
        let mut kinds: Vec<_> = verdict
            .failures
            .iter()
            .map(|&run| report.together[run].outcome.name())
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        reasons.push(format!(
            "{} in {} of {orders} orders",
            kinds.join(", "),
            verdict.failures.len()
        ));
    }
    if verdict.symbols > 0 {
        reasons.push(format!(
            "{} taken from another",
            plural(verdict.symbols, "symbol")
        ));
    }
    if !verdict.alone.is_empty() {
        reasons.push(format!("{} fails alone", names(report, &verdict.alone)));
    }
    match verdict.safety {
        Safety::Safe => format!("safe with {with}"),
        Safety::Unknown if reasons.is_empty() => {
            format!("unknown with {with} (not all references were seen)")
        }
        Safety::Unknown => format!("unknown with {with} ({})", reasons.join(", ")),
        Safety::Fails | Safety::Entangled => {
            format!("not safe with {with} ({})", reasons.join(", "))
        }
    }
}

fn names(report: &Report, order: &[usize]) -> String {
    let names: Vec<_> = order
        .iter()
        .map(|&package| report.packages[package].name.as_str())
        .collect();
    names.join(", ")
}

fn during(report: &Report, step: Step) -> String {
    match step {
        Step::Start => "while Python started".into(),
        Step::Load(package) => format!("while {} was loaded", report.packages[package].name),
        Step::Check => "in the check".into(),
        Step::Exit => "at exit".into(),
    }
}

/// From the folder of the packages on, or the file's name.
fn short_path(path: &str) -> &str {
    for folder in ["/site-packages/", "/dist-packages/"] {
        if let Some((_, inside)) = path.split_once(folder) {
            return inside;
        }
    }
    path.rsplit('/').next().unwrap_or(path)
}

fn plural(count: usize, what: &str) -> String {
    text::plural(count, what, &format!("{what}s"))
}

fn grouped(count: usize) -> String {
    text::thousands(count as u64)
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}
