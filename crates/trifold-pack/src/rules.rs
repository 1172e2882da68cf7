//! The rules: what is looked for, why, and what to do about it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::PackError;

/// How bad a finding is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It breaks for somebody.
    Error,
    /// It may break, or costs without use.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// In lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its number, such as `TP001`, which never changes.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// How bad a violation is.
    pub severity: Severity,
    /// What is found, in one line.
    pub summary: &'static str,
    /// Why it matters.
    pub explanation: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

macro_rules! rules {
    ($($constant:ident = $id:literal $name:literal $severity:ident: $summary:literal, $explanation:literal, $remedy:literal;)*) => {
        $(pub(crate) const $constant: Rule = Rule {
            id: $id,
            name: $name,
            severity: Severity::$severity,
            summary: $summary,
            explanation: $explanation,
            remedy: $remedy,
        };)*

        /// All rules, by number.
        pub const RULES: &[Rule] = &[$($constant),*];
    };
}

rules! {
    EXPORTED_ENGINE = "TP001" "exported-engine" Error:
        "Functions of an engine that others carry, too, are visible to the whole process",
        "The loader binds a name to the first library that has it. With `ggml_*`, `llama_*`, `whisper_*` or `sd_*` visible, another package's engine, of another revision, can call into this one: a crash, or wrong results without one. It happens where something loads either with RTLD_GLOBAL, or where one is linked to the other.",
        "Link with a version script (`{ global: PyInit_*; local: *; };`) and compile with -fvisibility=hidden";
    EXPORTED_CPP = "TP002" "exported-cpp" Error:
        "C++ functions and classes of an extension are visible to the whole process",
        "Inline functions, templates and vtables have the same names in every package that uses the same header-only library. One of them wins, and its layout need not be the other's.",
        "Link with a version script that exports PyInit_* only; -fvisibility=hidden -fvisibility-inlines-hidden";
    EXPORTED_RUNTIME = "TP003" "exported-cpp-runtime" Warning:
        "Templates and functions of the C++ runtime are visible to the whole process",
        "Code of `std::` that was compiled into this file can be bound by others, and theirs by this file. It matters where the two were compiled by different compilers or settings.",
        "Link with a version script; with a static libstdc++ also -Wl,--exclude-libs,ALL";
    EXPORTED_UNIQUE = "TP004" "exported-unique" Warning:
        "Symbols of STB_GNU_UNIQUE: one for each process, even under RTLD_LOCAL",
        "The loader unifies them over all libraries, whatever the flags of dlopen say, and keeps the library loaded for ever.",
        "Compile with -fno-gnu-unique, or hide them with a version script";
    EXPORTED_OTHER = "TP005" "exported-other" Note:
        "An extension exports more than what Python asks for",
        "Every name can collide with another package's.",
        "Link with a version script that exports PyInit_* only";
    EXPORTED_PROGRAM = "TP006" "exported-by-program" Note:
        "C++ functions and classes of a program are visible to the libraries that it loads",
        "A program's names come before those of all libraries. Those that its own libraries have, too, must be shared, and the linker exports them of its own accord; with -rdynamic it exports all.",
        "Link without -rdynamic (in CMake: ENABLE_EXPORTS off), unless plugins need the program's names";
    FOREIGN_LIBRARY = "TP010" "foreign-library" Error:
        "A library is needed that is neither in the package nor on every system",
        "On a system without it the import fails. No manylinux or musllinux policy admits it.",
        "Put it into the package with `auditwheel repair`, or link it statically";
    TAG_LIES = "TP011" "tag-lies" Error:
        "The platform tag promises an older system than the files run on",
        "pip installs the wheel where it cannot be imported, instead of choosing another one.",
        "Build in the container of the tag that is promised, or give the wheel the tag that is true";
    TAG_LINUX = "TP012" "tag-linux" Warning:
        "The platform tag is linux_x86_64, which says nothing and which PyPI refuses",
        "pip installs it on any Linux, whatever its glibc.",
        "Check it with `auditwheel`, and give it the tag that is true";
    TAG_ANY = "TP013" "tag-any" Error:
        "The wheel says that it has no native code, and has some",
        "pip installs it on every system and CPU.",
        "Build it as a platform wheel";
    TAG_CAUTIOUS = "TP014" "tag-cautious" Note:
        "The platform tag could promise an older system",
        "All files run on older systems than the tag says.",
        "Give it the older tag, if it is tested there";
    SEARCH_PATH = "TP015" "search-path" Warning:
        "The loader is told to look for libraries in folders outside of the package",
        "A folder of the machine that built it, or a relative one, may hold anything on the machine that runs it.",
        "Use $ORIGIN, or none: patchelf --remove-rpath";
    REQUIRED_LIBRARY = "TP016" "required-library" Note:
        "A library is needed that another package brings, which this one requires",
        "The file looks for libraries in that package's folder, and METADATA requires packages of that name. Whether their versions have the library cannot be seen from outside. The platform tag says nothing of it.",
        "Nothing, if the range of versions in Requires-Dist is the one that has this library";
    CPU_AT_LOAD = "TP020" "cpu-at-load" Error:
        "Loading or importing it runs instructions that not every CPU has",
        "On a CPU without them the process ends with SIGILL at import. The instructions are in constructors, in PyInit functions, or in what these call directly without a look at the CPU.",
        "Compile all but the kernels for the baseline, and choose the kernels when they run";
    CPU_CALLED = "TP021" "cpu-called" Error:
        "What it exports runs instructions that not every CPU has",
        "They are reached by direct calls from exported functions, and nothing on the way looks at the CPU; or nothing in the file does. On a CPU without them the process ends with SIGILL.",
        "Choose between variants by what the CPU has, or check it once and say what is missing";
    CPU_VARIANTS = "TP022" "cpu-variants" Note:
        "It has code for newer CPUs, behind a look at the CPU or reached through pointers only",
        "That is how variants for several CPUs look. Whether the look decides cannot be seen from outside.",
        "Nothing, if the package runs on the oldest CPU that it is meant for";
    NO_RELRO = "TP030" "no-relro" Warning:
        "Relocated data stays writable, or part of it does",
        "Tables of functions can be overwritten by a memory error.",
        "Link with -Wl,-z,relro,-z,now";
    NO_BIND_NOW = "TP031" "no-bind-now" Note:
        "Functions are bound when they are first called",
        "A missing function is found out only then, and the table of functions stays writable.",
        "Link with -Wl,-z,now";
    EXECUTABLE_STACK = "TP032" "executable-stack" Error:
        "The stack may hold code",
        "The loader makes the stacks of the whole process executable, or, since glibc 2.41, refuses to load the file.",
        "Link with -Wl,-z,noexecstack, and mark assembly files with .note.GNU-stack";
    NO_PIE = "TP033" "no-pie" Warning:
        "The program is loaded at a fixed address",
        "Its code is at the same place in every process.",
        "Compile with -fPIE and link with -pie";
    NO_STACK_PROTECTOR = "TP034" "no-stack-protector" Note:
        "No function checks its stack frame",
        "An overflow of a buffer on the stack is not noticed. Files without C or C++ need none.",
        "Compile C and C++ with -fstack-protector-strong";
    TEXT_RELOCATIONS = "TP035" "text-relocations" Error:
        "Code is changed when it is loaded",
        "It must be writable then, is not shared between processes, and hardened systems refuse it.",
        "Compile with -fPIC";
    WRITABLE_CODE = "TP036" "writable-code" Error:
        "A segment can be written and run",
        "A memory error can put code there.",
        "Find the section with `readelf -lS`, and separate data from code";
    DEBUG = "TP040" "debug-information" Warning:
        "Debug information is shipped",
        "It is loaded by nobody, is often larger than the code, and names folders of the machine that built it.",
        "Link with -Wl,--strip-debug, or run strip";
    SYMBOL_TABLE = "TP041" "symbol-table" Note:
        "A symbol table is shipped that no loader reads",
        "It only helps debuggers.",
        "Link with -Wl,--strip-all, or run strip";
    DUPLICATES = "TP042" "duplicate-files" Warning:
        "The same file is in the package more than once",
        "A wheel cannot hold links, so each is a copy; loaded under two names, a library is also in memory twice, with its state.",
        "Ship the file under its SONAME only";
    RECORD = "TP050" "record" Error:
        "RECORD is not what is in the wheel",
        "Installers check it, and use it to remove the package.",
        "Write RECORD last, after every change to the wheel";
    METADATA = "TP051" "metadata" Error:
        "The metadata is incomplete, or differs from the file name",
        "Installers and indexes go by the one or the other.",
        "Build the wheel with a build backend; rename it with `wheel tags`";
    UNSAFE_NAME = "TP052" "unsafe-name" Error:
        "An entry would be unpacked outside of its folder, or is ambiguous",
        "`../`, absolute paths, links and names that are there twice overwrite other files in careless tools.",
        "Do not install it, and ask where it comes from";
    NO_LICENCE = "TP053" "no-licence" Warning:
        "No licence file, or one that is named is missing",
        "Nearly every licence asks for its text to go with the copy, also those of what is linked in.",
        "List the files under `license-files` in pyproject.toml";
    GGML = "TP060" "ggml-inside" Note:
        "A copy of ggml, or a part of one, is inside",
        "ggml has no stable interface: two copies in one process live together only if neither is visible.",
        "Nothing, if it is not exported (TP001)";
    GGML_MIXED = "TP061" "ggml-mixed" Warning:
        "Copies of ggml that differ are in one package, and visible",
        "Whichever is loaded first serves all of them, with another layout of tensors.",
        "Build all parts with one ggml, or hide each";
    UNSUPPORTED = "TP090" "not-supported" Note:
        "A native file of a kind that is not audited",
        "Nothing is known about it.",
        "Audit it with the tools of its own platform";
    DAMAGED = "TP091" "damaged" Error:
        "A native file contradicts itself",
        "A loader refuses it, or crashes.",
        "Build the package again";
    NOTHING_AUDITED = "TP092" "nothing-audited" Error:
        "There are native files, and none of a kind that is audited",
        "Without this, a package of which nothing is known would pass.",
        "Audit it with the tools of its own platform, and leave it out here or allow this rule for it";
}

