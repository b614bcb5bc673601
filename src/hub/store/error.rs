//! What can go wrong between the hub and the disk. Every text names the directory or the file, and, where an
//! operator can do something, what.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the history could not be opened, or a message not be kept. Cheap to clone: one failed commit is the
/// answer to every message in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory could not be made, opened or locked.
    #[error("use {} as hub.store: {reason}", directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        reason: Arc<str>,
    },
    /// Another store has the directory; two would write over each other.
    #[error(
        "the history in {} is in use by another process; stop it, or give each Noren a hub.store of its own",
        .0.display()
    )]
    InUse(PathBuf),
    /// The file could not be opened or read: rights, a broken disk, no space for the repair.
    #[error("open the history {}: {reason}", file.display())]
    Open {
        /// The file.
        file: Arc<Path>,
        /// What the system said.
        reason: Arc<str>,
    },
    /// The file does not hold what it should.
    #[error(
        "the history {} is damaged or not a history ({reason}); move it away to start with an empty one",
        file.display()
    )]
    Damaged {
        /// The file.
        file: Arc<Path>,
        /// What was found.
        reason: Arc<str>,
    },
    /// A commit failed, the disk being full, read-only or broken. The message may or may not be there after a
    /// restart; the next ones are tried again.
    #[error("write to the history {}: {reason}", file.display())]
    Write {
        /// The file.
        file: Arc<Path>,
        /// What the system said.
        reason: Arc<str>,
    },
    /// The disk does not keep up, and as much waits as may wait. The message was not taken.
    #[error("the disk is too slow for the history {}: too many messages wait to be written", .0.display())]
    Full(Arc<Path>),
    /// The store ended before it wrote the message.
    #[error("the history has been closed")]
    Stopped,
}

/// What was being done with the file when redb failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Opening it, or reading all of it.
    Opening,
    /// Committing to it.
    Writing,
}

impl StoreError {
    /// Says whose fault an error of redb is: the disk's, the file's, or that of a second process.
    pub fn from_redb(error: &redb::Error, doing: Doing, file: &Arc<Path>) -> Self {
        let (file, reason) = (Arc::clone(file), Arc::from(error.to_string()));
        match (error, doing) {
            (redb::Error::DatabaseAlreadyOpen, _) => {
                Self::InUse(file.parent().unwrap_or(&file).to_owned())
            }
            // redb answers this kind for a file that does not begin as one of its own does.
            (redb::Error::Io(error), _) if error.kind() == std::io::ErrorKind::InvalidData => {
                Self::Damaged { file, reason }
            }
            (redb::Error::Io(_) | redb::Error::PreviousIo, Doing::Opening) => {
                Self::Open { file, reason }
            }
            (redb::Error::Io(_) | redb::Error::PreviousIo, Doing::Writing) => {
                Self::Write { file, reason }
            }
            _ => Self::Damaged { file, reason },
        }
    }
}
