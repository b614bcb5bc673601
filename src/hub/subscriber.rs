//! One who listens, as the channels and those who look inside see it. Must not know what it has still to get.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Instant;

use atomic_waker::AtomicWaker;

use crate::net::Peer;

/// What a channel knows of one who listens.
pub(super) struct Subscriber {
    waker: AtomicWaker,
    /// The server stops: it should leave.
    dismissed: AtomicBool,
    /// An administrator wants it to leave.
    asked: AtomicBool,
    /// Its number, which no other subscriber of this process ever has.
    pub(super) number: u64,
    pub(super) since: Instant,
    /// Its transport, and who it is; on the admin socket nobody in particular.
    caller: OnceLock<(&'static str, Peer)>,
    /// Where it has come to.
    place: AtomicU64,
    /// Who it is, where the session says so.
    pub(super) name: Option<String>,
    /// The number of its session.
    pub(super) session: Option<NonZeroU64>,
}

impl Subscriber {
    pub(super) fn new(name: Option<String>, session: Option<NonZeroU64>) -> Arc<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            waker: AtomicWaker::new(),
            dismissed: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            number: LAST.fetch_add(1, Ordering::Relaxed) + 1,
            since: Instant::now(),
            caller: OnceLock::new(),
            place: AtomicU64::new(0),
            name,
            session,
        })
    }

    /// Whom to wake when there is something for it.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    /// Says once by which transport it listens, and who it is.
    pub(super) fn is_called_by(&self, transport: &'static str, peer: Peer) {
        let _ = self.caller.set((transport, peer));
    }

    /// Its transport, and who it is.
    pub(super) fn caller(&self) -> Option<(&'static str, Peer)> {
        self.caller.get().copied()
    }

    pub(super) fn place(&self) -> u64 {
        self.place.load(Ordering::Relaxed)
    }

    pub(super) fn moves_to(&self, place: u64) {
        self.place.store(place, Ordering::Relaxed);
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    pub(super) fn is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::Acquire)
    }

    /// Tells it to leave, for no fault of its own.
    pub(super) fn ask_to_leave(&self) {
        self.asked.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Tells it to leave.
    pub(super) fn dismiss(&self) {
        self.dismissed.store(true, Ordering::Release);
        self.waker.wake();
    }
}
