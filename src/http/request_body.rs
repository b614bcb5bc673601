//! Taking in a request body before the app is asked: in memory if it is small, on disk if there is room, else
//! as far as the buffer goes.
//!
//! A blocking app reads a body with one of its few workers, at the pace of the client. What is read here
//! first costs the app nothing, and a body that is complete has a length, even if the client did not know it,
//! and can be sent a second time when a connection of the pool turns out to be stale. Time, size and framing
//! are checked here (RFC 9112 §6, RFC 9110 §8.6).

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::http::body::BoxError;
use crate::http::fields;
use crate::http::refusal::Refusal;
use crate::http::request_store::{Budget, Store};
use crate::http::stall::{Rate, Stall};
use crate::shares::{Denied, Share};
use crate::shutdown::Shutdown;
use crate::spool::SpoolReader;

/// How much is read of a body nobody wants any more, so that the refusal reaches a client that still sends.
const LINGER_BYTES: u64 = 16 * 1024 * 1024;
/// How long.
const LINGER_TIME: Duration = Duration::from_secs(5);
/// What goes to disk at once.
const PIECE: usize = 256 * 1024;
/// How long nothing may come of a body until it counts as slow, and goes to disk if memory is short.
const SLOW: Duration = Duration::from_secs(1);
/// When a client may come back whose body found no room.
const NO_ROOM_RETRY: Duration = Duration::from_secs(5);

/// The limits of a request body.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// The longest time without a byte.
    pub idle: Duration,
    /// The least in a second.
    pub rate: Rate,
    /// The most bytes in all.
    pub size: u64,
    /// The most bytes taken in before the app is asked.
    pub buffer: usize,
    /// The most fields behind it.
    pub trailers: usize,
}

/// A body as far as it was taken in.
#[derive(Debug)]
pub enum Received {
    /// There is none.
    None,
    /// All of it.
    Whole(Bytes),
    /// All of it, partly on disk; or its beginning, and the rest comes as the app reads it. The length is
    /// known.
    Begun(Box<RequestBody>),
}

/// What was wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// No byte for this long.
    #[error("no byte of the request body came for {0:?}")]
    Idle(Duration),
    /// Too little for too long.
    #[error("the request body came at less than {0} bytes a second")]
    TooSlow(u64),
    /// More than this many bytes.
    #[error("the request body is larger than {0} bytes")]
    TooLarge(u64),
    /// It has no length and is larger than what is taken in beforehand.
    #[error("a request body of more than {0} bytes needs a Content-Length")]
    NoLength(u64),
    /// It has no length, or may not stream, and the spool is full or broken.
    #[error("there is no room for this request body at the moment")]
    NoRoom,
    /// The memory for bodies is taken and nothing can go to disk, or as many uploads stream as may.
    #[error("too many request bodies are under way at the moment")]
    Busy,
    /// This client has taken its share of the room for request bodies.
    #[error(
        "as much room for request bodies is taken from your address as may be; please wait a moment"
    )]
    Share,
    /// The fields behind it are malformed, or too many.
    #[error("the trailers of the request are wrong: {0}")]
    Trailers(&'static str),
    /// Its chunks or its length are wrong, or the client left.
    #[error("the request body ended before it was complete, or its framing is broken")]
    Broken,
}

impl From<Denied> for BodyFault {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Client => Self::Share,
            Denied::All => Self::Busy,
        }
    }
}

impl From<BodyFault> for Refusal {
    fn from(fault: BodyFault) -> Self {
        let status = match fault {
            BodyFault::Idle(_) | BodyFault::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            BodyFault::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BodyFault::NoLength(_) => StatusCode::LENGTH_REQUIRED,
            BodyFault::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
            BodyFault::Busy => StatusCode::SERVICE_UNAVAILABLE,
            BodyFault::Share => StatusCode::TOO_MANY_REQUESTS,
            BodyFault::Trailers(_) | BodyFault::Broken => StatusCode::BAD_REQUEST,
        };
        let refusal = Self::new(status, fault.to_string()).closing();
        match fault {
            BodyFault::NoRoom | BodyFault::Busy | BodyFault::Share => {
                refusal.retry_after(NO_ROOM_RETRY)
            }
            _ => refusal,
        }
    }
}

