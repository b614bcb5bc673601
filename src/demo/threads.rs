//! The threads and sockets of the demo, and their common end.
//!
//! Blocking code cannot be cancelled, only woken: `stop` sets a flag, wakes all sleepers and shuts all sockets
//! down, so that each thread returns from its blocking call and sees the flag. Independent of the threads' work.

use std::collections::BTreeMap;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::sync::lock;

/// Pause after a failed accept (usually for lack of descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// All threads and open sockets of one demo; clones share them.
#[derive(Clone)]
pub(super) struct Threads(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    stopping: Condvar,
}

#[derive(Default)]
struct State {
    stopped: bool,
    next_id: u64,
    sockets: BTreeMap<u64, Arc<UnixStream>>,
    threads: Vec<JoinHandle<()>>,
}

impl Threads {
    pub(super) fn new() -> Threads {
        Threads(Arc::new(Shared {
            state: Mutex::default(),
            stopping: Condvar::new(),
        }))
    }

    /// Runs `work` on a new thread. Fails if the system has no thread left or the demo has stopped.
    pub(super) fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut state = self.state();
        if state.stopped {
            return Err(io::Error::other("the demo is stopping"));
        }
        // Jobs and connections come and go; without this the list would grow for as long as the demo runs.
        state.threads.retain(|thread| !thread.is_finished());
        let thread = Builder::new().name(format!("demo-{name}")).spawn(work)?;
        state.threads.push(thread);
        Ok(())
    }

    /// Sleeps for `pause`, or until the demo stops. True if it has not stopped.
    pub(super) fn sleep(&self, pause: Duration) -> bool {
        let running = |state: &mut State| !state.stopped;
        let waited = self
            .0
            .stopping
            .wait_timeout_while(self.state(), pause, running);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.stopped
    }

    /// Opens a listening socket at `path`. Connections made before the first accept wait in the backlog.
    pub(super) fn listen(&self, path: &Path) -> io::Result<Listening> {
        let listener = UnixListener::bind(path)?;
        // The standard library can shut a stream down but not a listener. For the system both are sockets, and a
        // listening UNIX socket that is shut down wakes every accept with EINVAL.
        let socket = self.hold(UnixStream::from(OwnedFd::from(listener.try_clone()?)));
        Ok(Listening { listener, socket })
    }

    /// Stops everything and waits for it, at most for `limit`. Returns the names of threads that still run.
    pub(super) fn stop(&self, limit: Duration) -> Vec<String> {
        let threads = {
            let mut state = self.state();
            state.stopped = true;
            state.sockets.values().for_each(|socket| shut(socket));
            std::mem::take(&mut state.threads)
        };
        self.0.stopping.notify_all();
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline && !threads.iter().all(JoinHandle::is_finished) {
            #[expect(
                clippy::disallowed_methods,
                reason = "no thread of the runtime comes here"
            )]
            std::thread::sleep(Duration::from_millis(5));
        }
        let survivors = threads.iter().filter(|thread| !thread.is_finished());
        survivors
            .map(|thread| thread.thread().name().unwrap_or("unnamed").to_owned())
            .collect()
    }

    /// Registers `stream` for shutdown while the returned guard lives.
    fn hold(&self, stream: UnixStream) -> OpenSocket {
        let stream = Arc::new(stream);
        let mut state = self.state();
        let id = state.next_id;
        state.next_id += 1;
        if state.stopped {
            shut(&stream);
        }
        state.sockets.insert(id, Arc::clone(&stream));
        OpenSocket {
            id,
            stream,
            threads: self.clone(),
        }
    }

    fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    // A panic in one thread must not take the others down: no state here can be left half changed.
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }
}

/// An open socket that `Threads::stop` shuts down; closed when this and the last `share` of it are dropped.
pub(super) struct OpenSocket {
    id: u64,
    stream: Arc<UnixStream>,
    threads: Threads,
}

impl OpenSocket {
    /// Number of the socket, unique in this demo.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    pub(super) fn share(&self) -> Arc<UnixStream> {
        Arc::clone(&self.stream)
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.threads.state().sockets.remove(&self.id);
    }
}

/// A listening socket that stops accepting when the demo stops.
pub(super) struct Listening {
    listener: UnixListener,
    socket: OpenSocket,
}

impl Listening {
    /// Accepts the next connection; `None` once the demo stops.
    pub(super) fn accept(&self) -> Option<OpenSocket> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => return Some(self.socket.threads.hold(stream)),
                Err(_) if self.socket.threads.is_stopped() => return None,
                Err(error) => {
                    tracing::warn!(%error, "demo cannot accept a connection");
                    self.socket.threads.sleep(ACCEPT_PAUSE);
                }
            }
        }
    }
}

/// Shuts down both directions. It fails only if the peer has already gone, which is just as good.
pub(super) fn shut(stream: &UnixStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn stop_wakes_sleepers_readers_and_accepts() {
        let directory =
            super::super::directory::Directory::create().expect("a temporary directory");
        let threads = Threads::new();
        let listening = Arc::new(threads.listen(&directory.path("door")).expect("a listener"));
        let client = UnixStream::connect(directory.path("door")).expect("a connection");
        let accepted = listening.accept().expect("the connection just made");
        for name in ["accept-1", "accept-2"] {
            let listening = Arc::clone(&listening);
            threads
                .spawn(name, move || assert!(listening.accept().is_none()))
                .expect("a thread");
        }
        let sleeper = threads.clone();
        threads
            .spawn("sleep", move || {
                assert!(!sleeper.sleep(Duration::from_secs(60)));
            })
            .expect("a thread");
        threads
            .spawn("read", move || {
                assert_eq!(accepted.stream().read(&mut [0]).ok(), Some(0));
            })
            .expect("a thread");
        let started_at = Instant::now();
        assert_eq!(threads.stop(Duration::from_secs(5)), Vec::<String>::new());
        assert!(started_at.elapsed() < Duration::from_secs(2));
        assert!(threads.spawn("late", || ()).is_err());
        drop(client);
    }

    #[test]
    fn a_thread_that_does_not_end_is_named() {
        let threads = Threads::new();
        let (_keep, never) = std::sync::mpsc::sync_channel::<()>(1);
        threads
            .spawn("stubborn", move || {
                let _ = never.recv();
            })
            .expect("a thread");
        assert_eq!(threads.stop(Duration::from_millis(50)), ["demo-stubborn"]);
    }
}
