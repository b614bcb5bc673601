//! `SockJS` sessions over HTTP: a position in the history that outlives the response that carries it by a few
//! seconds.
//!
//! A session stores no messages. Between two responses it holds its subscription here; a receiving response takes
//! the subscription along, so there is one at a time. Independent of HTTP.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use atomic_waker::AtomicWaker;

use crate::config::ChannelName;
use crate::hub::Hub;
use crate::hub::sockjs_message::{quote, quoted};
use crate::hub::{End, Next, Subscription};
use crate::push::control::{closing, opening, refusing, resetting};
use crate::push::sockjs_frames::{Close, Framing};
use crate::sync::lock;

/// Lifetime of a session without a receiving response.
pub(super) const ALONE: Duration = Duration::from_secs(5);
/// Limit on queued replies, in bytes, for a page that does not receive.
const ANSWERS: usize = 64 * 1024;

/// The key of a session. It includes the channels: sessions of different base URLs are unrelated.
pub(super) type Key = (Vec<ChannelName>, Box<str>);

/// The table of all sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<Key, Arc<Session>>>);

/// The credential of a visitor: the sorted hashes of its cookies.
pub(super) type Credential = Vec<u64>;

pub(super) struct Session {
    /// The credential of the visitor that opened the session.
    credential: Credential,
    holder: Mutex<Holder>,
    answers: Mutex<Answers>,
    waker: AtomicWaker,
}

/// The current holder of the subscription.
enum Holder {
    /// The session holds it, since this instant.
    Waiting(Subscription, Instant),
    /// A receiving response holds it.
    Taken,
    /// The session is closed. This is remembered for the lifetime of a session, so that later requests get the reason.
    Closed(Close, Instant),
}

/// Quoted texts that are not messages of a channel.
#[derive(Debug, Default)]
struct Answers {
    waiting: VecDeque<String>,
    bytes: usize,
}

/// The result of attaching a receiving response to a session.
pub(super) enum Attached {
    /// A new session.
    Opened(Reception),
    /// An existing session.
    Resumed(Reception),
    /// The session cannot be attached to, for this reason.
    Refused(Close),
    /// The session belongs to another visitor.
    Foreign,
}

impl Sessions {
    /// Attaches a receiving response; `open` subscribes if the session does not exist yet.
    pub(super) fn attach<E>(
        &self,
        hub: &Hub,
        key: Key,
        credential: Credential,
        open: impl FnOnce() -> Result<Subscription, E>,
    ) -> Result<Attached, E> {
        let now = Instant::now();
        let mut sessions = lock(&self.0);
        if let Some(session) = sessions.get(&key).filter(|session| session.lives(now)) {
            if !session.is_of(&credential) {
                return Ok(Attached::Foreign);
            }
            return Ok(match session.take() {
                Ok(subscription) => {
                    Attached::Resumed(Reception::new(hub, Arc::clone(session), subscription))
                }
                Err(close) => Attached::Refused(close),
            });
        }
        // Under the lock, so that of two first requests one opens and the other finds it.
        let subscription = open()?;
        let session = Arc::new(Session {
            credential,
            holder: Mutex::new(Holder::Taken),
            answers: Mutex::default(),
            waker: AtomicWaker::new(),
        });
        sessions.insert(key, Arc::clone(&session));
        Ok(Attached::Opened(Reception::new(hub, session, subscription)))
    }

    /// The session that a page sends to.
    pub(super) fn find(&self, key: &Key, credential: &Credential) -> Option<Arc<Session>> {
        let sessions = lock(&self.0);
        let session = sessions.get(key).map(Arc::clone)?;
        drop(sessions);
        let own = session.is_of(credential) && session.is_open(Instant::now());
        own.then_some(session)
    }

    /// Removes the sessions that had no receiving response for too long.
    pub(super) fn sweep(&self, now: Instant) {
        let over = |_: &Key, session: &mut Arc<Session>| !session.lives(now);
        let forgotten: Vec<_> = lock(&self.0).extract_if(over).collect();
        // Their subscriptions leave their channels here, without the lock.
        drop(forgotten);
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        lock(&self.0).len()
    }
}

impl Session {
    /// True if this visitor opened the session. The app may have given it more cookies since then.
    fn is_of(&self, shown: &Credential) -> bool {
        let own = self.credential.iter();
        own.into_iter()
            .all(|cookie| shown.binary_search(cookie).is_ok())
    }

    fn lives(&self, now: Instant) -> bool {
        match &*lock(&self.holder) {
            Holder::Taken => true,
            Holder::Waiting(_, since) | Holder::Closed(_, since) => {
                now.saturating_duration_since(*since) < ALONE
            }
        }
    }

    fn is_open(&self, now: Instant) -> bool {
        self.lives(now) && !matches!(*lock(&self.holder), Holder::Closed(..))
    }

