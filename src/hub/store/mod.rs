//! The store keeps the messages of channels with `history.store = "disk"` across restarts and a `kill -9`.
//!
//! **An acknowledgement** means that a message is on the disk. A message waits here in a queue and gets its offset
//! right before the commit that it is part of. It is acknowledged ([`Acknowledgement`]) and shown to subscribers after
//! it was written *and* `fdatasync` has returned. So every message that was shown or acknowledged is there once, in
//! order, after the process is killed at any moment, and after a power cut if the disk reports its cache honestly. A
//! message without an acknowledgement was not shown; after a kill it may be there or not. There is no setting for less
//! safety: messages that arrive while the disk is busy share the next commit, so it costs time and not throughput.
//!
//! **A full disk.** Messages are refused, as on a read-only disk, and the disk is tried again every second. Nothing has
//! to be restarted, even if the disk was full at the start. Histories that can be read are served; the others are read
//! later.
//!
//! **A broken disk.** If `fdatasync` itself reports an error, Linux may keep data in memory that the disk does not
//! have, and a power cut can then lose messages that were acknowledged later. The error is in the log; do not trust the
//! disk.
//!
//! **Bounds.** The file holds the messages that the hub holds in memory, because the hub removes here what it trims
//! there. Its space is reused, and not given back while the file is open. A mark of some 20 bytes stays for every
//! channel name that was ever trimmed. The queue for the disk is bounded in number and in bytes; further messages are
//! refused.
//!
//! **Offsets.** They are one sequence for the whole hub, and the hub gives them ([`Order`]). Those of messages in
//! memory that were given before a crash are given again, in the next epoch: a page whose cursor has an epoch and an
//! offset at or beyond the `first` of the epoch after it has seen something that is lost.
//!
//! Must not know subscribers, delivery, or policy: the hub decides which records are removed, and when.

mod directory;
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
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

pub(super) use self::directory::check;
use self::directory::{HistoryDirectory, Lock};
use self::error::DiskState;
pub(super) use self::error::StoreError;
use self::file::EPOCHS_KEPT;
pub(super) use self::queue::Append;
use self::queue::{Queue, Refused};
use self::writer::{Trouble, Writer};

use crate::hub::kind::Kind;
use crate::hub::publisher_id::Unique;
use crate::sync::lock;

/// Name of the file in the directory.
const FILE: &str = "history.redb";

/// Time limit for the last commit at the stop. A disk that takes longer is broken, and the service manager would
/// soon kill the process.
const END: Duration = Duration::from_secs(5);

/// A stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Its offset among all messages of the hub, from 1; 0 until it is assigned.
    pub offset: u64,
    /// Digest of the publisher's own id. It is stored beside the record, and longer.
    pub id: Option<Digest>,
    /// Name of the event.
    pub event: Option<Box<str>>,
    /// Key for conflation.
    pub key: Option<Box<str>>,
    /// Type of the data.
    pub kind: Kind,
    /// The data; UTF-8 unless the kind is [`Kind::Bytes`].
    pub data: Bytes,
    /// Publish time, in Unix milliseconds.
    pub time: u64,
}

/// Digest of a publisher's id, from which the id cannot be recovered.
pub(super) type Digest = [u8; 16];

/// A stored publisher id of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredId {
    /// Digest of the id.
    pub digest: Digest,
    /// Offset of the message.
    pub offset: u64,
    /// Publish time, in Unix milliseconds.
    pub time: u64,
}

/// The record of one start of Noren.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EpochStart {
    /// The epoch of its ids.
    pub epoch: String,
    /// The first offset it assigned, or would have assigned.
    pub first: u64,
}

/// The content of the store, as read at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recovered {
    /// The last 1,000 starts, oldest first; the last is this one.
    pub epochs: Vec<EpochStart>,
    /// Highest offset ever written, also if its record is removed; 0 if there was none.
    pub last: u64,
    /// Records by channel, in order of offset.
    pub channels: BTreeMap<String, Vec<Record>>,
    /// Highest trimmed offset by channel.
    pub forgotten: BTreeMap<String, u64>,
    /// Publisher ids by channel, in order of offset.
    pub ids: BTreeMap<String, Vec<StoredId>>,
}

impl Recovered {
    /// Adds this start.
    fn begin(&mut self, start: &EpochStart) {
        let goes_on = self.epochs.last().map(|last| &last.epoch) == Some(&start.epoch);
        if !goes_on {
            self.epochs.push(start.clone());
        }
        let kept = usize::try_from(EPOCHS_KEPT).unwrap_or(usize::MAX);
        let beyond = self.epochs.len().saturating_sub(kept);
        self.epochs.drain(..beyond);
    }
}

/// Callbacks with which the hub takes part in commits. The writer thread calls them for one batch after the other.
pub(super) trait Order: Send + 'static {
    /// Assigns offsets to these messages, increasing and all above `beyond`, and marks repetitions of earlier
    /// messages.
    fn number(&self, appends: &mut [Append], beyond: u64);

    /// Makes these messages, which are on the disk, visible. False if other messages became visible with their
    /// offsets meanwhile: they are numbered and written again then.
    fn show(&self, appends: &[Append]) -> bool;

    /// Reports that the messages numbered last are not on the disk; they must not become visible.
    fn give_up(&self);

    /// Reports that the history, which could not be read at the start, could be read now.
    fn found(&self, recovered: Recovered);
}

/// A future of the offset, once the message is on the disk and visible, or of the error. May be dropped.
#[derive(Debug)]
#[must_use = "a message is kept only once this says so"]
pub(super) struct Acknowledgement(oneshot::Receiver<Result<u64, StoreError>>);

/// A store whose thread is not running yet.
#[must_use]
pub(super) struct Opened(Writer, Arc<Queue>);

