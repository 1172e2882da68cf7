//! The packed vocabularies of a program that has none inside: in a file that has them.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err::File;
use object::{
    LittleEndian, ReadCache,
    elf::{ELFMAG, FileHeader64},
    read::elf::{FileHeader as _, SectionHeader as _},
};

use crate::{VOCABULARIES_SECTION, VocabulariesError, env};

/// Far above the real size: packed vocabularies are 6.5 MB.
const MAX_PACKED: u64 = 64 << 20;

/// Packed vocabularies that were read from a file.
#[derive(Debug)]
pub(crate) struct VocabularyFile {
    /// The file, for messages.
    pub(crate) origin: String,
    /// What was in it, still to be checked.
    pub(crate) packed: Vec<u8>,
}

/// Reads them from the file that the environment names, else from the Python package beside the
/// program.
#[cfg(not(feature = "vocabularies"))]
pub(crate) fn find() -> Result<VocabularyFile, VocabulariesError> {
    let named = std::env::var_os(env::VOCABULARIES).filter(|path| !path.is_empty());
    let program = std::env::current_exe().ok();
    find_for(named.map(PathBuf::from), program.as_deref())
}

fn find_for(
    named: Option<PathBuf>,
    program: Option<&Path>,
) -> Result<VocabularyFile, VocabulariesError> {
    if let Some(path) = named {
        return read(&path);
    }
    let mut looked_for = vec![format!("the environment variable {}", env::VOCABULARIES)];
    if let Some(program) = program {
        for path in extensions(program) {
            match read(&path) {
                // Another extension of the package may have them.
                Err(VocabulariesError::Kind { .. }) => looked_for.push(path.display().to_string()),
                other => return other,
            }
        }
        let prefix = program.parent().and_then(Path::parent).unwrap_or(program);
        looked_for.push(format!(
            "{}/lib/python*/{{site,dist}}-packages/trifold_diffusion/*.so",
            prefix.display()
        ));
    }
    Err(VocabulariesError::Missing { looked_for })
}

/// The extensions of the Python package beside a program, the newest Python first.
fn extensions(program: &Path) -> Vec<PathBuf> {
    trifold_runtime::install::of_program(program, "trifold_diffusion")
        .iter()
        .flat_map(|package| {
            let mut files = entries(package);
            files.retain(|path| path.extension().is_some_and(|extension| extension == "so"));
            files.sort();
            files
        })
        .collect()
}

