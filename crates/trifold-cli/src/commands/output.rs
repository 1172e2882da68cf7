//! Files that are written whole or not at all.

use std::{io::Write as _, path::Path};

use crate::error::CliError;

/// Writes a file by way of a temporary one beside it: on a full disk nothing is left under `path`.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let fail = || CliError::io("Could not write", path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail())?;
    file.write_all(bytes).and_then(|()| file.flush()).map_err(fail())?;
    // Readable for others, as any file that a program writes; the temporary one was private.
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(permissions).map_err(fail())?;
    file.persist(path).map_err(|error| fail()(error.error))?;
    Ok(())
}
