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

use crate::config;

pub use file::{SpoolFile, SpoolReader};

/// A disk that is full is told once in this time, however many requests meet it.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// The room for bodies. Clones share it.
#[derive(Clone, Debug)]
pub struct Spool {
    settings: Arc<config::Spool>,
    used: Arc<Used>,
}

/// What is taken at the moment, and what was since the start.
#[derive(Debug)]
struct Used {
    disk: AtomicU64,
    memory: AtomicU64,
    requests: AtomicU64,
    answers: AtomicU64,
    begun: Instant,
    /// Milliseconds after `begun` of the last word about a failing disk, and 1.
    told: AtomicU64,
}

/// The figures of a spool, for those who watch it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Bytes on disk now.
    pub disk: u64,
    /// Bytes in memory now.
    pub memory: u64,
    /// Requests whose body went to disk, since the start.
    pub requests: u64,
    /// Answers that waited for their client, in memory or on disk, since the start.
    pub answers: u64,
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
    /// The disk is full, or the directory is not to be written to.
    #[error("spool in {directory}: {source}", directory = .directory.display())]
    Disk {
        /// Where.
        directory: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Memory that is accounted for until it is dropped.
#[derive(Debug)]
pub struct Memory {
    used: Arc<Used>,
    most: u64,
    held: u64,
}

impl Spool {
    /// A spool, empty unless it takes the place of another one, whose bytes then count as well.
    #[must_use]
    pub fn new(settings: config::Spool, before: Option<&Self>) -> Self {
        let used = before.map_or_else(Arc::default, |before| Arc::clone(&before.used));
        Self {
            settings: Arc::new(settings),
            used,
        }
    }

    /// The settings this was made of.
    #[must_use]
    pub fn settings(&self) -> &config::Spool {
        &self.settings
    }

    /// Whether anything may go to disk.
    #[must_use]
    pub fn has_disk(&self) -> bool {
        self.settings.size > 0
    }

    /// Room in memory for one answer, none of it taken.
    #[must_use]
    pub fn memory(&self) -> Memory {
        Memory {
            used: Arc::clone(&self.used),
            most: self.settings.memory,
            held: 0,
        }
    }

    /// The figures now.
    #[must_use]
    #[cfg_attr(not(test), expect(dead_code, reason = "metrics will read them"))]
    pub fn figures(&self) -> Figures {
        let used = &self.used;
        Figures {
            disk: used.disk.load(Ordering::Relaxed),
            memory: used.memory.load(Ordering::Relaxed),
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
            disk: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            begun: Instant::now(),
            told: AtomicU64::new(0),
        }
    }
}

impl Memory {
    /// Takes so many bytes more, if all together may have them.
    pub fn take(&mut self, bytes: usize) -> bool {
        let taken = take(&self.used.memory, bytes as u64, self.most);
        if taken {
            self.held += bytes as u64;
        }
        taken
    }

    /// Gives some of them back.
    pub fn give_back(&mut self, bytes: usize) {
        let bytes = self.held.min(bytes as u64);
        self.held -= bytes;
        self.used.memory.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.used.memory.fetch_sub(self.held, Ordering::Relaxed);
    }
}

/// Adds to a sum unless it would be more than `most`.
fn take(sum: &AtomicU64, bytes: u64, most: u64) -> bool {
    let more = |sum: u64| sum.checked_add(bytes).filter(|sum| *sum <= most);
    sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
        .is_ok()
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
        Spool::new(settings, None)
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
        let mut file = spool.file(2 << 20).await.expect("a file");
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
        let mut first = spool.file(512 << 10).await.expect("a file");
        first.append(&half).await.expect("there is room");
        assert!(matches!(
            first.append(&half).await,
            Err(SpoolError::TooLarge(_))
        ));
        let mut second = spool.file(2 << 20).await.expect("a file");
        second.append(&half).await.expect("there is room");
        assert!(matches!(
            second.append(&half).await,
            Err(SpoolError::Full(_))
        ));
        drop(first);
        second.append(&half).await.expect("there is room again");
        let another = Spool::new(spool.settings().clone(), Some(&spool));
        assert_eq!(another.figures().disk, 1 << 20, "a reload forgets nothing");
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_is_named() {
        let settings = config::Spool {
            directory: "/nonexistent/spool".into(),
            ..config::Spool::default()
        };
        let error = Spool::new(settings, None)
            .file(1)
            .await
            .expect_err("no file");
        assert!(error.to_string().contains("/nonexistent/spool"), "{error}");
    }

    #[test]
    fn memory_is_counted_and_given_back() {
        let spool = spool(0);
        let (mut one, mut other) = (spool.memory(), spool.memory());
        assert!(one.take(6) && !other.take(6) && other.take(4));
        one.give_back(2);
        assert_eq!(spool.figures().memory, 8);
        drop((one, other));
        assert_eq!(spool.figures().memory, 0);
    }
}