/// What lies in a folder. One that cannot be read has nothing for us: that nothing was found is told.
fn entries(folder: &Path) -> Vec<PathBuf> {
    fs_err::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

/// Reads a packed file, or the section of an ELF file.
fn read(path: &Path) -> Result<VocabularyFile, VocabulariesError> {
    let failed = |source| VocabulariesError::Read {
        path: path.to_owned(),
        source: Arc::new(source),
    };
    let other = |found: String| VocabulariesError::Kind {
        path: path.to_owned(),
        found,
    };
    let kind = fs_err::metadata(path).map_err(failed)?;
    if kind.is_dir() {
        return Err(other("a folder".into()));
    }
    // Opening a pipe would wait for somebody to write into it.
    if !kind.is_file() {
        return Err(other("a pipe or device".into()));
    }
    let file = File::open(path).map_err(failed)?;
    let start = first_bytes(&file, trifold_vocabulary::MAGIC.len()).map_err(failed)?;
    let packed = if start == trifold_vocabulary::MAGIC {
        let mut packed = start;
        (&file)
            .take(MAX_PACKED)
            .read_to_end(&mut packed)
            .map_err(failed)?;
        packed
    } else if start.starts_with(&ELFMAG) {
        section(file).map_err(other)?
    } else {
        return Err(other(format!("{:?}", String::from_utf8_lossy(&start))));
    };
    Ok(VocabularyFile {
        origin: path.display().to_string(),
        packed,
    })
}

fn first_bytes(file: &File, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(count as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The section of an ELF file. Of the file, which may be large, only the tables are read and this.
fn section(file: File) -> Result<Vec<u8>, String> {
    let damaged = |error: object::read::Error| format!("an ELF file that is damaged: {error}");
    let cache = ReadCache::new(file);
    let data = &cache;
    let header = FileHeader64::<LittleEndian>::parse(data).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let sections = header.sections(endian, data).map_err(damaged)?;
    let (_, section) = sections
        .section_by_name(endian, VOCABULARIES_SECTION.as_bytes())
        .ok_or("an ELF file without it")?;
    let size = section.sh_size(endian);
    if size > MAX_PACKED {
        return Err(format!("an ELF file with {size} bytes in it"));
    }
    let bytes = section.data(endian, data).map_err(damaged)?;
    Ok(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{MAX_PACKED, find_for, read};
    use crate::{VOCABULARIES_SECTION, VocabulariesError};

    fn packed(content: &str) -> Vec<u8> {
        [trifold_vocabulary::MAGIC, content.as_bytes()].concat()
    }

    fn write(path: &Path, bytes: &[u8]) {
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
    }

    fn found(error: VocabulariesError) -> String {
        match error {
            VocabulariesError::Kind { found, .. } => found,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_named_file_is_the_only_one_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("bin/program");
        let beside = "lib/python3.12/site-packages/trifold_diffusion/_native.abi3.so";
        write(&folder.path().join(beside), &packed("beside"));
        let named = folder.path().join("named");
        write(&named, &packed("named"));

        let file = find_for(Some(named.clone()), Some(&program)).unwrap();
        assert_eq!(file.packed, packed("named"));
        assert_eq!(file.origin, named.display().to_string());

        let error = find_for(Some(folder.path().join("no")), Some(&program)).unwrap_err();
        assert!(matches!(error, VocabulariesError::Read { .. }), "{error:?}");
        let error = find_for(Some(folder.path().into()), Some(&program)).unwrap_err();
        assert_eq!(found(error), "a folder");
        write(&named, b"RIFF");
        let error = find_for(Some(named.clone()), Some(&program)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "Expected packed vocabularies or an ELF file with the section {VOCABULARIES_SECTION} at: {} \
                 (found: \"RIFF\")",
                named.display()
            )
        );
        let hint = error.hint().unwrap();
        assert!(hint.contains("pip install trifold-diffusion"), "{hint}");
    }

    #[test]
    fn the_package_of_the_newest_python_beside_the_program_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("bin/program");
        let package = |python: &str, packages: &str, file: &str| -> PathBuf {
            let lib = folder.path().join("lib").join(python);
            lib.join(packages).join("trifold_diffusion").join(file)
        };
        let content = || find_for(None, Some(&program)).map(|file| file.packed);

        let error = content().unwrap_err();
        let message = error.to_string();
        assert!(message.contains("TRIFOLD_VOCABULARIES"), "{message}");
        let pattern = format!(
            "{}/lib/python*/{{site,dist}}-packages/trifold_diffusion/*.so",
            folder.path().display()
        );
        assert!(message.contains(&pattern), "{message}");

        // A folder that is no Python's, a file that is no extension, an extension without the section.
        write(&package("perl", "site-packages", "a.so"), &packed("perl"));
        write(&package("python3", "dist-packages", "a.py"), &packed("py"));
        let other = package("python3", "dist-packages", "a.so");
        write(&other, b"\x7fELF");
        let message = content().unwrap_err().to_string();
        assert!(message.contains(&other.display().to_string()), "{message}");

        write(&package("python3", "dist-packages", "b.so"), &packed("3"));
        assert_eq!(content().unwrap(), packed("3"));
        write(&package("python3.9", "site-packages", "a.so"), &packed("9"));
        assert_eq!(content().unwrap(), packed("9"));
        write(
            &package("python3.12", "site-packages", "a.so"),
            &packed("12"),
        );
        assert_eq!(content().unwrap(), packed("12"));
    }

    #[test]
    fn a_huge_file_is_not_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge");
        write(&path, trifold_vocabulary::MAGIC);
        let file = fs_err::File::options().append(true).open(&path).unwrap();
        file.set_len(1 << 33).unwrap();
        let magic = trifold_vocabulary::MAGIC.len() as u64;
        assert_eq!(read(&path).unwrap().packed.len() as u64, magic + MAX_PACKED);
    }

    /// This very program has the vocabularies inside, as an extension for Python would.
    #[cfg(feature = "vocabularies")]
    mod elf {
        use std::io::{Seek as _, SeekFrom, Write as _};

        use super::{found, read};
        use crate::VocabulariesError;

        #[test]
        fn the_section_of_a_program_is_found() {
            let program = std::env::current_exe().unwrap();
            let file = read(&program).unwrap();
            let packed = trifold_vocabulary::Packed::parse(&file.packed).unwrap();
            assert!(packed.names().any(|name| name.starts_with("clip_merges")));
            for name in packed.names() {
                assert!(!packed.unpack(name).unwrap().is_empty(), "{name}");
            }
        }

        #[test]
        fn a_damaged_program_is_an_error() {
            let whole = read(&std::env::current_exe().unwrap()).unwrap().packed;
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("program");
            fs_err::copy(std::env::current_exe().unwrap(), &path).unwrap();
            let header = fs_err::read(&path).unwrap()[..64].to_vec();
            let mut file = fs_err::File::options().write(true).open(&path).unwrap();
            let mut refused = 0;
            for at in 0..64 {
                for byte in [0, 1, 0x7f, 0xff] {
                    file.seek(SeekFrom::Start(at)).unwrap();
                    file.write_all(&[byte]).unwrap();
                    match read(&path) {
                        Ok(file) => assert!(file.packed == whole, "{byte} at {at}"),
                        Err(error) => {
                            assert!(!found(error).is_empty());
                            refused += 1;
                        }
                    }
                }
                file.seek(SeekFrom::Start(0)).unwrap();
                file.write_all(&header).unwrap();
            }
            assert!(refused > 20, "{refused}");

            for length in [64, 4096, 1 << 20] {
                file.set_len(length).unwrap();
                let error = read(&path).unwrap_err();
                assert!(matches!(error, VocabulariesError::Kind { .. }), "{error:?}");
                fs_err::copy(std::env::current_exe().unwrap(), &path).unwrap();
            }
        }
    }
}
