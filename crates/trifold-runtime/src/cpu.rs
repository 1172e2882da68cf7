//! What kernels need of a CPU, and which of several an engine uses.
//!
//! An engine has its kernels for several CPU levels. The best one that this CPU and its operating system
//! can run is chosen once, before any of them runs; the environment variable `TRIFOLD_CPU_LEVEL` names
//! another one, for a comparison.

use std::sync::OnceLock;

/// The environment variable that names the CPU level to use.
pub const LEVEL_VARIABLE: &str = "TRIFOLD_CPU_LEVEL";

/// No kernels of an engine can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CpuError {
    /// The CPU (or its operating system) lacks instructions that even the lowest level uses.
    #[error("This CPU is too old for the engines: expected {level}, found no {}", missing.join(", "))]
    TooOld {
        /// The lowest level.
        level: String,
        /// What is missing of it.
        missing: Vec<String>,
    },
    /// The level that was asked for is above what the CPU can do.
    #[error("{LEVEL_VARIABLE} is {level}, but this CPU has no {}", missing.join(", "))]
    Above {
        /// The level.
        level: String,
        /// What is missing of it.
        missing: Vec<String>,
        /// The best level that it could be.
        best: String,
    },
    /// There are no kernels of the level that was asked for.
    #[error("Expected one of the CPU levels {} in {LEVEL_VARIABLE} (found: {found})", inside.join(", "))]
    UnknownLevel {
        /// What was asked for.
        found: String,
        /// The levels that there are kernels for.
        inside: Vec<String>,
    },
}

impl CpuError {
    /// One sentence on what to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::TooOld { .. } => {
                "Run on a CPU with SSE4.2 (Intel since 2008, AMD since 2011)".into()
            }
            Self::Above { best, .. } => {
                format!("Set {LEVEL_VARIABLE} to {best} or a lower level, or not at all")
            }
            Self::UnknownLevel { .. } => {
                format!("Without {LEVEL_VARIABLE} the best level for this CPU is used")
            }
        }
    }
}

/// A CPU level that kernels are compiled for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// Its name: the psABI's, and what it has besides, such as `x86-64-v4-vnni`.
    pub name: &'static str,
    /// What it needs besides the levels below it, in the spelling of [`std::is_x86_feature_detected`].
    pub features: Vec<&'static str>,
}

/// The kernels of an engine: which there are, and which are used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Choice {
    /// The level that is used.
    pub level: &'static str,
    /// The levels that there are kernels for, lowest first.
    pub inside: Vec<&'static str>,
    /// The lowest of them that this CPU cannot run.
    pub next: Option<Lacking>,
    /// Its place among all levels, for the sealed object.
    pub(crate) number: usize,
}

/// A level that a CPU cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lacking {
    /// The level.
    pub level: &'static str,
    /// What is missing of it.
    pub missing: Vec<&'static str>,
}

/// Reads levels as build scripts pass them on: `name:feature,feature;name:feature`, lowest first.
///
/// ```
/// let levels = trifold_runtime::cpu::levels("low:sse2;high:avx2,fma");
/// assert_eq!(levels[1].name, "high");
/// assert_eq!(levels[1].features, ["avx2", "fma"]);
/// ```
#[must_use]
pub fn levels(text: &'static str) -> Vec<Level> {
    let level = |entry: &'static str| {
        let (name, features) = entry.split_once(':')?;
        let features = features.split(',').filter(|name| !name.is_empty());
        Some(Level {
            name,
            features: features.collect(),
        })
    };
    text.split(';').filter_map(level).collect()
}