/// Takes in a body: what fits into the buffer to memory, more to the spool where there is one, until the body is
/// complete or there is no more room. `budget` says whose memory and disk it is; without one nothing is counted, and
/// nothing goes to disk. `tasks` runs the little that is left to do for a client whose body is refused while it is
/// still sending.
///
/// # Errors
/// The fault of the body, to be answered as a [`Refusal`].
pub async fn receive(
    incoming: Incoming,
    limits: BodyLimits,
    budget: Option<Budget<'_>>,
    tasks: &Shutdown,
) -> Result<Received, BodyFault> {
    if incoming.is_end_stream() {
        return Ok(Received::None);
    }
    let length = incoming.size_hint().exact();
    let mut body = RequestBody {
        kept: None,
        begun: None,
        incoming: Remains {
            body: Some(incoming),
            tasks: tasks.clone(),
        },
        left: length.unwrap_or(limits.size),
        taken: 0,
        limit: limits.size,
        trailers: limits.trailers,
        idle: Stall::with_rate(limits.idle, limits.rate),
        fault: Arc::default(),
        length: length.unwrap_or_default(),
        passed_on: Arc::default(),
        held: [None, None],
    };
    if length.is_some_and(|length| length > limits.size) {
        return Err(BodyFault::TooLarge(limits.size));
    }
    let mut store = Store::new(budget, length, limits.idle);
    let mut buffer = limits.buffer;
    let mut begun = BytesMut::new();
    loop {
        let (piece, denied) = match body.next(store.may_spill(begun.len())).await? {
            Next::End => break,
            // The slow make room for others first.
            Next::Slow => (begun.split().freeze(), Ok(())),
            Next::Data(data) => {
                let denied = store.remember(data.len());
                let end = body.is_end_stream();
                if denied.is_ok() && end && body.taken == data.len() as u64 {
                    return Ok(Received::Whole(store.counted(data)));
                }
                begun.extend_from_slice(&data);
                if denied.is_ok() && (end || begun.len() <= buffer) {
                    continue;
                }
                (begun.split().freeze(), denied)
            }
        };
        let Some(room) = store.room_for(denied)? else {
            return body.streamed(length, piece, store, limits.buffer as u64);
        };
        match room.keep(&piece).await {
            Ok(()) => {
                buffer = PIECE;
                store.forget();
            }
            Err(refused) => {
                let most = refused.streams(denied, length.is_some())?;
                body.kept = store.reader();
                return body.streamed(length, piece, store, most);
            }
        }
    }
    let kept = store.reader();
    Ok(body.complete(store.counted(begun.freeze()), kept))
}

/// A body whose beginning was taken in: first what is on disk, then what is in memory, then what is to come.
pub struct RequestBody {
    kept: Option<SpoolReader>,
    begun: Option<Bytes>,
    incoming: Remains,
    left: u64,
    taken: u64,
    limit: u64,
    trailers: usize,
    idle: Stall,
    fault: Arc<OnceLock<BodyFault>>,
    length: u64,
    passed_on: Arc<AtomicU64>,
    /// What it takes of the memory for bodies and of the workers that may be held, until it is over.
    held: [Option<Share>; 2],
}

/// What comes next of a body that is taken in.
enum Next {
    Data(Bytes),
    End,
    /// Nothing for a while.
    Slow,
}

/// The part that is not read yet. If it is dropped unread, the client is still sending and would get a
/// reset instead of the answer, so the rest is read and thrown away, within limits (RFC 9112 §9.6).
struct Remains {
    body: Option<Incoming>,
    tasks: Shutdown,
}

/// Lets go of the body of a request that is refused, in the same way.
pub fn refuse(body: Incoming, tasks: &Shutdown) {
    drop(Remains {
        body: Some(body),
        tasks: tasks.clone(),
    });
}

impl RequestBody {
    /// The length of all of it.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where the fault appears, if the body breaks while the app reads it. A failed exchange with the app
    /// is the client's fault then, not the app's.
    #[must_use]
    pub fn fault(&self) -> Arc<OnceLock<BodyFault>> {
        Arc::clone(&self.fault)
    }

