//! A subscription: the reading position of one subscriber in the histories of its channels.
//!
//! It holds no messages: undelivered messages are in the histories, once for all subscribers. Independent of how a
//! message is sent.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use crate::config::{ChannelName, Slow};
use crate::http::Lease;
use crate::hub::Hub;
use crate::hub::channel::Channel;
use crate::hub::history::Found;
use crate::hub::message::{EventId, From, Message};
use crate::hub::persistence::Resumed;
use crate::hub::subscriber::Subscriber;
use crate::net::Peer;
use crate::shares::Share;
use crate::telemetry::audit::{self, AuditClient, AuditObject, Kind};

/// The reading position of a subscriber in some channels. Dropping it leaves the channels.
pub(crate) struct Subscription {
    hub: Hub,
    subscriber: Arc<Subscriber>,
    joined: Vec<Joined>,
    position: u64,
    /// Offset up to which it catches up with older messages; that does not count as lag.
    catching_up: u64,
    reset: Option<Reset>,
    lease: Option<Box<Leased>>,
    line: Option<Box<audit::Opened>>,
    /// Share of the limit on subscribers.
    _share: Share,
}

/// Permission to subscribe, if one is needed.
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

    /// Reason why the lease has ended.
    fn end(&self) -> End {
        if self.lease.has_expired() {
            End::Expired
        } else {
            End::SessionEnded
        }
    }
}

/// A subscribed channel.
struct Joined {
    channel: Arc<Channel>,
    key: usize,
    /// Offset up to which gaps have been reported.
    told: u64,
    /// Permission for this channel alone, if there is one.
    lease: Option<Leased>,
}

/// The next event of a subscription.
#[derive(Debug)]
pub(crate) enum Next {
    /// A message.
    Message(Arc<Message>),
    /// A gap before the next message.
    Reset(Reset),
    /// The end of one channel, which the app does not permit any more. The others continue.
    Refused(ChannelName),
    /// The end of the subscription.
    End(End),
}

/// Reasons for a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    /// The history does not reach back to the subscriber's position.
    Expired,
    /// The subscriber's cursor is from an earlier run, of which nothing is left.
    Restarted,
    /// The subscriber lagged too far behind.
    Slow,
}

impl Reset {
    /// The name of the reason in every transport.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Restarted => "restarted",
            Self::Slow => "slow",
        }
    }
}

/// Reasons for the end of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The subscriber lags too far behind; it may come back with its cursor.
    Slow,
    /// The server stops.
    Stopping,
    /// The visitor's session has ended.
    SessionEnded,
    /// The app permits none of the channels any more.
    Refused,
    /// The visitor's token has expired.
    Expired,
    /// An administrator has closed it.
    ByAdministrator,
}

impl End {
    /// The reason as the audit records it.
    #[must_use]
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Slow => "too slow",
            Self::Stopping => "Noren is stopping",
            Self::SessionEnded => "the session ended",
            Self::Refused => NOT_PERMITTED,
            Self::Expired => "the token has expired",
            Self::ByAdministrator => "closed by an administrator",
        }
    }
}

/// Reason for the end of the last channel, for clients and the audit.
pub(crate) const NOT_PERMITTED: &str = "the app does not permit this channel any more";

/// The text for these channels in the audit.
#[must_use]
pub(crate) fn channels_named(names: &[ChannelName]) -> String {
    let names: Vec<_> = names.iter().map(ChannelName::as_str).collect();
    format!("channel {}", names.join(","))
}

impl Subscription {
    pub(super) fn new(
        hub: &Hub,
        channels: Vec<Arc<Channel>>,
        share: Share,
        from: From,
        lease: Option<Lease>,
    ) -> Self {
        let name = lease.as_ref().and_then(Lease::user).map(str::to_owned);
        let session = lease.as_ref().and_then(Lease::session);
        let subscriber = Subscriber::new(name, session);
        let parts = lease.as_ref().map(Lease::parts).unwrap_or_default();
        let join = |(index, channel): (usize, Arc<Channel>)| Joined {
            key: channel.join(Arc::clone(&subscriber)),
            channel,
            told: 0,
            lease: parts.get(index).cloned().map(Leased::new),
        };
        let joined = channels.into_iter().enumerate().map(join).collect();
        let mut subscription = Self {
            hub: hub.clone(),
            subscriber,
            joined,
            position: 0,
            catching_up: 0,
            reset: None,
            lease: lease.map(Leased::new).map(Box::new),
            line: None,
            _share: share,
        };
        subscription.begin(from);
        // After it has joined its channels: either this sees the dismissal, or the dismissal sees the subscriber.
        let joined = subscription.joined.iter().map(|one| &one.channel);
        if hub.0.dismissed.load(Ordering::SeqCst) || !hub.are_open(joined) {
            subscription.subscriber.dismiss();
        }
        subscription
    }

