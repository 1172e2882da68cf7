//! Is there a model file at a path? If not, which name may have been meant?

use std::{ffi::OsStr, io, path::Path};

use crate::{HubError, demo_models};

/// Entries of a folder that are looked at: enough for a folder of models, and a bound.
const MAX_ENTRIES: usize = 1000;
/// Names in a hint.
const MAX_NAMES: usize = 3;
/// What model files are called.
const MODEL_EXTENSIONS: [&str; 4] = ["gguf", "bin", "safetensors", "ckpt"];

/// A regular file, or a link to one, is there.
pub(crate) fn check(path: &Path) -> Result<(), HubError> {
    match path.metadata() {
        Ok(found) if found.is_file() => Ok(()),
        Ok(found) => Err(HubError::NotAFile {
            path: path.into(),
            found: describe(found.file_type()),
            inside: if found.is_dir() {
                models_inside(path)
            } else {
                Vec::new()
            },
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing(path)),
        Err(source) => Err(HubError::Unreadable {
            path: path.into(),
            source,
        }),
    }
}

fn describe(found: std::fs::FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if found.is_fifo() {
            return "pipe";
        }
        if found.is_socket() {
            return "socket";
        }
    }
    if found.is_dir() { "folder" } else { "device" }
}

fn missing(path: &Path) -> HubError {
    match path.read_link() {
        Ok(target) => HubError::BrokenLink {
            path: path.into(),
            target,
        },
        Err(_) => HubError::NotFound {
            path: path.into(),
            similar: similar(path),
        },
    }
}

/// Names that are like the one asked for, the nearest first: demo models, and files of its folder.
fn similar(path: &Path) -> Vec<String> {
    let Some(wanted) = path.file_name().and_then(OsStr::to_str) else {
        return Vec::new();
    };
    let wanted = wanted.to_lowercase();
    let mut found: Vec<(usize, String)> = Vec::new();
    if path.components().count() == 1 {
        found.extend(demo_models().iter().filter_map(|model| {
            let name = format!("demo:{}", model.name);
            let known_as = [&*name, model.name, model.file_name];
            Some((
                known_as
                    .iter()
                    .filter_map(|known| nearness(&wanted, known))
                    .min()?,
                name,
            ))
        }));
    }
    found.extend(files_like(path, &wanted));
    nearest(found)
}

/// Names of files in the folder of a path that are like its last part, the nearest first; at most 3.
///
/// For hints about any file that is not there.
///
/// ```
/// let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.tmol");
/// assert_eq!(trifold_hub::similar_files(path.as_ref()), ["Cargo.toml"]);
/// ```
pub fn similar_files(path: &Path) -> Vec<String> {
    let wanted = path.file_name().and_then(OsStr::to_str);
    nearest(wanted.map_or_else(Vec::new, |wanted| {
        files_like(path, &wanted.to_lowercase()).collect()
    }))
}

/// Files in the folder of `path` that could be meant by a name, in lower case, and how far they are
/// from it.
fn files_like(path: &Path, wanted: &str) -> impl Iterator<Item = (usize, String)> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    files_in(folder.unwrap_or(Path::new("."))).filter_map(move |name| {
        nearness(wanted, &name.to_lowercase()).map(|distance| (distance, name))
    })
}

fn nearest(mut found: Vec<(usize, String)>) -> Vec<String> {
    found.sort();
    found
        .into_iter()
        .take(MAX_NAMES)
        .map(|(_, name)| name)
        .collect()
}

/// How far apart two names are; nothing if they are too far to be taken for each other.
fn nearness(wanted: &str, name: &str) -> Option<usize> {
    let stem = |name: &str| Path::new(name).file_stem().map(OsStr::to_owned);
    if stem(wanted) == stem(name) {
        return Some(0);
    }
    let distance = edit_distance(wanted, name);
    (distance <= wanted.chars().count().div_ceil(4)).then_some(distance)
}

/// Characters to insert, delete or replace to make one text the other (Levenshtein).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn models_inside(folder: &Path) -> Vec<String> {
    let extension = |name: &String| {
        let extension = Path::new(name).extension()?.to_str()?.to_lowercase();
        MODEL_EXTENSIONS.contains(&&*extension).then_some(())
    };
    let mut names: Vec<_> = files_in(folder)
        .filter(|name| extension(name).is_some())
        .collect();
    names.sort();
    names.truncate(MAX_NAMES);
    names
}

/// Names of the files in a folder. One that cannot be read has none: this is only for hints.
fn files_in(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs_err::read_dir(folder)
        .into_iter()
        .flatten()
        .take(MAX_ENTRIES)
        .flatten();
    entries
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edit_distances_are_levenshteins() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("flaw", "lawn", 2),
            ("größe", "grösse", 2),
        ] {
            assert_eq!(edit_distance(a, b), expected, "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn edit_distance_is_a_metric(a in ".{0,12}", b in ".{0,12}", c in ".{0,12}") {
            prop_assert_eq!(edit_distance(&a, &a), 0);
            prop_assert_eq!(edit_distance(&a, &b), edit_distance(&b, &a));
            prop_assert!(edit_distance(&a, &c) <= edit_distance(&a, &b) + edit_distance(&b, &c));
            prop_assert_eq!(edit_distance(&a, &b) == 0, a == b);
        }
    }
}
