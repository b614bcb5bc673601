//! Detects changed files without reading them again.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Identity of the contents of several files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileIds(Vec<(PathBuf, Option<FileId>)>);

/// Identity of a file's contents: writing in place changes ctime, replacing it changes the inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl FileIds {
    /// Records the identities; to be called before the files are read, so that a change meanwhile is detected
    /// later.
    pub(super) fn of<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let looked = files.into_iter().map(|file| (file.clone(), print(file)));
        Self(looked.collect())
    }

    /// True if any of the files has changed.
    pub(super) fn differ(&self) -> bool {
        self.0.iter().any(|(file, before)| print(file) != *before)
    }
}

/// Identity of a file; `None` if it is missing or inaccessible.
fn print(file: &PathBuf) -> Option<FileId> {
    let found = fs::metadata(file).ok()?;
    Some(FileId {
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}
