//! One connection to the app, driven by the task that uses it.
//!
//! The usual way is to spawn hyper's connection as a task of its own and to talk to it over channels; each
//! exchange then wakes a second task, perhaps on another core, several times. Here the request that holds the
//! connection polls it, in the same task. A connection in the pool is not polled, so it is checked before it is
//! used.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection as Driver, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::BoxError;
use crate::tls::Outgoing;
use crate::upstream::{Payload, UpstreamError, broken};

/// Limit on header lines of a response: more than any app sends, and few enough to bound a broken one.
const MAX_HEADERS: usize = 256;
/// Limit of hyper's read buffer, which begins with 8 KiB and grows under load.
const READ_BUFFER: usize = 128 * 1024;

/// A connection to the app.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Payload>,
    /// The connection's future; boxed once, since it moves between the pool, the request and the response each
    /// time.
    driver: Box<Driver<TokioIo<Forgiving>, Payload>>,
    /// The outcome of the driver, once it has ended.
    end: Option<hyper::Result<()>>,
    idle_since: Instant,
    hang_up: HangUp,
}

/// Handle that closes a connection while hyper owns it. Clones belong to the same connection.
#[derive(Clone, Debug, Default)]
pub(super) struct HangUp(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    /// True once the sending side is shut down, so that the app knows that nothing more will come.
    finished: AtomicBool,
    /// True once the connection is to be reset.
    reset: AtomicBool,
}

impl HangUp {
    /// Shuts the sending side down with the next poll of the connection. Bytes of the app are still read.
    pub(super) fn finish(&self) {
        self.0.finished.store(true, Ordering::Relaxed);
    }

    /// Makes the connection end with a reset when it is dropped.
    pub(super) fn reset(&self) {
        self.0.reset.store(true, Ordering::Relaxed);
    }

    fn is_finished(&self) -> bool {
        self.0.finished.load(Ordering::Relaxed)
    }
}

/// A failed exchange, with the request if it was not sent.
#[derive(Debug)]
pub(super) struct SendError {
    pub(super) error: BoxError,
    pub(super) unsent: Option<Box<Request<Payload>>>,
}

impl Connection {
    /// Starts HTTP on a socket that was just opened.
    pub(super) async fn over(socket: Outgoing) -> Result<Self, UpstreamError> {
        let hang_up = HangUp::default();
        let stream = Forgiving {
            socket,
            hang_up: hang_up.clone(),
            finished: false,
        };
        let (sender, driver) = Builder::new()
            .max_headers(MAX_HEADERS)
            .preserve_header_case(true)
            .title_case_headers(true)
            .max_buf_size(READ_BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        Ok(Self {
            sender,
            driver: Box::new(driver),
            end: None,
            idle_since: Instant::now(),
            hang_up,
        })
    }

    /// A handle to close the connection while it is in use.
    pub(super) fn hang_up(&self) -> HangUp {
        self.hang_up.clone()
    }

    /// Sends a request and waits for the head of the response.
    pub(super) async fn send(
        &mut self,
        request: Request<Payload>,
    ) -> Result<Response<Incoming>, SendError> {
        // A fresh connection becomes ready with its first poll.
        self.drive(&mut Context::from_waker(Waker::noop()));
        let mut answer = pin!(self.sender.try_send_request(request));
        let (driver, end) = (&mut self.driver, &mut self.end);
        let exchange = poll_fn(|cx| {
            drive(driver, end, cx);
            // The answer comes from the driver, within the poll above, and so needs no waker of its own.
            match answer
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
            {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                // Nobody is left who could answer.
                Poll::Pending if end.is_some() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        match exchange.await {
            Some(Ok(response)) => Ok(response),
            Some(Err(mut failed)) => {
                let unsent = failed.take_message().map(Box::new);
                let mut error = failed.into_error();
                // The request was only cancelled because of what the app had said before.
                if error.is_canceled()
                    && let Some(Err(cause)) = end.replace(Ok(()))
                {
                    error = cause;
                }
                let error = error.into();
                Err(SendError { error, unsent })
            }
            None => Err(SendError {
                unsent: None,
                error: io::Error::from(io::ErrorKind::NotConnected).into(),
            }),
        }
    }

    /// Lets the connection read and write as much as it can.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.driver, &mut self.end, cx);
    }

    /// True if the connection is open and between two exchanges, as far as can be seen locally.
    pub(super) fn is_idle(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.end.is_none() && self.sender.is_ready() && !self.hang_up.is_finished()
    }

    /// Time since which it has been in the pool.
    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since
    }

    /// Records the time at which it goes into the pool.
    pub(super) fn rest(&mut self) {
        self.idle_since = Instant::now();
    }
}

fn drive(
    driver: &mut Driver<TokioIo<Forgiving>, Payload>,
    end: &mut Option<hyper::Result<()>>,
    cx: &mut Context<'_>,
) {
    // A future that is ready must not be polled again. An error during an exchange appears in that as well.
    if end.is_none()
        && let Poll::Ready(outcome) = Pin::new(driver).poll(cx)
    {
        *end = Some(outcome);
    }
}

/// A socket that hides failed writes, so that bytes of the app are read to their end.
///
/// An app may refuse a large body early and close: our next write fails, while its response waits to be read. If
/// there is none, the read fails in turn.
#[derive(Debug)]
struct Forgiving {
    socket: Outgoing,
    hang_up: HangUp,
    /// True once the sending side is shut down.
    finished: bool,
}

impl Forgiving {
    fn forgive(written: Poll<io::Result<usize>>, all: usize) -> Poll<io::Result<usize>> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        match written {
            Poll::Ready(Err(error)) if matches!(error.kind(), BrokenPipe | ConnectionReset) => {
                Poll::Ready(Ok(all))
            }
            other => other,
        }
    }
}

impl AsyncRead for Forgiving {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.finished && this.hang_up.is_finished() {
            this.finished = Pin::new(&mut this.socket).poll_shutdown(cx).is_ready();
        }
        Pin::new(&mut this.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Forgiving {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Self::forgive(
            Pin::new(&mut self.get_mut().socket).poll_write(cx, buf),
            buf.len(),
        )
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = bufs.iter().map(|buf| buf.len()).sum();
        Self::forgive(
            Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, bufs),
            all,
        )
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

impl Drop for Forgiving {
    fn drop(&mut self) {
        if self.hang_up.0.reset.load(Ordering::Relaxed) {
            self.socket.reset_on_drop();
        }
    }
}
