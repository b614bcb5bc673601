//! Taking in a request body: whole if it is small, else its beginning, before the app is asked.
//!
//! A blocking app reads a body with one of its few workers, at the pace of the client. What is read here
//! first costs the app nothing, and a body that is complete can be sent a second time when a connection of
//! the pool turns out to be stale. Time, size and framing are checked here (RFC 9112 §6, RFC 9110 §8.6).

use std::fmt;
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
use crate::http::refusal::Refusal;
use crate::http::stall::Stall;
use crate::shutdown::Shutdown;

/// How much is read of a body nobody wants any more, so that the refusal reaches a client that still sends.
const LINGER_BYTES: u64 = 16 * 1024 * 1024;
/// How long.
const LINGER_TIME: Duration = Duration::from_secs(5);

/// The limits of a request body.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// The longest time without a byte.
    pub idle: Duration,
    /// The most bytes in all.
    pub size: u64,
    /// The most bytes taken in before the app is asked.
    pub buffer: usize,
}

/// A body as far as it was taken in.
#[derive(Debug)]
pub enum Received {
    /// There is none.
    None,
    /// All of it.
    Whole(Bytes),
    /// Its beginning is in memory; the rest comes as the app reads it. The length is known.
    Begun(RequestBody),
}

/// What was wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// No byte for this long.
    #[error("no byte of the request body came for {0:?}")]
    Idle(Duration),
    /// More than this many bytes.
    #[error("the request body is larger than {0} bytes")]
    TooLarge(u64),
    /// It has no length and is larger than what is taken in beforehand.
    #[error("a request body of more than {0} bytes needs a Content-Length")]
    NoLength(usize),
    /// Its chunks or its length are wrong, or the client left.
    #[error("the request body ended before it was complete, or its framing is broken")]
    Broken,
}

impl From<BodyFault> for Refusal {
    fn from(fault: BodyFault) -> Self {
        let status = match fault {
            BodyFault::Idle(_) => StatusCode::REQUEST_TIMEOUT,
            BodyFault::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BodyFault::NoLength(_) => StatusCode::LENGTH_REQUIRED,
            BodyFault::Broken => StatusCode::BAD_REQUEST,
        };
        Self::new(status, fault.to_string()).closing()
    }
}

/// Takes in the beginning of a body. `tasks` runs the little that is left to do for a client whose body is
/// refused while it is still sending.
///
/// # Errors
/// The fault of the body, to be answered as a [`Refusal`].
pub async fn receive(
    incoming: Incoming,
    limits: BodyLimits,
    tasks: &Shutdown,
) -> Result<Received, BodyFault> {
    if incoming.is_end_stream() {
        return Ok(Received::None);
    }
    let length = incoming.size_hint().exact();
    let mut body = RequestBody {
        begun: None,
        incoming: Remains {
            body: Some(incoming),
            tasks: tasks.clone(),
        },
        left: length.unwrap_or(limits.size),
        taken: 0,
        limit: limits.size,
        idle: Stall::new(limits.idle),
        fault: Arc::default(),
        length: length.unwrap_or_default(),
        passed_on: Arc::default(),
    };
    if length.is_some_and(|length| length > limits.size) {
        return Err(BodyFault::TooLarge(limits.size));
    }
    let mut begun = BytesMut::new();
    loop {
        let next = timeout(limits.idle, body.incoming_frame());
        match next.await.map_err(|_| BodyFault::Idle(limits.idle))?? {
            None => return Ok(Received::Whole(begun.freeze())),
            Some(data) if begun.is_empty() && body.is_end_stream() => {
                return Ok(Received::Whole(data));
            }
            Some(data) => begun.extend_from_slice(&data),
        }
        if begun.len() > limits.buffer && !body.is_end_stream() {
            break;
        }
    }
    if length.is_none() {
        return Err(BodyFault::NoLength(limits.buffer));
    }
    body.begun = Some(begun.freeze());
    Ok(Received::Begun(body))
}

/// A body whose beginning is in memory.
pub struct RequestBody {
    begun: Option<Bytes>,
    incoming: Remains,
    left: u64,
    taken: u64,
    limit: u64,
    idle: Stall,
    fault: Arc<OnceLock<BodyFault>>,
    length: u64,
    passed_on: Arc<AtomicU64>,
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

    async fn incoming_frame(&mut self) -> Result<Option<Bytes>, BodyFault> {
        std::future::poll_fn(|cx| self.poll_incoming(cx)).await
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
                    // Trailers are dropped: they could carry what is forbidden in the head.
                    let Ok(data) = frame.into_data() else {
                        continue;
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

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Some(begun) = this.begun.take() {
            return Poll::Ready(Some(Ok(Frame::data(begun))));
        }
        let fault = match this.poll_incoming(cx) {
            Poll::Ready(Ok(data)) => {
                this.idle.progressed();
                let length = data.as_ref().map_or(0, Bytes::len) as u64;
                this.passed_on.fetch_add(length, Ordering::Relaxed);
                return Poll::Ready(data.map(|data| Ok(Frame::data(data))));
            }
            Poll::Ready(Err(fault)) => fault,
            Poll::Pending if this.idle.waited(cx) => BodyFault::Idle(this.idle.limit()),
            Poll::Pending => return Poll::Pending,
        };
        let _ = this.fault.set(fault);
        Poll::Ready(Some(Err(fault.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.begun.is_none()
            && self
                .incoming
                .body
                .as_ref()
                .is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left + self.begun.as_ref().map_or(0, |begun| begun.len() as u64))
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
