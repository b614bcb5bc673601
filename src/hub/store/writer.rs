//! The thread that writes: takes all that waits, commits it, tells those who wait, and takes what has come since.
//!
//! That is group commit without a timer: alone, a message waits for its own `fsync`; under load, as many share
//! one as arrive while the disk is busy with the one before.
//!
//! A thread and not a task: a commit blocks for as long as the disk likes, and must neither hold up a worker of
//! the runtime nor be lost in the middle when the runtime ends. It is not spawned and forgotten either: the
//! [`Store`](super::Store) that holds it waits for its end.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{Doing, StoreError};
use super::file::HistoryFile;
use super::queue::{Append, Queue, Trims};

/// After an error nothing is tried for this long: opening the file anew reads all of it, which a full disk and a
/// busy channel would else cause with every message.
const PAUSE: Duration = Duration::from_secs(1);

/// What the thread owns.
#[derive(Debug)]
pub struct Writer {
    queue: Arc<Queue>,
    path: Arc<Path>,
    /// `None` after an error, until it is opened again.
    file: Option<HistoryFile>,
    /// What is to be removed, also of batches that failed: else the file would keep it for good.
    trims: Trims,
    failing: Option<(Instant, StoreError)>,
}

/// Marks the end of the thread also when it panics.
struct Ended(Arc<Queue>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Writer {
    /// Takes over an open file.
    pub fn new(queue: Arc<Queue>, path: Arc<Path>, file: HistoryFile) -> Self {
        Self {
            queue,
            path,
            file: Some(file),
            trims: Trims::default(),
            failing: None,
        }
    }

    /// Writes until the queue is closed and empty.
    pub fn run(self) {
        // In this order, so that the file is closed before the end is told, also after a panic.
        let _ended = Ended(Arc::clone(&self.queue));
        let mut writer = self;
        while let Some(batch) = writer.queue.take() {
            writer.trims.merge(batch.trims);
            let result = writer.write(&batch.appends);
            if batch.overflowed && result.is_ok() {
                let file = writer.path.display();
                tracing::info!(%file, "the disk keeps up with the history again");
            }
            writer.queue.settle(batch.appends, &result);
        }
    }

    fn write(&mut self, appends: &[Append]) -> Result<(), StoreError> {
        if let Some((since, error)) = &self.failing
            && since.elapsed() < PAUSE
        {
            return Err(error.clone());
        }
        let result = self.commit(appends);
        self.note(&result);
        result
    }

    fn commit(&mut self, appends: &[Append]) -> Result<(), StoreError> {
        let described = |error, doing| StoreError::from_redb(&error, doing, &self.path);
        let file = match self.file.take() {
            Some(file) => file,
            // Never made anew: an empty file would forget the epochs and the last offset without a word.
            None => {
                HistoryFile::open(&self.path).map_err(|error| described(error, Doing::Opening))?
            }
        };
        file.commit(appends, &self.trims)
            .map_err(|error| described(error, Doing::Writing))?;
        self.file = Some(file);
        self.trims = Trims::default();
        Ok(())
    }

    /// Says once that messages are not kept, and once that they are again.
    fn note(&mut self, result: &Result<(), StoreError>) {
        let failed_before = self.failing.is_some();
        self.failing = result
            .as_ref()
            .err()
            .map(|error| (Instant::now(), error.clone()));
        match result {
            Err(error) if !failed_before => {
                tracing::error!(%error, "messages are not kept over a restart");
            }
            Ok(()) if failed_before => {
                tracing::info!(file = %self.path.display(), "messages are kept over a restart again");
            }
            Ok(()) | Err(_) => {}
        }
    }
}
