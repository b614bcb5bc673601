//! Whether files are still the ones that were read, without reading them again.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// What is known of some files without opening them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prints(Vec<(PathBuf, Option<Print>)>);

/// Two files with the same one are the same: one that is written to has another time of change, and one that
/// was put in its place is another inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Print {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Prints {
    /// Looks at the files; to be done before they are read, so that a change meanwhile is found later.
    pub(super) fn of<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let looked = files.into_iter().map(|file| (file.clone(), print(file)));
        Self(looked.collect())
    }

    /// Whether any of the files is another now.
    pub(super) fn differ(&self) -> bool {
        self.0.iter().any(|(file, before)| print(file) != *before)
    }
}

/// None for a file that is not there or out of reach.
fn print(file: &PathBuf) -> Option<Print> {
    let found = fs::metadata(file).ok()?;
    Some(Print {
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}
