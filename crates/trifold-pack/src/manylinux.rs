//! What a Linux platform tag promises, and what a file asks for.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::LazyLock,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::elf::NeededVersion;

/// The families of versions that policies bound.
const FAMILIES: [&str; 6] = ["CXXABI", "GCC", "GLIBC", "GLIBCXX", "LIBATOMIC", "ZLIB"];

/// What a file or package asks of the system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Floor {
    /// The oldest tag that is true, such as `manylinux_2_28_x86_64`; `linux_x86_64` if no policy admits it.
    /// `musllinux_1_1_x86_64` if it needs musl, of which files do not say the version.
    pub tag: String,
    /// The newest version of each family that is asked for, such as `GLIBC` → `2.28`.
    pub newest: BTreeMap<String, String>,
    /// Libraries that no policy has, and that are not in the package.
    pub foreign: Vec<String>,
    /// What keeps the tag from being an older one: `version of library for symbol`.
    pub because: Vec<String>,
}

/// Something that a tag does not admit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Excess {
    /// Of glibc, where musl is promised.
    Glibc(String),
    Library(String),
    /// Of musl, where glibc is promised.
    Musl(String),
    Version {
        library: String,
        version: String,
        newest: String,
        symbols: Vec<String>,
    },
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glibc(library) => write!(
                f,
                "needs {library} of glibc, which systems with musl do not have"
            ),
            Self::Musl(library) => write!(
                f,
                "needs {library} of musl, which systems with glibc do not have"
            ),
            Self::Library(library) => write!(
                f,
                "needs {library}, which is neither in the package nor on every system"
            ),
            Self::Version {
                library,
                version,
                newest,
                symbols,
            } => {
                write!(
                    f,
                    "needs {version} of {library} (newest that the tag admits: {newest}) for "
                )?;
                write!(f, "{}", crate::text::some(symbols, 4))
            }
        }
    }
}

/// Where a library comes from that packages cannot or need not bring along; none if nothing is known.
pub(crate) fn origin(library: &str) -> Option<&'static str> {
    const DRIVERS: [&str; 4] = [
        "libcuda.so.",
        "libnvidia-",
        "libOpenCL.so.",
        "libvulkan.so.",
    ];
    const NVIDIA: [&str; 13] = [
        "libcublas.so.",
        "libcublasLt.so.",
        "libcudart.so.",
        "libcudnn",
        "libcufft.so.",
        "libcupti.so.",
        "libcurand.so.",
        "libcusolver.so.",
        "libcusparse.so.",
        "libnccl.so.",
        "libnvJitLink.so.",
        "libnvToolsExt.so.",
        "libnvrtc.so.",
    ];
    let one_of = |starts: &[&str]| starts.iter().any(|start| library.starts_with(start));
    if one_of(&DRIVERS) {
        Some(
            "comes with the driver of the GPU, and no package may bring it along: open it when the \
             program runs (dlopen), and say so if it is not there",
        )
    } else if one_of(&NVIDIA) {
        Some("comes with NVIDIA's packages on PyPI: require these, and load it before this file")
    } else {
        None
    }
}

#[derive(Deserialize)]
struct Table {
    libraries: Vec<String>,
    named: BTreeMap<String, String>,
    policies: Vec<Policy>,
}

/// A platform tag and what it admits.
#[derive(Debug, Deserialize)]
pub(crate) struct Policy {
    tag: String,
    #[serde(default)]
    alias: Option<String>,
    newest: BTreeMap<String, String>,
    libraries: Vec<String>,
    /// Whether it is for systems with musl, and not with glibc.
    #[serde(default)]
    musl: bool,
}

/// musl's libc and loader, as files ask for them.
const MUSL: [&str; 3] = ["ld-musl-x86_64.so.1", "libc.musl-x86_64.so.1", "libc.so"];

/// The libraries of glibc.
const GLIBC: [&str; 11] = [
    "ld-linux-x86-64.so.2",
    "libanl.so.1",
    "libc.so.6",
    "libdl.so.2",
    "libm.so.6",
    "libmvec.so.1",
    "libnsl.so.1",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
    "libutil.so.1",
];

/// What systems with musl have. It has no versions of symbols, so one policy serves all its tags.
static MUSLLINUX: LazyLock<Policy> = LazyLock::new(|| Policy {
    tag: "musllinux_1_1".into(),
    alias: None,
    newest: BTreeMap::new(),
    libraries: vec!["libz.so.1".into()],
    musl: true,
});

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../data/manylinux.json"))
        .expect("a test reads the same file")
});

