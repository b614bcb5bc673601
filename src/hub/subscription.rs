//! One subscriber's walk through the histories of its channels.
//!
//! It holds a place and no messages: what it has not got yet lies in the histories, once for everybody. Does not
//! know how a message is sent.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use atomic_waker::AtomicWaker;

use crate::config::Slow;
use crate::http::Lease;
use crate::hub::Hub;
use crate::hub::channel::Channel;
use crate::hub::history::Found;
use crate::hub::keeping::Resumed;
use crate::hub::message::{EventId, From, Message, unix_milliseconds};

/// What a channel knows of one who listens.
pub(super) struct Subscriber {
    waker: AtomicWaker,
    /// The server stops: it should leave.
    dismissed: AtomicBool,
    /// Who it is, where the session says so.
    pub(super) name: Option<String>,
}

impl Subscriber {
    pub(super) fn new(name: Option<String>) -> Arc<Self> {
        Arc::new(Self {
            waker: AtomicWaker::new(),
            dismissed: AtomicBool::new(false),
            name,
        })
    }

    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    /// Tells it to leave.
    pub(super) fn dismiss(&self) {
        self.dismissed.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// A place in some channels, from which it goes on. Dropping it leaves them.
pub struct Subscription {
    hub: Hub,
    subscriber: Arc<Subscriber>,
    joined: Vec<Joined>,
    place: u64,
    /// Up to here it catches up with what was there before it came; that is not lagging.
    catching_up: u64,
    reset: Option<Reset>,
    lease: Option<Leased>,
}

/// The permission to listen, where one is needed.
struct Leased {
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
    lease: Lease,
}

impl Leased {
    fn new(lease: Lease) -> Self {
        Self {
            ended: Box::pin(lease.ended_owned()),
            lease,
        }
    }
}

/// A channel it listens to.
struct Joined {
    channel: Arc<Channel>,
    key: usize,
    /// Up to here, what is gone has been told.
    told: u64,
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// A message.
    Message(Arc<Message>),
    /// There is a gap before what follows.
    Reset(Reset),
    /// Nothing any more.
    End(End),
}

/// Why there is a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The history does not reach back to where the subscriber was.
    Expired,
    /// The subscriber's cursor is from another run, of which nothing is left.
    Restarted,
    /// The subscriber did not keep up.
    Slow,
}

impl Reset {
    /// The word for it in every transport.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Restarted => "restarted",
            Self::Slow => "slow",
        }
    }
}

/// Why a subscription is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It lags too far behind; it may come back with its cursor.
    Slow,
    /// The server stops.
    Stopping,
    /// The session of the visitor has ended.
    SessionEnded,
}

impl Subscription {
    pub(super) fn new(
        hub: &Hub,
        channels: Vec<Arc<Channel>>,
        from: From,
        lease: Option<Lease>,
    ) -> Self {
        let name = lease.as_ref().and_then(Lease::user).map(str::to_owned);
        let subscriber = Subscriber::new(name);
        let join = |channel: Arc<Channel>| Joined {
            key: channel.join(Arc::clone(&subscriber)),
            channel,
            told: 0,
        };
        let joined = channels.into_iter().map(join).collect();
        let mut subscription = Self {
            hub: hub.clone(),
            subscriber,
            joined,
            place: 0,
            catching_up: 0,
            reset: None,
            lease: lease.map(Leased::new),
        };
        subscription.begin(from);
        subscription
    }

    /// Finds the place to begin with. All channels are joined by now, so nothing can slip through.
    fn begin(&mut self, from: From) {
        let head = self.hub.head();
        self.catching_up = head;
        let (place, resumes) = match from {
            From::Now => (head, false),
            From::Earliest => (0, false),
            From::Unknown => {
                self.reset = Some(Reset::Restarted);
                (0, false)
            }
            From::After(id) => {
                let known = self.hub.resume(&id);
                // What a channel in memory said before a restart, nobody knows any more.
                let forgot = |resumed: &Resumed| {
                    !resumed.this_run && self.joined.iter().any(|one| !one.channel.is_kept())
                };
                if known.as_ref().is_none_or(forgot) {
                    self.reset = Some(Reset::Restarted);
                }
                let place = known.as_ref().map_or(0, |resumed| resumed.offset);
                (place.min(head), known.is_some())
            }
        };
        self.place = place;
        for joined in &mut self.joined {
            joined.told = joined.channel.history().floor();
            if resumes && place < joined.told && self.reset.is_none() {
                self.reset = Some(Reset::Expired);
            }
        }
    }

