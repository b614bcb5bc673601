//! One HTTP/1.1 connection to the app (RFC 9112), driven by the task that uses it: the same task writes a request and
//! reads its response, without channels in between. A connection in the pool is not polled, so it is checked before it
//! is used.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{Method, Request};
use tokio::io::AsyncWrite as _;
use tokio_util::io::poll_read_buf;

use crate::http::{BoxError, Deadline, InterimSink};
use crate::tls::{Outgoing, reset_on_drop};
use crate::upstream::Payload;
use crate::upstream::h1::{Fault, Framing, Piece, ResponseHead, persists, read_head};
use crate::upstream::upload::Upload;

/// Sizes of reads: the first, and the limit up to which full reads let them grow.
const FIRST_READ: usize = 8 * 1024;
const LARGEST_READ: usize = 128 * 1024;

/// A connection to the app.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Outgoing,
    upload: Upload,
    input: BytesMut,
    read_size: usize,
    state: State,
    /// True if the heads so far permit another request on the connection.
    persists: bool,
    /// True once the sending side is shut down.
    finished: bool,
    /// True once a write has failed. An app may refuse a large body early and close its side: the next write fails
    /// while the app's response is still to be read. Without a response, the read fails as well.
    is_deaf: bool,
    /// True while written bytes have not been flushed.
    has_written: bool,
    /// True if a byte was received since the request began.
    has_come: bool,
    idle_since: Instant,
    /// The timer for responses.
    deadline: Deadline,
    hang_up: HangUp,
}

/// Position in the exchange.
#[derive(Debug)]
enum State {
    Idle,
    /// The head of the response to a request with this method is awaited.
    Head(Method),
    Body(Framing),
}

/// Handle to close a connection while an exchange owns it. Clones belong to the same connection.
#[derive(Clone, Debug, Default)]
pub(super) struct HangUp(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    /// True once the sending side is to be shut down, which shows the app that nothing more will arrive.
    finished: AtomicBool,
    /// True once the connection is to be reset.
    reset: AtomicBool,
}

impl HangUp {
    /// Shuts down the sending side at the next poll of the connection. Bytes of the app are still read.
    pub(super) fn finish(&self) {
        self.0.finished.store(true, Ordering::Relaxed);
    }

    /// Makes dropping the connection reset it.
    pub(super) fn reset(&self) {
        self.0.reset.store(true, Ordering::Relaxed);
    }

    fn is_finished(&self) -> bool {
        self.0.finished.load(Ordering::Relaxed)
    }
}

/// A failed exchange.
#[derive(Debug)]
pub(super) struct SendError {
    pub(super) error: BoxError,
    /// The body of the request, if no byte of the request has been sent.
    pub(super) unsent: Option<Payload>,
    /// True if the app closed the connection without a byte of a response, as an app does that was about to close an
    /// idle one.
    pub(super) nothing_came_back: bool,
}

impl Connection {
    /// Starts HTTP on a newly opened socket.
    pub(super) fn start(socket: Outgoing) -> Self {
        Self {
            socket,
            upload: Upload::default(),
            input: BytesMut::new(),
            read_size: FIRST_READ,
            state: State::Idle,
            persists: true,
            finished: false,
            is_deaf: false,
            has_written: false,
            has_come: false,
            idle_since: Instant::now(),
            deadline: Deadline::default(),
            hang_up: HangUp::default(),
        }
    }

    /// A handle to close the connection while it is in use.
    pub(super) fn hang_up(&self) -> HangUp {
        self.hang_up.clone()
    }

    /// Takes the timer for the response, while the exchange waits.
    pub(super) fn take_deadline(&mut self) -> Deadline {
        std::mem::take(&mut self.deadline)
    }

