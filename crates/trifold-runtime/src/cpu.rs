//! What the kernels need of a CPU.

/// The CPU (or its operating system) lacks instructions that the kernels use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("This CPU is too old for the engines: expected {level}, found no {}", missing.join(", "))]
pub struct UnsupportedCpu {
    /// The level that the kernels are compiled for.
    pub level: String,
    /// What is missing of it.
    pub missing: Vec<String>,
}

/// Checks a CPU level; `features` is a comma-separated list in the spelling of
/// [`std::is_x86_feature_detected`], which looks at the operating system's support as well.
///
/// ```
/// use trifold_runtime::cpu::check;
///
/// assert_eq!(check("any", ""), Ok(()));
/// let error = check("future", "sse2,quantum").unwrap_err();
/// assert_eq!(error.missing, ["quantum"]);
/// ```
pub fn check(level: &str, features: &str) -> Result<(), UnsupportedCpu> {
    let missing: Vec<String> = features
        .split(',')
        .filter(|name| !name.is_empty() && !has(name))
        .map(str::to_owned)
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(UnsupportedCpu {
            level: level.into(),
            missing,
        })
    }
}

/// Whether this CPU has a feature. An unknown name counts as missing.
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
