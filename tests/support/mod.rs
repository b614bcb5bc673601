//! The tests with real parts: a door as it is run, the peers before and behind it, and commands with a limit.
//!
//! Knows processes and files, and nothing of the library's insides: the door is the binary that users run.
//! What a test starts ends with the test, also when it fails, and a failing test shows what its parts said.

mod certificates;
mod clock;
mod command;
mod curl;
mod documents;
mod door;
mod peer;
mod postgres;
mod rabbit;
mod source_door;
mod updates;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use certificates::Certificates;
pub(crate) use clock::Clock;
pub(crate) use command::{
    Ran, browser, chromium, converse, mount_namespace, python, python_in_venv, run,
};
pub(crate) use curl::{Answer, Request, VERSIONS, ask};
pub(crate) use documents::{Block, blocks, documents, root};
pub(crate) use door::{Door, Process};
pub(crate) use peer::Peer;
pub(crate) use postgres::Postgres;
pub(crate) use rabbit::{Rabbit, free_port};
pub(crate) use source_door::SourceDoor;
pub(crate) use updates::{
    Heard, MERCURE_SECRET, Updates, mercure_token, publish_update, subscriptions_at,
};

/// No wait of these tests is longer. Nothing is expected to take so long, but a busy machine may be slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at something awaited.
#[expect(
    clippy::disallowed_methods,
    reason = "these tests hold no runtime; this is the only place that sleeps"
)]
pub(crate) fn pause(wait: Duration) {
    std::thread::sleep(wait);
}

/// Looks again and again until there is something, and fails the test after [`PATIENCE`].
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "waited {PATIENCE:?} in vain: {what}"
        );
        pause(Duration::from_millis(20));
    }
}

/// Held by a test that runs a browser or moves much data: two of them at once would only slow each other down.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory for one test's files and sockets, removed at its end. Its path is short, as socket names must be.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("noren-")
        .tempdir()
        .expect("a temporary directory")
}

/// The path of a file in this directory, as text.
pub(crate) fn path(directory: &tempfile::TempDir, name: &str) -> String {
    directory.path().join(name).to_string_lossy().into_owned()
}