    /// Puts the timer back for the next exchange.
    pub(super) fn keep_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    /// Sends a request, whose body is taken from it, and waits for the head of the response. Interim responses are
    /// passed to `interim`.
    pub(super) async fn send(
        &mut self,
        request: &mut Request<Payload>,
        interim: Option<&InterimSink>,
    ) -> Result<ResponseHead, SendError> {
        self.upload.begin(request);
        self.has_come = false;
        self.state = State::Head(request.method().clone());
        poll_fn(|cx| self.poll_head(cx, interim)).await
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        interim: Option<&InterimSink>,
    ) -> Poll<Result<ResponseHead, SendError>> {
        loop {
            match self.poll_head_part(cx, interim) {
                Ok(Poll::Ready(Some(head))) => return Poll::Ready(Ok(head)),
                Ok(Poll::Ready(None)) => {}
                Ok(Poll::Pending) => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(self.failed(error))),
            }
        }
    }

    /// Writes as much as possible, reads once, and takes the head if it has arrived.
    fn poll_head_part(
        &mut self,
        cx: &mut Context<'_>,
        interim: Option<&InterimSink>,
    ) -> Result<Poll<Option<ResponseHead>>, BoxError> {
        self.send_more(cx)?;
        match self.poll_read(cx)? {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(0) => return Err(Fault::Short.into()),
            Poll::Ready(_) => {}
        }
        while let Some(head) = read_head(&mut self.input)? {
            let status = head.status();
            if status.is_informational() && status.as_u16() != 101 {
                if let Some(interim) = interim {
                    interim.pass_on(status, head.headers());
                }
                continue;
            }
            let State::Head(method) = &self.state else {
                return Err(Fault::Short.into());
            };
            let framing = Framing::of(&head, method)?;
            self.persists = persists(&head, &framing);
            self.state = State::Body(framing);
            return Ok(Poll::Ready(Some(head)));
        }
        Ok(Poll::Ready(None))
    }

    /// Returns the next piece of the body of the response; `None` at its end.
    pub(super) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BoxError>>> {
        if let Err(error) = self.send_more(cx) {
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            let State::Body(framing) = &mut self.state else {
                return Poll::Ready(None);
            };
            match framing.take(&mut self.input) {
                Ok(Piece::Data(data)) => return Poll::Ready(Some(Ok(data))),
                Ok(Piece::End) => return Poll::Ready(None),
                Ok(Piece::Missing) => {}
                Err(fault) => return Poll::Ready(Some(Err(fault.into()))),
            }
            let came = ready!(self.poll_read(cx)?);
            if came == 0
                && let State::Body(framing) = &mut self.state
            {
                self.persists = false;
                framing.closed().map_err(BoxError::from)?;
            }
        }
    }

    /// True if the response is complete.
    pub(super) fn is_end(&self) -> bool {
        match &self.state {
            State::Idle => true,
            State::Head(_) => false,
            State::Body(framing) => framing.is_end(),
        }
    }

    /// Number of bytes of the response that have not arrived yet, if it is known.
    pub(super) fn left(&self) -> Option<u64> {
        match &self.state {
            State::Idle => Some(0),
            State::Head(_) => None,
            State::Body(framing) => framing.left(),
        }
    }

    /// Shuts down the sending side, if requested.
    pub(super) fn poll_hang_up(&mut self, cx: &mut Context<'_>) {
        if !self.finished && self.hang_up.is_finished() {
            self.upload.end();
            self.persists = false;
            self.finished = Pin::new(&mut self.socket).poll_shutdown(cx).is_ready();
        }
    }

    /// Writes as much of the request as possible.
    fn send_more(&mut self, cx: &mut Context<'_>) -> Result<(), BoxError> {
        while !self.upload.is_complete() {
            if self.is_deaf || self.hang_up.is_finished() {
                // The response may come all the same; then the connection ends.
                self.upload.end();
                self.persists = false;
                break;
            }
            if self.upload.poll_next(cx)?.is_pending() {
                break;
            }
            let (head, body) = self.upload.next_bytes();
            let pieces = [IoSlice::new(head), IoSlice::new(body)];
            let socket = Pin::new(&mut self.socket);
            match socket.poll_write_vectored(cx, &pieces) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Poll::Ready(Ok(count)) => {
                    self.has_written = true;
                    self.upload.advance(count);
                }
                Poll::Ready(Err(error)) => self.ignore_write_error(error)?,
            }
        }
        if self.has_written && !self.is_deaf {
            match Pin::new(&mut self.socket).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.has_written = false,
                Poll::Ready(Err(error)) => self.ignore_write_error(error)?,
            }
        }
        Ok(())
    }

    /// Ignores a failed write to an app that has stopped reading, so that its bytes are read to their end.
    fn ignore_write_error(&mut self, error: io::Error) -> io::Result<()> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        if !matches!(error.kind(), BrokenPipe | ConnectionReset) {
            return Err(error);
        }
        self.is_deaf = true;
        Ok(())
    }

    /// Reads once; 0 means the end of the connection.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll_hang_up(cx);
        if self.input.capacity() - self.input.len() < self.read_size / 2 {
            self.input.reserve(self.read_size);
        }
        let room = self.input.capacity() - self.input.len();
        let came = ready!(poll_read_buf(
            Pin::new(&mut self.socket),
            cx,
            &mut self.input
        ))?;
        self.has_come |= came > 0;
        if came == room {
            self.read_size = (self.read_size * 2).min(LARGEST_READ);
        }
        Poll::Ready(Ok(came))
    }

    fn failed(&mut self, error: BoxError) -> SendError {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected, UnexpectedEof};
        let is_closed = match error.downcast_ref::<io::Error>() {
            // The last is an app with TLS that closes without saying so (RFC 8446 §6.1).
            Some(error) => matches!(
                error.kind(),
                BrokenPipe | ConnectionReset | NotConnected | UnexpectedEof
            ),
            None => matches!(error.downcast_ref(), Some(Fault::Short)),
        };
        SendError {
            error,
            unsent: self.upload.unsent(),
            nothing_came_back: is_closed && !self.has_come,
        }
    }

    /// True if the connection is open and between two exchanges, as far as this side can see.
    pub(super) fn is_idle(&mut self) -> bool {
        let is_between = self.is_end()
            && self.persists
            && self.upload.is_complete()
            && self.input.is_empty()
            && !(self.finished || self.is_deaf || self.hang_up.is_finished());
        if !is_between {
            return false;
        }
        self.state = State::Idle;
        // Bytes without a request make the connection unusable, as its end does.
        self.poll_read(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    }

    /// Time since which it has been in the pool.
    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since
    }

    /// Records the time at which the connection is put into the pool.
    pub(super) fn set_idle(&mut self, now: Instant) {
        self.idle_since = now;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.hang_up.0.reset.load(Ordering::Relaxed) {
            reset_on_drop(&self.socket);
        }
    }
}