/// The open store with its writer thread. There is one for a directory.
pub(super) struct Store {
    queue: Arc<Queue>,
    path: Arc<Path>,
    trouble: Trouble,
    thread: Mutex<Option<JoinHandle<()>>>,
    lock: Lock,
}

impl Opened {
    /// Opens the history in a directory, creates it if it is missing, and records the start of `epoch`. Blocks
    /// while the file is read, and after a crash while it is repaired.
    ///
    /// # Errors
    /// A [`StoreError`] names the directory or the file. A disk that is full or read-only is no error but
    /// [trouble](Store::trouble), which may end.
    pub(super) fn open(directory: &Path, epoch: &str) -> Result<(Self, Recovered), StoreError> {
        let queue = Arc::new(Queue::default());
        let mut writer = Writer::new(Arc::clone(&queue), HistoryDirectory::new(directory), epoch);
        let (recovered, result) = writer.open();
        match result {
            Err(error) if !error.may_end() => Err(error),
            Ok(()) | Err(_) => Ok((Self(writer, queue), recovered)),
        }
    }

    /// Reopens a history that this process has had open before. `read` says that its content is known. A failure
    /// is reported as trouble.
    pub(super) fn reopen(directory: &Path, epoch: &str, read: bool) -> Self {
        let queue = Arc::new(Queue::default());
        let mut writer = Writer::new(Arc::clone(&queue), HistoryDirectory::new(directory), epoch);
        writer.reopen_later(read);
        Self(writer, queue)
    }

    /// The current disk error that prevents writing, if there is one.
    pub(super) fn trouble(&self) -> Option<StoreError> {
        self.0.trouble().get()
    }

    /// True while there is a history that has not been readable so far.
    pub(super) fn is_behind(&self) -> bool {
        self.0.is_behind()
    }

    /// Starts the writer thread.
    ///
    /// # Errors
    /// A [`StoreError`] if the thread cannot be started.
    pub(super) fn run(self, order: impl Order) -> Result<Store, StoreError> {
        let Self(writer, queue) = self;
        let (path, lock, trouble) = (writer.path(), writer.lock(), writer.trouble());
        let thread = std::thread::Builder::new()
            .name("noren-store".to_owned())
            .spawn(move || writer.run(&order))
            .map_err(|error| StoreError::Open {
                file: Arc::clone(&path),
                state: DiskState::Other,
                reason: format!("no thread for it: {error}").into(),
            })?;
        Ok(Store {
            queue,
            path,
            trouble,
            thread: Mutex::new(Some(thread)),
            lock,
        })
    }
}

impl Store {
    /// Queues a message; never waits for the disk. `unique` says how long its publisher id is used for no other
    /// message.
    pub(super) fn append(
        &self,
        channel: &str,
        record: Record,
        unique: Unique,
        came: Instant,
    ) -> Result<Acknowledgement, StoreError> {
        let (done, answer) = oneshot::channel();
        let append = Append {
            channel: channel.into(),
            record,
            unique,
            repeats: None,
            came,
            done,
        };
        match self.queue.push(append) {
            Ok(()) => Ok(Acknowledgement(answer)),
            Err(Refused::Ended) => Err(StoreError::Stopped),
            Err(Refused::Full { first }) => {
                let error = StoreError::Full(Arc::clone(&self.path));
                if first {
                    let remedy = error.remedy();
                    tracing::error!(%error, remedy, "messages of channels on disk are refused");
                }
                Err(error)
            }
        }
    }

    /// The current disk error that prevents writing, if there is one.
    pub(super) fn trouble(&self) -> Option<StoreError> {
        self.trouble.get()
    }

    /// Removes the records of a channel up to and including an offset, and remembers the offset. This is part of
    /// the next commit: after a crash before it, the records are still there.
    pub(super) fn forget(&self, channel: &str, through: u64) {
        self.queue.trim(|trims| trims.forget(channel, through));
    }

    /// Removes the publisher ids of a channel up to and including an offset, with the next commit.
    pub(super) fn forget_ids(&self, channel: &str, through: u64) {
        self.queue.trim(|trims| trims.forget_ids(channel, through));
    }

    /// Removes one record, which a newer one with its key has superseded, with the next commit.
    pub(super) fn remove(&self, channel: &str, offset: u64) {
        self.queue.trim(|trims| trims.remove(channel, offset));
    }
}

impl Store {
    /// Writes what is queued, and releases the directory. Blocks until that is done, for at most 5 seconds; false
    /// if it took longer.
    pub(super) fn end(&self) -> bool {
        self.queue.close();
        if !self.queue.wait_ended(END) {
            // Whoever waits for those messages has had no acknowledgement, so no promise is broken. The thread keeps
            // the lock until it is through.
            tracing::error!(file = %self.path.display(), "the last messages could not be written in time");
            return false;
        }
        self.lock.release();
        true
    }
}

impl Drop for Store {
    /// Writes what is queued. Blocks until that is done, for at most 5 seconds, unless [`end`](Self::end) has done
    /// so.
    fn drop(&mut self) {
        let mut thread = lock(&self.thread);
        let Some(thread) = thread.take() else {
            return;
        };
        // The thread itself may hold the hub for a moment, and so be the last that does.
        if thread.thread().id() == std::thread::current().id() {
            self.queue.close();
            return;
        }
        let ended = if self.queue.close() {
            self.end()
        } else {
            self.queue.wait_ended(Duration::ZERO)
        };
        if ended {
            // A panic has been reported by the hook, and there is no one else to tell.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Future for Acknowledgement {
    type Output = Result<u64, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|answer| answer.unwrap_or(Err(StoreError::Stopped)))
    }
}
