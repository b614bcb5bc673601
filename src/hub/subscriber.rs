//! The state of a subscriber that its channels and the status see. Must not know messages.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Instant;

use atomic_waker::AtomicWaker;

use crate::net::Peer;

/// State of a subscriber that its channels share.
pub(super) struct Subscriber {
    waker: AtomicWaker,
    /// True once the subscriber should leave because the server stops.
    dismissed: AtomicBool,
    /// True once an administrator has asked it to leave.
    asked: AtomicBool,
    /// Number of the subscriber, unique in this process.
    pub(super) number: u64,
    pub(super) since: Instant,
    /// Transport and client; on the admin socket there is no client address.
    caller: OnceLock<(&'static str, Peer)>,
    /// Offset of its position: the last message it has taken.
    position: AtomicU64,
    /// User name, if the session has one.
    pub(super) name: Option<String>,
    /// Number of its session.
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
            position: AtomicU64::new(0),
            name,
            session,
        })
    }

    /// Registers the waker for new messages.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    /// Sets the transport and the client, once.
    pub(super) fn is_called_by(&self, transport: &'static str, peer: Peer) {
        let _ = self.caller.set((transport, peer));
    }

    /// Transport and client.
    pub(super) fn caller(&self) -> Option<(&'static str, Peer)> {
        self.caller.get().copied()
    }

    pub(super) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    pub(super) fn moves_to(&self, position: u64) {
        self.position.store(position, Ordering::Relaxed);
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    pub(super) fn is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::Acquire)
    }

    /// Asks the subscriber to leave, on behalf of an administrator.
    pub(super) fn request_end(&self) {
        self.asked.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Asks the subscriber to leave because the server stops.
    pub(super) fn dismiss(&self) {
        self.dismissed.store(true, Ordering::Release);
        self.waker.wake();
    }
}
