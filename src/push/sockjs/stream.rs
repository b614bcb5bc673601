//! Receiving responses: a poll that ends with one batch (`xhr`), and streams (`xhr_streaming`, `eventsource`) that
//! end at a size that browsers can hold in memory.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::http::{Body, Pieces, full, in_pieces};
use crate::push::sockjs::session::{Attached, Reception};
use crate::push::sockjs_frames::{Close, Framing, HEARTBEAT, HEARTBEAT_INTERVAL, OPEN};

/// Size limit of a stream: browsers keep all of a response until it ends, so it ends and the client requests
/// another.
const LARGEST: usize = 128 * 1024;
/// Write batch: messages that are ready are sent together, up to this many bytes.
const GATHERED: usize = 16 * 1024;

/// Responds to a poll: with `o` at once if the session is new, otherwise with the first batch as soon as there is
/// one. `None` if the session belongs to another visitor.
pub(super) async fn poll(attached: Attached) -> Option<Body> {
    let mut answer = Vec::new();
    match attached {
        Attached::Foreign => return None,
        Attached::Refused(close) => push_close(close, Framing::Lines, &mut answer),
        Attached::Opened(reception) => {
            Framing::Lines.push(OPEN.as_bytes(), &mut answer);
            reception.release();
        }
        Attached::Resumed(mut reception) => {
            let batch = poll_fn(|cx| reception.poll(LARGEST, cx));
            match timeout(HEARTBEAT_INTERVAL, batch).await {
                Ok(batch) => batch.encode(Framing::Lines, &mut answer),
                Err(_) => Framing::Lines.push(HEARTBEAT.as_bytes(), &mut answer),
            }
            reception.release();
        }
    }
    Some(full(answer))
}

/// Responds with a stream; `None` if the session belongs to another visitor.
pub(super) fn stream(attached: Attached, framing: Framing) -> Option<Body> {
    let mut opening = framing.prelude();
    let reception = match attached {
        Attached::Foreign => return None,
        Attached::Refused(close) => {
            push_close(close, framing, &mut opening);
            return Some(full(opening));
        }
        Attached::Opened(reception) => {
            framing.push(OPEN.as_bytes(), &mut opening);
            reception
        }
        Attached::Resumed(reception) => reception,
    };
    let stream = Stream {
        reception: Some(reception),
        framing,
        opening: Some(opening.into()),
        sent: 0,
        clock: Box::pin(sleep(HEARTBEAT_INTERVAL)),
    };
    Some(in_pieces(stream))
}

fn push_close(close: Close, framing: Framing, into: &mut Vec<u8>) {
    framing.push(close.frame().as_bytes(), into);
}

/// The body of a stream. If it is dropped before its end, it closes the session: see [`Reception`].
struct Stream {
    /// The hold on the session; `None` once the stream has ended.
    reception: Option<Reception>,
    framing: Framing,
    opening: Option<Bytes>,
    sent: usize,
    clock: Pin<Box<Sleep>>,
}

impl Stream {
    /// Returns the next piece, and whether it is the last.
    fn poll_batch(
        &mut self,
        reception: &mut Reception,
        cx: &mut Context<'_>,
    ) -> Poll<(Vec<u8>, bool)> {
        let mut piece = Vec::new();
        if let Poll::Ready(batch) = reception.poll(GATHERED, cx) {
            batch.encode(self.framing, &mut piece);
            self.sent += piece.len();
            let last = batch.close.is_some() || self.sent >= LARGEST;
            return Poll::Ready((piece, last));
        }
        ready!(self.clock.as_mut().poll(cx));
        self.framing.push(HEARTBEAT.as_bytes(), &mut piece);
        Poll::Ready((piece, false))
    }
}

impl Pieces for Stream {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(opening) = self.opening.take() {
            return Poll::Ready(Some(opening));
        }
        let Some(mut reception) = self.reception.take() else {
            return Poll::Ready(None);
        };
        let Poll::Ready((piece, last)) = self.poll_batch(&mut reception, cx) else {
            self.reception = Some(reception);
            return Poll::Pending;
        };
        if last {
            reception.release();
        } else {
            self.reception = Some(reception);
            let next = Instant::now() + HEARTBEAT_INTERVAL;
            self.clock.as_mut().reset(next);
        }
        Poll::Ready(Some(piece.into()))
    }

    fn has_ended(&self) -> bool {
        self.reception.is_none() && self.opening.is_none()
    }
}