/// What `--deny` and the configuration name: a rule, or a severity and what is worse, or everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// One rule.
    Rule(&'static Rule),
    /// All rules that are at least this bad.
    From(Severity),
}

impl Selector {
    /// Whether a rule is meant.
    pub fn has(self, rule: &Rule) -> bool {
        match self {
            Self::Rule(known) => known.id == rule.id,
            Self::From(severity) => rule.severity <= severity,
        }
    }
}

impl std::str::FromStr for Selector {
    type Err = PackError;

    fn from_str(name: &str) -> Result<Self, PackError> {
        match name {
            "errors" => return Ok(Self::From(Severity::Error)),
            "warnings" => return Ok(Self::From(Severity::Warning)),
            "all" => return Ok(Self::From(Severity::Note)),
            _ => {}
        }
        RULES
            .iter()
            .find(|rule| rule.id.eq_ignore_ascii_case(name) || rule.name == name)
            .map(Self::Rule)
            .ok_or_else(|| PackError::UnknownRule { name: name.into() })
    }
}

/// The table of `docs/audit.md`.
pub fn markdown() -> String {
    use std::fmt::Write as _;
    let mut text = String::from(
        "| rule | severity | what is found | why it matters | what to do |\n| --- | --- | --- | --- | --- |\n",
    );
    for rule in RULES {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {} `{}` | {} | {} | {} | {} |",
            rule.id,
            rule.name,
            rule.severity.name(),
            rule.summary,
            rule.explanation,
            rule.remedy
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{RULES, Selector};

    #[test]
    fn rules_are_numbered_in_order_and_named_once() {
        assert!(RULES.is_sorted_by(|a, b| a.id < b.id));
        let mut names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
    }

    #[test]
    fn selectors_name_rules_and_severities() {
        let denied = |name: &str| {
            let selector: Selector = name.parse().unwrap();
            RULES.iter().filter(|rule| selector.has(rule)).count()
        };
        assert_eq!(denied("TP011"), 1);
        assert_eq!(denied("tag-lies"), 1);
        assert_eq!(denied("all"), RULES.len());
        assert!(denied("errors") < denied("warnings"));
        assert!("TP999".parse::<Selector>().is_err());
    }
}
