//! The answers that receive: one that waits for a batch (`xhr`), and one that goes on (`xhr_streaming`,
//! `eventsource`) until a browser's memory wants it to end.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::http::{Body, BoxError, full};
use crate::hub::sockjs::frames::{Close, Framing, HEARTBEAT, OPEN};
use crate::hub::sockjs::session::{Attached, Reception};

/// How long a client hears nothing at most.
pub(in crate::hub) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(25);
/// Browsers keep all of an answer until it ends, so it ends after so many bytes and the client asks for another.
const LARGEST: usize = 128 * 1024;
/// Messages that are ready together leave together, up to this many bytes.
const GATHERED: usize = 16 * 1024;

/// Answers a poll: with `o` at once if the session is new, else with what there is, as soon as there is anything.
/// None for a session of somebody else.
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

/// Answers with a stream. None for a session of somebody else.
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
    Some(stream.boxed_unsync())
}

fn push_close(close: Close, framing: Framing, into: &mut Vec<u8>) {
    framing.push(close.frame().as_bytes(), into);
}

/// A body that goes on. Dropped before its end, it takes the session with it: see [`Reception`].
struct Stream {
    /// None once it has ended.
    reception: Option<Reception>,
    framing: Framing,
    opening: Option<Bytes>,
    sent: usize,
    clock: Pin<Box<Sleep>>,
}

impl Stream {
    /// The next piece; whether it is the last one.
    fn poll_piece(
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

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Some(opening) = this.opening.take() {
            return Poll::Ready(Some(Ok(Frame::data(opening))));
        }
        let Some(mut reception) = this.reception.take() else {
            return Poll::Ready(None);
        };
        let Poll::Ready((piece, last)) = this.poll_piece(&mut reception, cx) else {
            this.reception = Some(reception);
            return Poll::Pending;
        };
        if last {
            reception.release();
        } else {
            this.reception = Some(reception);
            this.clock
                .as_mut()
                .reset(Instant::now() + HEARTBEAT_INTERVAL);
        }
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.reception.is_none() && self.opening.is_none()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}
