//! The event stream of a subscriber: it walks the history of all updates, and sends those of its audience.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Response;
use tokio::time::{Instant, Sleep, sleep};

use crate::http::{Body, Pieces, in_pieces};
use crate::hub::{End, Next, Subscription};

use super::audience::Audience;
use super::update::Item;

/// Write batch: updates that are ready are sent together, up to this many bytes.
const GATHERED: usize = 16 * 1024;
/// Updates for others that are skipped before other tasks get their turn.
const PASSED: usize = 256;

/// The times of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Interval between heartbeats of a silent stream.
    pub(super) heartbeat: Duration,
    /// Time after which the stream is closed.
    pub(super) lifetime: Option<Duration>,
    /// Reconnection time of a client that has lost the stream.
    pub(super) retry: Duration,
}

/// The body of an event stream. `T` is dropped with it.
struct Stream<T> {
    subscription: Subscription,
    audience: Arc<Audience>,
    times: Times,
    heartbeat: Pin<Box<Sleep>>,
    end: Option<Pin<Box<Sleep>>>,
    has_started: bool,
    ended: bool,
    _held: T,
}

/// Responds with the updates of a subscription, until either side ends it.
pub(super) fn respond<T>(
    subscription: Subscription,
    audience: Arc<Audience>,
    times: Times,
    held: T,
) -> Response<Body>
where
    T: Send + Unpin + 'static,
{
    let stream = Stream {
        subscription,
        audience,
        heartbeat: Box::pin(sleep(times.heartbeat)),
        end: times.lifetime.map(|lifetime| Box::pin(sleep(lifetime))),
        times,
        has_started: false,
        ended: false,
        _held: held,
    };
    Response::new(in_pieces(stream))
}

/// The result of looking for the next updates.
enum Found {
    Events(Bytes),
    Nothing,
    /// Updates remain, but other tasks have to get their turn.
    More,
    End(End),
}

impl<T> Stream<T> {
    /// The first bytes: a comment, so that the headers reach the client at once, and the reconnection time.
    fn opening(&self) -> Bytes {
        format!(":\nretry: {}\n\n", self.times.retry.as_millis()).into()
    }

    fn look(&mut self, cx: &mut Context<'_>) -> Found {
        let mut gathered = BytesMut::new();
        for _ in 0..PASSED {
            match self.subscription.poll_next(cx) {
                Poll::Ready(Next::Message(message)) => {
                    let Some(item) = Item::of(&message) else {
                        continue;
                    };
                    if !self.audience.gets(&item) {
                        continue;
                    }
                    if gathered.is_empty() && item.event.len() >= GATHERED {
                        // Shared by all that get it, and not copied.
                        return Found::Events(item.event.clone());
                    }
                    gathered.extend_from_slice(&item.event);
                    if gathered.len() >= GATHERED {
                        return Found::Events(gathered.freeze());
                    }
                }
                // A client has compared its cursor with the one in the header.
                Poll::Ready(Next::Reset(_) | Next::Refused(_)) => {}
                Poll::Ready(Next::End(end)) if gathered.is_empty() => return Found::End(end),
                Poll::Pending if gathered.is_empty() => return Found::Nothing,
                // An end is found again.
                Poll::Ready(Next::End(_)) | Poll::Pending => {
                    return Found::Events(gathered.freeze());
                }
            }
        }
        if gathered.is_empty() {
            Found::More
        } else {
            Found::Events(gathered.freeze())
        }
    }

    fn end(&mut self, reason: &'static str) -> Bytes {
        self.ended = true;
        self.subscription.because(reason);
        format!(": {reason}\n\n").into()
    }
}

impl<T: Send + Unpin + 'static> Pieces for Stream<T> {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if !std::mem::replace(&mut self.has_started, true) {
            return Poll::Ready(Some(self.opening()));
        }
        let piece = match self.look(cx) {
            Found::Events(events) => events,
            Found::End(end) => self.end(end.reason()),
            Found::More => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Found::Nothing => {
                let end = self.end.as_mut();
                if end.is_some_and(|end| end.as_mut().poll(cx).is_ready()) {
                    self.end("the stream has reached its lifetime (mercure.lifetime)")
                } else if self.heartbeat.as_mut().poll(cx).is_ready() {
                    Bytes::from_static(b":\n")
                } else {
                    return Poll::Pending;
                }
            }
        };
        self.subscription.moved(0, piece.len() as u64);
        let next = Instant::now() + self.times.heartbeat;
        self.heartbeat.as_mut().reset(next);
        Poll::Ready(Some(piece))
    }

    fn has_ended(&self) -> bool {
        self.ended
    }
}
