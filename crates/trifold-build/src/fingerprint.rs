//! The fingerprint of a ggml: everything that must be equal for an engine and a backend plugin to share
//! memory.
//!
//! They hand each other tensors, graphs and tables of functions, as plain structs. Upstream compares one
//! number, `GGML_BACKEND_API_VERSION`, which does not change when an enumerator moves, when a struct
//! grows, or when a definition such as `GGML_MAX_NAME` differs; then one reads what the other did not
//! write. A [`Fingerprint`] names every field, so that a refusal can say which one differs.
//!
//! It comes from the compiler: a probe that includes ggml's headers is compiled with debug information,
//! which tells every struct, field, enumerator and type of a function exactly as this compiler lays it
//! out with these definitions. A parser of the headers would have to understand macros, conditional
//! parts, nested types and the ABI's rules of alignment, and could be wrong in silence.
//!
//! ```no_run
//! use trifold_build::{Builder, fingerprint::Fingerprint, toolchain::Toolchain};
//!
//! # fn main() -> Result<(), trifold_build::BuildError> {
//! let builder = Builder::from_env()?;
//! let toolchain = Toolchain::find()?;
//! let mut found = Vec::new();
//! for engine in ["llama", "whisper"] {
//!     let (tree, _) = builder.trees(engine)?;
//!     found.push(Fingerprint::of_tree(&toolchain, &tree, &builder.config.common.defines)?);
//! }
//! for difference in found[0].differences(&found[1]) {
//!     println!("{difference}"); // enum ggml_op: GGML_OP_SUM: expected 12, found 11
//! }
//! # Ok(())
//! # }
//! ```

mod dwarf;
mod text;

use std::{collections::BTreeMap, fmt, path::Path};

use serde::{Deserialize, Serialize};

use crate::{BuildError, compile::run, source::Tree, toolchain::Toolchain};

/// The definitions that stand in a fingerprint.
const CONSTANTS: [&str; 5] = [
    "GGML_BACKEND_API_VERSION",
    "GGML_MAX_DIMS",
    "GGML_MAX_NAME",
    "GGML_MAX_OP_PARAMS",
    "GGML_MAX_SRC",
];

/// The probe's own enumeration, which carries them.
const CONSTANTS_ENUM: &str = "trifold_fingerprint_constants";

/// The structs that an engine and a plugin hand each other. What they hold or point to follows from them.
const ROOTS: [&str; 6] = [
    "ggml_tensor",
    "ggml_cgraph",
    "ggml_backend",
    "ggml_backend_dev_props",
    "ggml_backend_feature",
    "ggml_backend_reg",
];

/// What must be equal for an engine and a plugin to share memory.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// The version of ggml.
    pub version: String,
    /// Its commit, as far as the source says it; else what identifies the source.
    pub commit: String,
    /// Definitions such as `GGML_MAX_NAME`.
    pub constants: BTreeMap<String, i64>,
    /// Every enumeration, and its enumerators.
    pub enums: BTreeMap<String, BTreeMap<String, i64>>,
    /// The layout of every struct that is handed over.
    pub structs: BTreeMap<String, Layout>,
    /// The types of functions that a plugin is asked for by name, and of callbacks.
    pub functions: BTreeMap<String, String>,
}

/// How a struct lies in memory.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// Its size in bytes.
    pub size: u64,
    /// Its fields, by name.
    pub fields: BTreeMap<String, Field>,
}

/// A field of a struct.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Where it begins, in bytes from the beginning of the struct.
    pub offset: u64,
    /// Its type, spelt alike for all compilers: `[4]i64`, `*struct ggml_tensor`, `fn(i32) -> void`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// One thing that two fingerprints do not agree on.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// What it is, such as `enum ggml_op: GGML_OP_SUM` or `struct ggml_tensor: name: type`.
    pub field: String,
    /// Its value here; `absent` if there is none.
    pub expected: String,
    /// Its value there.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            expected,
            found,
        } = self;
        write!(f, "{field}: expected {expected}, found {found}")
    }
}

