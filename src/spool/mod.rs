//! The spool: bytes that wait for slow clients, in nameless files, limited each and in total.
//!
//! A request body waits here until it is complete, a response until its client has taken it; the app's worker
//! waits for neither. The files never have a name, so the kernel removes them with the process, even if it is
//! killed. Independent of HTTP.

mod file;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::config::{self, Limits};
use crate::shares::{Client, HeldAmounts, Parts, Share, Shares};
use crate::telemetry::Spooled;

pub(crate) use file::{SpoolFile, SpoolReader};

/// Minimum interval between log lines about a failing disk, however many requests are affected.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// The space for bodies. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Spool {
    settings: Arc<config::Spool>,
    /// Share of disk space, in bytes.
    disk: Shares,
    /// Share of the number of files.
    files: Shares,
    /// Share of the memory for responses, in bytes.
    memory: Shares,
    /// Share of the memory for request bodies, in bytes.
    requests: Shares,
    parts: Parts,
    used: Arc<Used>,
}

/// The bytes and files in the spool, whose sizes may change. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpoolUse {
    disk: HeldAmounts,
    files: HeldAmounts,
    memory: HeldAmounts,
    requests: HeldAmounts,
    used: Arc<Used>,
}

/// Counters since the start.
#[derive(Debug)]
struct Used {
    requests: AtomicU64,
    answers: AtomicU64,
    started_at: Instant,
    /// Time of the last log line about a failing disk, in milliseconds after `started_at`, plus 1; 0 means never.
    told: AtomicU64,
}

/// Reasons why bytes could not be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    /// The limit of one body is reached.
    #[error("a body may have no more than {0} bytes in the spool")]
    TooLarge(u64),
    /// The limit of all bodies together is reached.
    #[error("the spool is full with {0} bytes")]
    Full(u64),
    /// The limit on files is reached, and none has become free in time.
    #[error("there are {0} files in the spool")]
    TooManyFiles(usize),
    /// The client's share is used up.
    #[error("an address has used up its share of the spool (limits.address-share)")]
    Share,
    /// The disk is full, or the directory is not writable.
    #[error("spool in {directory}: {source}", directory = .directory.display())]
    Disk {
        /// Path of the directory.
        directory: std::path::PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl SpoolUse {
    /// The current figures for metrics and status.
    #[must_use]
    pub(crate) fn figures(&self) -> Spooled {
        Spooled {
            disk: self.disk.amount(),
            memory: self.memory.amount(),
            requests: self.used.requests.load(Ordering::Relaxed),
            answers: self.used.answers.load(Ordering::Relaxed),
        }
    }
}

impl Spool {
    /// Creates a spool of the configured sizes, of which that is in use.
    #[must_use]
    pub(crate) fn new(settings: config::Spool, limits: &Limits, in_use: &SpoolUse) -> Self {
        let parts = Parts::from(limits);
        let shares = |taken, total| Shares::of_taken(taken, total, parts);
        Self {
            disk: shares(&in_use.disk, settings.size),
            files: shares(&in_use.files, settings.files as u64),
            memory: shares(&in_use.memory, settings.memory),
            requests: shares(&in_use.requests, limits.request_memory),
            used: Arc::clone(&in_use.used),
            parts,
            settings: Arc::new(settings),
        }
    }

    /// The settings of the spool.
    #[must_use]
    pub(crate) fn settings(&self) -> &config::Spool {
        &self.settings
    }

    /// Sizes of the shares of one client.
    #[must_use]
    pub(crate) fn parts(&self) -> Parts {
        self.parts
    }

    /// True if bodies may go to disk.
    #[must_use]
    pub(crate) fn has_disk(&self) -> bool {
        self.settings.size > 0
    }

    /// An empty share of the memory for responses to this client.
    #[must_use]
    pub(crate) fn memory(&self, client: Client) -> Share {
        self.memory.of(client)
    }

    /// An empty share of the memory for request bodies of this client.
    #[must_use]
    pub(crate) fn request_memory(&self, client: Client) -> Share {
        self.requests.of(client)
    }

    /// True if more than half of the memory for request bodies is taken.
    #[must_use]
    pub(crate) fn is_tight(&self) -> bool {
        self.requests.is_tight()
    }

    /// Counts a request body that goes to disk.
    pub(crate) fn count_request(&self) {
        self.used.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a response that waits for its client.
    pub(crate) fn count_response(&self) {
        self.used.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Logs a failing disk, though not for every request.
    fn log_failure(&self, error: &SpoolError) {
        let now = self.used.started_at.elapsed();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX) + 1;
        let told = self.used.told.load(Ordering::Relaxed);
        let again = told + u64::try_from(TELL_AGAIN.as_millis()).unwrap_or_default();
        let due = told == 0 || now >= again;
        let exchanged =
            self.used
                .told
                .compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed);
        if due && exchanged.is_ok() {
            warn!(%error, "the spool cannot be written; bodies continue in memory as far as possible");
        }
    }
}

impl Default for Used {
    fn default() -> Self {
        Self {
            requests: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            started_at: Instant::now(),
            told: AtomicU64::new(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn spool(size: u64) -> (Spool, SpoolUse) {
        let settings = config::Spool {
            directory: std::env::temp_dir(),
            size,
            memory: 10,
            ..config::Spool::default()
        };
        let in_use = SpoolUse::default();
        (Spool::new(settings, &Limits::default(), &in_use), in_use)
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
        let (spool, in_use) = spool(3 << 20);
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
        assert!(in_use.figures().disk >= pattern.len() as u64);
        assert_eq!(all(second).await, pattern);
        assert_eq!(in_use.figures().disk, 0);
    }

    #[tokio::test]
    async fn one_body_and_all_together_have_their_bounds() {
        let (spool, in_use) = spool(1 << 20);
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
        let limits = Limits::default();
        let another = Spool::new(spool.settings().clone(), &limits, &in_use);
        let mut third = another
            .file(2 << 20, Client::default(), Duration::ZERO)
            .await
            .expect("a file");
        let fault = third.append(&half).await;
        assert!(matches!(fault, Err(SpoolError::Full(_))), "{fault:?}");
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_is_named() {
        let settings = config::Spool {
            directory: "/nonexistent/spool".into(),
            ..config::Spool::default()
        };
        let error = Spool::new(settings, &Limits::default(), &SpoolUse::default())
            .file(1, Client::default(), Duration::ZERO)
            .await
            .expect_err("no file");
        assert!(error.to_string().contains("/nonexistent/spool"), "{error}");
    }

    #[test]
    fn memory_is_counted_and_given_back() {
        let (spool, in_use) = spool(0);
        let nobody = Client::default();
        let (mut one, mut other) = (spool.memory(nobody), spool.memory(nobody));
        assert!(one.take(6).is_ok() && other.take(6).is_err() && other.take(4).is_ok());
        one.give_back(2);
        assert_eq!(in_use.figures().memory, 8);
        drop((one, other));
        assert_eq!(in_use.figures().memory, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_limited_and_waited_for() {
        let settings = config::Spool {
            directory: std::env::temp_dir(),
            files: 1,
            ..config::Spool::default()
        };
        let spool = Spool::new(settings, &Limits::default(), &SpoolUse::default());
        let file = |wait| spool.file(1, Client::default(), wait);
        let first = file(Duration::ZERO).await.expect("a file");
        let second = file(Duration::from_secs(1)).await;
        assert!(matches!(second, Err(SpoolError::TooManyFiles(1))));
        let (second, ()) = tokio::join!(file(Duration::from_secs(60)), async { drop(first) });
        assert!(second.is_ok());
    }
}