    /// How many bytes the app has taken so far, as it changes. While it does, the app cannot be expected to answer.
    #[must_use]
    pub fn passed_on(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.passed_on)
    }

    /// The same body once more, if all of it is here.
    #[must_use]
    pub fn again(&self) -> Option<Self> {
        if self.incoming.body.is_some() || self.passed_on.load(Ordering::Relaxed) > 0 {
            return None;
        }
        Some(Self {
            kept: self.kept.as_ref().map(SpoolReader::again),
            begun: self.begun.clone(),
            incoming: Remains {
                body: None,
                tasks: self.incoming.tasks.clone(),
            },
            idle: self.idle.again(),
            fault: Arc::default(),
            passed_on: Arc::default(),
            held: [None, None],
            ..*self
        })
    }

    /// Whether a part of it is still to come from the client.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.incoming.body.is_some()
    }

    /// Holds a place until it is over.
    pub fn hold(&mut self, place: Option<Share>) {
        self.held[1] = place;
    }

    /// The next piece, or that there was none for a while, if `watched`.
    async fn next(&mut self, watched: bool) -> Result<Next, BodyFault> {
        let polled = poll_fn(|cx| self.poll_in_time(cx));
        let next = if watched {
            match timeout(SLOW, polled).await {
                Ok(next) => next?,
                Err(_) => return Ok(Next::Slow),
            }
        } else {
            polled.await?
        };
        Ok(next.map_or(Next::End, Next::Data))
    }

    /// The rest comes as the app reads, which needs a length.
    fn streamed(
        mut self,
        length: Option<u64>,
        piece: Bytes,
        mut store: Store<'_>,
        most: u64,
    ) -> Result<Received, BodyFault> {
        if length.is_none() {
            return Err(BodyFault::NoLength(most));
        }
        // What the client may send ahead while the app does not read.
        store.remember_window(self.left)?;
        self.held[0] = store.into_memory();
        self.begun = Some(piece);
        Ok(Received::Begun(Box::new(self)))
    }

    /// Nothing more is to come.
    fn complete(mut self, tail: Bytes, kept: Option<SpoolReader>) -> Received {
        if kept.is_none() {
            return Received::Whole(tail);
        }
        self.kept = kept;
        self.begun = (!tail.is_empty()).then_some(tail);
        self.length = self.taken;
        self.left = 0;
        Received::Begun(Box::new(self))
    }

    /// What was taken in before the app was asked: from disk, then from memory.
    fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        if let Some(kept) = &mut self.kept {
            if let Some(piece) = ready!(kept.poll_piece(cx)) {
                return Poll::Ready(Some(piece.map_err(Into::into)));
            }
            self.kept = None;
        }
        Poll::Ready(self.begun.take().map(Ok))
    }

    /// The next piece, within the limits of time.
    fn poll_in_time(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyFault>> {
        let polled = self.poll_incoming(cx);
        match &polled {
            Poll::Ready(Ok(Some(data))) => self.idle.progressed_by(data.len()),
            Poll::Pending if self.idle.waited(cx) => {
                return Poll::Ready(Err(self.idle.too_slow().map_or_else(
                    || BodyFault::Idle(self.idle.limit()),
                    |rate| BodyFault::TooSlow(rate.bytes),
                )));
            }
            _ => {}
        }
        polled
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyFault>> {
        loop {
            let Some(body) = self.incoming.body.as_mut() else {
                return Poll::Ready(Ok(None));
            };
            match ready!(Pin::new(body).poll_frame(cx)) {
                None => {
                    self.incoming.body = None;
                    return Poll::Ready(Ok(None));
                }
                Some(Err(_)) => {
                    self.incoming.body = None;
                    return Poll::Ready(Err(BodyFault::Broken));
                }
                Some(Ok(frame)) => {
                    let data = match frame.into_data() {
                        Ok(data) => data,
                        Err(other) => {
                            self.check_trailers(&other)?;
                            continue;
                        }
                    };
                    self.taken += data.len() as u64;
                    if self.taken > self.limit {
                        return Poll::Ready(Err(BodyFault::TooLarge(self.limit)));
                    }
                    self.left = self.left.saturating_sub(data.len() as u64);
                    return Poll::Ready(Ok(Some(data)));
                }
            }
        }
    }
}

impl RequestBody {
    /// Looks at the fields behind a body. They are dropped then: they could carry what is forbidden in the head.
    fn check_trailers(&mut self, frame: &Frame<Bytes>) -> Result<(), BodyFault> {
        let Some(trailers) = frame.trailers_ref() else {
            return Ok(());
        };
        let fault = if trailers.len() > self.trailers {
            Some("there are more lines than are accepted here")
        } else {
            fields::fault(trailers)
        };
        fault.map_or(Ok(()), |fault| {
            self.incoming.body = None;
            Err(BodyFault::Trailers(fault))
        })
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Some(begun) = ready!(this.poll_begun(cx)) {
            let length = begun.as_ref().map_or(0, Bytes::len) as u64;
            this.passed_on.fetch_add(length, Ordering::Relaxed);
            return Poll::Ready(Some(begun.map(Frame::data)));
        }
        let fault = match this.poll_in_time(cx) {
            Poll::Ready(Ok(data)) => {
                let length = data.as_ref().map_or(0, Bytes::len) as u64;
                this.passed_on.fetch_add(length, Ordering::Relaxed);
                return Poll::Ready(data.map(|data| Ok(Frame::data(data))));
            }
            Poll::Ready(Err(fault)) => fault,
            Poll::Pending => return Poll::Pending,
        };
        let _ = this.fault.set(fault);
        Poll::Ready(Some(Err(fault.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.begun.is_none()
            && self.kept.as_ref().is_none_or(|kept| kept.left() == 0)
            && self
                .incoming
                .body
                .as_ref()
                .is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let begun = self.begun.as_ref().map_or(0, |begun| begun.len() as u64);
        SizeHint::with_exact(self.left + begun + self.kept.as_ref().map_or(0, SpoolReader::left))
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take() else {
            return;
        };
        if body.is_end_stream() {
            return;
        }
        self.tasks.spawn(async move {
            let mut left = LINGER_BYTES;
            let discard = async {
                while let Some(Ok(frame)) = body.frame().await {
                    let read = frame.data_ref().map_or(0, Bytes::len) as u64;
                    match left.checked_sub(read) {
                        Some(rest) => left = rest,
                        None => return,
                    }
                }
            };
            let _ = timeout(LINGER_TIME, discard).await;
        });
    }
}
