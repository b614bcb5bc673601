//! Buffers a request body before it is sent to the app: in memory if it is small, on disk if there is room, else
//! as far as the buffer allows.
//!
//! A blocking app reads a body with one of its few workers, at the pace of the client. So the body is read here first,
//! without occupying a worker. A complete body also has a length, even if the client did not send it, and can be sent a
//! second time when a pooled connection turns out to be stale. Time, size and framing are checked here (RFC 9112 §6,
//! RFC 9110 §8.6).

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::http::body::BoxError;
use crate::http::body_fault::BodyFault;
use crate::http::fields;
use crate::http::incoming::Incoming;
use crate::http::request_store::{Budget, Store};
use crate::http::stall::{Rate, Stall};
use crate::shares::Share;
use crate::shutdown::Shutdown;
use crate::spool::SpoolReader;

/// Limit on bytes of a refused body that are read and discarded, so that the refusal reaches a client that still
/// sends.
const LINGER_BYTES: u64 = 16 * 1024 * 1024;
/// Time limit for reading and discarding.
const LINGER_TIME: Duration = Duration::from_secs(5);
/// Number of bytes written to disk at once.
const PIECE: usize = 256 * 1024;
/// Time without a byte after which a body counts as slow, and is written to disk if memory is short.
const SLOW: Duration = Duration::from_secs(1);

/// The limits of a request body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// Time limit without a byte.
    pub idle: Duration,
    /// Minimum rate.
    pub rate: Rate,
    /// Size limit.
    pub size: u64,
    /// Limit on bytes buffered before the app gets the request.
    pub buffer: usize,
    /// Limit on trailer fields.
    pub trailers: usize,
}

/// A buffered request body.
#[derive(Debug)]
pub(crate) enum Received {
    /// There is no body.
    None,
    /// The complete body.
    Whole(Bytes),
    /// The complete body, partly on disk; or its beginning, while the rest is streamed when the app reads it. Its
    /// length is known.
    Begun(Box<RequestBody>),
}