impl Fingerprint {
    /// The fingerprint of the ggml in a source tree, compiled with these definitions (`NAME=VALUE`).
    ///
    /// # Errors
    /// [`BuildError::Command`] if its headers do not compile, [`BuildError::Fingerprint`] if the
    /// compiler's debug information is not understood.
    pub fn of_tree(
        toolchain: &Toolchain,
        tree: &Tree,
        defines: &[String],
    ) -> Result<Self, BuildError> {
        // Two checkouts of somebody's own are both called so.
        let commit = if tree.label == "local" {
            &tree.id
        } else {
            &tree.label
        };
        Self::of_folder(toolchain, &tree.ggml, &tree.ggml_version, commit, defines)
    }

    /// The fingerprint of the ggml in a folder, which has `include` and `src` inside.
    ///
    /// # Errors
    /// As [`of_tree`](Self::of_tree).
    pub fn of_folder(
        toolchain: &Toolchain,
        ggml: &Path,
        version: &str,
        commit: &str,
        defines: &[String],
    ) -> Result<Self, BuildError> {
        let work = tempfile::tempdir().map_err(BuildError::io(
            "Could not create a folder in",
            std::env::temp_dir(),
        ))?;
        let source = work.path().join("probe.c");
        fs_err::write(&source, probe()).map_err(BuildError::io("Could not write", &source))?;
        let object = work.path().join("probe.so");
        let mut command = toolchain.compile(false);
        command.args(defines.iter().map(|define| format!("-D{define}")));
        for folder in ["include", "src"] {
            command.arg("-I").arg(ggml.join(folder));
        }
        // Linked, so that no relocations are left in the debug information.
        command
            .args([
                "-std=gnu11",
                "-w",
                "-g",
                "-fno-eliminate-unused-debug-types",
            ])
            .args(["-fPIC", "-shared", "-nostdlib", "-o"])
            .arg(&object)
            .arg(&source);
        run(
            &format!("Could not compile the headers of {}", ggml.display()),
            &mut command,
        )?;
        let bytes = fs_err::read(&object).map_err(BuildError::io("Could not read", &object))?;
        let types = dwarf::Types::read(&bytes)
            .map_err(|error| BuildError::fingerprint(ggml, error.to_string()))?;
        Self::of_types(&types, version, commit).map_err(|what| BuildError::fingerprint(ggml, what))
    }

    fn of_types(types: &dwarf::Types, version: &str, commit: &str) -> Result<Self, String> {
        let mut enums = types.enums();
        let constants = enums
            .remove(CONSTANTS_ENUM)
            .ok_or("expected the probe's definitions, found none")?
            .into_iter()
            .filter_map(|(name, value)| {
                let name = name
                    .strip_prefix("TRIFOLD_")
                    .filter(|name| *name != "END")?;
                Some((name.to_owned(), value))
            })
            .collect();
        enums.retain(|name, _| name.starts_with("ggml_"));
        let mut functions = types.functions()?;
        functions.retain(|name, _| name.starts_with("ggml_"));
        Ok(Self {
            version: version.into(),
            commit: commit.into(),
            constants,
            enums,
            structs: types.layouts(&ROOTS, "ggml_")?,
            functions,
        })
    }