    fn take(&self) -> Result<Subscription, Close> {
        let mut holder = lock(&self.holder);
        match std::mem::replace(&mut *holder, Holder::Taken) {
            Holder::Waiting(subscription, _) => Ok(subscription),
            Holder::Taken => Err(Close::SECOND),
            Holder::Closed(close, since) => {
                *holder = Holder::Closed(close, since);
                Err(close)
            }
        }
    }

    /// True if a page that does not receive has let too many replies accumulate.
    pub(super) fn is_full(&self) -> bool {
        lock(&self.answers).bytes > ANSWERS
    }

    /// Queues a text for the page that is not a message of a channel.
    pub(super) fn queue_text(&self, text: &str) {
        let mut quoted = String::with_capacity(text.len() + 16);
        quote(text, &mut quoted);
        let mut answers = lock(&self.answers);
        answers.bytes += quoted.len();
        answers.waiting.push_back(quoted);
        drop(answers);
        self.waker.wake();
    }
}

/// The hold of one receiving response on a session. If it is dropped before it was [released](Self::release), the
/// connection was lost under it, and the session is closed.
pub(super) struct Reception {
    hub: Hub,
    session: Arc<Session>,
    subscription: Option<Subscription>,
    close: Close,
    released: bool,
}

/// Texts that are ready to be sent.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Quoted texts, separated by commas.
    texts: Vec<u8>,
    /// The reason for closing the session after these texts.
    pub(super) close: Option<Close>,
}

impl Reception {
    fn new(hub: &Hub, session: Arc<Session>, subscription: Subscription) -> Self {
        Self {
            hub: hub.clone(),
            session,
            subscription: Some(subscription),
            close: Close::INTERRUPTED,
            released: false,
        }
    }

    /// Queues the first object that the page receives.
    pub(super) fn tell_open(&self, names: &[ChannelName]) {
        if let Some(subscription) = &self.subscription {
            let position = subscription.position();
            self.session
                .queue_text(&opening(&self.hub, &position, names));
        }
    }

    /// Collects what is ready, up to about `limit` bytes; pending while there is nothing.
    pub(super) fn poll(&mut self, limit: usize, cx: &mut Context<'_>) -> Poll<Batch> {
        let mut batch = Batch::default();
        self.session.waker.register(cx.waker());
        let answers = std::mem::take(&mut *lock(&self.session.answers));
        for text in answers.waiting {
            batch.push(text.as_bytes());
        }
        while batch.close.is_none() && batch.texts.len() < limit {
            let Some(subscription) = &mut self.subscription else {
                break;
            };
            match subscription.poll_next(cx) {
                Poll::Ready(Next::Message(message)) => {
                    batch.push(quoted(&message.sockjs_text()));
                }
                Poll::Ready(Next::Reset(reset)) => {
                    batch.push_text(&resetting(reset, &subscription.position()));
                }
                Poll::Ready(Next::Refused(name)) => batch.push_text(&refusing(&name)),
                Poll::Ready(Next::End(end)) => {
                    batch.end(end, &self.hub);
                    self.close = batch.close.unwrap_or(self.close);
                    self.subscription = None;
                }
                Poll::Pending => break,
            }
        }
        if let Some(subscription) = &mut self.subscription {
            subscription.moved(0, batch.texts.len() as u64);
        }
        if batch.texts.is_empty() && batch.close.is_none() {
            Poll::Pending
        } else {
            Poll::Ready(batch)
        }
    }

    /// Ends the response in order; the session waits for the next one.
    pub(super) fn release(mut self) {
        if let Some(subscription) = self.subscription.take() {
            self.released = true;
            *lock(&self.session.holder) = Holder::Waiting(subscription, Instant::now());
        }
    }
}

impl Drop for Reception {
    fn drop(&mut self) {
        // A released session may belong to another response by now.
        if !self.released {
            *lock(&self.session.holder) = Holder::Closed(self.close, Instant::now());
        }
    }
}

impl Batch {
    fn push(&mut self, quoted: &[u8]) {
        if !self.texts.is_empty() {
            self.texts.push(b',');
        }
        self.texts.extend_from_slice(quoted);
    }

    fn push_text(&mut self, text: &str) {
        let mut quoted = String::new();
        quote(text, &mut quoted);
        self.push(quoted.as_bytes());
    }

    fn end(&mut self, end: End, hub: &Hub) {
        self.close = Some(match end {
            End::Slow => Close::SLOW,
            End::SessionEnded => Close::SESSION_ENDED,
            End::Refused => Close::REFUSED,
            End::Expired => Close::EXPIRED,
            End::ByAdministrator => Close::BY_ADMINISTRATOR,
            End::Stopping => {
                self.push_text(&closing(hub));
                Close::STOPPING
            }
        });
    }

    /// Encodes the texts as frames.
    pub(super) fn encode(&self, framing: Framing, into: &mut Vec<u8>) {
        if !self.texts.is_empty() {
            let frame = [b"a[", self.texts.as_slice(), b"]"].concat();
            framing.push(&frame, into);
        }
        if let Some(close) = self.close {
            framing.push(close.frame().as_bytes(), into);
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