/// Buffers a body, in memory up to the size of the buffer and then in the spool if there is one, until it is complete
/// or there is no more room. `budget` is the memory and disk that it counts towards; without a budget nothing is
/// counted, and nothing is written to disk. `tasks` runs the discarding of a refused body.
///
/// # Errors
/// The fault of the body, to be sent as a [`Refusal`].
pub(crate) async fn receive(
    incoming: impl Into<Incoming>,
    limits: BodyLimits,
    budget: Option<Budget<'_>>,
    tasks: &Shutdown,
) -> Result<Received, BodyFault> {
    let incoming = incoming.into();
    if incoming.is_end_stream() {
        return Ok(Received::None);
    }
    let length = incoming.size_hint().exact();
    let mut body = RequestBody {
        spooled: None,
        buffered: None,
        incoming: UnreadRest {
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
    let mut buffered = BytesMut::new();
    loop {
        let (piece, denied) = match body.next(store.may_spill(buffered.len())).await? {
            Next::End => break,
            // The slow make room for others first.
            Next::Slow => (buffered.split().freeze(), Ok(())),
            Next::Data(data) => {
                let denied = store.remember(data.len());
                let end = body.is_end_stream();
                if denied.is_ok() && end && body.taken == data.len() as u64 {
                    return Ok(Received::Whole(store.counted(data)));
                }
                buffered.extend_from_slice(&data);
                if denied.is_ok() && (end || buffered.len() <= buffer) {
                    continue;
                }
                (buffered.split().freeze(), denied)
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
                body.spooled = store.reader();
                return body.streamed(length, piece, store, most);
            }
        }
    }
    let spooled = store.reader();
    Ok(body.complete(store.counted(buffered.freeze()), spooled))
}

/// A body whose beginning was buffered: yields the bytes on disk, then those in memory, then those that still arrive.
pub(crate) struct RequestBody {
    spooled: Option<SpoolReader>,
    buffered: Option<Bytes>,
    incoming: UnreadRest,
    left: u64,
    taken: u64,
    limit: u64,
    trailers: usize,
    idle: Stall,
    fault: Arc<OnceLock<BodyFault>>,
    length: u64,
    passed_on: Arc<AtomicU64>,
    /// Shares of the memory for bodies and of the workers for uploads, which it holds until it ends.
    held: [Option<Share>; 2],
}

/// The next event of a body being buffered.
enum Next {
    Data(Bytes),
    End,
    /// No bytes have arrived for a while.
    Slow,
}

/// The part that is not read yet. When it is dropped unread while the client still sends, the rest is read and
/// discarded, within limits, so that the client gets the response and not a reset (RFC 9112 §9.6).
struct UnreadRest {
    body: Option<Incoming>,
    tasks: Shutdown,
}

/// Discards the unread body of a refused request, within the same limits.
pub(crate) fn refuse(body: impl Into<Incoming>, tasks: &Shutdown) {
    drop(UnreadRest {
        body: Some(body.into()),
        tasks: tasks.clone(),
    });
}

impl RequestBody {
    /// The total length.
    #[must_use]
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Receives the fault, if the body fails while the app reads it. Then the client is at fault for the failed
    /// exchange with the app.
    #[must_use]
    pub(crate) fn fault(&self) -> Arc<OnceLock<BodyFault>> {
        Arc::clone(&self.fault)
    }

    /// Counter of the bytes that the app has taken so far. While it grows, no response is expected from the app.
    #[must_use]
    pub(crate) fn passed_on(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.passed_on)
    }

    /// Copies the body, if all of it is buffered.
    #[must_use]
    pub(crate) fn copy(&self) -> Option<Self> {
        if self.incoming.body.is_some() || self.passed_on.load(Ordering::Relaxed) > 0 {
            return None;
        }
        Some(Self {
            spooled: self.spooled.as_ref().map(SpoolReader::again),
            buffered: self.buffered.clone(),
            incoming: UnreadRest {
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

    /// True if a part of the body has not arrived from the client yet.
    #[must_use]
    pub(crate) fn is_streaming(&self) -> bool {
        self.incoming.body.is_some()
    }

    /// Holds a share until the body ends.
    pub(crate) fn hold(&mut self, share: Option<Share>) {
        self.held[1] = share;
    }

    /// Waits for the next piece; with `watched` also reports a pause.
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

    /// Ends buffering, and streams the rest as the app reads it; that needs a length.
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
        // Counts the bytes that the client may send ahead while the app does not read.
        store.remember_window(self.left)?;
        self.held[0] = store.into_memory();
        self.buffered = Some(piece);
        Ok(Received::Begun(Box::new(self)))
    }

    /// Ends buffering: the body is complete.
    fn complete(mut self, tail: Bytes, spooled: Option<SpoolReader>) -> Received {
        if spooled.is_none() {
            return Received::Whole(tail);
        }
        self.spooled = spooled;
        self.buffered = (!tail.is_empty()).then_some(tail);
        self.length = self.taken;
        self.left = 0;
        Received::Begun(Box::new(self))
    }

    /// Returns buffered pieces: from disk, then from memory.
    fn poll_buffered(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        if let Some(spooled) = &mut self.spooled {
            if let Some(piece) = ready!(spooled.poll_piece(cx)) {
                return Poll::Ready(Some(piece.map_err(Into::into)));
            }
            self.spooled = None;
        }
        Poll::Ready(self.buffered.take().map(Ok))
    }

    /// Returns the next piece, within the time limits.
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
    /// Checks trailer fields, and then drops them, because they could contain fields that are forbidden in the head.
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
        if let Some(buffered) = ready!(this.poll_buffered(cx)) {
            let length = buffered.as_ref().map_or(0, Bytes::len) as u64;
            this.passed_on.fetch_add(length, Ordering::Relaxed);
            return Poll::Ready(Some(buffered.map(Frame::data)));
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
        self.buffered.is_none()
            && self
                .spooled
                .as_ref()
                .is_none_or(|spooled| spooled.left() == 0)
            && self
                .incoming
                .body
                .as_ref()
                .is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let buffered = self
            .buffered
            .as_ref()
            .map_or(0, |buffered| buffered.len() as u64);
        SizeHint::with_exact(
            self.left + buffered + self.spooled.as_ref().map_or(0, SpoolReader::left),
        )
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Drop for UnreadRest {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take() else {
            return;
        };
        if body.is_end_stream() {
            return;
        }
        body.withhold_continue();
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