    /// What differs: `self` is what is expected, `other` what was found. Empty if they are equal.
    ///
    /// ```
    /// use trifold_build::fingerprint::Fingerprint;
    ///
    /// let mut one = Fingerprint::default();
    /// one.constants.insert("GGML_MAX_NAME".into(), 128);
    /// let mut other = one.clone();
    /// assert_eq!(one.differences(&other), []);
    /// other.constants.insert("GGML_MAX_NAME".into(), 64);
    /// assert_eq!(
    ///     one.differences(&other)[0].to_string(),
    ///     "GGML_MAX_NAME: expected 128, found 64"
    /// );
    /// ```
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let mut found = Differences(Vec::new());
        found.compare("ggml version", Some(&self.version), Some(&other.version));
        found.compare("ggml commit", Some(&self.commit), Some(&other.commit));
        found.maps("", &self.constants, &other.constants);
        for (name, mine, theirs) in both(&self.enums, &other.enums) {
            let place = format!("enum {name}");
            match (mine, theirs) {
                (Some(mine), Some(theirs)) => found.maps(&format!("{place}: "), mine, theirs),
                (mine, theirs) => found.compare(
                    &place,
                    mine.map(|_| "present").as_ref(),
                    theirs.map(|_| "present").as_ref(),
                ),
            }
        }
        for (name, mine, theirs) in both(&self.structs, &other.structs) {
            found.layouts(&format!("struct {name}"), mine, theirs);
        }
        found.maps("function ", &self.functions, &other.functions);
        found.0
    }

    /// What differs apart from version and commit: whether the memory looks the same.
    pub fn memory_differences(&self, other: &Self) -> Vec<Difference> {
        let other = Self {
            version: self.version.clone(),
            commit: self.commit.clone(),
            ..other.clone()
        };
        self.differences(&other)
    }
}

/// Differences under construction.
struct Differences(Vec<Difference>);

impl Differences {
    fn compare<T: PartialEq + ToString>(
        &mut self,
        field: &str,
        mine: Option<&T>,
        theirs: Option<&T>,
    ) {
        if mine == theirs {
            return;
        }
        let show = |value: Option<&T>| value.map_or("absent".into(), ToString::to_string);
        self.0.push(Difference {
            field: field.into(),
            expected: show(mine),
            found: show(theirs),
        });
    }

    fn maps<T: PartialEq + ToString>(
        &mut self,
        place: &str,
        mine: &BTreeMap<String, T>,
        theirs: &BTreeMap<String, T>,
    ) {
        for (name, mine, theirs) in both(mine, theirs) {
            self.compare(&format!("{place}{name}"), mine, theirs);
        }
    }

    fn layouts(&mut self, place: &str, mine: Option<&Layout>, theirs: Option<&Layout>) {
        let (Some(mine), Some(theirs)) = (mine, theirs) else {
            let word = |layout: Option<&Layout>| layout.map(|_| "present");
            return self.compare(place, word(mine).as_ref(), word(theirs).as_ref());
        };
        self.compare(
            &format!("{place}: size"),
            Some(&mine.size),
            Some(&theirs.size),
        );
        for (name, mine, theirs) in both(&mine.fields, &theirs.fields) {
            let field = format!("{place}: {name}");
            match (mine, theirs) {
                (Some(mine), Some(theirs)) => {
                    let offsets = (Some(&mine.offset), Some(&theirs.offset));
                    self.compare(&format!("{field}: offset"), offsets.0, offsets.1);
                    let kinds = (Some(&mine.kind), Some(&theirs.kind));
                    self.compare(&format!("{field}: type"), kinds.0, kinds.1);
                }
                (mine, theirs) => {
                    let show = |field: &Field| format!("{} at {}", field.kind, field.offset);
                    self.compare(&field, mine.map(show).as_ref(), theirs.map(show).as_ref());
                }
            }
        }
    }
}

/// All keys of two maps, in order, with what each has.
fn both<'a, T>(
    mine: &'a BTreeMap<String, T>,
    theirs: &'a BTreeMap<String, T>,
) -> impl Iterator<Item = (&'a str, Option<&'a T>, Option<&'a T>)> {
    let mut names: Vec<&str> = mine
        .keys()
        .chain(theirs.keys())
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| (name, mine.get(name), theirs.get(name)))
}

/// A source file whose debug information tells all.
fn probe() -> String {
    let constants = CONSTANTS.iter().fold(String::new(), |text, name| {
        text + &format!("#ifdef {name}\n    TRIFOLD_{name} = {name},\n#endif\n")
    });
    format!(
        "#include \"ggml.h\"\n#include \"ggml-backend.h\"\n#include \"ggml-impl.h\"\n\
         #include \"ggml-backend-impl.h\"\nenum {CONSTANTS_ENUM} {{\n{constants}    TRIFOLD_END,\n}};\n\
         enum {CONSTANTS_ENUM} trifold_probe;\n"
    )
}