impl Policy {
    /// What is not admitted of the libraries and versions that are asked of the system.
    pub(crate) fn excess(&self, needed: &[String], versions: &[NeededVersion]) -> Vec<Excess> {
        let mut excess: Vec<Excess> = needed
            .iter()
            .filter(|library| !self.has(library))
            .map(|library| {
                let name = library.as_str();
                match self.musl {
                    true if GLIBC.contains(&name) => Excess::Glibc(library.clone()),
                    false if MUSL.contains(&name) => Excess::Musl(library.clone()),
                    _ => Excess::Library(library.clone()),
                }
            })
            .collect();
        // The loader goes on without a weak version.
        for need in versions.iter().filter(|need| !need.weak) {
            let Some((family, number)) = family(&need.version) else {
                continue;
            };
            let newest = self.newest.get(&family);
            if newest.is_none_or(|newest| parse(newest) < parse(&number)) && self.has(&need.library)
            {
                excess.push(Excess::Version {
                    library: need.library.clone(),
                    version: need.version.clone(),
                    newest: newest.map_or("none".into(), |newest| format!("{family}_{newest}")),
                    symbols: need.symbols.clone(),
                });
            }
        }
        excess
    }

    fn has(&self, library: &str) -> bool {
        let listed = self.libraries.iter().any(|known| known == library);
        if self.musl {
            return listed || MUSL.contains(&library);
        }
        listed || is_loader(library) || TABLE.libraries.iter().any(|known| known == library)
    }

    /// With the architecture.
    pub(crate) fn tag(&self) -> String {
        format!("{}_x86_64", self.tag)
    }

    /// Whether what needs no more than another tag could have that one. Not told of musl: the other tag says
    /// nothing of its version.
    pub(crate) fn could_be_older(&self, tag: &str) -> bool {
        let could = policy(tag).map(Self::tag);
        !self.musl && could.is_some_and(|could| could != self.tag())
    }

    fn glibc(&self) -> Option<u32> {
        self.tag.strip_prefix("manylinux_2_")?.parse().ok()
    }
}

/// The policy of a platform tag: the tag's own, or of the newest glibc that is not newer.
pub(crate) fn policy(tag: &str) -> Option<&'static Policy> {
    let name = tag.strip_suffix("_x86_64")?;
    let policies = || TABLE.policies.iter();
    if let Some(known) = policies().find(|policy| policy.alias.as_deref() == Some(name)) {
        return Some(known);
    }
    if name.starts_with("musllinux_") {
        return Some(&MUSLLINUX);
    }
    let glibc: u32 = name.strip_prefix("manylinux_2_")?.parse().ok()?;
    policies().rfind(|policy| policy.glibc().is_some_and(|known| known <= glibc))
}

/// Of several platform tags (a wheel may have more than one), the one that promises most; of those for
/// glibc, and of those for musl.
pub(crate) fn promised(tags: &[&str]) -> Vec<&'static Policy> {
    let policies = |musl: bool| {
        let policies = tags.iter().filter_map(|tag| policy(tag));
        policies.filter(move |policy| policy.musl == musl)
    };
    let oldest = policies(false).min_by_key(|policy| policy.glibc());
    oldest.into_iter().chain(policies(true).next()).collect()
}

/// The oldest policy that admits all of this.
pub(crate) fn floor(needed: &[String], versions: &[NeededVersion]) -> Floor {
    let versions = &merged(versions);
    let mut floor = Floor {
        newest: newest(versions),
        ..Floor::default()
    };
    let musl = needed
        .iter()
        .any(|library| MUSL.contains(&library.as_str()));
    let glibc = needed
        .iter()
        .any(|library| GLIBC.contains(&library.as_str()));
    let policies = if musl && !glibc {
        std::slice::from_ref(&*MUSLLINUX)
    } else {
        &TABLE.policies
    };
    let mut before: Vec<Excess> = Vec::new();
    for policy in policies {
        let excess = policy.excess(needed, versions);
        if excess.is_empty() {
            floor.tag = policy.tag();
            break;
        }
        before = excess;
    }
    if floor.tag.is_empty() {
        floor.tag = "linux_x86_64".into();
    }
    for excess in before {
        match excess {
            Excess::Glibc(library) | Excess::Musl(library) => floor.because.push(library),
            Excess::Library(library) => {
                if floor.tag == "linux_x86_64" {
                    floor.foreign.push(library);
                } else {
                    floor.because.push(library);
                }
            }
            Excess::Version {
                library,
                version,
                symbols,
                ..
            } => floor.because.push(format!(
                "{version} of {library} for {}",
                crate::text::some(&symbols, 3)
            )),
        }
    }
    floor.foreign.sort();
    floor.foreign.dedup();
    floor.because.sort();
    floor
}

