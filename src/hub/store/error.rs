//! Errors between the hub and the disk. Each text names the directory or the file, and the remedy if there is one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::text::Reason;

/// Reasons why the history cannot be opened, or a message cannot be stored. Cheap to clone: one failed commit is
/// the result of every message in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be made, opened or locked.
    #[error("use {} as hub.store: {reason}", directory.display())]
    Directory {
        /// Path of the directory.
        directory: PathBuf,
        /// The state of the disk.
        state: DiskState,
        /// The error of the system.
        reason: Arc<str>,
    },
    /// The directory or the file in it cannot be used by this user, or as it is.
    #[error("use {} as hub.store: {reason}", directory.display())]
    Unfit {
        /// The directory.
        directory: PathBuf,
        /// Description of the obstacle.
        reason: Reason,
    },
    /// Another store has locked the directory; two would overwrite each other.
    #[error(
        "the history in {} is in use by another process; stop it, or give each Noren a hub.store of its own",
        .0.display()
    )]
    InUse(PathBuf),
    /// The file cannot be opened or read: permissions, a broken disk, or no space for the repair.
    #[error("open the history {}: {reason}", file.display())]
    Open {
        /// Path of the file.
        file: Arc<Path>,
        /// The state of the disk.
        state: DiskState,
        /// The error of the system.
        reason: Arc<str>,
    },
    /// The content of the file is damaged.
    #[error(
        "the history {} is damaged or not a history ({reason}); move it away to start with an empty one",
        file.display()
    )]
    Damaged {
        /// Path of the file.
        file: Arc<Path>,
        /// Description of the damage.
        reason: Arc<str>,
    },
    /// A commit failed because the disk is full, read-only or broken. No subscriber has seen the message; later
    /// messages are tried again.
    #[error("write to the history {}: {reason}", file.display())]
    Write {
        /// Path of the file.
        file: Arc<Path>,
        /// The state of the disk.
        state: DiskState,
        /// The error of the system.
        reason: Arc<str>,
    },
    /// The queue for the disk is full, because the disk does not keep up. The message was not accepted.
    #[error("the disk is too slow for the history {}: too many messages wait to be written", .0.display())]
    Full(Arc<Path>),
    /// The store stopped before it wrote the message.
    #[error("the history has been closed")]
    Stopped,
}

/// The state of a disk, as an error reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskState {
    /// Full, or the quota or the limit on file sizes is reached.
    Full,
    /// Mounted to be read only, as the system does after errors.
    ReadOnly,
    /// Anything else.
    Other,
}

/// The operation on the file that redb failed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Opening the file, or reading all of it.
    Opening,
    /// Committing to the file.
    Writing,
}

impl StoreError {
    /// Classifies an error of redb: the disk, the file, or a second process is at fault.
    pub fn from_redb(error: &redb::Error, operation: Operation, file: &Arc<Path>) -> Self {
        let (file, reason) = (Arc::clone(file), Arc::from(error.to_string()));
        let state = match error {
            redb::Error::Io(error) => DiskState::of(error),
            _ => DiskState::Other,
        };
        match (error, operation) {
            (redb::Error::DatabaseAlreadyOpen, _) => {
                Self::InUse(file.parent().unwrap_or(&file).to_owned())
            }
            // redb answers this kind for a file that does not begin as one of its own does.
            (redb::Error::Io(error), _) if error.kind() == io::ErrorKind::InvalidData => {
                Self::Damaged { file, reason }
            }
            (redb::Error::Io(_) | redb::Error::PreviousIo, Operation::Opening) => Self::Open {
                file,
                state,
                reason,
            },
            (redb::Error::Io(_) | redb::Error::PreviousIo, Operation::Writing) => Self::Write {
                file,
                state,
                reason,
            },
            _ => Self::Damaged { file, reason },
        }
    }

    /// The state of the disk.
    fn state(&self) -> DiskState {
        match self {
            Self::Directory { state, .. }
            | Self::Open { state, .. }
            | Self::Write { state, .. } => *state,
            _ => DiskState::Other,
        }
    }

    /// True if the disk is at fault and may recover by itself. Everything else continues without it meanwhile.
    pub fn may_end(&self) -> bool {
        self.state() != DiskState::Other
    }

    /// The error for the publisher, who may be remote: without the paths of this machine, which are in the log.
    pub fn for_publishers(&self) -> &'static str {
        match self {
            error if error.state() == DiskState::Full => "the disk of its history is full",
            error if error.state() == DiskState::ReadOnly => {
                "the disk of its history can only be read now"
            }
            Self::Full(_) => "the disk of its history is too slow, and too many messages wait",
            Self::Stopped => "its history is being closed",
            _ => "its history cannot be written now; the log of Noren says why",
        }
    }

    /// The remedy, for the log.
    pub fn remedy(&self) -> &'static str {
        match self {
            error if error.state() == DiskState::Full => "make room on the disk of hub.store",
            error if error.state() == DiskState::ReadOnly => {
                "mount the disk of hub.store to be written again"
            }
            Self::Full(_) => "give hub.store a faster disk",
            Self::InUse(_) => "stop the other process, or give each Noren a hub.store of its own",
            Self::Damaged { .. } => "move the file away and restart Noren",
            _ => "see whether the disk of hub.store is mounted, writable and sound",
        }
    }
}

impl DiskState {
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::Full,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::Other,
        }
    }
}
