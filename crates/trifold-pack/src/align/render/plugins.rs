//! The parts of the report that are about plugins.

use std::fmt::Write as _;

use super::{SHOWN, fingerprint, table, worst};
use crate::{
    align::{Difference, Fit, Fitness, Served},
    text::clean,
};

pub(super) fn human(plugin: &Served) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "\n{}: {} {}, {}",
        clean(&plugin.path.display().to_string()),
        clean(&plugin.title),
        clean(&plugin.version),
        made_for(plugin)
    );
    let rows: Vec<[String; COLUMNS]> = std::iter::once(HEAD.map(str::to_owned))
        .chain(plugin.fits.iter().map(row))
        .collect();
    text += &table(&rows);
    text += &details(plugin, "  ", "");
    let _ = writeln!(text, "  {}", served(plugin));
    text
}

pub(super) fn markdown(plugin: &Served) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "### The plugin {}\n\n{} {}, {}.\n",
        clean(&plugin.name),
        clean(&plugin.title),
        clean(&plugin.version),
        made_for(plugin)
    );
    let _ = writeln!(
        text,
        "| {} |\n|{}",
        HEAD.join(" | "),
        "---|".repeat(COLUMNS)
    );
    for fit in &plugin.fits {
        let _ = writeln!(text, "| {} |", row(fit).join(" | "));
    }
    text.push('\n');
    let details = details(plugin, "- ", "`");
    if !details.is_empty() {
        text += &details;
        text.push('\n');
    }
    let _ = writeln!(text, "**{}**\n", served(plugin));
    text
}

const COLUMNS: usize = 5;

const HEAD: [&str; COLUMNS] = [
    "engine",
    "ggml",
    "fingerprint",
    "verdict",
    "differences from the CPU",
];

fn row(fit: &Fit) -> [String; COLUMNS] {
    let whose = match &fit.candidate {
        Some(candidate) => format!("{}, of {candidate}", fit.ggml_version),
        None => format!("{}, its own", fit.ggml_version),
    };
    [
        fit.engine.clone(),
        whose,
        fingerprint(&fit.differences),
        fitness(fit.fitness).into(),
        worst(&fit.cases),
    ]
}

fn fitness(fitness: Fitness) -> &'static str {
    match fitness {
        Fitness::Equal => "the same numbers",
        Fitness::Within => "within the tolerances",
        Fitness::Beyond => "other numbers",
        Fitness::NoDevice => "fits, not run",
        Fitness::OtherGgml => "for another ggml",
        Fitness::DoesNotRun => "does not run",
    }
}

fn made_for(plugin: &Served) -> String {
    match &plugin.engine {
        Some(engine) => format!("made for the ggml of {engine} alone"),
        None => "made for a ggml that engines share".into(),
    }
}

/// What differs, and why an engine did not run.
fn details(plugin: &Served, bullet: &str, quote: &str) -> String {
    let mut text = String::new();
    for fit in &plugin.fits {
        let name = &fit.engine;
        if let Some(problem) = &fit.problem {
            let lines: Vec<&str> = problem.lines().map(str::trim).collect();
            let _ = writeln!(text, "{bullet}{name}: {}", clean(&lines.join("; ")));
        }
        for difference in fit.differences.iter().take(SHOWN) {
            let Difference {
                field,
                expected,
                found,
            } = difference;
            let _ = writeln!(
                text,
                "{bullet}{name}: {quote}{}{quote}: expected {}, found {}",
                clean(field),
                clean(expected),
                clean(found)
            );
        }
        if fit.differences.len() > SHOWN {
            let more = fit.differences.len() - SHOWN;
            let _ = writeln!(text, "{bullet}{name}: and {more} more");
        }
    }
    text
}

fn served(plugin: &Served) -> String {
    let names = |wanted: bool| {
        let fits = plugin
            .fits
            .iter()
            .filter(|fit| fit.fitness.serves() == wanted);
        let with = |fit: &Fit| format!("{} with ggml {}", fit.engine, fit.ggml_version);
        fits.map(with).collect::<Vec<_>>().join(", ")
    };
    let (served, others) = (names(true), names(false));
    match (served.is_empty(), others.is_empty()) {
        (true, true) => "None of these engines compiles with a ggml that it is made for".into(),
        (true, false) => format!("Serves none of them: {others}"),
        (false, true) => format!("Serves {served}"),
        (false, false) => format!("Serves {served}; not {others}"),
    }
}
