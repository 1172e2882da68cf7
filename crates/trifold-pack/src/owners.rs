//! Whose a symbol is.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::elf::{Binding, Export};

/// Families of C functions that belong to one engine, and that a second copy of it in the same process
/// would bind to.
const FAMILIES: [&str; 15] = [
    "ggml_",
    "gguf_",
    "llama_",
    "llamafile_",
    "whisper_",
    "mtmd_",
    "clip_",
    "sd_",
    "stbi_",
    "stbir_",
    "quantize_",
    "dequantize_",
    "iq2xs_",
    "iq3xs_",
    "llava_",
];

/// Namespaces of the C++ runtime.
const RUNTIME: [&str; 6] = [
    "std",
    "__gnu_cxx",
    "__cxxabiv1",
    "__gnu_internal",
    "__gnu_debug",
    "__cxxabi",
];

/// Exported symbols by owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Owner {
    /// `PyInit_*`, a family such as `ggml_*`, `C++ name::`, or `other`.
    pub owner: String,
    /// What kind of owner it is.
    pub class: Class,
    /// How many symbols.
    pub symbols: usize,
    /// How many of them are weak.
    pub weak: usize,
    /// How many of them are STB_GNU_UNIQUE.
    pub unique: usize,
}

/// What kind of owner a symbol has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// What Python asks an extension for.
    EntryPoint,
    /// An engine that other packages carry, too.
    Engine,
    /// C++ of the package.
    Cpp,
    /// Templates and inline functions of libstdc++.
    CppRuntime,
    /// Everything else.
    Other,
}

/// What a backend plugin is opened for; looked up in that file only.
const PLUGIN: [&str; 4] = [
    "ggml_backend_init",
    "ggml_backend_score",
    "trifold_plugin_connect",
    "trifold_plugin_info",
];
const PLUGIN_OWNER: &str = "entry points of a backend plugin";

/// Whose a symbol is, by its name.
pub(crate) fn owner(name: &str) -> String {
    if name.starts_with("PyInit_") {
        return "PyInit_*".into();
    }
    if PLUGIN.contains(&name) {
        return PLUGIN_OWNER.into();
    }
    if let Some(family) = FAMILIES.iter().find(|family| name.starts_with(**family)) {
        return format!("{family}*");
    }
    match namespace(name) {
        Some(namespace) if namespace.is_empty() => "C++ ::".into(),
        Some(namespace) => format!("C++ {namespace}::"),
        None => "other".into(),
    }
}

/// Whether it is one of those that a backend plugin is opened for.
pub(crate) fn is_of_plugin(name: &str) -> bool {
    PLUGIN.contains(&name)
}

/// The kind of an [`owner`].
pub(crate) fn class(owner: &str) -> Class {
    if owner == "PyInit_*" || owner == PLUGIN_OWNER {
        Class::EntryPoint
    } else if let Some(namespace) = owner.strip_prefix("C++ ") {
        if RUNTIME.contains(&namespace.trim_end_matches(':')) {
            Class::CppRuntime
        } else {
            Class::Cpp
        }
    } else if owner.ends_with('*') {
        Class::Engine
    } else {
        Class::Other
    }
}

/// Counts by owner: most symbols first.
pub(crate) fn count(exports: &[Export]) -> Vec<Owner> {
    let mut owners: BTreeMap<&str, Owner> = BTreeMap::new();
    for export in exports {
        let entry = owners.entry(&export.owner).or_insert_with(|| Owner {
            owner: export.owner.clone(),
            class: class(&export.owner),
            symbols: 0,
            weak: 0,
            unique: 0,
        });
        entry.symbols += 1;
        entry.weak += usize::from(export.binding == Binding::Weak);
        entry.unique += usize::from(export.binding == Binding::Unique);
    }
    let mut owners: Vec<Owner> = owners.into_values().collect();
    owners.sort_by(|a, b| {
        b.symbols
            .cmp(&a.symbols)
            .then_with(|| a.owner.cmp(&b.owner))
    });
    owners
}

