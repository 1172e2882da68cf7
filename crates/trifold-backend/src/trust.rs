//! Whether a plugin is what its package says, and no stranger's doing.

use std::{
    fmt::Write as _,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::{BackendError, Search};

const WRITABLE_BY_ALL: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Checks who can change a plugin. Returns its real path.
pub(crate) fn place(named: &Path, search: &Search) -> Result<PathBuf, BackendError> {
    let io = |source| BackendError::io("Could not find", named, source);
    // Our own errors have the path.
    let path = std::fs::canonicalize(named).map_err(io)?;
    let found = std::fs::metadata(&path).map_err(io)?;
    if !found.is_file() {
        return Err(BackendError::NotAPlugin {
            path,
            found: "no file".into(),
        });
    }
    if !search.trust_anyone {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let why = match doubt(&path)? {
            Some(why) => Some(why),
            None => doubt(folder)?,
        };
        if let Some(why) = why {
            return Err(BackendError::Untrusted { path, why });
        }
    }
    Ok(path)
}

/// Whether a file belongs to somebody else, or everybody can change it or put another in its place. Members of its
/// group may: on most systems users have groups of their own, which own and may write what pip installs.
fn doubt(place: &Path) -> Result<Option<String>, BackendError> {
    let found = std::fs::metadata(place)
        .map_err(|source| BackendError::io("Could not read", place, source))?;
    let owner = found.uid();
    let shown = place.display();
    if owner != 0 && owner != user() {
        return Ok(Some(format!(
            "{shown} belongs to user {owner}, who is neither root nor you"
        )));
    }
    // In a folder such as /tmp everybody can write, but not rename the files of others.
    let kept = found.is_dir() && found.mode() & STICKY != 0;
    if found.mode() & WRITABLE_BY_ALL != 0 && !kept {
        return Ok(Some(format!("everybody can write {shown}")));
    }
    Ok(None)
}

#[allow(unsafe_code)] // one call without arguments
fn user() -> u32 {
    // SAFETY: it has no arguments and cannot fail.
    unsafe { libc::geteuid() }
}

/// The SHA-256 of a file, in hexadecimal digits.
pub(crate) fn digest(path: &Path) -> Result<String, BackendError> {
    let io = |source| BackendError::io("Could not read", path, source);
    let mut file = std::fs::File::open(path).map_err(io)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(io)?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
    }
    Ok(digest
        .finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        }))
}
