//! Files that are written whole or not at all.

use std::{
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::error::CliError;

/// Writes a file by way of a temporary one beside it: on a full disk nothing is left under `path`.
/// Devices and pipes, such as `/dev/stdout`, are written to as they are.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let fail = || CliError::io("Could not write", path);
    match fs_err::metadata(path) {
        Ok(found) if found.is_dir() => return Err(fail()(io::ErrorKind::IsADirectory.into())),
        Ok(found) if !found.is_file() => return write_to_device(path, bytes).map_err(fail()),
        _ => {}
    }
    // A link stays one: what it names is written.
    let target = fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    temporary(&target, bytes)
        .and_then(|file| file.persist(&target).map_err(|error| error.error))
        .map_err(fail())?;
    Ok(())
}

/// As [`write()`], but never over a file that is there: then it takes the next free name, as in
/// `name-2.png`, and returns it.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<PathBuf, CliError> {
    let fail = || CliError::io("Could not write", path);
    let mut file = temporary(path, bytes).map_err(fail())?;
    let mut name = path.to_owned();
    for number in 2_usize.. {
        match file.persist_noclobber(&name) {
            Ok(_) => break,
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => file = error.file,
            Err(error) => return Err(fail()(error.error)),
        }
        name = numbered(path, number);
    }
    Ok(name)
}

/// Fails where [`write()`] is sure to fail: asked before work that takes long.
pub(crate) fn check(path: &Path) -> Result<(), CliError> {
    match path.metadata() {
        Ok(found) if found.is_dir() => {
            return Err(CliError::io("Could not write", path)(
                io::ErrorKind::IsADirectory.into(),
            ));
        }
        Ok(_) => return Ok(()),
        Err(_) => {}
    }
    let folder = folder(path);
    let fail = || CliError::io("Could not write to the folder", folder);
    match folder.metadata() {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(fail()(io::ErrorKind::NotADirectory.into())),
        Err(error) => Err(fail()(error)),
    }
}

/// `name.png` with a number: `name-2.png`.
pub(crate) fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

fn folder(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn temporary(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix(".trifold-")
        .suffix(".part")
        // As any new file; temporary ones are for their owner only.
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder(path))?;
    // Not by way of `file`, which would add its passing name to every error.
    file.as_file_mut().write_all(bytes)?;
    // A full disk shows here at the latest.
    file.as_file().sync_all()?;
    Ok(file)
}

fn write_to_device(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (mut device, _) = fs_err::OpenOptions::new()
        .write(true)
        .open(path)?
        .into_parts();
    device.write_all(bytes)?;
    device.flush()
}
