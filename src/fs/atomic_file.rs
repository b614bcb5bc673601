//! Atomic file writes: after a power cut, or for a concurrent reader, a file is complete or absent.
//!
//! Blocks on files. Independent of their content.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// Writes a temporary file next to `path`. It has its mode from the moment it exists, and its contents are on the
/// disk when this returns; the caller renames it, and otherwise it is removed.
///
/// # Errors
/// The error of the system, if the directory cannot be written.
pub(crate) fn draft(path: &Path, text: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    let mut file = Builder::new()
        .prefix(path.file_name().unwrap_or_default())
        .suffix(".tmp")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(directory)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Writes a file atomically, or replaces it.
///
/// # Errors
/// The error of the system; the file is unchanged then.
pub(crate) fn replace(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    draft(path, text, mode)?.persist(path)?;
    Ok(())
}
