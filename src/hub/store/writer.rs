//! The writer thread: takes all queued messages, commits them, makes them visible, reports the results, and
//! repeats.
//!
//! This is group commit without a timer: a single message waits for its own `fsync`; under load, messages that
//! arrive while the disk is busy share the next one.
//!
//! It is a thread and not a task, because a commit blocks for any length of time, and must neither block a worker of
//! the runtime nor be interrupted when the runtime ends. The [`Store`](super::Store) owns it and waits for its end.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::directory::{HistoryDirectory, Lock};
use super::error::{Operation, StoreError};
use super::file::{Commit, HistoryFile, Key};
use super::queue::{Append, Queue, Trims};
use super::{EpochStart, Order, Recovered};

use crate::sync::lock;

/// Pause after an error before the next attempt, whether there are messages or not: opening the file again reads
/// all of it, which a full disk and a busy channel would otherwise cause with every message.
const PAUSE: Duration = Duration::from_secs(1);
/// Factor between the time that opening took and the pause before the next attempt, up to the longest pause.
const SHARE: u32 = 10;
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Free space that must be proven before a disk error is over: the size of what was refused last, within these
/// bounds. A transaction without a message would succeed on a full disk too.
const ROOM: std::ops::RangeInclusive<usize> = 16 * 1024..=1024 * 1024;

/// The current disk error, shared with readers of the status.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble(Arc<Mutex<Option<StoreError>>>);

/// State of the writer thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Arc<Queue>,
    directory: HistoryDirectory,
    trouble: Trouble,
    /// The open file; `None` after an error, until it is opened again.
    file: Option<HistoryFile>,
    epoch: String,
    /// True while the file has not been read.
    unread: bool,
    /// The start of this epoch, until it is recorded in the file.
    start: Option<EpochStart>,
    /// Records to remove, including those of failed batches, or the file would keep them for good.
    trims: Trims,
    /// Records to remove from the file first: a commit that reported an error may have reached the disk nevertheless.
    stale: Vec<Key>,
    failed: Option<Instant>,
    /// Pause after the last error.
    pause: Duration,
    /// Size of the messages that were refused last.
    wanted: usize,
}

