use std::fmt::Write as _;

use crate::{
    Finding, Native, Package, PackageKind, Report, Severity, owners,
    text::{bytes, percent, plural, some, thousands},
};

/// How many details are shown of a finding.
const DETAILS: usize = 5;

/// How long a detail may be, in letters.
const WIDTH: usize = 160;

/// How many sections are shown of a file.
const SECTIONS: usize = 5;

/// The report for people. Writing to a string does not fail.
pub fn human(report: &Report, all: bool) -> String {
    let mut out = String::new();
    for package in &report.packages {
        head(&mut out, package);
        let shown = if all { usize::MAX } else { 12 };
        for native in package.natives.iter().take(shown) {
            file(&mut out, native, package);
        }
        if package.natives.len() > shown {
            let _ = writeln!(
                out,
                "\n  and {} more files (--all shows them)",
                package.natives.len() - shown
            );
        }
        findings(&mut out, package, all);
    }
    summary(&mut out, report);
    out
}

fn head(out: &mut String, package: &Package) {
    let _ = writeln!(out, "\x1b[1m{}\x1b[0m", package.place);
    let kind = match package.kind {
        PackageKind::Archive => "static archive",
        PackageKind::File => "ELF file",
        PackageKind::Folder => "folder",
        PackageKind::Installed => "installed package",
        PackageKind::Wheel => "wheel",
    };
    let mut line = format!("  {kind}, {}", bytes(package.bytes));
    if let Some(packed) = package.packed {
        let _ = write!(line, " ({} packed)", bytes(packed));
    }
    if let Some(metadata) = &package.metadata {
        let _ = write!(line, ", {} {}", metadata.name, metadata.version);
    }
    let _ = writeln!(out, "{line}");
    if let Some(floor) = &package.floor {
        let newest: Vec<String> = floor
            .newest
            .iter()
            .map(|(family, version)| format!("{family} {version}"))
            .collect();
        let _ = writeln!(out, "  runs on   {}{}", floor.tag, aside(&newest));
        if !floor.because.is_empty() {
            let _ = writeln!(out, "  because   {}", some(&floor.because, 4));
        }
    }
    if let Some(metadata) = &package.metadata {
        let _ = writeln!(out, "  promises  {}", metadata.platforms.join(", "));
    }
}

fn aside(words: &[String]) -> String {
    if words.is_empty() {
        String::new()
    } else {
        format!(" ({})", words.join(", "))
    }
}

fn file(out: &mut String, native: &Native, package: &Package) {
    let mut size = bytes(native.bytes);
    if let (Some(packed), Some(whole)) = (native.packed, package.packed) {
        let _ = write!(
            size,
            ", {} packed, {} % of the wheel",
            bytes(packed),
            percent(packed, whole)
        );
    }
    let kind = format!("{:?}", native.facts.kind).to_lowercase();
    let _ = writeln!(
        out,
        "\n  {} ({kind}, {size})",
        crate::text::clean(&native.path)
    );
    let owners: Vec<String> = native
        .owners
        .iter()
        .map(|owner| format!("{} {}", thousands(owner.symbols as u64), owner.owner))
        .collect();
    let total: usize = native.owners.iter().map(|owner| owner.symbols).sum();
    let line = |out: &mut String, name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(out, "    {name:<9} {}", crate::text::clean(value));
        }
    };
    line(
        out,
        "exports",
        &match total {
            0 => "nothing".to_owned(),
            1 => native
                .facts
                .exports
                .first()
                .map(|export| owners::readable(&export.name))
                .unwrap_or_default(),
            _ => format!(
                "{}: {}",
                plural(total, "symbol", "symbols"),
                some(&owners, 8)
            ),
        },
    );
    line(
        out,
        "soname",
        native.facts.soname.as_deref().unwrap_or_default(),
    );
    line(out, "needs", &native.facts.needed.join(", "));
    line(out, "looks in", &native.facts.search_path.join(", "));
    line(out, "runs on", &native.floor.tag);
    line(out, "cpu", &cpu(native));
    line(out, "hardening", &hardening(native));
    let sections: Vec<String> = native
        .facts
        .sections
        .iter()
        .map(|section| format!("{} {}", section.name, bytes(section.bytes)))
        .collect();
    line(out, "sections", &some(&sections, SECTIONS));
}

