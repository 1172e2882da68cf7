//! Applies the rules.

use std::collections::{BTreeMap, BTreeSet};

use trifold_build::pattern::matches;

use crate::{
    Config, Export, Finding, Floor, Kind, Native, PackageKind, Relro, Rule,
    audit::Subject,
    manylinux,
    owners::{self, Class},
    rules::{
        CPU_AT_LOAD, CPU_CALLED, CPU_VARIANTS, DEBUG, DUPLICATES, EXECUTABLE_STACK, EXPORTED_CPP,
        EXPORTED_ENGINE, EXPORTED_OTHER, EXPORTED_PROGRAM, EXPORTED_RUNTIME, EXPORTED_UNIQUE,
        FOREIGN_LIBRARY, GGML, GGML_MIXED, METADATA, NO_BIND_NOW, NO_LICENCE, NO_PIE, NO_RELRO,
        NO_STACK_PROTECTOR, NOTHING_AUDITED, RECORD, REQUIRED_LIBRARY, SEARCH_PATH, SYMBOL_TABLE,
        TAG_ANY, TAG_CAUTIOUS, TAG_LIES, TAG_LINUX, TEXT_RELOCATIONS, UNSAFE_NAME, UNSUPPORTED,
        WRITABLE_CODE,
    },
    text::{self, plural},
};

/// How many details a finding has.
const DETAILS: usize = 20;

/// All findings, by rule and file.
pub(crate) fn run(subject: &Subject, config: &Config) -> Vec<Finding> {
    let mut checks = Checks {
        config,
        findings: Vec::new(),
    };
    for native in &subject.natives {
        checks.exports(native);
        checks.cpu(native);
        checks.linking(native);
        checks.weight(native);
    }
    checks.system(subject);
    checks.ggml(&subject.natives);
    checks.duplicates(subject);
    checks.wheel(subject);
    checks.unread(subject);
    let mut findings = checks.findings;
    findings.sort_by(|a, b| (&a.rule, &a.file, &a.message).cmp(&(&b.rule, &b.file, &b.message)));
    findings
}

struct Checks<'a> {
    config: &'a Config,
    findings: Vec<Finding>,
}