/// A guard that marks the end of the thread, also when it panics.
struct EndGuard(Arc<Queue>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Trouble {
    pub(super) fn get(&self) -> Option<StoreError> {
        lock(&self.0).clone()
    }

    fn set(&self, error: Option<StoreError>) -> Option<StoreError> {
        let mut trouble = lock(&self.0);
        std::mem::replace(&mut *trouble, error)
    }
}

impl Writer {
    /// Creates a writer for a history that is not opened yet.
    pub(super) fn new(queue: Arc<Queue>, directory: HistoryDirectory, epoch: &str) -> Self {
        Self {
            queue,
            directory,
            trouble: Trouble::default(),
            file: None,
            epoch: epoch.to_owned(),
            unread: true,
            start: None,
            trims: Trims::default(),
            stale: Vec::new(),
            failed: None,
            pause: PAUSE,
            wanted: *ROOM.start(),
        }
    }

    pub(super) fn path(&self) -> Arc<Path> {
        Arc::clone(&self.directory.path)
    }

    pub(super) fn lock(&self) -> Lock {
        self.directory.lock()
    }

    pub(super) fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    /// True while there is a history that has not been readable so far.
    pub(super) fn is_behind(&self) -> bool {
        self.unread && self.directory.has_history()
    }

    /// Opens and reads the file, then records the start of its epoch.
    pub(super) fn open(&mut self) -> (Recovered, Result<(), StoreError>) {
        let mut recovered = Recovered::default();
        let result = self.read().and_then(|found| {
            recovered = found;
            self.commit(&[])
        });
        self.note(&result);
        (recovered, result)
    }

    /// Prepares to open the file again later; `read` is true if its content has been read already.
    pub(super) fn reopen_later(&mut self, read: bool) {
        self.unread = !read;
        let result = if read {
            self.commit(&[])
        } else {
            // It is tried again by the thread, which can hand on what it finds.
            Err(StoreError::Stopped)
        };
        self.note(&result);
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(self, order: &dyn Order) {
        // In this order, so that the file is closed before the end is reported, also after a panic.
        let _ended = EndGuard(Arc::clone(&self.queue));
        let mut writer = self;
        while let Some(mut batch) = writer.queue.take(writer.failed.map(|_| writer.pause)) {
            writer.trims.merge(batch.trims);
            let result = writer.write(&mut batch.appends, order);
            if batch.overflowed && result.is_ok() {
                let file = writer.directory.path.display();
                tracing::info!(%file, "the disk keeps up with the history again");
            }
            writer.queue.report_results(batch.appends, &result);
        }
    }

    /// Stores the messages. Without messages it reads a history that is still unread, and checks whether a disk error
    /// is over.
    fn write(&mut self, appends: &mut [Append], order: &dyn Order) -> Result<(), StoreError> {
        if let Some(since) = self.failed
            && since.elapsed() < self.pause
            && let Some(error) = self.trouble.get()
        {
            return Err(error);
        }
        let started_at = Instant::now();
        let result = self.read_late(order).and_then(|()| {
            if appends.is_empty() {
                self.check_for_room()
            } else {
                self.keep(appends, order)
            }
        });
        if result.is_err() {
            self.pause = (started_at.elapsed() * SHARE).clamp(PAUSE, LONGEST_PAUSE);
        }
        self.note(&result);
        result
    }

    /// Reads a history that could not be read at the start.
    fn read_late(&mut self, order: &dyn Order) -> Result<(), StoreError> {
        if self.unread {
            let recovered = self.read()?;
            order.found(recovered);
        }
        Ok(())
    }

    /// Checks, while no messages are queued, that a disk error is over.
    fn check_for_room(&mut self) -> Result<(), StoreError> {
        if self.failed.is_none() {
            return self.commit(&[]);
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => self.directory.open()?,
        };
        let tried = file.try_room(self.wanted);
        tried.map_err(|error| {
            StoreError::from_redb(&error, Operation::Writing, &self.directory.path)
        })?;
        self.file = Some(file);
        self.commit(&[])
    }

    /// Numbers the messages, commits them and makes them visible, in this order.
    fn keep(&mut self, appends: &mut [Append], order: &dyn Order) -> Result<(), StoreError> {
        let mut beyond = 0;
        loop {
            order.number(appends, beyond);
            if !appends.iter().any(Append::is_new) {
                // All of them were there before.
                order.give_up();
                return Ok(());
            }
            let result = self.commit(appends);
            if result.is_err() {
                order.give_up();
                let refused = appends.iter().map(Append::weight).sum::<usize>();
                self.wanted = refused.clamp(*ROOM.start(), *ROOM.end());
                return result;
            }
            if order.show(appends) {
                return Ok(());
            }
            // Others were shown with these offsets meanwhile: an id is given once.
            self.stale = keys(appends);
            let new = appends.iter().filter(|append| append.is_new());
            beyond = new.map(|append| append.record.offset).max().unwrap_or(0);
        }
    }

    fn read(&mut self) -> Result<Recovered, StoreError> {
        let file = self.directory.open()?;
        let read = file.read();
        let described =
            |error| StoreError::from_redb(&error, Operation::Opening, &self.directory.path);
        let mut recovered = read.map_err(described)?;
        let start = EpochStart {
            epoch: self.epoch.clone(),
            first: recovered.last.saturating_add(1),
        };
        recovered.begin(&start);
        self.start = Some(start);
        self.file = Some(file);
        self.unread = false;
        self.directory.mark_used();
        Ok(recovered)
    }

    fn commit(&mut self, appends: &[Append]) -> Result<(), StoreError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.directory.open()?,
        };
        let path = &self.directory.path;
        let described = |error, operation| StoreError::from_redb(&error, operation, path);
        if !self.stale.is_empty() {
            let stale = file.present(&self.stale);
            self.stale = stale.map_err(|error| described(error, Operation::Opening))?;
        }
        let batch = Commit {
            start: self.start.as_ref(),
            stale: &self.stale,
            appends,
            trims: &self.trims,
        };
        if let Err(error) = file.commit(&batch) {
            self.stale.extend(keys(appends));
            return Err(described(error, Operation::Writing));
        }
        self.file = Some(file);
        self.start = None;
        self.stale.clear();
        self.trims = Trims::default();
        Ok(())
    }

    /// Logs once that messages are not stored, and once that they are again.
    fn note(&mut self, result: &Result<(), StoreError>) {
        self.failed = result.as_ref().err().map(|_| Instant::now());
        let before = self.trouble.set(result.as_ref().err().cloned());
        match (result, before) {
            (Err(error), None) => {
                let remedy = error.remedy();
                tracing::error!(%error, remedy, "messages of channels on disk are refused until they can be written");
            }
            (Ok(()), Some(_)) => {
                let file = self.directory.path.display();
                tracing::info!(%file, "messages of channels on disk are accepted again");
            }
            _ => {}
        }
    }
}

fn keys(appends: &[Append]) -> Vec<Key> {
    let key = |append: &Append| (append.channel.clone(), append.record.offset);
    let new = appends.iter().filter(|append| append.is_new());
    new.map(key).collect()
}
