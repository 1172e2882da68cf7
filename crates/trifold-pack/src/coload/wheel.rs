//! Wheels as far as needed to load what is in them.

use std::{
    collections::BTreeSet,
    fmt::Display,
    io::{self, Read as _},
    path::{Component, Path, PathBuf},
};

use super::{ColoadError, python::Interpreter, target::is_module_name};
use crate::{
    Data, PackError, limits,
    wheel::{
        FileName,
        directory::{self, Archive},
    },
};

/// Folders at the top that many wheels install by accident.
const NOT_THE_PACKAGE: &[&str] = &["benchmarks", "docs", "examples", "test", "tests"];

/// A wheel, by its name and its list of files.
#[derive(Debug)]
pub(super) struct Wheel {
    pub(super) path: PathBuf,
    name: FileName,
    /// As they are installed: relative to the folder of the packages.
    files: Vec<PathBuf>,
}

impl Wheel {
    pub(super) fn open(path: &Path) -> Result<Self, ColoadError> {
        if !path.is_file() {
            return Err(ColoadError::NotFound {
                path: path.to_owned(),
            });
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let Some(name) = FileName::from_stem(&stem) else {
            return Err(not_a_wheel(
                path,
                "its name is not NAME-VERSION-PYTHON-ABI-PLATFORM.whl",
            ));
        };
        let mut archive = archive(path)?;
        Ok(Self {
            path: std::path::absolute(path).map_err(ColoadError::io("Could not look up", path))?,
            name,
            files: files(&mut archive, path)?
                .into_iter()
                .filter_map(|(_, place)| place)
                .collect(),
        })
    }

    pub(super) fn label(&self) -> String {
        format!("{} {}", self.name.name, self.name.version)
    }

    /// Whether the interpreter would accept it.
    pub(super) fn check(&self, python: &Interpreter) -> Result<(), ColoadError> {
        let [major, minor] = [python.version[0], python.version[1]];
        let exact = format!("cp{major}{minor}");
        let exact_abi = format!("{exact}{}", python.abi);
        let older = |tag: &String, prefix: &str| {
            tag.strip_prefix(prefix)
                .and_then(|digits| digits.parse::<u32>().ok())
                .is_some_and(|found| found <= minor)
        };
        let stable = self.name.abis.iter().any(|abi| abi == "abi3") && !python.abi.contains('t');
        let free = self.name.abis.iter().any(|abi| abi == "none");
        let fits = self.name.pythons.iter().any(|tag| {
            (*tag == exact && (free || self.name.abis.contains(&exact_abi)))
                || (older(tag, "cp3") && (stable || free))
                || ((tag == "py3" || older(tag, "py3")) && free)
        });
        let platform = self.name.platforms.iter().any(|tag| {
            tag == "any"
                || (tag.ends_with(&format!("_{}", python.machine))
                    && (tag.starts_with("manylinux") || tag.starts_with("linux")))
        });
        if fits && platform {
            return Ok(());
        }
        Err(ColoadError::WheelTag {
            path: self.path.clone(),
            expected: format!("CPython {major}.{minor} on {} glibc", python.machine),
            found: format!(
                "{}-{}-{}",
                self.name.pythons.join("."),
                self.name.abis.join("."),
                self.name.platforms.join(".")
            ),
        })
    }

    /// What to import: the topmost packages, and modules outside of them.
    pub(super) fn modules(&self, suffixes: &[String]) -> Result<Vec<String>, ColoadError> {
        let module_of = |file: &Path| {
            let name = file.file_name()?.to_str()?;
            let suffix = suffixes
                .iter()
                .map(String::as_str)
                .chain([".py"])
                .find(|suffix| name.ends_with(*suffix))?;
            Some(name[..name.len() - suffix.len()].to_owned())
        };
        let packages: BTreeSet<&Path> = self
            .files
            .iter()
            .filter(|file| module_of(file).is_some_and(|name| name == "__init__"))
            .filter_map(|file| file.parent())
            .collect();
        let mut found = BTreeSet::new();
        for file in &self.files {
            let Some(name) = module_of(file) else {
                continue;
            };
            let place = if name == "__init__" {
                file.parent().unwrap_or(file).to_owned()
            } else {
                file.with_file_name(&name)
            };
            let inside = place
                .ancestors()
                .skip(1)
                .any(|above| packages.contains(above));
            let top = place.components().next().map(Component::as_os_str);
            if inside
                || NOT_THE_PACKAGE
                    .iter()
                    .any(|name| top == Some(name.as_ref()))
            {
                continue;
            }
            let module = place.to_string_lossy().replace('/', ".");
            if is_module_name(&module) {
                found.insert(module);
            }
        }
        if found.is_empty() {
            return Err(not_a_wheel(&self.path, "it has no module"));
        }
        Ok(found.into_iter().collect())
    }

    /// Installs it into a folder, as far as importing needs: no scripts, no headers.
    pub(super) fn unpack(&self, folder: &Path) -> Result<(), ColoadError> {
        let mut archive = archive(&self.path)?;
        let mut left = limits::WHEEL_BYTES;
        for (index, place) in files(&mut archive, &self.path)? {
            let Some(place) = place else { continue };
            let to = folder.join(place);
            let parent = to.parent().unwrap_or(folder);
            fs_err::create_dir_all(parent).map_err(ColoadError::io("Could not create", parent))?;
            let entry = archive
                .by_index(index)
                .map_err(|error| not_a_wheel(&self.path, error))?;
            let mut file =
                fs_err::File::create(&to).map_err(ColoadError::io("Could not write", &to))?;
            let written = io::copy(&mut entry.take(left + 1), &mut file)
                .map_err(ColoadError::io("Could not unpack", &to))?;
            left = left.checked_sub(written).ok_or_else(|| {
                not_a_wheel(
                    &self.path,
                    format!("it unpacks to more than {} bytes", limits::WHEEL_BYTES),
                )
            })?;
        }
        Ok(())
    }
}

fn archive(path: &Path) -> Result<Archive, ColoadError> {
    let opened = Data::open(path).and_then(|data| directory::open(&data));
    opened.map_err(|error| match error {
        PackError::Io { what, source, .. } => ColoadError::io(what, path)(source),
        PackError::Archive { what, .. } | PackError::Elf { what, .. } => not_a_wheel(path, what),
        error => not_a_wheel(path, error),
    })
}

/// The archive's files, with the place that each is installed at, if it is one to import.
fn files(archive: &mut Archive, path: &Path) -> Result<Vec<(usize, Option<PathBuf>)>, ColoadError> {
    let mut found = Vec::with_capacity(archive.len());
    for index in 0..archive.len() {
        let entry = archive
            .by_index_raw(index)
            .map_err(|error| not_a_wheel(path, error))?;
        let Some(name) = entry.enclosed_name() else {
            return Err(not_a_wheel(
                path,
                format!("file {} of it leads outside", index + 1),
            ));
        };
        // Wheels have no links; one could lead outside.
        if entry.is_file() {
            found.push((index, place(&name)));
        }
    }
    Ok(found)
}

/// `NAME.data/platlib/…` goes where the rest goes; what else is in `.data` is not for importing.
fn place(name: &Path) -> Option<PathBuf> {
    let mut parts = name.components();
    let top = parts.next()?.as_os_str().to_str()?;
    if Path::new(top).extension() != Some("data".as_ref()) {
        return Some(name.to_owned());
    }
    let scheme = parts.next()?.as_os_str();
    (scheme == "platlib" || scheme == "purelib").then(|| parts.as_path().to_owned())
}

fn not_a_wheel(path: &Path, reason: impl Display) -> ColoadError {
    ColoadError::NotAWheel {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use proptest::prelude::*;
    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    fn packed(files: &[&str]) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for name in files {
            archive
                .start_file(*name, SimpleFileOptions::default())
                .unwrap();
            archive.write_all(b"content").unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn opened(folder: &Path, bytes: &[u8]) -> Result<Wheel, ColoadError> {
        let path = folder.join("some_name-1.0-cp39-abi3-manylinux_2_28_x86_64.whl");
        fs_err::write(&path, bytes).unwrap();
        Wheel::open(&path)
    }

    #[test]
    fn what_is_imported() {
        let suffixes = [".cpython-311-x86_64-linux-gnu.so", ".abi3.so", ".so"].map(str::to_owned);
        let folder = tempfile::tempdir().unwrap();
        let wheel = opened(
            folder.path(),
            &packed(&[
                "some_name/__init__.py",
                "some_name/inner/__init__.py",
                "some_name/_native.abi3.so",
                "_other.cpython-311-x86_64-linux-gnu.so",
                "space/part/__init__.py",
                "some_name.libs/libgomp-1234.so.1",
                "some_name-1.0.data/purelib/alone.py",
                "some_name-1.0.data/scripts/tool.py",
                "some_name-1.0.dist-info/RECORD",
                "tests/__init__.py",
            ]),
        );
        let modules = wheel.unwrap().modules(&suffixes).unwrap();
        assert_eq!(modules, ["_other", "alone", "some_name", "space.part"]);
    }

    proptest! {
        #[test]
        fn any_damage(at in 0_usize..400, byte in any::<u8>(), end in 0_usize..600) {
            let mut bytes = packed(&["some_name/__init__.py", "some_name-1.0.data/platlib/a.so"]);
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(end.max(1));
            let folder = tempfile::tempdir().unwrap();
            let to = folder.path().join("to");
            if let Ok(wheel) = opened(folder.path(), &bytes)
                && wheel.unpack(&to).is_ok()
                && to.exists()
            {
                // Nothing beside the wheel and its folder.
                prop_assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 2);
            }
        }
    }
}