impl Checks<'_> {
    fn found(
        &mut self,
        rule: &Rule,
        file: Option<&str>,
        message: impl Into<String>,
        details: Vec<String>,
    ) {
        let path = file.unwrap_or_default();
        let allowed = self
            .config
            .allow
            .iter()
            .find(|allow| allow.rule.has(rule) && matches(&allow.files, path))
            .map(|allow| allow.reason.clone());
        let denied = allowed.is_none() && self.config.deny.iter().any(|deny| deny.has(rule));
        self.findings.push(Finding {
            rule: rule.id.into(),
            name: rule.name.into(),
            severity: rule.severity,
            file: file.map(text::clean),
            message: text::clean(&message.into()),
            details: details
                .into_iter()
                .map(|detail| text::clean(&detail))
                .collect(),
            remedy: rule.remedy.into(),
            denied,
            allowed,
        });
    }

    fn exports(&mut self, native: &Native) {
        if native.facts.kind == Kind::Object {
            return;
        }
        let of = |want: &dyn Fn(&Export) -> bool| -> Vec<&Export> {
            let exports = native.facts.exports.iter();
            exports.filter(|export| want(export)).collect()
        };
        let by_class = |class: Class| of(&|export: &Export| owners::class(&export.owner) == class);
        self.exported(
            &EXPORTED_ENGINE,
            native,
            &by_class(Class::Engine),
            ("function of an engine", "functions of engines"),
        );
        if native.facts.kind == Kind::Program {
            let cpp = of(&|export: &Export| {
                matches!(owners::class(&export.owner), Class::Cpp | Class::CppRuntime)
            });
            self.exported(
                &EXPORTED_PROGRAM,
                native,
                &cpp,
                ("C++ symbol", "C++ symbols"),
            );
            return;
        }
        self.exported(
            &EXPORTED_RUNTIME,
            native,
            &by_class(Class::CppRuntime),
            ("symbol of the C++ runtime", "symbols of the C++ runtime"),
        );
        // A library in C++ for others to link with exports C++; an extension is not for others.
        if native.facts.kind == Kind::Extension {
            self.exported(
                &EXPORTED_CPP,
                native,
                &by_class(Class::Cpp),
                ("C++ symbol", "C++ symbols"),
            );
            self.exported(
                &EXPORTED_OTHER,
                native,
                &by_class(Class::Other),
                ("other symbol", "other symbols"),
            );
        }
        let unique = of(&|export: &Export| export.binding == crate::Binding::Unique);
        self.exported(
            &EXPORTED_UNIQUE,
            native,
            &unique,
            ("unique symbol", "unique symbols"),
        );
    }

    fn exported(&mut self, rule: &Rule, native: &Native, exports: &[&Export], what: (&str, &str)) {
        if exports.is_empty() {
            return;
        }
        let mut owners: BTreeMap<&str, usize> = BTreeMap::new();
        for export in exports {
            *owners.entry(&export.owner).or_default() += 1;
        }
        let mut owners: Vec<(&str, usize)> = owners.into_iter().collect();
        owners.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let owners: Vec<String> = owners
            .into_iter()
            .map(|(owner, count)| format!("{} {owner}", text::thousands(count as u64)))
            .collect();
        let weak = exports
            .iter()
            .filter(|export| export.binding == crate::Binding::Weak)
            .count();
        let weak = if weak == 0 {
            String::new()
        } else {
            format!("; {} weak", text::thousands(weak as u64))
        };
        self.found(
            rule,
            Some(&native.path),
            format!(
                "exports {}: {}{weak}",
                plural(exports.len(), what.0, what.1),
                text::some(&owners, 6)
            ),
            exports
                .iter()
                .take(DETAILS)
                .map(|export| owners::readable(&export.name))
                .collect(),
        );
    }

    fn cpu(&mut self, native: &Native) {
        let cpu = &native.cpu;
        let checks: [(&Rule, &crate::Need, &str); 3] = [
            (&CPU_AT_LOAD, &cpu.at_load, "to load it"),
            (&CPU_CALLED, &cpu.called, "to call it"),
            (&CPU_VARIANTS, &cpu.variants, "in variants"),
        ];
        for (rule, need, purpose) in checks {
            if need.level <= self.config.baseline || native.facts.kind == Kind::Object {
                continue;
            }
            let details = need
                .examples
                .iter()
                .map(|example| {
                    let mut way = example.route.clone();
                    way.push(example.function.clone());
                    format!("{} uses {}", way.join(" → "), example.features.join(", "))
                })
                .collect();
            self.found(
                rule,
                Some(&native.path),
                format!(
                    "needs {} {purpose}: {} in {} of {}",
                    need.level.name(),
                    need.features.join(", "),
                    text::thousands(need.functions as u64),
                    plural(cpu.functions, "function", "functions"),
                ),
                details,
            );
        }
        if native.facts.kind == Kind::Object {
            let need = &cpu.variants;
            if need.level > self.config.baseline {
                self.found(
                    &CPU_VARIANTS,
                    Some(&native.path),
                    format!(
                        "has code for {}: {}",
                        need.level.name(),
                        need.features.join(", ")
                    ),
                    Vec::new(),
                );
            }
        }
    }

    fn linking(&mut self, native: &Native) {
        let path = Some(native.path.as_str());
        let outside: Vec<String> = native
            .facts
            .search_path
            .iter()
            .filter(|folder| !folder.starts_with("$ORIGIN") && !folder.starts_with("${ORIGIN}"))
            .cloned()
            .collect();
        if !outside.is_empty() {
            let message = format!("looks for libraries in {}", text::some(&outside, 4));
            self.found(&SEARCH_PATH, path, message, Vec::new());
        }
        let Some(hardening) = native.facts.hardening else {
            return;
        };
        let rules: [(bool, &Rule, &str); 7] = [
            (hardening.relro == Relro::None, &NO_RELRO, "has no RELRO"),
            (!hardening.bind_now, &NO_BIND_NOW, "binds functions late"),
            (
                !hardening.nx_stack,
                &EXECUTABLE_STACK,
                "asks for an executable stack",
            ),
            (!hardening.pie, &NO_PIE, "is loaded at a fixed address"),
            (
                !hardening.stack_protector && has_compiler(native, "GCC"),
                &NO_STACK_PROTECTOR,
                "has no stack protector",
            ),
            (
                hardening.text_relocations,
                &TEXT_RELOCATIONS,
                "has text relocations",
            ),
            (
                hardening.writable_code,
                &WRITABLE_CODE,
                "has a segment that can be written and run",
            ),
        ];
        for (broken, rule, message) in rules {
            if broken {
                self.found(rule, path, message, Vec::new());
            }
        }
    }

    fn weight(&mut self, native: &Native) {
        if native.facts.kind == Kind::Object {
            return;
        }
        let path = Some(native.path.as_str());
        let (debug, table) = (native.facts.debug_bytes, native.facts.symbol_table_bytes);
        let share = |part: u64| text::percent(part, native.bytes);
        if debug > self.config.debug_bytes {
            let message = format!(
                "has {} of debug information ({} %)",
                text::bytes(debug),
                share(debug)
            );
            self.found(&DEBUG, path, message, Vec::new());
        }
        if table > 0 {
            let message = format!(
                "has a symbol table of {} ({} %)",
                text::bytes(table),
                share(table)
            );
            self.found(&SYMBOL_TABLE, path, message, Vec::new());
        }
    }

    /// What the package asks of the system, and what its tag says.
    fn system(&mut self, subject: &Subject) {
        for native in &subject.natives {
            if !native.floor.foreign.is_empty() {
                let message = format!("needs {}", text::some(&native.floor.foreign, 8));
                let details = native.floor.foreign.iter();
                let details = details
                    .filter_map(|library| {
                        Some(format!("{library} {}", manylinux::origin(library)?))
                    })
                    .collect();
                self.found(&FOREIGN_LIBRARY, Some(&native.path), message, details);
            }
            if let Some(required) = &native.required {
                let message = format!(
                    "needs {} from {}",
                    text::some(&required.libraries, 8),
                    text::some(&required.packages, 4)
                );
                self.found(&REQUIRED_LIBRARY, Some(&native.path), message, Vec::new());
            }
        }
        let (Some(metadata), Some(floor)) = (&subject.metadata, &subject.floor) else {
            return;
        };
        let platforms: Vec<&str> = metadata.platforms.iter().map(String::as_str).collect();
        if platforms.contains(&"any") {
            let message = format!("has native code, and the tag any (expected: {})", floor.tag);
            self.found(&TAG_ANY, None, message, Vec::new());
        }
        if platforms.contains(&"linux_x86_64") {
            let message = format!("has the tag linux_x86_64 (expected: {})", floor.tag);
            self.found(&TAG_LINUX, None, message, Vec::new());
        }
        for policy in manylinux::promised(&platforms) {
            self.promise(subject, policy, floor);
        }
    }

    /// Whether all files keep what a tag promises.
    fn promise(&mut self, subject: &Subject, policy: &manylinux::Policy, floor: &Floor) {
        let mut lies: BTreeMap<manylinux::Excess, Vec<&str>> = BTreeMap::new();
        for native in &subject.natives {
            for excess in policy.excess(&native.asked.0, &native.asked.1) {
                lies.entry(excess).or_default().push(&native.path);
            }
        }
        if lies.is_empty() {
            if policy.could_be_older(&floor.tag) {
                let message = format!("promises {}, and could promise {}", policy.tag(), floor.tag);
                self.found(&TAG_CAUTIOUS, None, message, floor.because.clone());
            }
            return;
        }
        let message = format!("promises {}, and needs {}", policy.tag(), floor.tag);
        let details = lies
            .into_iter()
            .take(DETAILS)
            .map(|(excess, files)| format!("{}: {excess}", text::some(&files, 3)))
            .collect();
        self.found(&TAG_LIES, None, message, details);
    }

    fn ggml(&mut self, natives: &[Native]) {
        let mut kinds = BTreeSet::new();
        for native in natives {
            let Some(ggml) = &native.ggml else {
                continue;
            };
            let mut words = vec![match (&ggml.version, ggml.core) {
                (Some(version), _) => format!("ggml {version}"),
                (None, true) => "ggml of unknown version".into(),
                (None, false) => "a part of ggml".into(),
            }];
            words.extend(
                ggml.commit
                    .as_ref()
                    .map(|commit| format!("commit {commit}")),
            );
            words.extend(
                ggml.api_version
                    .map(|version| format!("backend API {version}")),
            );
            words.extend(ggml.max_name.map(|size| format!("GGML_MAX_NAME {size}")));
            words.extend(
                ggml.tensor_overhead
                    .map(|size| format!("{size} bytes for a tensor")),
            );
            words.extend(ggml.fingerprint.as_ref().map(|print| {
                let fields = plural(print.fields, "field", "fields");
                format!("fingerprint {} of {fields}", &print.sha256[..16])
            }));
            words.push(if ggml.exported { "exported" } else { "hidden" }.into());
            self.found(
                &GGML,
                Some(&native.path),
                format!("has {}", words.join(", ")),
                Vec::new(),
            );
            if ggml.exported && (ggml.version.is_some() || ggml.max_name.is_some()) {
                kinds.insert((ggml.version.clone(), ggml.max_name));
            }
        }
        // Libraries that split one ggml among them know different things.
        let versions: BTreeSet<&String> = kinds
            .iter()
            .filter_map(|(version, _)| version.as_ref())
            .collect();
        let sizes: BTreeSet<u32> = kinds.iter().filter_map(|(_, size)| *size).collect();
        if versions.len() > 1 || sizes.len() > 1 {
            let mut found: Vec<String> = versions
                .into_iter()
                .map(|version| format!("ggml {version}"))
                .collect();
            if sizes.len() > 1 {
                found.extend(sizes.iter().map(|size| format!("GGML_MAX_NAME {size}")));
            }
            self.found(
                &GGML_MIXED,
                None,
                format!("exports {}", found.join(", ")),
                Vec::new(),
            );
        }
    }

    fn unread(&mut self, subject: &Subject) {
        for (path, rule, message) in &subject.unread {
            self.found(rule, Some(path), message.clone(), Vec::new());
        }
        let unsupported = |(_, rule, _): &&(String, &Rule, String)| rule.id == UNSUPPORTED.id;
        let count = subject.unread.iter().filter(unsupported).count();
        if count > 0 && subject.natives.is_empty() {
            let files = plural(count, "native file", "native files");
            let message = format!("has {files}, and none of a kind that is audited");
            self.found(&NOTHING_AUDITED, None, message, Vec::new());
        }
    }

    fn duplicates(&mut self, subject: &Subject) {
        if subject.kind == PackageKind::Archive {
            return;
        }
        let mut copies: BTreeMap<(&str, u64), Vec<&str>> = BTreeMap::new();
        let large = |file: &&crate::PackageFile| file.bytes >= self.config.duplicate_bytes.max(1);
        for file in subject.files.iter().filter(large) {
            copies
                .entry((&file.sha256, file.bytes))
                .or_default()
                .push(&file.path);
        }
        let copies: Vec<(u64, Vec<String>)> = copies
            .into_iter()
            .filter(|(_, paths)| paths.len() > 1)
            .map(|((_, bytes), paths)| (bytes, paths.into_iter().map(str::to_owned).collect()))
            .collect();
        for (bytes, paths) in copies {
            let message = format!("{} copies of {}", paths.len(), text::bytes(bytes));
            let first = paths[0].clone();
            self.found(&DUPLICATES, Some(&first), message, paths);
        }
    }

    fn wheel(&mut self, subject: &Subject) {
        if subject.kind != PackageKind::Wheel {
            return;
        }
        let problems = &subject.problems;
        let lists = [
            (&RECORD, &problems.record, "RECORD differs from the files"),
            (&METADATA, &problems.metadata, "expected"),
            (
                &UNSAFE_NAME,
                &problems.names,
                "names that tools take differently",
            ),
        ];
        for (rule, list, what) in lists {
            if !list.is_empty() {
                let details = list.iter().take(DETAILS).cloned().collect();
                self.found(
                    rule,
                    None,
                    format!("{what}: {}", text::some(list, 3)),
                    details,
                );
            }
        }
        let metadata = subject.metadata.as_ref();
        if metadata.is_some_and(|metadata| metadata.license_files.is_empty()) {
            self.found(&NO_LICENCE, None, "has no licence file", Vec::new());
        }
        for problem in &problems.licences {
            self.found(&NO_LICENCE, None, problem.clone(), Vec::new());
        }
    }
}

fn has_compiler(native: &Native, name: &str) -> bool {
    native
        .facts
        .compilers
        .iter()
        .any(|compiler| compiler.contains(name))
}
