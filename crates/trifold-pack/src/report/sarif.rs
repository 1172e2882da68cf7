use std::{collections::BTreeSet, fmt::Write as _};

use serde_json::{Value, json};

use crate::{Finding, Package, RULES, Report};

/// The findings in SARIF 2.1.0, as code hosts read it. Findings inside of a wheel are at the wheel, with
/// the file as a logical location.
pub fn sarif(report: &Report) -> String {
    let used: BTreeSet<&str> = report
        .packages
        .iter()
        .flat_map(|package| &package.findings)
        .map(|finding| finding.rule.as_str())
        .collect();
    let known: Vec<_> = RULES.iter().filter(|rule| used.contains(rule.id)).collect();
    let rules: Vec<Value> = known
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "name": rule.name,
                "shortDescription": { "text": rule.summary },
                "fullDescription": { "text": rule.explanation },
                "help": { "text": rule.remedy },
                "defaultConfiguration": { "level": rule.severity.name() },
            })
        })
        .collect();
    let results: Vec<Value> = report
        .packages
        .iter()
        .flat_map(|package| {
            package
                .findings
                .iter()
                .map(move |finding| (package, finding))
        })
        .map(|(package, finding)| {
            let index = known.iter().position(|rule| rule.id == finding.rule);
            result(package, finding, index)
        })
        .collect();
    crate::text::pretty(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "trifold-pack",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules,
            }},
            "results": results,
        }],
    }))
}

fn result(package: &Package, finding: &Finding, index: Option<usize>) -> Value {
    let place = finding.file.as_ref().map_or_else(
        || finding.message.clone(),
        |file| format!("{file} {}", finding.message),
    );
    let mut location = json!({
        "physicalLocation": { "artifactLocation": { "uri": uri(&package.place) } },
    });
    if let Some(file) = &finding.file {
        location["logicalLocations"] = json!([{ "fullyQualifiedName": file, "kind": "module" }]);
    }
    let mut result = json!({
        "ruleId": finding.rule,
        "level": finding.severity.name(),
        "message": { "text": format!("{place}. {}", finding.remedy) },
        "locations": [location],
        // Stays the same when numbers in the message change.
        "partialFingerprints": {
            "ruleAndFile/v1": format!("{}:{}", finding.rule, finding.file.as_deref().unwrap_or_default()),
        },
    });
    if let Some(index) = index {
        result["ruleIndex"] = json!(index);
    }
    if let Some(reason) = &finding.allowed {
        result["suppressions"] = json!([{ "kind": "external", "justification": reason }]);
    }
    result
}

/// A path as a reference: what has a meaning in one is written in hexadecimal.
fn uri(path: &str) -> String {
    let mut text = if path.starts_with('/') {
        "file://".to_owned()
    } else {
        String::new()
    };
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}
