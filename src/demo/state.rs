//! Shared state of the demo's parts: logins, user log, jobs and consoles.
//!
//! Notifies the push server and the hub of changes; does not use sockets itself.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use super::calendar::Moment;
use super::channels::Channels;
use super::jobs::Jobs;
use super::journal::Journal;
use super::push::Push;
use super::sessions::Sessions;
use super::threads::Threads;

use crate::sync::lock;

/// Interval of the clock on the notification socket.
const TICK: Duration = Duration::from_secs(5);

pub(super) struct AppState {
    pub(super) threads: Threads,
    pub(super) push: Push,
    pub(super) channels: Arc<Channels>,
    pub(super) sessions: Sessions,
    pub(super) journal: Journal,
    pub(super) jobs: Jobs,
    /// Number of workers of the app that are handling a request.
    pub(super) busy: Count,
    /// Number of workers of the app that are occupied by a slow page.
    pub(super) slow: Count,
    opened: Instant,
    consoles: Mutex<BTreeMap<u64, SystemTime>>,
}

impl AppState {
    pub(super) fn new(threads: Threads) -> AppState {
        let (push, channels) = (Push::default(), Arc::default());
        AppState {
            jobs: Jobs::new(&threads, &push, &channels),
            threads,
            push,
            channels,
            sessions: Sessions::default(),
            journal: Journal::default(),
            busy: Count::default(),
            slow: Count::default(),
            opened: Instant::now(),
            consoles: Mutex::default(),
        }
    }

    /// Starts a clock on the notification socket, so that a live page can be seen to be live.
    pub(super) fn start_clock(&self) -> io::Result<()> {
        let (threads, push) = (self.threads.clone(), self.push.clone());
        self.threads.spawn("clock", move || {
            while threads.sleep(TICK) {
                push.notify(&format!("METHOD:/demo/clock/{}", Moment::now().clock()));
            }
        })
    }

    /// Adds a line to the user log and notifies all pages.
    pub(super) fn record(&self, user: &str, action: &str, address: &str) {
        self.journal.add(user, action, address);
        self.push.notify("POST:/demo/logs");
    }

    pub(super) fn uptime(&self) -> Duration {
        self.opened.elapsed()
    }

    /// The times at which the open consoles were opened.
    pub(super) fn consoles(&self) -> Vec<SystemTime> {
        self.consoles_mut(|consoles| consoles.values().copied().collect())
    }

    /// Records the visit of connection `id` at the console; `None` if there are `most`.
    pub(super) fn enter_console(self: &Arc<Self>, id: u64, most: usize) -> Option<ConsoleVisit> {
        let entered = self.consoles_mut(|consoles| {
            let free = consoles.len() < most;
            if free {
                consoles.insert(id, SystemTime::now());
            }
            free
        });
        entered.then(|| ConsoleVisit {
            state: Arc::clone(self),
            id,
        })
    }

    fn consoles_mut<T>(&self, with: impl FnOnce(&mut BTreeMap<u64, SystemTime>) -> T) -> T {
        with(&mut lock(&self.consoles))
    }
}

/// A visit at the console, which ends when it is dropped.
pub(super) struct ConsoleVisit {
    state: Arc<AppState>,
    id: u64,
}

impl Drop for ConsoleVisit {
    fn drop(&mut self) {
        self.state
            .consoles_mut(|consoles| consoles.remove(&self.id));
    }
}

/// A counter of concurrent activities: as many as there are `Counted` guards. Clones count together.
#[derive(Clone, Default)]
pub(super) struct Count(Arc<AtomicUsize>);

impl Count {
    pub(super) fn enter(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    pub(super) fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

pub(super) struct Counted(Count);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
