//! The report for people and for programs.

use std::fmt::Write as _;

use super::{Cost, Report};
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

/// A table of Markdown, and what it was measured with.
#[must_use]
pub fn human(report: &Report) -> String {
    let mut text = format!(
        "| {} | ggml | compile s | link s | size | compressed |\n|---|---|---|---|---|---|\n",
        report.backend
    );
    // Writing to a string does not fail.
    for engine in &report.engines {
        let Cost {
            compile_seconds, ..
        } = engine.cost;
        let compile = if engine.same_objects {
            "the same objects".to_owned()
        } else {
            format!("{compile_seconds:.1}")
        };
        let name = format!("inside {}", engine.engine);
        let _ = writeln!(
            text,
            "{}",
            line(&name, &engine.ggml, &compile, &engine.cost)
        );
    }
    let count = report.engines.len();
    for (name, cost) in [
        (
            text::plural(count, "engine with it", "engines with it"),
            &report.together,
        ),
        ("one plugin for all".to_owned(), &report.plugin),
    ] {
        let compile = format!("{:.1}", cost.compile_seconds);
        let _ = writeln!(text, "{}", line(&name, "", &compile, cost));
    }
    let gpus = match report.architectures.as_slice() {
        [] => String::new(),
        all => format!(", for {}", all.join(", ")),
    };
    let _ = write!(
        text,
        "\n{}, {}; engines {}{gpus}. What the backend adds to an engine, and the plugin as a whole. Compiled from \
         nothing; compressed as in a wheel.\n",
        report.tool, report.machine, report.ggml
    );
    text
}

fn line(name: &str, ggml: &str, compile: &str, cost: &Cost) -> String {
    let (size, packed) = (text::bytes(cost.bytes), text::bytes(cost.compressed_bytes));
    format!(
        "| {name} | {ggml} | {compile} | {:.1} | {size} | {packed} |",
        cost.link_seconds
    )
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Inside, SCHEMA_VERSION, together},
        *,
    };

    fn engine(name: &str, compile_seconds: f64, same_objects: bool) -> Inside {
        Inside {
            engine: name.into(),
            ggml: "0.26.0".into(),
            cost: Cost {
                compile_seconds,
                link_seconds: 1.25,
                bytes: 43_000_000,
                compressed_bytes: 19_500_000,
            },
            same_objects,
            backends: vec!["CPU".into(), "CUDA".into()],
        }
    }

    #[test]
    fn what_engines_share_is_compiled_once_and_carried_by_each() {
        let engines = vec![
            engine("llama", 200.0, false),
            engine("whisper", 200.0, true),
            engine("diffusion", 150.0, false),
        ];
        let report = Report {
            schema: SCHEMA_VERSION,
            tool: "trifold-pack 0.1.0".into(),
            machine: "a CPU, 2 threads".into(),
            backend: "cuda13".into(),
            architectures: vec!["90".into()],
            ggml: "pinned".into(),
            together: together(&engines),
            engines,
            plugin: Cost {
                compile_seconds: 210.0,
                link_seconds: 1.0,
                bytes: 43_200_000,
                compressed_bytes: 19_400_000,
            },
        };
        let text = human(&report);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[3],
            "| inside whisper | 0.26.0 | the same objects | 1.2 | 43.0 MB | 19.5 MB |"
        );
        assert_eq!(
            lines[5..7],
            [
                "| 3 engines with it |  | 350.0 | 3.8 | 129.0 MB | 58.5 MB |",
                "| one plugin for all |  | 210.0 | 1.0 | 43.2 MB | 19.4 MB |",
            ]
        );
        assert!(text.contains("; engines pinned, for 90. "), "{text}");
        let read: serde_json::Value = serde_json::from_str(&to_json(&report)).unwrap();
        assert_eq!(read["together"]["bytes"], 129_000_000);
    }
}
