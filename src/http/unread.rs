//! Accounting of the bytes of request bodies and WebSockets that an HTTP/2 connection has received and no handler has
//! read yet.
//!
//! h2 holds in memory all that the windows permit (RFC 9113 §5.2), up to the window of the connection, even if no
//! handler reads it: the app may have to be queried first, or a console may accept no input. The windows are large for
//! uploads over long distances, so the bytes count towards `limits.request-memory` and the share of the address.
//! Without room for more, nothing is read from the connection until a handler has read some of the bytes.
//!
//! Independent of frames, and of how the bytes are used.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use crate::http::activity::Activity;
use crate::http2::ReadPause;
use crate::shares::Share;
use crate::sync::lock;

/// Bytes of a connection that are not accounted for, so that small bodies do not access the shares. An HTTP/1.1
/// connection may hold as much of a head.
const FREE: u64 = 64 * 1024;
/// Number of bytes that are taken from the share at a time, so that a large body does not access it with each frame.
const STEP: u64 = 128 * 1024;
/// Limit on unread bytes of one connection: one stream window that no handler reads, and twice as much for the other
/// streams. More than a third of the window of the connection: once h2 has dropped so much unread, it extends the
/// window, which corrects the count.
const MOST: u64 = 3 * 1024 * 1024;
/// Interval between two attempts to get room.
const AGAIN: Duration = Duration::from_millis(100);
/// Time without a request after which no bytes can be unread: h2 has dropped them with their stream.
const QUIET: Duration = Duration::from_secs(1);
/// Window of every connection at its beginning (RFC 9113 §6.9.2).
const FIRST_WINDOW: u64 = 65_535;

/// The unread bytes of one connection. Clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct Unread(Arc<Mutex<Count>>);

#[derive(Debug)]
struct Count {
    bytes: u64,
    /// Bytes that the client may send before the next `WINDOW_UPDATE` of the connection.
    open: u64,
    /// The largest window of the connection.
    window: u64,
    share: Share,
    activity: Activity,
    /// Tells that the connection is not read.
    pause: ReadPause,
    /// Waker of the connection that waits for room, and the timer of its next attempt.
    waiting: Option<(Waker, Pin<Box<Sleep>>)>,
}

impl Unread {
    /// Creates the count of a new connection with this window, whose client has this share of the memory.
    #[must_use]
    pub(crate) fn new(share: Share, window: u32, activity: Activity, pause: ReadPause) -> Self {
        Self(Arc::new(Mutex::new(Count {
            bytes: 0,
            open: FIRST_WINDOW,
            window: window.into(),
            share,
            activity,
            pause,
            waiting: None,
        })))
    }

    /// Counts bytes that were received.
    pub(super) fn received(&self, bytes: u64) {
        let mut count = self.lock();
        count.bytes += bytes;
        count.open = count.open.saturating_sub(bytes);
    }

    /// Counts bytes that a handler has read.
    pub(super) fn read(&self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let mut count = self.lock();
        count.lower(bytes);
    }

    /// Records that h2 has extended the client's window by this number of bytes, because it holds them no longer.
    /// Corrects the count by the bytes that h2 dropped unread, with their stream.
    pub(super) fn permitted(&self, bytes: u64) {
        let mut count = self.lock();
        count.open += bytes;
        let most = count.window.saturating_sub(count.open);
        let dropped = count.bytes.saturating_sub(most);
        count.lower(dropped);
    }

    /// Ready if there is room for more.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut count = self.lock();
        if count.bytes > 0 && count.activity.idle() >= QUIET {
            let all = count.bytes;
            count.lower(all);
        }
        if count.take() {
            count.waiting = None;
            count.pause.set(false);
            return Poll::Ready(());
        }
        count.pause.set(true);
        let mut again = Box::pin(sleep(AGAIN));
        let _ = again.as_mut().poll(cx);
        count.waiting = Some((cx.waker().clone(), again));
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Count> {
        lock(&self.0)
    }
}

impl Count {
    /// Takes the missing bytes from the share; false if there is no room.
    fn take(&mut self) -> bool {
        if self.bytes > MOST {
            return false;
        }
        let missing = self.bytes.saturating_sub(FREE + self.share.held());
        missing == 0
            || self.share.take(missing.next_multiple_of(STEP)).is_ok()
            || self.share.take(missing).is_ok()
    }

    fn lower(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        let needed = self.bytes.saturating_sub(FREE);
        let spare = self.share.held().saturating_sub(needed);
        if needed == 0 || spare > 2 * STEP {
            self.share.give_back(spare);
        }
        if let Some((waker, _)) = self.waiting.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use super::*;
    use crate::shares::{Client, Parts, Shares};

    const MIB: u64 = 1024 * 1024;

    /// Counts how often a connection is woken.
    #[derive(Debug, Default)]
    struct Woken(Mutex<usize>);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            *self.0.lock().expect("a count") += 1;
        }
    }

    fn shares(total: u64) -> Shares {
        let parts = Parts {
            address: 100,
            session: 100,
        };
        Shares::new(total, parts)
    }

    fn connection(shares: &Shares) -> (Unread, crate::http::Busy) {
        let activity = Activity::new();
        let busy = activity.begin();
        let share = shares.of(Client::default());
        let unread = Unread::new(share, 8 * 1024 * 1024, activity, ReadPause::default());
        unread.permitted(8 * MIB - FIRST_WINDOW);
        (unread, busy)
    }

    fn has_room(unread: &Unread) -> bool {
        unread
            .poll_room(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_unread_is_taken_from_the_share_and_given_back_when_it_is_read() {
        let shares = shares(MIB);
        let (unread, _busy) = connection(&shares);
        unread.received(FREE);
        assert!(has_room(&unread) && shares.taken() == 0, "a little is free");
        unread.received(MIB / 2);
        assert!(has_room(&unread) && shares.taken() >= MIB / 2);
        unread.read(FREE + MIB / 2);
        assert_eq!(shares.taken(), 0);
        assert!(has_room(&unread));
    }

    #[tokio::test(start_paused = true)]
    async fn without_room_a_connection_waits_until_some_is_read_or_given_back() {
        let shares = shares(MIB);
        let (unread, _busy) = connection(&shares);
        let other = shares.take(Client::default(), MIB).expect("all of it");
        unread.received(MIB / 2);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        assert!(unread.poll_room(&mut cx).is_pending());
        unread.read(MIB / 2 - FREE);
        assert_eq!(*woken.0.lock().expect("a count"), 1);
        assert!(has_room(&unread));
        unread.received(MIB / 2);
        let waiting = std::future::poll_fn(|cx| unread.poll_room(cx));
        tokio::join!(waiting, async { drop(other) });
        assert!(shares.taken() >= MIB / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_connection_has_a_limit_of_its_own() {
        let shares = shares(1024 * MIB);
        let (unread, _busy) = connection(&shares);
        unread.received(MOST);
        assert!(has_room(&unread));
        unread.received(1);
        assert!(!has_room(&unread));
    }

    #[tokio::test(start_paused = true)]
    async fn what_h2_has_dropped_is_not_unread() {
        let shares = shares(64 * MIB);
        let (unread, busy) = connection(&shares);
        unread.received(MIB);
        assert!(has_room(&unread) && shares.taken() > 0);
        unread.permitted(MIB);
        assert_eq!(shares.taken(), 0, "h2 has let go of it");
        unread.received(MIB);
        assert!(has_room(&unread) && shares.taken() > 0);
        drop(busy);
        assert!(has_room(&unread) && shares.taken() > 0);
    }
}