    /// Adds audit lines at the beginning and at the end of the subscription.
    #[must_use]
    pub(crate) fn audited(mut self, client: AuditClient, names: &[ChannelName]) -> Self {
        let object = AuditObject::new(Kind::Stream, channels_named(names));
        let mut line = audit::Opened::new(client, object);
        // Unless something else is said: whoever lets go of it has seen its client leave.
        line.because("the client left");
        self.line = Some(Box::new(line));
        self
    }

    /// Counts bytes for the audit line.
    pub(crate) fn moved(&mut self, up: u64, down: u64) {
        if let Some(line) = &mut self.line {
            line.count(up, down);
        }
    }

    /// Sets the reason of the end for the audit line.
    pub(crate) fn because(&mut self, reason: impl Into<Cow<'static, str>>) {
        if let Some(line) = &mut self.line {
            line.because(reason);
        }
    }

    /// Finds the starting position. All channels are joined by now, so no message can be missed.
    fn begin(&mut self, from: From) {
        let head = self.hub.head();
        self.catching_up = head;
        let (position, resumes) = match from {
            From::Now => (head, false),
            From::Earliest => (0, false),
            From::Unknown => {
                self.reset = Some(Reset::Restarted);
                (0, false)
            }
            From::After(id) => {
                let known = self.hub.resume(&id);
                // Messages in memory do not survive a restart, so a cursor from before it has a gap there.
                let forgot = |resumed: &Resumed| {
                    !resumed.this_run && self.joined.iter().any(|one| !one.channel.is_kept())
                };
                if known.as_ref().is_none_or(forgot) {
                    self.reset = Some(Reset::Restarted);
                }
                let position = known.as_ref().map_or(0, |resumed| resumed.offset);
                // Another node of a cluster may have been further than this one is.
                let last = if self.hub.0.sequencer.stream().is_some() {
                    position
                } else {
                    position.min(head)
                };
                (last, known.is_some())
            }
        };
        self.set_position(position);
        for joined in &mut self.joined {
            joined.told = joined.channel.history().floor();
            if resumes && position < joined.told && self.reset.is_none() {
                self.reset = Some(Reset::Expired);
            }
        }
    }

    /// Sets the transport and the client, for the status.
    #[must_use]
    pub(crate) fn identify(self, transport: &'static str, peer: Peer) -> Self {
        self.subscriber.is_called_by(transport, peer);
        self
    }