/// One entry for each version, with the symbols of all files.
fn merged(versions: &[NeededVersion]) -> Vec<NeededVersion> {
    let mut merged: BTreeMap<(&str, &str), NeededVersion> = BTreeMap::new();
    for need in versions {
        match merged.entry((&need.library, &need.version)) {
            Entry::Vacant(place) => {
                place.insert(need.clone());
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.weak &= need.weak;
                known.symbols.extend_from_slice(&need.symbols);
                known.symbols.sort();
                known.symbols.dedup();
            }
        }
    }
    merged.into_values().collect()
}

fn newest(versions: &[NeededVersion]) -> BTreeMap<String, String> {
    let mut newest: BTreeMap<String, String> = BTreeMap::new();
    for need in versions.iter().filter(|need| !need.weak) {
        if let Some((family, number)) = family(&need.version) {
            let known = newest.entry(family).or_insert_with(|| number.clone());
            if parse(known) < parse(&number) {
                *known = number;
            }
        }
    }
    newest
}

/// `GLIBC_2.28` → `GLIBC`, `2.28`.
fn family(version: &str) -> Option<(String, String)> {
    let version = TABLE.named.get(version).map_or(version, String::as_str);
    let (family, number) = version.split_once('_')?;
    (FAMILIES.contains(&family) && parse(number).is_some())
        .then(|| (family.to_owned(), number.to_owned()))
}

fn parse(number: &str) -> Option<Vec<u32>> {
    number.split('.').map(|part| part.parse().ok()).collect()
}

/// The loader itself, which some files name among their libraries.
fn is_loader(library: &str) -> bool {
    library == "ld-linux-x86-64.so.2"
}

#[cfg(test)]
mod tests {
    use super::{floor, policy, promised};
    use crate::elf::NeededVersion;

    fn need(library: &str, version: &str) -> NeededVersion {
        NeededVersion {
            library: library.into(),
            version: version.into(),
            weak: false,
            symbols: vec!["symbol".into()],
        }
    }

    #[test]
    fn the_oldest_tag_that_is_true() {
        for (library, version, expected) in [
            ("libc.so.6", "GLIBC_2.2.5", "manylinux_2_5_x86_64"),
            ("libc.so.6", "GLIBC_2.17", "manylinux_2_17_x86_64"),
            ("libc.so.6", "GLIBC_2.27", "manylinux_2_27_x86_64"),
            ("libc.so.6", "GLIBC_2.33", "manylinux_2_34_x86_64"),
            ("libc.so.6", "GLIBC_ABI_DT_RELR", "manylinux_2_36_x86_64"),
            ("libc.so.6", "GLIBC_PRIVATE", "manylinux_2_5_x86_64"),
            ("libc.so.6", "GLIBC_2.99", "linux_x86_64"),
            ("libstdc++.so.6", "GLIBCXX_3.4.20", "manylinux_2_24_x86_64"),
            ("libgcc_s.so.1", "GCC_12.0.0", "manylinux_2_35_x86_64"),
        ] {
            let found = floor(&[library.to_owned()], &[need(library, version)]);
            assert_eq!(found.tag, expected, "{version}");
        }
        let found = floor(&["libgomp.so.1".to_owned()], &[]);
        assert_eq!(found.tag, "linux_x86_64");
        assert_eq!(found.foreign, ["libgomp.so.1"]);
    }

    #[test]
    fn a_tag_names_its_policy() {
        assert_eq!(
            policy("manylinux2014_x86_64").unwrap().tag(),
            "manylinux_2_17_x86_64"
        );
        assert_eq!(
            policy("manylinux_2_30_x86_64").unwrap().tag(),
            "manylinux_2_28_x86_64"
        );
        assert!(policy("linux_x86_64").is_none());
        assert!(policy("manylinux_2_28_aarch64").is_none());
        let tags = [
            "manylinux_2_27_x86_64",
            "musllinux_1_2_x86_64",
            "manylinux2014_x86_64",
        ];
        let promised = promised(&tags).into_iter();
        let tags: Vec<String> = promised.map(super::Policy::tag).collect();
        assert_eq!(tags, ["manylinux_2_17_x86_64", "musllinux_1_1_x86_64"]);
    }

    #[test]
    fn a_weak_version_may_be_missing() {
        let mut weak = need("libc.so.6", "GLIBC_2.40");
        weak.weak = true;
        assert_eq!(floor(&[], &[weak]).tag, "manylinux_2_5_x86_64");
    }
}
