//! The push server: a UNIX stream socket that broadcasts notifications to all connected clients, in Wok's form:
//! `<METHOD>:/<app>/<class>[/<action>]//EOM//`.
//!
//! Bytes from clients are read and discarded. Notifying never waits: a client that does not read fills its own
//! bounded queue and is disconnected. Independent of the notifications' meaning.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::threads::{Listening, OpenSocket, Threads, shut};

use crate::sync::lock;

/// End marker of a notification. The bridge cuts its frames there, because Wok's page keeps no remainder.
pub(super) const END_OF_MESSAGE: &str = "//EOM//";

/// Limit on clients. One connection of a hub serves any number of browsers; without a hub each browser takes one.
const MOST_LISTENERS: usize = 64;
/// Limit on queued notifications of one client, about 10 KiB; beyond it the client is stuck.
const QUEUE: usize = 256;
/// Time limit of a write once the system's own buffer is full.
const STUCK: Duration = Duration::from_secs(5);

/// The list of clients; clones share it.
#[derive(Clone, Default)]
pub(super) struct Push(Arc<Board>);

#[derive(Default)]
struct Board {
    listeners: Mutex<BTreeMap<u64, Listener>>,
    sent: AtomicU64,
}

struct Listener {
    queue: SyncSender<Arc<str>>,
    stream: Arc<UnixStream>,
}

impl Push {
    /// Sends `text`, for example `POST:/demo/login`, to all clients. Never waits.
    pub(super) fn notify(&self, text: &str) {
        let message: Arc<str> = format!("{text}{END_OF_MESSAGE}").into();
        self.0.sent.fetch_add(1, Ordering::Relaxed);
        self.listeners().retain(|id, listener| {
            let queued = listener.queue.try_send(Arc::clone(&message)).is_ok();
            if !queued {
                tracing::info!(id, "demo drops a push client that does not read");
                shut(&listener.stream);
            }
            queued
        });
    }

    /// Number of notifications sent since the start.
    pub(super) fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Number of connected clients.
    pub(super) fn audience(&self) -> usize {
        self.listeners().len()
    }

    /// Serves the socket at `path` on these threads.
    pub(super) fn serve(&self, threads: &Threads, path: &Path) -> io::Result<()> {
        let listening = threads.listen(path)?;
        let (push, own) = (self.clone(), threads.clone());
        threads.spawn("push", move || push.accept(&listening, &own))
    }

    fn accept(&self, listening: &Listening, threads: &Threads) {
        while let Some(connection) = listening.accept() {
            if self.audience() >= MOST_LISTENERS {
                continue;
            }
            if let Err(error) = self.join(connection, threads) {
                tracing::warn!(%error, "demo cannot serve a push client");
            }
        }
    }

    /// Starts two threads for a client: one writes the queue, the other reads to detect the client's end.
    fn join(&self, connection: OpenSocket, threads: &Threads) -> io::Result<()> {
        let id = connection.id();
        let (queue, messages) = sync_channel(QUEUE);
        let stream = connection.share();
        stream.set_write_timeout(Some(STUCK))?;
        self.listeners().insert(
            id,
            Listener {
                queue,
                stream: Arc::clone(&stream),
            },
        );
        let leaving = Leaving {
            push: self.clone(),
            id,
        };
        threads.spawn("push-write", move || write_all(&messages, &stream))?;
        threads.spawn("push-read", move || {
            discard(connection.stream());
            drop(leaving);
        })
    }

    fn listeners(&self) -> MutexGuard<'_, BTreeMap<u64, Listener>> {
        lock(&self.0.listeners)
    }
}

/// A guard that removes the client when its reader ends or could not be started. That closes the queue and so ends
/// the writer.
struct Leaving {
    push: Push,
    id: u64,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(listener) = self.push.listeners().remove(&self.id) {
            shut(&listener.stream);
        }
    }
}

fn write_all(messages: &Receiver<Arc<str>>, mut stream: &UnixStream) {
    while let Ok(message) = messages.recv() {
        if stream.write_all(message.as_bytes()).is_err() {
            break;
        }
    }
    // Wakes the reader, which takes the client off the list.
    shut(stream);
}

fn discard(mut stream: &UnixStream) {
    let mut unread = [0; 4096];
    while !matches!(stream.read(&mut unread), Ok(0) | Err(_)) {}
}

#[cfg(test)]
mod tests {
    use super::super::directory::Directory;
    use super::*;
    use std::time::Instant;

    fn serve() -> (Directory, Threads, Push) {
        let (directory, threads, push) = (
            Directory::create().expect("a directory"),
            Threads::new(),
            Push::default(),
        );
        push.serve(&threads, &directory.path("push"))
            .expect("a push server");
        (directory, threads, push)
    }

    fn until(condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !condition() {
            assert!(
                Instant::now() < deadline,
                "it did not happen in ten seconds"
            );
            #[expect(clippy::disallowed_methods, reason = "a test on a thread of its own")]
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn everybody_connected_hears_everything_and_what_they_say_is_ignored() {
        let (directory, threads, push) = serve();
        let connect = || UnixStream::connect(directory.path("push")).expect("a connection");
        let mut clients = [connect(), connect(), connect()];
        until(|| push.audience() == 3);
        for client in &mut clients {
            client.write_all(b"heartbeat").expect("a heartbeat");
        }
        push.notify("POST:/demo/login");
        push.notify("POST:/demo/logs");
        let wanted = b"POST:/demo/login//EOM//POST:/demo/logs//EOM//";
        for client in &mut clients {
            let mut heard = vec![0; wanted.len()];
            client.read_exact(&mut heard).expect("two notifications");
            assert_eq!(heard, wanted);
        }
        drop(clients);
        until(|| push.audience() == 0);
        assert_eq!(threads.stop(Duration::from_secs(5)), Vec::<String>::new());
    }

    #[test]
    fn a_client_that_does_not_read_is_dropped_and_nobody_waits_for_it() {
        let (directory, threads, push) = serve();
        let stuck = UnixStream::connect(directory.path("push")).expect("a connection");
        until(|| push.audience() == 1);
        let long = "x".repeat(64 * 1024);
        let started_at = Instant::now();
        // The system's buffer takes some of these, the queue the next 256, and then it is full.
        for _ in 0..1000 {
            push.notify(&long);
        }
        assert_eq!(push.audience(), 0);
        assert!(
            started_at.elapsed() < STUCK,
            "notifying waited for the client"
        );
        drop(stuck);
        assert_eq!(threads.stop(Duration::from_secs(5)), Vec::<String>::new());
    }
}
