//! Libraries that come with another package, which the audited one requires.

use std::path::{Component, Path};

use schemars::JsonSchema;
use serde::Serialize;

/// Libraries of other packages that a file finds by its search path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Required {
    /// What it needs of them.
    pub libraries: Vec<String>,
    /// The packages, as METADATA requires them.
    pub packages: Vec<String>,
}

impl Required {
    /// The packages whose folders a file's search path leads to: `$ORIGIN/../nvidia/cu13/lib` to those that
    /// begin with `nvidia`.
    pub(crate) fn of(path: &str, search_path: &[String], requires: &[String]) -> Option<Self> {
        let folder = Path::new(path).parent()?;
        let tops: Vec<String> = search_path
            .iter()
            .filter_map(|search| top(folder, search))
            .collect();
        let of_one = |name: &&String| {
            let name = name.to_ascii_lowercase().replace('_', "-");
            tops.iter()
                .any(|top| name == *top || name.starts_with(&format!("{top}-")))
        };
        let packages: Vec<String> = requires.iter().filter(of_one).cloned().collect();
        (!packages.is_empty()).then(|| Self {
            libraries: Vec::new(),
            packages,
        })
    }
}

/// The first folder below the one that packages are installed in, unless it is the file's own.
fn top(folder: &Path, search: &str) -> Option<String> {
    let rest = search
        .strip_prefix("$ORIGIN")
        .or_else(|| search.strip_prefix("${ORIGIN}"))?;
    let mut parts: Vec<&std::ffi::OsStr> = folder.iter().collect();
    for part in Path::new(rest.trim_start_matches('/')).components() {
        match part {
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::Normal(name) => parts.push(name),
            _ => {}
        }
    }
    let first = parts.first()?;
    (folder.iter().next() != Some(*first)).then(|| {
        first
            .to_string_lossy()
            .to_ascii_lowercase()
            .replace('_', "-")
    })
}

#[cfg(test)]
mod tests {
    use super::Required;

    fn packages(path: &str, search: &str, requires: &[&str]) -> Option<Vec<String>> {
        let requires: Vec<String> = requires.iter().map(|&name| name.to_owned()).collect();
        Required::of(path, &[search.to_owned()], &requires).map(|found| found.packages)
    }

    #[test]
    fn a_search_path_leads_to_a_required_package() {
        let file = "trifold_cuda13/libtrifold-backend-cuda13.so";
        let into = "$ORIGIN/../nvidia/cu13/lib";
        assert_eq!(
            packages(file, into, &["numpy", "nvidia-cublas"]),
            Some(vec!["nvidia-cublas".into()])
        );
        assert_eq!(packages(file, into, &["nvidiable"]), None);
        assert_eq!(packages(file, into, &[]), None);
        let deeper = "a/b/c.so";
        assert_eq!(
            packages(deeper, "${ORIGIN}/../../Torch_x/lib", &["torch-x"]),
            Some(vec!["torch-x".into()])
        );
    }

    #[test]
    fn other_folders_lead_nowhere() {
        for search in [
            "/usr/nvidia/lib",
            "$ORIGIN",
            "$ORIGIN/nvidia",
            "$ORIGIN/../a/nvidia",
            "$ORIGIN/../../../nvidia",
            "",
        ] {
            assert_eq!(
                packages("a/b.so", search, &["nvidia-x", "a"]),
                None,
                "{search}"
            );
        }
    }
}
