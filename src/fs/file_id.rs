//! Detects changed files without reading them again.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Identity of a file's contents: writing in place changes ctime, replacing it changes the inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// Identities of several files; `None` for one that is missing or inaccessible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileIds(Vec<(PathBuf, Option<FileId>)>);

impl FileId {
    /// Identity of the file at a path; to be taken before the file is read, so that a change meanwhile is detected
    /// later.
    ///
    /// # Errors
    /// The error of the system, if the file is missing or inaccessible.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|found| Self::of_metadata(&found))
    }

    /// Identity of the file with this metadata.
    #[must_use]
    pub(crate) fn of_metadata(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

impl FileIds {
    /// Takes the identities of these files, as [`FileId::of`] does.
    pub(crate) fn of<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let files = files.into_iter();
        Self(
            files
                .map(|file| (file.clone(), FileId::of(file).ok()))
                .collect(),
        )
    }

    /// True if any of the files has changed.
    #[must_use]
    pub(crate) fn differ(&self) -> bool {
        let mut files = self.0.iter();
        files.any(|(file, before)| FileId::of(file).ok() != *before)
    }
}