    /// Returns the next message, gap or end; pending until there is one.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if let Some(next) = self.try_next() {
            return Poll::Ready(next);
        }
        if let Poll::Ready(end) = self.poll_lease(cx) {
            self.because(end.reason());
            return Poll::Ready(Next::End(end));
        }
        for leased in self.joined.iter_mut().filter_map(|one| one.lease.as_mut()) {
            // One that has ended is found below.
            let _ = leased.ended.as_mut().poll(cx);
        }
        self.subscriber.register(cx.waker());
        // It may have come between the look and the registration.
        self.try_next().map_or(Poll::Pending, Poll::Ready)
    }

    /// Checks a subscriber that cannot take messages now: ready once it has to be closed.
    pub(crate) fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.subscriber.register(cx.waker());
        if self.subscriber.is_dismissed() {
            return Poll::Ready(End::Stopping);
        }
        if self.subscriber.is_asked() {
            return Poll::Ready(End::ByAdministrator);
        }
        if let Poll::Ready(end) = self.poll_lease(cx) {
            return Poll::Ready(end);
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

    /// Waits for the end of the lease.
    fn poll_lease(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match &mut self.lease {
            Some(lease) => lease.ended.as_mut().poll(cx).map(|()| lease.end()),
            None => Poll::Pending,
        }
    }

    fn has_lost(&self, joined: &Joined) -> bool {
        let after = self.position.max(joined.told);
        let (lag, gone) = joined.channel.history().lag(after);
        gone || (lag > self.hub.budget() && after >= self.catching_up)
    }

    /// The current position, as the cursor to resume with.
    #[must_use]
    pub(crate) fn position(&self) -> EventId {
        self.hub.id(self.position)
    }

    /// Returns the next message, gap or end, if there is one already.
    pub(crate) fn try_next(&mut self) -> Option<Next> {
        let next = self.find_next();
        if let Some(Next::End(end)) = &next {
            self.because(end.reason());
        }
        next
    }

    fn find_next(&mut self) -> Option<Next> {
        if self.subscriber.is_dismissed() {
            return Some(Next::End(End::Stopping));
        }
        if self.subscriber.is_asked() {
            return Some(Next::End(End::ByAdministrator));
        }
        // Before any message: a visitor who has logged out gets nothing that is published afterwards.
        if let Some(leased) = &self.lease
            && leased.lease.has_ended()
        {
            return Some(Next::End(leased.end()));
        }
        if let Some(next) = self.refused() {
            return Some(next);
        }
        if let Some(reset) = self.reset.take() {
            self.hub.0.metrics.reset(reset.as_str());
            return Some(Next::Reset(reset));
        }
        // All messages up to the head are in their histories, so none of another channel can come before them.
        let head = self.hub.head();
        if head <= self.position {
            return None;
        }
        let mut first: Option<(usize, Arc<Message>, u64)> = None;
        for (index, joined) in self.joined.iter_mut().enumerate() {
            let found = joined
                .channel
                .history()
                .next(self.position.max(joined.told), head);
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
            self.set_position(head);
            return None;
        };
        if lag > self.hub.budget()
            && message.id.offset > self.catching_up
            && let Some(next) = self.apply_lag_rule(index)
        {
            return Some(next);
        }
        self.set_position(message.id.offset);
        self.count(index, &message);
        Some(Next::Message(message))
    }

    /// Leaves a channel that the app does not permit any more; ends if none is left.
    fn refused(&mut self) -> Option<Next> {
        let has_ended = |joined: &Joined| {
            let leased = joined.lease.as_ref();
            leased.is_some_and(|leased| leased.lease.has_ended())
        };
        if let Some(index) = self.joined.iter().position(has_ended) {
            // The end of the session ends the permissions of its channels first: it may have come since the last look.
            if let Some(leased) = self.lease.as_ref().filter(|one| one.lease.has_ended()) {
                return Some(Next::End(leased.end()));
            }
            let joined = self.joined.remove(index);
            joined.channel.leave(joined.key);
            return Some(Next::Refused(joined.channel.name.clone()));
        }
        self.joined.is_empty().then_some(Next::End(End::Refused))
    }

    fn set_position(&mut self, position: u64) {
        self.position = position;
        self.subscriber.moves_to(position);
    }

    /// Counts a delivered message. The delay is measured only for messages that arrived after the subscription
    /// began.
    fn count(&self, index: usize, message: &Message) {
        let Some(joined) = self.joined.get(index) else {
            return;
        };
        let metrics = &joined.channel.metrics;
        metrics.deliveries.inc();
        if message.id.offset > self.catching_up {
            let late = message.came.elapsed();
            metrics.delivery.observe(late.as_secs_f64());
        }
    }

    /// Applies the channel's rule for a subscriber that lags beyond its budget.
    fn apply_lag_rule(&mut self, index: usize) -> Option<Next> {
        let joined = self.joined.get_mut(index)?;
        let slow = joined.channel.rules().slow;
        match slow {
            Slow::Disconnect => {}
            Slow::DropOldest => {
                let half = usize::try_from(self.hub.budget() / 2).unwrap_or(usize::MAX);
                joined.told = joined.channel.history().newest(half);
            }
            // Messages that would be dropped have been replaced already.
            Slow::Conflate => return None,
        }
        Some(self.fell_behind(slow))
    }

    fn fell_behind(&self, slow: Slow) -> Next {
        self.hub.0.metrics.reset(Reset::Slow.as_str());
        fell_behind(slow)
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
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
