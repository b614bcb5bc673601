//! One spooled body on disk: appended at its end and read from its beginning, both on blocking threads.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::shares::{Client, Denied, Share};
use crate::spool::{Spool, SpoolError};
use crate::sync::lock;

/// Size of a read.
const PIECE: usize = 256 * 1024;
/// Step in which disk space is reserved, so that the shared sum is rarely updated.
const STEP: u64 = 64 * 1024;

/// A body that is being written.
#[derive(Debug)]
pub(crate) struct SpoolFile {
    shared: Arc<SharedFile>,
    spool: Spool,
    length: u64,
    most: u64,
}

/// Reads a body from its beginning to its end at the time the reader was made or last extended.
pub(crate) struct SpoolReader {
    shared: Arc<SharedFile>,
    at: u64,
    end: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

/// The file and its reserved space, until the last user is dropped.
#[derive(Debug)]
struct SharedFile {
    file: File,
    room: Mutex<Share>,
    /// Share of the limit on files.
    _share: Share,
}

impl Spool {
    /// Creates a nameless file, for at most this many bytes of this client. Waits for a free file up to a time
    /// limit.
    ///
    /// # Errors
    /// [`SpoolError::Disk`], [`SpoolError::TooManyFiles`] and [`SpoolError::Share`].
    pub(crate) async fn file(
        &self,
        most: u64,
        client: Client,
        wait: Duration,
    ) -> Result<SpoolFile, SpoolError> {
        let share = self.files.take_within(wait, client, 1).await;
        let share = share.map_err(|denied| match denied {
            Denied::All => SpoolError::TooManyFiles(self.settings.files),
            Denied::Client => SpoolError::Share,
        })?;
        let directory = self.settings.directory.clone();
        let made = spawn_blocking(move || tempfile::tempfile_in(directory)).await;
        let file = made
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|source| self.failed(source))?;
        Ok(SpoolFile {
            shared: Arc::new(SharedFile {
                file,
                room: Mutex::new(self.disk.of(client)),
                _share: share,
            }),
            spool: self.clone(),
            length: 0,
            most,
        })
    }

    fn failed(&self, source: io::Error) -> SpoolError {
        let directory = self.settings.directory.clone();
        let error = SpoolError::Disk { directory, source };
        self.log_failure(&error);
        error
    }
}

impl SpoolFile {
    /// Length in bytes.
    #[must_use]
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Appends all of the bytes, or none.
    ///
    /// # Errors
    /// [`SpoolError`] gives the reason; earlier bytes can still be read.
    pub(crate) async fn append(&mut self, bytes: &Bytes) -> Result<(), SpoolError> {
        let end = self.length + bytes.len() as u64;
        if end > self.most {
            return Err(SpoolError::TooLarge(self.most));
        }
        self.take_room(end)?;
        let (shared, bytes, at) = (Arc::clone(&self.shared), bytes.clone(), self.length);
        let written = spawn_blocking(move || shared.file.write_all_at(&bytes, at)).await;
        written
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|source| self.spool.failed(source))?;
        self.length = end;
        Ok(())
    }

    fn take_room(&mut self, end: u64) -> Result<(), SpoolError> {
        let mut room = self.shared.room();
        if end <= room.held() {
            return Ok(());
        }
        let least = end - room.held();
        let more = least.next_multiple_of(STEP);
        // The last bytes of the spool need not be a whole step.
        let taken = room.take(more).or_else(|_| room.take(least));
        taken.map_err(|denied| match denied {
            Denied::All => SpoolError::Full(self.spool.settings.size),
            Denied::Client => SpoolError::Share,
        })
    }

    /// Restarts at the beginning, after all bytes have been read.
    pub(crate) fn rewind(&mut self) {
        self.length = 0;
    }

    /// Creates a reader of the current content.
    #[must_use]
    pub(crate) fn reader(&self) -> SpoolReader {
        SpoolReader {
            shared: Arc::clone(&self.shared),
            at: 0,
            end: self.length,
            reading: None,
        }
    }
}

impl SpoolReader {
    /// Number of bytes left to read.
    #[must_use]
    pub(crate) fn left(&self) -> u64 {
        self.end - self.at
    }

    /// Extends the readable part after more was written.
    pub(crate) fn extend_to(&mut self, end: u64) {
        self.end = end;
    }

    /// Restarts at the beginning of a file that was emptied.
    pub(crate) fn rewind(&mut self) {
        self.at = 0;
        self.end = 0;
    }

    /// Creates a reader of the same body, from its beginning.
    #[must_use]
    pub(crate) fn again(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            at: 0,
            end: self.end,
            reading: None,
        }
    }

    /// Reads the next piece; `None` at the end.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left() == 0 {
            return Poll::Ready(None);
        }
        let reading = self.reading.get_or_insert_with(|| {
            let (shared, at) = (Arc::clone(&self.shared), self.at);
            let length = usize::try_from(self.end - at).map_or(PIECE, |left| left.min(PIECE));
            spawn_blocking(move || {
                let mut piece = vec![0; length];
                shared.file.read_exact_at(&mut piece, at)?;
                Ok(Bytes::from(piece))
            })
        });
        let read = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        let read = read.unwrap_or_else(|error| Err(io::Error::other(error)));
        if let Ok(piece) = &read {
            self.at += piece.len() as u64;
        }
        Poll::Ready(Some(read))
    }
}

impl fmt::Debug for SpoolReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of {} to be read", self.left(), self.end)
    }
}

impl SharedFile {
    fn room(&self) -> MutexGuard<'_, Share> {
        lock(&self.room)
    }
}
