//! Files that are there whole or not at all: neither a power cut nor another reader finds one half done.
//!
//! Blocks on files. Knows nothing of what is in them.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// A new file beside `path`, in its directory. It has its mode from the moment it is there, and its contents are on
/// the disk when this returns; whoever keeps it gives it its name, and otherwise it is removed.
///
/// # Errors
/// What the system says, if the directory cannot be written to.
pub fn draft(path: &Path, text: &[u8], mode: u32) -> io::Result<NamedTempFile> {
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

/// Writes a file, or another one in its place.
///
/// # Errors
/// What the system says; the file is as it was then.
pub fn replace(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    draft(path, text, mode)?.persist(path)?;
    Ok(())
}