    /// Who listens, if that is known.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.subscriber.name.as_deref()
    }

    /// The next message, gap or end; pending until there is one.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if let Some(next) = self.try_next() {
            return Poll::Ready(next);
        }
        if self.poll_lease(cx).is_ready() {
            return Poll::Ready(Next::End(End::SessionEnded));
        }
        self.subscriber.waker.register(cx.waker());
        // It may have come between the look and the registration.
        self.try_next().map_or(Poll::Pending, Poll::Ready)
    }

    /// For a subscriber that cannot take anything now: ready once it is to be let go.
    pub fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.subscriber.waker.register(cx.waker());
        if self.is_dismissed() {
            return Poll::Ready(End::Stopping);
        }
        if self.poll_lease(cx).is_ready() {
            return Poll::Ready(End::SessionEnded);
        }
        let behind = self
            .joined
            .iter()
            .any(|joined| joined.channel.rules().slow == Slow::Disconnect && self.has_lost(joined));
        if behind {
            Poll::Ready(End::Slow)
        } else {
            Poll::Pending
        }
    }

    /// Ready once the permission to listen is gone.
    fn poll_lease(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.lease {
            Some(lease) => lease.ended.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }

    fn has_lost(&self, joined: &Joined) -> bool {
        let after = self.place.max(joined.told);
        let (lag, gone) = joined.channel.history().lag(after);
        gone || (lag > self.hub.budget() && after >= self.catching_up)
    }

    /// Where it has come to: the cursor to come back with.
    #[must_use]
    pub fn position(&self) -> EventId {
        self.hub.id(self.place)
    }

    /// The next message, gap or end, if it is there already.
    pub fn try_next(&mut self) -> Option<Next> {
        if self.is_dismissed() {
            return Some(Next::End(End::Stopping));
        }
        // Before any message: what is published after a logout is not for who has logged out.
        if self
            .lease
            .as_ref()
            .is_some_and(|leased| leased.lease.has_ended())
        {
            return Some(Next::End(End::SessionEnded));
        }
        if let Some(reset) = self.reset.take() {
            self.hub.0.metrics.reset(reset.as_str());
            return Some(Next::Reset(reset));
        }
        // All messages up to the head are in their histories, so none of another channel can come before them.
        let head = self.hub.head();
        if head == self.place {
            return None;
        }
        let mut first: Option<(usize, Arc<Message>, u64)> = None;
        for (index, joined) in self.joined.iter_mut().enumerate() {
            let found = joined
                .channel
                .history()
                .next(self.place.max(joined.told), head);
            match found {
                Found::Nothing => {}
                Found::Gap(through) => {
                    joined.told = through;
                    let slow = joined.channel.rules().slow;
                    return Some(self.fell_behind(slow));
                }
                Found::Message(message, lag) => {
                    if first
                        .as_ref()
                        .is_none_or(|(_, other, _)| message.id.offset < other.id.offset)
                    {
                        first = Some((index, message, lag));
                    }
                }
            }
        }
        let Some((index, message, lag)) = first else {
            // Nothing for us up to here: a cursor that follows the others does not grow old.
            self.place = head;
            return None;
        };
        if lag > self.hub.budget()
            && message.id.offset > self.catching_up
            && let Some(next) = self.lags(index)
        {
            return Some(next);
        }
        self.place = message.id.offset;
        self.count(index, &message);
        Some(Next::Message(message))
    }

    /// A message is handed out. Of one that was there before the subscriber came, the time says nothing.
    fn count(&self, index: usize, message: &Message) {
        let Some(joined) = self.joined.get(index) else {
            return;
        };
        let metrics = &joined.channel.metrics;
        metrics.deliveries.inc();
        if message.id.offset > self.catching_up {
            let late = Duration::from_millis(unix_milliseconds().saturating_sub(message.time));
            metrics.delivery.observe(late.as_secs_f64());
        }
    }

    /// What the channel says of one that lags beyond its budget.
    fn lags(&mut self, index: usize) -> Option<Next> {
        let joined = self.joined.get_mut(index)?;
        let slow = joined.channel.rules().slow;
        match slow {
            Slow::Disconnect => {}
            Slow::DropOldest => {
                let half = usize::try_from(self.hub.budget() / 2).unwrap_or(usize::MAX);
                joined.told = joined.channel.history().newest(half);
            }
            // What would be dropped has been replaced already.
            Slow::Conflate => return None,
        }
        Some(self.fell_behind(slow))
    }

    fn fell_behind(&self, slow: Slow) -> Next {
        self.hub.0.metrics.reset(Reset::Slow.as_str());
        fell_behind(slow)
    }

    fn is_dismissed(&self) -> bool {
        self.subscriber.dismissed.load(Ordering::Acquire)
    }
}

fn fell_behind(slow: Slow) -> Next {
    match slow {
        Slow::Disconnect => Next::End(End::Slow),
        Slow::DropOldest | Slow::Conflate => Next::Reset(Reset::Slow),
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        for joined in &self.joined {
            joined.channel.leave(joined.key);
        }
        self.hub.left();
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