fn cpu(native: &Native) -> String {
    let cpu = &native.cpu;
    let mut words = vec![
        format!("{} to load", cpu.at_load.level.name()),
        format!("{} to call", cpu.called.level.max(cpu.at_load.level).name()),
    ];
    if cpu.variants.functions > 0 {
        words.push(format!("variants for {}", cpu.variants.level.name()));
    }
    if cpu.vector_functions > 0 {
        words.push(format!(
            "AVX in {} of {} with vectors",
            thousands(cpu.avx_functions as u64),
            plural(cpu.vector_functions, "function", "functions")
        ));
    }
    words.join(", ")
}

fn hardening(native: &Native) -> String {
    let Some(found) = native.facts.hardening else {
        return String::new();
    };
    let mut words = vec![format!(
        "RELRO {}",
        format!("{:?}", found.relro).to_lowercase()
    )];
    for (is, yes, no) in [
        (found.bind_now, "BIND_NOW", "no BIND_NOW"),
        (found.nx_stack, "NX", "no NX"),
        (found.pie, "PIE", "no PIE"),
        (
            found.stack_protector,
            "stack protector",
            "no stack protector",
        ),
    ] {
        words.push(if is { yes } else { no }.into());
    }
    words.join(", ")
}

fn findings(out: &mut String, package: &Package, all: bool) {
    if package.findings.is_empty() {
        let _ = writeln!(out, "\n  no findings\n");
        return;
    }
    let _ = writeln!(out);
    let mut sorted: Vec<&Finding> = package.findings.iter().collect();
    sorted.sort_by_key(|finding| finding.severity);
    for finding in sorted {
        let colour = match finding.severity {
            Severity::Error => "\x1b[1;31m",
            Severity::Warning => "\x1b[1;33m",
            Severity::Note => "\x1b[1;34m",
        };
        let file = finding
            .file
            .as_ref()
            .map(|file| format!("{file} "))
            .unwrap_or_default();
        let _ = writeln!(
            out,
            "  {colour}{}\x1b[0m {} {}: {file}{}",
            finding.severity.name(),
            finding.rule,
            finding.name,
            finding.message
        );
        if let Some(reason) = &finding.allowed {
            let _ = writeln!(out, "      allowed: {reason}");
            continue;
        }
        if finding.severity == Severity::Note && !all {
            continue;
        }
        let shown = if all { usize::MAX } else { DETAILS };
        for detail in finding.details.iter().take(shown) {
            let _ = writeln!(out, "      {}", crop(detail, all));
        }
        if finding.details.len() > shown {
            let _ = writeln!(out, "      …");
        }
        let _ = writeln!(out, "      → {}", finding.remedy);
    }
    let _ = writeln!(out);
}

/// Names of templates can fill a screen each.
fn crop(detail: &str, all: bool) -> std::borrow::Cow<'_, str> {
    match detail.char_indices().nth(WIDTH) {
        Some((end, _)) if !all => format!("{}…", &detail[..end]).into(),
        _ => detail.into(),
    }
}

fn summary(out: &mut String, report: &Report) {
    let count = |severity: Severity| {
        let findings = report.packages.iter().flat_map(|package| &package.findings);
        findings
            .filter(|finding| finding.severity == severity && finding.allowed.is_none())
            .count()
    };
    let _ = writeln!(
        out,
        "{}, {}, {}; {} denied",
        plural(count(Severity::Error), "error", "errors"),
        plural(count(Severity::Warning), "warning", "warnings"),
        plural(count(Severity::Note), "note", "notes"),
        report.denied
    );
}
