//! The directory of a history, which is locked, and the file in it, which is created once.
//!
//! Opening may fail for lack of space, at the start or later; the owner retries it. Independent of threads and of
//! the file's content.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::error::{DiskState, Operation};
use super::file::HistoryFile;
use super::{FILE, StoreError};
use crate::sync::lock;
use crate::text::Reason;
use crate::text::permission::{self, Use};

/// First bytes of every redb file, by its design document.
const MAGIC: [u8; 9] = *b"redb\x1A\x0A\xA9\x0D\x0A";

/// The lock on the directory, held while the file is open. redb locks its file too, but releases it when the file
/// is reopened after an error.
#[derive(Clone, Debug, Default)]
pub(super) struct Lock(Arc<Mutex<Option<File>>>);

/// The locked directory of a history, with its file.
#[derive(Debug)]
pub(super) struct HistoryDirectory {
    directory: PathBuf,
    pub path: Arc<Path>,
    lock: Lock,
    /// True while no file has ever been found, so that one may be created. Later it must not be: an empty file
    /// would silently forget the epochs and the last offset.
    fresh: bool,
}

impl Lock {
    fn hold(&self, directory: &Path) -> Result<(), StoreError> {
        let mut held = lock(&self.0);
        if held.is_none() {
            *held = Some(take(directory)?);
        }
        Ok(())
    }

    /// Releases the directory.
    pub(super) fn release(&self) {
        let mut held = lock(&self.0);
        if let Some(directory) = held.take() {
            // Closing is not enough: a child that is just being forked has a copy of the descriptor until it runs its
            // program, and the lock with it. If this fails, closing it is what is left.
            let _ = directory.unlock();
        }
    }

    #[cfg(test)]
    pub(super) fn copy(&self) -> Option<File> {
        let held = lock(&self.0);
        held.as_ref().and_then(|file| file.try_clone().ok())
    }
}

impl HistoryDirectory {
    pub(super) fn new(directory: &Path) -> Self {
        let path: Arc<Path> = directory.join(FILE).into();
        Self {
            directory: directory.to_owned(),
            fresh: !path.exists(),
            path,
            lock: Lock::default(),
        }
    }

    pub(super) fn lock(&self) -> Lock {
        self.lock.clone()
    }

    /// True if a history existed before.
    pub(super) fn has_history(&self) -> bool {
        !self.fresh
    }

    /// Locks the directory and opens the file; creates both at the first start. Blocks while the file is read, and
    /// after a crash while it is repaired.
    pub(super) fn open(&mut self) -> Result<HistoryFile, StoreError> {
        self.lock.hold(&self.directory)?;
        let described = |error| StoreError::from_redb(&error, Operation::Opening, &self.path);
        if self.fresh && !self.path.exists() {
            HistoryFile::create(&self.path).map_err(described)?;
        }
        let file = HistoryFile::open(&self.path).map_err(described)?;
        Ok(file)
    }

    /// Records that the file has been read or written: it must not be created a second time.
    pub(super) fn mark_used(&mut self) {
        self.fresh = false;
    }
}

/// Checks that the history in a directory can be opened, or created. Changes nothing, and does not wait for a process
/// that has it open. A full or read-only disk is no fault of the configuration: the store tries it again later.
pub(crate) fn check(directory: &Path) -> Result<(), StoreError> {
    let path = directory.join(FILE);
    let unless_it_may_end = |refused: &Path, error: io::Error| {
        if DiskState::of(&error) != DiskState::Other {
            return Ok(());
        }
        Err(StoreError::Unfit {
            directory: directory.to_owned(),
            reason: Reason::new(refused, Use::Write, &error),
        })
    };
    if let Err(error) = permission::writable(directory) {
        return unless_it_may_end(directory, error);
    }
    match OpenOptions::new().read(true).write(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => unless_it_may_end(&path, error),
        Ok(mut file) => {
            let mut begin = [0; MAGIC.len()];
            match file.read_exact(&mut begin) {
                Ok(()) if begin == MAGIC => Ok(()),
                _ => Err(StoreError::Damaged {
                    file: path.into(),
                    reason: "it does not begin as one".into(),
                }),
            }
        }
    }
}

/// Creates the directory if it is missing, and locks it for as long as the file is held.
fn take(directory: &Path) -> Result<File, StoreError> {
    let failed = |error: io::Error| StoreError::Directory {
        directory: directory.to_owned(),
        state: DiskState::of(&error),
        reason: Reason::new(directory, Use::Write, &error)
            .to_string()
            .into(),
    };
    if !directory.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed)?;
        // Its name is to survive a power cut. Whoever may write a directory but not read it cannot do this, and
        // the system then does it some seconds later.
        if let Some(parent) = directory
            .parent()
            .and_then(|parent| File::open(parent).ok())
        {
            let _ = parent.sync_all();
        }
    }
    let opened = File::open(directory).map_err(failed)?;
    match opened.try_lock() {
        Ok(()) => Ok(opened),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(PathBuf::from(directory))),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}
