//! The store: what channels with `history.store = "disk"` keep over a restart or a `kill -9`.
//!
//! **What an acknowledgement means.** A message is delivered at once and appended here; its [`Acknowledgement`]
//! comes after the commit it is part of was written *and* `fdatasync` returned. Every acknowledged message is
//! there after the process is killed at any moment, once and in order, and after a power cut if the disk does not
//! lie about its cache. A message without an acknowledgement may be there or not. There is no setting for less:
//! messages that arrive while the disk is busy share the next commit, so safety costs time and not throughput.
//!
//! **What it does not promise.** If `fdatasync` itself reports an error (a broken disk, not a full one), Linux may
//! keep in memory what the disk does not have, and a power cut after that can lose what was acknowledged later.
//! The error is in the log; the disk should not be trusted again.
//!
//! **Bounds.** The file holds what the hub holds in memory, because the hub forgets here what it trims there; its
//! space is used again and not given back while it is open. A mark of some 20 bytes stays for every channel name
//! that was ever trimmed. What waits for the disk is bounded in number and in
//! bytes, and what is beyond is refused.
//!
//! **Offsets.** They are one sequence for the whole hub and never used twice in one epoch. Those that were given
//! but not written before a crash are given again, in the next epoch: a page whose cursor has an epoch and an
//! offset at or beyond the `first` of the epoch after it has seen something that is lost.
//!
//! Must not know subscribers, delivery, or policy: which records go, and when, is the hub's to say.

mod encoding;
mod error;
mod file;
mod queue;
mod writer;

#[cfg(test)]
mod kill_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, TryLockError};
use std::future::Future;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use self::error::Doing;
pub use self::error::StoreError;
use self::file::HistoryFile;
use self::queue::{Append, Queue, Refused};
use self::writer::Writer;

/// The file in the directory.
const FILE: &str = "history.redb";

/// How long the end waits for the last commit. A disk that takes longer is broken, and the service manager would
/// soon kill what waits for it.
const END: Duration = Duration::from_secs(5);

/// How the data of a message is to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// A JSON value, in UTF-8.
    Json,
    /// Any bytes.
    Bytes,
}

/// A message as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place among all messages of the hub, from 1.
    pub offset: u64,
    /// The event's name.
    pub event: Option<Box<str>>,
    /// The key for conflation.
    pub key: Option<Box<str>>,
    /// What the data is.
    pub kind: Kind,
    /// The data; UTF-8 unless the kind is [`Kind::Bytes`].
    pub data: Bytes,
    /// When it was published, in Unix milliseconds.
    pub time: u64,
}

/// One start of Noren.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// The name it gave its ids.
    pub epoch: String,
    /// The first offset it gave, or would have given.
    pub first: u64,
}

/// What was found at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The last 1,000 starts, oldest first; the last is this one.
    pub epochs: Vec<EpochStart>,
    /// The highest offset ever written, also when its record is gone; 0 if there was none.
    pub last: u64,
    /// The records by channel, in the order of their offsets.
    pub channels: BTreeMap<String, Vec<Record>>,
    /// By channel, the highest offset that was trimmed.
    pub forgotten: BTreeMap<String, u64>,
}

/// Resolves when a message is on the disk, or with the reason why it is not. May be dropped.
#[derive(Debug)]
#[must_use = "a message is kept only once this says so"]
pub struct Acknowledgement(oneshot::Receiver<Result<(), StoreError>>);

/// The open store, and the thread that writes to it. One for a directory.
#[derive(Debug)]
pub struct Store {
    queue: Arc<Queue>,
    path: Arc<Path>,
    thread: Option<JoinHandle<()>>,
    /// Locked. redb locks its file as well, but lets go of it when the file is opened anew after an error.
    directory: File,
}

impl Store {
    /// Opens the history in a directory, makes it when it is missing, and records that `epoch` begins. Blocks
    /// while the file is read, and after a crash while it is repaired.
    pub fn open(directory: &Path, epoch: &str) -> Result<(Self, Recovered), StoreError> {
        let lock = take(directory)?;
        let path: Arc<Path> = directory.join(FILE).into();
        let described = |error| StoreError::from_redb(&error, Doing::Opening, &path);
        if !path.exists() {
            HistoryFile::create(&path).map_err(described)?;
        }
        let file = HistoryFile::open(&path).map_err(described)?;
        let recovered = file.begin(epoch).map_err(described)?;
        let queue = Arc::new(Queue::default());
        let writer = Writer::new(Arc::clone(&queue), Arc::clone(&path), file);
        let thread = std::thread::Builder::new()
            .name("noren-store".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| StoreError::Open {
                file: Arc::clone(&path),
                reason: format!("no thread for it: {error}").into(),
            })?;
        let store = Self {
            queue,
            path,
            thread: Some(thread),
            directory: lock,
        };
        Ok((store, recovered))
    }

    /// Queues a message; never waits for the disk. The offsets of a channel must rise from one to the next.
    pub fn append(&self, channel: &str, record: Record) -> Result<Acknowledgement, StoreError> {
        let (done, answer) = oneshot::channel();
        let channel = channel.into();
        let append = Append {
            channel,
            record,
            done,
        };
        match self.queue.push(append) {
            Ok(()) => Ok(Acknowledgement(answer)),
            Err(Refused::Ended) => Err(StoreError::Stopped),
            Err(Refused::Full { first }) => {
                let error = StoreError::Full(Arc::clone(&self.path));
                if first {
                    tracing::error!(%error, "messages are not kept over a restart");
                }
                Err(error)
            }
        }
    }

    /// Removes the records of a channel up to and with an offset, and remembers the offset. Part of the next
    /// commit, which a crash may come before: the record is then found once more.
    pub fn forget(&self, channel: &str, through: u64) {
        self.queue.trim(|trims| trims.forget(channel, through));
    }

    /// Removes one record, which a newer one with its key has superseded. Part of the next commit.
    pub fn remove(&self, channel: &str, offset: u64) {
        self.queue.trim(|trims| trims.remove(channel, offset));
    }
}

impl Store {
    /// Writes what is queued, and gives the directory free. Blocks until that is done, at most 5 seconds; false if
    /// it was not done then.
    pub fn end(&self) -> bool {
        self.queue.close();
        if !self.queue.wait_ended(END) {
            // Whoever waits for those messages has had no acknowledgement, so no promise is broken.
            tracing::error!(file = %self.path.display(), "the last messages could not be written in time");
            return false;
        }
        // Closing is not enough: a child that is just being forked has a copy of the descriptor until it runs its
        // program, and the lock with it. If this fails, closing it is what is left.
        let _ = self.directory.unlock();
        true
    }
}

impl Drop for Store {
    /// Writes what is queued. Blocks until that is done, at most 5 seconds.
    fn drop(&mut self) {
        if !self.end() {
            return;
        }
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by the hook, and there is no one else to tell.
            let _ = thread.join();
        }
    }
}

impl Future for Acknowledgement {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|answer| answer.unwrap_or(Err(StoreError::Stopped)))
    }
}

/// Makes the directory if it is missing, and locks it for as long as the file is held.
fn take(directory: &Path) -> Result<File, StoreError> {
    let failed = |error: io::Error| StoreError::Directory {
        directory: directory.to_owned(),
        reason: error.to_string().into(),
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
