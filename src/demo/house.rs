//! What the parts of the demo share: who is logged in, what happened, what is cooking, who listens.
//!
//! Holds state and tells the push server and the hub when it changes; it reads no socket and writes none.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::app::jobs::Jobs;
use super::app::journal::Journal;
use super::app::sessions::Sessions;
use super::calendar::Moment;
use super::channels::Channels;
use super::crew::Crew;
use super::push::Push;

/// How often the clock ticks on the notification socket.
const TICK: Duration = Duration::from_secs(5);

pub(super) struct House {
    pub(super) crew: Crew,
    pub(super) push: Push,
    pub(super) channels: Channels,
    pub(super) sessions: Sessions,
    pub(super) journal: Journal,
    pub(super) jobs: Jobs,
    /// Workers of the app that answer a request right now.
    pub(super) busy: Count,
    /// Workers of the app that are held by a slow page right now.
    pub(super) slow: Count,
    opened: Instant,
    consoles: Mutex<BTreeMap<u64, SystemTime>>,
}

impl House {
    pub(super) fn new(crew: Crew) -> House {
        House {
            crew,
            push: Push::default(),
            channels: Channels::default(),
            sessions: Sessions::default(),
            journal: Journal::default(),
            jobs: Jobs::default(),
            busy: Count::default(),
            slow: Count::default(),
            opened: Instant::now(),
            consoles: Mutex::default(),
        }
    }

    /// Lets a clock tick on the notification socket, so that a live page can be seen to be live.
    pub(super) fn start_clock(&self) -> io::Result<()> {
        let (crew, push) = (self.crew.clone(), self.push.clone());
        self.crew.spawn("clock", move || {
            while crew.sleep(TICK) {
                push.notify(&format!("METHOD:/demo/clock/{}", Moment::now().clock()));
            }
        })
    }

    /// Writes the user log and tells every page that it has a new line.
    pub(super) fn record(&self, user: &str, action: &str, address: &str) {
        self.journal.add(user, action, address);
        self.push.notify("POST:/demo/logs");
    }

    pub(super) fn uptime(&self) -> Duration {
        self.opened.elapsed()
    }

    /// When each open console was opened.
    pub(super) fn consoles(&self) -> Vec<SystemTime> {
        self.seats(|seats| seats.values().copied().collect())
    }

    /// A seat at the console for connection `id`; `None` when `most` are taken.
    pub(super) fn sit(self: &Arc<Self>, id: u64, most: usize) -> Option<Seat> {
        let seated = self.seats(|seats| {
            let free = seats.len() < most;
            if free {
                seats.insert(id, SystemTime::now());
            }
            free
        });
        seated.then(|| Seat {
            house: Arc::clone(self),
            id,
        })
    }

    fn seats<T>(&self, with: impl FnOnce(&mut BTreeMap<u64, SystemTime>) -> T) -> T {
        with(&mut self.consoles.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A place at the console, free again when this is dropped.
pub(super) struct Seat {
    house: Arc<House>,
    id: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.house.seats(|seats| seats.remove(&self.id));
    }
}

/// How many are at something now: as many as there are `Counted`. Clones count together.
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