/// Chooses the best level that this CPU can run, or `asked`, which must not be above it.
///
/// `mask` says of which of `levels` there are kernels, one bit each.
///
/// # Errors
/// [`CpuError`], if the CPU can run none, or not the one that is asked for.
///
/// ```
/// use trifold_runtime::cpu::{CpuError, choose, levels};
///
/// let levels = levels("low:sse2;high:quantum");
/// let choice = choose(&levels, 0b11, None)?;
/// assert_eq!((choice.level, choice.next.unwrap().missing), ("low", vec!["quantum"]));
/// assert!(matches!(choose(&levels, 0b11, Some("high")), Err(CpuError::Above { .. })));
/// assert!(matches!(choose(&levels, 0b10, None), Err(CpuError::TooOld { .. })));
/// # Ok::<(), CpuError>(())
/// ```
pub fn choose(levels: &[Level], mask: u32, asked: Option<&str>) -> Result<Choice, CpuError> {
    // A level needs what the levels below it need, whether there are kernels for these or not.
    let mut missing: Vec<&'static str> = Vec::new();
    let mut inside = Vec::new();
    for (number, level) in levels.iter().enumerate() {
        missing.extend(level.features.iter().copied().filter(|name| !has(name)));
        if mask >> number & 1 == 1 {
            inside.push((number, level.name, missing.clone()));
        }
    }
    let names = || inside.iter().map(|(_, name, _)| *name).collect::<Vec<_>>();
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let Some(best) = inside
        .iter()
        .rev()
        .find(|(_, _, missing)| missing.is_empty())
    else {
        let (_, level, missing) = inside.first().cloned().unwrap_or_default();
        return Err(CpuError::TooOld {
            level: level.into(),
            missing: owned(&missing),
        });
    };
    let chosen = match asked {
        None => best,
        Some(asked) => {
            let found = inside.iter().find(|(_, name, _)| *name == asked);
            let (_, level, missing) = found.ok_or_else(|| CpuError::UnknownLevel {
                found: asked.into(),
                inside: owned(&names()),
            })?;
            if !missing.is_empty() {
                return Err(CpuError::Above {
                    level: (*level).into(),
                    missing: owned(missing),
                    best: best.1.into(),
                });
            }
            found.unwrap_or(best)
        }
    };
    let next = inside.iter().find(|(_, _, missing)| !missing.is_empty());
    Ok(Choice {
        level: chosen.1,
        number: chosen.0,
        inside: names(),
        next: next.map(|(_, level, missing)| Lacking {
            level,
            missing: missing.clone(),
        }),
    })
}

/// What `TRIFOLD_CPU_LEVEL` said when it was first asked: engines that start later use the same kernels.
pub(crate) fn asked() -> Option<&'static str> {
    static ASKED: OnceLock<Option<String>> = OnceLock::new();
    let asked = ASKED.get_or_init(|| {
        let value = std::env::var_os(LEVEL_VARIABLE)?;
        (!value.is_empty()).then(|| value.to_string_lossy().into_owned())
    });
    asked.as_deref()
}

/// Whether this CPU, and its operating system, has a feature. An unknown name counts as missing.
pub fn has(feature: &str) -> bool {
    macro_rules! known {
        ($($name:tt),*) => { match feature { $($name => std::is_x86_feature_detected!($name),)* _ => false } };
    }
    known!(
        "sse2",
        "sse3",
        "ssse3",
        "sse4.1",
        "sse4.2",
        "popcnt",
        "lzcnt",
        "movbe",
        "avx",
        "avx2",
        "bmi1",
        "bmi2",
        "f16c",
        "fma",
        "avx512f",
        "avx512bw",
        "avx512cd",
        "avx512dq",
        "avx512vl",
        "avx512vbmi",
        "avx512vnni",
        "avx512bf16"
    )
}

/// The name of the CPU as the system tells it, such as `AMD EPYC 9354`.
pub fn name() -> Option<String> {
    let info = fs_err::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{CpuError, choose, levels};

    #[test]
    fn the_best_level_is_chosen_and_the_next_one_named() {
        let levels = levels("a:sse2;b:sse3;c:teleport;d:sse2,quantum");
        let choice = choose(&levels, 0b1111, None).unwrap();
        assert_eq!((choice.level, choice.number), ("b", 1));
        assert_eq!(choice.inside, ["a", "b", "c", "d"]);
        let next = choice.next.unwrap();
        assert_eq!((next.level, next.missing), ("c", vec!["teleport"]));
        // Without kernels for c, what c needs is still needed.
        let choice = choose(&levels, 0b1011, None).unwrap();
        assert_eq!(choice.next.unwrap().missing, ["teleport", "quantum"]);
    }

    #[test]
    fn a_level_can_be_asked_for_downwards_only() {
        let levels = levels("a:sse2;b:sse3;c:teleport");
        assert_eq!(choose(&levels, 0b111, Some("a")).unwrap().level, "a");
        let error = choose(&levels, 0b111, Some("c")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "TRIFOLD_CPU_LEVEL is c, but this CPU has no teleport"
        );
        assert_eq!(
            error.hint(),
            "Set TRIFOLD_CPU_LEVEL to b or a lower level, or not at all"
        );
        let error = choose(&levels, 0b011, Some("c")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Expected one of the CPU levels a, b in TRIFOLD_CPU_LEVEL (found: c)"
        );
    }

    #[test]
    fn nothing_to_run_is_an_error() {
        let levels = levels("a:teleport");
        for mask in [0, 1] {
            let error = choose(&levels, mask, None).unwrap_err();
            assert!(matches!(error, CpuError::TooOld { .. }), "{error}");
        }
    }
}
