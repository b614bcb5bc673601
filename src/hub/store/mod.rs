//! The store: what channels with `history.store = "disk"` keep over a restart or a `kill -9`.
//!
//! **What an acknowledgement means.** A message is queued here; it gets its offset right before the commit it is part
//! of, and is shown to subscribers, and its [`Acknowledgement`] comes, after that was written *and* `fdatasync`
//! returned. Every message that was shown or acknowledged is there after the process is killed at any moment, once and
//! in order, and after a power cut if the disk does not lie about its cache. A message without an acknowledgement was
//! shown to nobody before; after a kill it may be there or not. There is no setting for less: messages that arrive
//! while the disk is busy share the next commit, so safety costs time and not throughput.
//!
//! **What a full disk means.** Messages are refused, and each second the disk is tried again: there is nothing to
//! restart, also where it was full from the start. What can be read then is read; a history that cannot even be read
//! is read later.
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
//! **Offsets.** They are one sequence for the whole hub, and the hub gives them ([`Order`]). Those of messages in
//! memory that were given before a crash are given again, in the next epoch: a page whose cursor has an epoch and an
//! offset at or beyond the `first` of the epoch after it has seen something that is lost.
//!
//! Must not know subscribers, delivery, or policy: which records go, and when, is the hub's to say.

mod encoding;
mod error;
mod file;
mod place;
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
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

pub use self::error::StoreError;
use self::file::EPOCHS_KEPT;
use self::place::{Lock, Place};
pub use self::queue::Append;
use self::queue::{Queue, Refused};
use self::writer::{Trouble, Writer};

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
    /// Its place among all messages of the hub, from 1; 0 until it has one.
    pub offset: u64,
    /// The digest of the publisher's own id. It is kept beside the record, and longer.
    pub id: Option<Digest>,
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

/// A digest of an id, which says nothing about the id.
pub type Digest = [u8; 16];

/// A publisher's own id of a message, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredId {
    /// The digest of the id.
    pub digest: Digest,
    /// The message that had it.
    pub offset: u64,
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
    /// By channel, the ids of publishers, in the order of their offsets.
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

/// The hub's side of a commit. It is called by the thread that writes, for one batch after the other.
pub trait Order: Send + 'static {
    /// Gives these messages their offsets, each above the one before and all above `beyond`; and says which of them are
    /// messages that there were before.
    fn number(&self, appends: &mut [Append], beyond: u64);

    /// Shows these messages, which are on the disk. False if others were shown with their offsets meanwhile: they are
    /// numbered and written again then.
    fn show(&self, appends: &[Append]) -> bool;

    /// The messages that were numbered last are not on the disk; nobody sees them.
    fn give_up(&self);

    /// The history that could not be read at the start could be read now.
    fn found(&self, recovered: Recovered);
}

/// Resolves to the offset when a message is on the disk and shown, or to the reason why it is not. May be dropped.
#[derive(Debug)]
#[must_use = "a message is kept only once this says so"]
pub struct Acknowledgement(oneshot::Receiver<Result<u64, StoreError>>);

/// A store that does not write yet.
#[must_use]
pub struct Opened(Writer, Arc<Queue>);

/// The open store, and the thread that writes to it. One for a directory.
pub struct Store {
    queue: Arc<Queue>,
    path: Arc<Path>,
    trouble: Trouble,
    thread: Mutex<Option<JoinHandle<()>>>,
    lock: Lock,
}

impl Opened {
    /// Opens the history in a directory, makes it when it is missing, and records that `epoch` begins. Blocks
    /// while the file is read, and after a crash while it is repaired.
    ///
    /// # Errors
    /// [`StoreError`]; not for want of room, which is [trouble](Store::trouble) that may end.
    pub fn open(directory: &Path, epoch: &str) -> Result<(Self, Recovered), StoreError> {
        let queue = Arc::new(Queue::default());
        let mut writer = Writer::new(Arc::clone(&queue), Place::new(directory), epoch);
        let (recovered, result) = writer.open();
        match result {
            Err(error) if !error.is_no_room() => Err(error),
            Ok(()) | Err(_) => Ok((Self(writer, queue), recovered)),
        }
    }

    /// Opens a history that this process has had open, and of which it knows all if it could be `read`. What is in the
    /// way is trouble.
    pub fn again(directory: &Path, epoch: &str, read: bool) -> Self {
        let queue = Arc::new(Queue::default());
        let mut writer = Writer::new(Arc::clone(&queue), Place::new(directory), epoch);
        writer.goes_on(read);
        Self(writer, queue)
    }

    /// Why nothing can be written now, if so.
    pub fn trouble(&self) -> Option<StoreError> {
        self.0.trouble().get()
    }

    /// Whether there is a history that could not be read so far.
    pub fn is_behind(&self) -> bool {
        self.0.is_behind()
    }

    /// Begins to write.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn run(self, order: impl Order) -> Result<Store, StoreError> {
        let Self(writer, queue) = self;
        let (path, lock, trouble) = (writer.path(), writer.lock(), writer.trouble());
        let thread = std::thread::Builder::new()
            .name("noren-store".to_owned())
            .spawn(move || writer.run(&order))
            .map_err(|error| StoreError::Open {
                file: Arc::clone(&path),
                no_room: false,
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
    /// Queues a message; never waits for the disk. `unique` says that no other message has its id, unless it is the same.
    pub fn append(
        &self,
        channel: &str,
        record: Record,
        unique: bool,
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

    /// Why nothing can be written now, if so.
    pub fn trouble(&self) -> Option<StoreError> {
        self.trouble.get()
    }

    /// Removes the records of a channel up to and with an offset, and remembers the offset. Part of the next
    /// commit, which a crash may come before: the record is then found once more.
    pub fn forget(&self, channel: &str, through: u64) {
        self.queue.trim(|trims| trims.forget(channel, through));
    }

    /// Removes the ids of publishers of a channel up to and with an offset. Part of the next commit.
    pub fn forget_ids(&self, channel: &str, through: u64) {
        self.queue.trim(|trims| trims.forget_ids(channel, through));
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
    /// Writes what is queued. Blocks until that is done, at most 5 seconds, unless somebody has waited for it before.
    fn drop(&mut self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
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
