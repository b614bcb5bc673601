//! What can go wrong between the hub and the disk. Every text names the directory or the file, and, where an
//! operator can do something, what.

use std::io;
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
        /// There is no room for it.
        no_room: bool,
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
        /// There is no room for what opening it needs.
        no_room: bool,
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
    /// A commit failed, the disk being full, read-only or broken. The message was shown to nobody; the next ones are
    /// tried again.
    #[error("write to the history {}: {reason}", file.display())]
    Write {
        /// The file.
        file: Arc<Path>,
        /// There is no room for it.
        no_room: bool,
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
        let no_room = matches!(error, redb::Error::Io(error) if is_no_room(error));
        match (error, doing) {
            (redb::Error::DatabaseAlreadyOpen, _) => {
                Self::InUse(file.parent().unwrap_or(&file).to_owned())
            }
            // redb answers this kind for a file that does not begin as one of its own does.
            (redb::Error::Io(error), _) if error.kind() == io::ErrorKind::InvalidData => {
                Self::Damaged { file, reason }
            }
            (redb::Error::Io(_) | redb::Error::PreviousIo, Doing::Opening) => Self::Open {
                file,
                no_room,
                reason,
            },
            (redb::Error::Io(_) | redb::Error::PreviousIo, Doing::Writing) => Self::Write {
                file,
                no_room,
                reason,
            },
            _ => Self::Damaged { file, reason },
        }
    }

    /// Whether it is over as soon as there is room again.
    pub fn is_no_room(&self) -> bool {
        match self {
            Self::Directory { no_room, .. }
            | Self::Open { no_room, .. }
            | Self::Write { no_room, .. } => *no_room,
            _ => false,
        }
    }

    /// The same for whoever published, who may be far away: without the paths of this machine, which are in the log.
    pub fn for_publishers(&self) -> &'static str {
        match self {
            error if error.is_no_room() => "the disk of its history is full",
            Self::Full(_) => "the disk of its history is too slow, and too many messages wait",
            Self::Stopped => "its history is being closed",
            _ => "its history cannot be written now; the log of Noren says why",
        }
    }

    /// The remedy, for the log.
    pub fn remedy(&self) -> &'static str {
        match self {
            error if error.is_no_room() => "make room on the disk of hub.store",
            Self::Full(_) => "give hub.store a faster disk",
            Self::InUse(_) => "stop the other process, or give each Noren a hub.store of its own",
            Self::Damaged { .. } => "move the file away and restart Noren",
            _ => "see whether the disk of hub.store is mounted, writable and sound",
        }
    }
}

/// A full disk, a full quota, and a limit on the size of files.
pub fn is_no_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
