//! Where things lie that are shipped beside the program.

use std::path::{Path, PathBuf};

/// The folders of a Python package that is installed under the prefix of this program, as `pip` does it:
/// `<prefix>/bin/program` and `<prefix>/lib/python*/site-packages/<module>`. The newest Python first.
///
/// ```
/// // A program that cargo has just built is not installed at all.
/// assert!(trifold_runtime::install::python_package("no_such_package").is_empty());
/// ```
pub fn python_package(module: &str) -> Vec<PathBuf> {
    std::env::current_exe().map_or_else(|_| Vec::new(), |program| of_program(&program, module))
}

/// [`python_package`] for another program.
pub fn of_program(program: &Path, module: &str) -> Vec<PathBuf> {
    let Some(prefix) = program.parent().and_then(Path::parent) else {
        return Vec::new();
    };
    let mut pythons: Vec<PathBuf> = entries(&prefix.join("lib"));
    pythons.retain(|path| is_python(path));
    pythons.sort_by_key(|path| std::cmp::Reverse(version(path)));
    pythons
        .iter()
        .flat_map(|python| ["site-packages", "dist-packages"].map(|name| python.join(name)))
        .map(|packages| packages.join(module))
        .filter(|folder| folder.is_dir())
        .collect()
}

fn is_python(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"python"))
}

/// `[3, 12]` of `python3.12`.
fn version(path: &Path) -> Vec<u32> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// What lies in a folder. One that cannot be read has nothing for us.
fn entries(folder: &Path) -> Vec<PathBuf> {
    fs_err::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{of_program, version};

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version(Path::new("lib/python3.12")), [3, 12]);
        assert!(version(Path::new("python3.9")) < version(Path::new("python3.10")));
    }

    #[test]
    fn a_prefix_without_packages_has_none() {
        assert!(of_program(Path::new("/no/such/bin/program"), "package").is_empty());
        assert!(of_program(Path::new("program"), "package").is_empty());
    }
}
