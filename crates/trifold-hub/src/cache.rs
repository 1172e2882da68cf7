//! The cache folder, and the demo models in it.

use std::{
    ffi::OsString,
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
};

use crate::{DemoModel, HubError, env};

/// Bytes compared at once.
const CHUNK: usize = 64 * 1024;

/// The folder of the cache: `TRIFOLD_CACHE`, else `trifold` in `XDG_CACHE_HOME`, else
/// `.cache/trifold` in `HOME`. An empty variable counts as not set. It is never guessed from the
/// working directory. The folder need not exist.
///
/// # Errors
/// [`HubError::NoCacheFolder`] if none of the three is of use.
///
/// ```no_run
/// println!("The cache is at {}", trifold_hub::cache_dir()?.display());
/// # Ok::<(), trifold_hub::HubError>(())
/// ```
pub fn cache_dir() -> Result<PathBuf, HubError> {
    cache_dir_from(|name| std::env::var_os(name))
}

/// [`cache_dir`] with the variables given.
fn cache_dir_from(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, HubError> {
    let path = |name| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(folder) = path(env::CACHE) {
        // The user's own choice may be relative; made absolute, it survives a change of folder.
        return std::path::absolute(folder).map_err(|_| HubError::NoCacheFolder);
    }
    let user_cache = path(env::XDG_CACHE_HOME).filter(|folder| folder.is_absolute());
    let in_home = || {
        path(env::HOME)
            .filter(|folder| folder.is_absolute())
            .map(|home| home.join(".cache"))
    };
    user_cache
        .or_else(in_home)
        .map(|base| base.join("trifold"))
        .ok_or(HubError::NoCacheFolder)
}

/// The path of a demo model's file in this cache, written or repaired if need be.
pub(crate) fn install(model: &DemoModel, cache: &Path) -> Result<PathBuf, HubError> {
    let Some(bytes) = model.bytes() else {
        return Err(HubError::DemoNotIncluded {
            name: format!("demo:{}", model.name),
        });
    };
    let path = model.cached_in(cache);
    let shown = path.display();
    match holds(&path, bytes) {
        Ok(true) => return Ok(path),
        Ok(false) => {
            tracing::warn!(path = %shown, "Replacing a damaged demo model in the cache");
        }
        Err(error) if is_missing(&error) => {}
        Err(error) => {
            tracing::warn!(path = %shown, %error, "Replacing an unreadable demo model in the cache");
        }
    }
    write_atomically(&path, |file| file.write_all(bytes)).map_err(|source| HubError::Cache {
        path: path.clone(),
        size: model.size,
        source,
    })?;
    tracing::debug!(path = %path.display(), "Wrote a demo model to the cache");
    Ok(path)
}

/// Nothing is there yet. (`NotADirectory`: nor can be; writing says so.)
fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Is this what the file holds, byte for byte? That says more than a digest would, and is faster.
fn holds(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    // Asked before opening: to open a pipe would wait for its writer.
    let found = fs_err::metadata(path)?;
    if !found.is_file() || found.len() != bytes.len() as u64 {
        return Ok(false);
    }
    let mut file = fs_err::File::open(path)?;
    let mut buffer = vec![0; CHUNK];
    for expected in bytes.chunks(CHUNK) {
        let found = &mut buffer[..expected.len()];
        file.read_exact(found)?;
        if found != expected {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes a file whole or not at all. Whoever reads at the same time sees the old file or the new
/// one. It is not forced to the disk: what a power cut leaves behind is found and replaced.
fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs_err::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".trifold-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // As any new file: a cache may be shared. (Temporary files are private by default.)
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?; // removed when dropped
    write(&mut file)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<'a>(variables: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        move |name| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.into())
        }
    }

    #[test]
    fn cache_folder_follows_the_variables_in_order() {
        for (variables, expected) in [
            (
                &[
                    ("TRIFOLD_CACHE", "/t"),
                    ("XDG_CACHE_HOME", "/x"),
                    ("HOME", "/h"),
                ][..],
                "/t",
            ),
            (&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")], "/x/trifold"),
            (&[("HOME", "/h")], "/h/.cache/trifold"),
            (
                &[
                    ("TRIFOLD_CACHE", ""),
                    ("XDG_CACHE_HOME", ""),
                    ("HOME", "/h"),
                ],
                "/h/.cache/trifold",
            ),
            (
                &[("XDG_CACHE_HOME", "relative"), ("HOME", "/h")],
                "/h/.cache/trifold",
            ),
        ] {
            assert_eq!(
                cache_dir_from(with(variables)).unwrap(),
                Path::new(expected),
                "{variables:?}"
            );
        }
    }

    #[test]
    fn cache_folder_is_never_guessed() {
        for variables in [
            &[][..],
            &[("HOME", "")],
            &[("HOME", "relative"), ("XDG_CACHE_HOME", "x")],
        ] {
            let error = cache_dir_from(with(variables)).unwrap_err();
            assert!(
                matches!(error, HubError::NoCacheFolder),
                "{variables:?}: {error}"
            );
            assert!(error.hint().unwrap().contains("TRIFOLD_CACHE"));
        }
    }

    #[test]
    fn a_relative_choice_becomes_absolute() {
        let found = cache_dir_from(with(&[("TRIFOLD_CACHE", "here")])).unwrap();
        assert_eq!(found, std::env::current_dir().unwrap().join("here"));
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |file| {
            file.write_all(b"half of the new")?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs_err::read(&path).unwrap(), b"old");
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_the_same_bytes_count_as_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let right: Vec<u8> = (0..=250).cycle().take(3 * CHUNK).collect();
        let mut wrong = right.clone();
        wrong[2 * CHUNK + 1] ^= 1;
        let short = right[..2 * CHUNK].to_vec();
        let long = [&right[..], b"x"].concat();
        for (content, expected) in [
            (&right, true),
            (&wrong, false),
            (&short, false),
            (&long, false),
        ] {
            fs_err::write(&path, content).unwrap();
            assert_eq!(holds(&path, &right).unwrap(), expected);
        }
        fs_err::write(&path, []).unwrap();
        assert!(holds(&path, &[]).unwrap());
    }
}