/// The outermost namespace or class of a mangled C++ name; empty for what is in none; none for what is
/// no C++ name. Read from the mangled name, which is faster than to demangle, and knows no bad names.
fn namespace(name: &str) -> Option<String> {
    let mut rest = name.strip_prefix("_Z")?;
    // Rust's old mangling is C++'s; its names end in a hash.
    if rest.starts_with('N') && name.contains("17h") && name.ends_with('E') {
        return None;
    }
    // Tables, typeinfo, guards and thunks are of the class that follows.
    loop {
        let before = rest;
        for prefix in [
            "TV", "TT", "TI", "TS", "TC", "TW", "TH", "GV", "GR", "GTt", "GTn",
        ] {
            rest = rest.strip_prefix(prefix).unwrap_or(rest);
        }
        for prefix in ["Th", "Tv"] {
            if let Some(thunk) = rest.strip_prefix(prefix) {
                rest = thunk.split_once('_').map_or("", |(_, rest)| rest);
                if prefix == "Tv" {
                    rest = rest.split_once('_').map_or("", |(_, rest)| rest);
                }
            }
        }
        // What is local to a function belongs to that function.
        rest = rest.strip_prefix('Z').unwrap_or(rest);
        if rest == before {
            break;
        }
    }
    let nested = rest.strip_prefix('N');
    let rest = nested
        .unwrap_or(rest)
        .trim_start_matches(['K', 'V', 'r', 'R', 'O']);
    let mut letters = rest.chars();
    match letters.next()? {
        'S' => Some("std".into()),
        digit if digit.is_ascii_digit() => {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let length: usize = rest[..digits].parse().ok()?;
            let name = rest.get(digits..digits.checked_add(length)?)?;
            if nested.is_none() {
                return Some(String::new());
            }
            Some(if name.starts_with("_GLOBAL_") {
                "(anonymous)".into()
            } else {
                name.to_owned()
            })
        }
        // Operators: `operator new` and its kin are the runtime's.
        'n' | 'd' if nested.is_none() && matches!(letters.next(), Some('w' | 'a' | 'l')) => {
            Some("std".into())
        }
        _ => Some(String::new()),
    }
}

/// A name as people write it: C++ names demangled, without parameters.
pub(crate) fn readable(name: &str) -> String {
    if !name.starts_with("_Z") || name.len() > 4096 {
        return name.to_owned();
    }
    let options = cpp_demangle::DemangleOptions::new()
        .no_params()
        .no_return_type()
        .recursion_limit(64);
    let parse = cpp_demangle::ParseOptions::default().recursion_limit(64);
    cpp_demangle::Symbol::new_with_options(name, &parse)
        .ok()
        .and_then(|symbol| symbol.demangle_with_options(&options).ok())
        .filter(|readable| readable.len() <= 4 * name.len())
        .unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Class, PLUGIN_OWNER, class, owner, readable};

    #[test]
    fn symbols_belong_to_families_and_namespaces() {
        for (name, expected, kind) in [
            ("PyInit__native", "PyInit_*", Class::EntryPoint),
            ("ggml_backend_init", PLUGIN_OWNER, Class::EntryPoint),
            ("ggml_init", "ggml_*", Class::Engine),
            ("sd_ctx_free", "sd_*", Class::Engine),
            ("_ZN5minja4Node6renderEv", "C++ minja::", Class::Cpp),
            (
                "_ZTVN8nlohmann6detail9exceptionE",
                "C++ nlohmann::",
                Class::Cpp,
            ),
            ("_ZZN5minja3fooEvE1x", "C++ minja::", Class::Cpp),
            (
                "_ZNKSt6vectorIiSaIiEE4sizeEv",
                "C++ std::",
                Class::CppRuntime,
            ),
            (
                "_ZN9__gnu_cxx13new_allocatorIcE8allocateEmPKv",
                "C++ __gnu_cxx::",
                Class::CppRuntime,
            ),
            ("_ZGTtNSt11logic_errorD1Ev", "C++ std::", Class::CppRuntime),
            ("_Znwm", "C++ std::", Class::CppRuntime),
            ("_Z8sgemm_ppv", "C++ ::", Class::Cpp),
            ("memcpy_fast", "other", Class::Other),
            (
                "_ZN4core3ptr4drop17h0123456789abcdefE",
                "other",
                Class::Other,
            ),
        ] {
            assert_eq!(owner(name), expected, "{name}");
            assert_eq!(class(&owner(name)), kind, "{name}");
        }
    }

    #[test]
    fn names_are_readable() {
        assert_eq!(readable("_ZN5minja4Node6renderEv"), "minja::Node::render");
        assert_eq!(readable("ggml_init"), "ggml_init");
        assert_eq!(readable("_ZN"), "_ZN");
    }
}
