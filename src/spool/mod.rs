//! Bytes that wait for those who are slow: files without a name, bounded one by one and all together.
//!
//! A request body waits here until it is complete, an answer until its client has taken it; the worker of the
//! app waits for neither. The files have no name from the beginning, so the kernel removes them with whoever
//! holds them, even if that is killed. Knows nothing of HTTP.

mod file;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::config::{self, Limits};
use crate::shares::{Client, Parts, Share, Shares};
use crate::telemetry::Spooled;

pub use file::{SpoolFile, SpoolReader};

/// A disk that is full is told once in this time, however many requests meet it.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// The room for bodies. Clones share it.
#[derive(Clone, Debug)]
pub struct Spool {
    settings: Arc<config::Spool>,
    /// Bytes on disk.
    disk: Shares,
    /// Files.
    files: Shares,
    /// Bytes of answers in memory.
    memory: Shares,
    /// Bytes of request bodies in memory.
    requests: Shares,
    parts: Parts,
    used: Arc<Used>,
}

/// What was kept since the start.
#[derive(Debug)]
struct Used {
    requests: AtomicU64,
    answers: AtomicU64,
    begun: Instant,
    /// Milliseconds after `begun` of the last word about a failing disk, and 1.
    told: AtomicU64,
}

/// Why bytes could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// More than one body may have.
    #[error("a body may have no more than {0} bytes in the spool")]
    TooLarge(u64),
    /// More than all may have.
    #[error("the spool is full with {0} bytes")]
    Full(u64),
    /// There are as many files as there may be, and none has become free in time.
    #[error("there are {0} files in the spool")]
    TooManyFiles(usize),
    /// More than this client may have.
    #[error("an address has taken its share of the spool (limits.address-share)")]
    Share,
    /// The disk is full, or the directory is not to be written to.
    #[error("spool in {directory}: {source}", directory = .directory.display())]
    Disk {
        /// Where.
        directory: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Spool {
    /// A spool, empty unless it takes the place of another one, whose bytes then count as well.
    #[must_use]
    pub fn new(settings: config::Spool, limits: &Limits, before: Option<&Self>) -> Self {
        let parts = Parts::from(limits);
        let shares = |before: Option<&Shares>, total| match before {
            Some(before) => before.resized(total, parts),
            None => Shares::new(total, parts),
        };
        Self {
            disk: shares(before.map(|before| &before.disk), settings.size),
            files: shares(before.map(|before| &before.files), settings.files as u64),
            memory: shares(before.map(|before| &before.memory), settings.memory),
            requests: shares(before.map(|before| &before.requests), limits.request_memory),
            used: before.map_or_else(Arc::default, |before| Arc::clone(&before.used)),
            parts,
            settings: Arc::new(settings),
        }
    }

    /// The settings this was made of.
    #[must_use]
    pub fn settings(&self) -> &config::Spool {
        &self.settings
    }

    /// What one client may have of what all share.
    #[must_use]
    pub fn parts(&self) -> Parts {
        self.parts
    }

    /// Whether anything may go to disk.
    #[must_use]
    pub fn has_disk(&self) -> bool {
        self.settings.size > 0
    }

    /// Room in memory for one answer to this client, none of it taken.
    #[must_use]
    pub fn memory(&self, client: Client) -> Share {
        self.memory.of(client)
    }

    /// Room in memory for one request body of this client, none of it taken.
    #[must_use]
    pub fn request_memory(&self, client: Client) -> Share {
        self.requests.of(client)
    }

    /// Whether more than half of the memory for request bodies is taken.
    #[must_use]
    pub fn is_tight(&self) -> bool {
        self.requests.is_tight()
    }

    /// The figures now.
    #[must_use]
    pub fn figures(&self) -> Spooled {
        let used = &self.used;
        Spooled {
            disk: self.disk.taken(),
            memory: self.memory.taken(),
            requests: used.requests.load(Ordering::Relaxed),
            answers: used.answers.load(Ordering::Relaxed),
        }
    }

    /// Counts a request body that goes to disk.
    pub fn count_request(&self) {
        self.used.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an answer that waits for its client.
    pub fn count_answer(&self) {
        self.used.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells the operator of a failing disk, though not with every request.
    fn tell(&self, error: &SpoolError) {
        let now = self.used.begun.elapsed();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX) + 1;
        let told = self.used.told.load(Ordering::Relaxed);
        let again = told + u64::try_from(TELL_AGAIN.as_millis()).unwrap_or_default();
        let due = told == 0 || now >= again;
        let exchanged =
            self.used
                .told
                .compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed);
        if due && exchanged.is_ok() {
            warn!(%error, "nothing can be kept on disk; bodies go on without it as far as they can");
        }
    }
}

impl Default for Used {
    fn default() -> Self {
        Self {
            requests: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            begun: Instant::now(),
            told: AtomicU64::new(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn spool(size: u64) -> Spool {
        let settings = config::Spool {
            directory: std::env::temp_dir(),
            size,
            memory: 10,
            ..config::Spool::default()
        };
        Spool::new(settings, &Limits::default(), None)
    }

    async fn all(mut reader: SpoolReader) -> Vec<u8> {
        let mut read = Vec::new();
        while let Some(piece) = std::future::poll_fn(|cx| reader.poll_piece(cx)).await {
            read.extend_from_slice(&piece.expect("a file that can be read"));
        }
        read
    }

    #[tokio::test]
    async fn what_is_kept_is_read_again_and_room_is_given_back_with_its_last_reader() {
        let spool = spool(3 << 20);
        let pattern: Vec<u8> = (0..=250).cycle().take(700_001).collect();
        let mut file = spool
            .file(2 << 20, Client::default(), Duration::ZERO)
            .await
            .expect("a file");
        for piece in pattern.chunks(100_000) {
            file.append(&Bytes::copy_from_slice(piece))
                .await
                .expect("there is room");
        }
        let (first, second) = (file.reader(), file.reader());
        drop(file);
        assert_eq!(all(first).await, pattern);
        assert!(spool.figures().disk >= pattern.len() as u64);
        assert_eq!(all(second).await, pattern);
        assert_eq!(spool.figures().disk, 0);
    }

    #[tokio::test]
    async fn one_body_and_all_together_have_their_bounds() {
        let spool = spool(1 << 20);
        let half = Bytes::from(vec![0; 512 << 10]);
        let mut first = spool
            .file(512 << 10, Client::default(), Duration::ZERO)
            .await
            .expect("a file");
        first.append(&half).await.expect("there is room");
        assert!(matches!(
            first.append(&half).await,
            Err(SpoolError::TooLarge(_))
        ));
        let mut second = spool
            .file(2 << 20, Client::default(), Duration::ZERO)
            .await
            .expect("a file");
        second.append(&half).await.expect("there is room");
        assert!(matches!(
            second.append(&half).await,
            Err(SpoolError::Full(_))
        ));
        drop(first);
        second.append(&half).await.expect("there is room again");
        let another = Spool::new(spool.settings().clone(), &Limits::default(), Some(&spool));
        assert_eq!(another.figures().disk, 1 << 20, "a reload forgets nothing");
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_is_named() {
        let settings = config::Spool {
            directory: "/nonexistent/spool".into(),
            ..config::Spool::default()
        };
        let error = Spool::new(settings, &Limits::default(), None)
            .file(1, Client::default(), Duration::ZERO)
            .await
            .expect_err("no file");
        assert!(error.to_string().contains("/nonexistent/spool"), "{error}");
    }

    #[test]
    fn memory_is_counted_and_given_back() {
        let spool = spool(0);
        let nobody = Client::default();
        let (mut one, mut other) = (spool.memory(nobody), spool.memory(nobody));
        assert!(one.take(6).is_ok() && other.take(6).is_err() && other.take(4).is_ok());
        one.give_back(2);
        assert_eq!(spool.figures().memory, 8);
        drop((one, other));
        assert_eq!(spool.figures().memory, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_limited_and_waited_for() {
        let settings = config::Spool {
            directory: std::env::temp_dir(),
            files: 1,
            ..config::Spool::default()
        };
        let spool = Spool::new(settings, &Limits::default(), None);
        let file = |wait| spool.file(1, Client::default(), wait);
        let first = file(Duration::ZERO).await.expect("a file");
        let second = file(Duration::from_secs(1)).await;
        assert!(matches!(second, Err(SpoolError::TooManyFiles(1))));
        let (second, ()) = tokio::join!(file(Duration::from_secs(60)), async { drop(first) });
        assert!(second.is_ok());
    }
}
