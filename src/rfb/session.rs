//! The connection to a host that has let Noren in, as a stream that looks to a browser like a host without security.
//!
//! Reading and writing are those of a socket; the handshake with the browser happens in between, and then bytes pass
//! untouched, but for messages that a filter holds back. Does not know who the visitor is.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::filter::{Filter, Rules};
use super::greeting::Greeting;
use super::login::Host;
use super::output::give;
use super::protocol_error::ProtocolError;
use super::version::Version;
use crate::tls::Outgoing;

/// A console that RFB is spoken with.
#[derive(Debug)]
pub(crate) struct Session {
    host: Outgoing,
    /// The handshake with the browser; `None` once it is over.
    greeting: Option<Box<Served>>,
    /// Bytes of the handshake that the browser has not taken yet.
    output: Vec<u8>,
    /// Bytes that the host has not taken yet.
    backlog: Vec<u8>,
    /// The filter of the client's messages, if there are any to hold back.
    filter: Option<Filter>,
    view_only: bool,
}

/// The handshake with the browser, and its time limit.
#[derive(Debug)]
struct Served {
    greeting: Greeting,
    limit: Pin<Box<Sleep>>,
    /// The waker of the reader, which waits for bytes that a write produces.
    reader: Option<Waker>,
}

impl Session {
    /// Begins the handshake with the browser, which has so much time for it.
    #[must_use]
    pub(crate) fn new(host: Host, limit: Duration, rules: Rules) -> Self {
        Self {
            host: host.connection,
            output: Version::V3_8.message().to_vec(),
            greeting: Some(Box::new(Served {
                greeting: Greeting::new(),
                limit: Box::pin(sleep(limit)),
                reader: None,
            })),
            backlog: Vec::new(),
            filter: rules.filters().then(|| Filter::new(rules)),
            view_only: rules.view_only,
        }
    }

    /// Reads a part of the handshake from the browser; returns the number of bytes that were used.
    fn greet(&mut self, bytes: &[u8]) -> Result<usize, ProtocolError> {
        let Some(served) = &mut self.greeting else {
            return Ok(0);
        };
        let done = served.greeting.read(bytes)?;
        self.output.append(&mut served.greeting.output);
        if let Some(reader) = served.reader.take() {
            reader.wake();
        }
        let Some((shared, rest)) = done else {
            return Ok(bytes.len());
        };
        self.greeting = None;
        // A viewer throws nobody else out (RFC 6143 §7.3.1).
        self.backlog.push(if self.view_only { 1 } else { shared });
        Ok(bytes.len() - rest.len())
    }

    /// Writes the backlog. Ready when the host has taken it.
    fn poll_backlog(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.backlog.is_empty() {
            let written = ready!(Pin::new(&mut self.host).poll_write(cx, &self.backlog))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.backlog.drain(..written);
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for the browser to go on with the handshake. Ready if the host has ended before.
    fn poll_greeting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(served) = &mut self.greeting else {
            return Poll::Ready(Ok(()));
        };
        if served.limit.as_mut().poll(cx).is_ready() {
            let reason = "it did not complete the handshake in time (rfb.timeout)";
            return Poll::Ready(Err(ProtocolError::client(reason).into()));
        }
        served.reader = Some(cx.waker().clone());
        // A host that ends, or is ended, meanwhile must be noticed; it has nothing to say yet.
        let mut early = [0; 1];
        let mut early = ReadBuf::new(&mut early);
        ready!(poll_host(&mut self.host, cx, &mut early))?;
        if early.filled().is_empty() {
            Poll::Ready(Ok(()))
        } else {
            let reason = "it went on before the client did";
            Poll::Ready(Err(ProtocolError::host(reason).into()))
        }
    }
}

/// Reads from the host. Many hosts end TLS without a word; the protocol has nothing that a cut could hide.
fn poll_host(
    host: &mut Outgoing,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    match ready!(Pin::new(host).poll_read(cx, buf)) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
        read => Poll::Ready(read),
    }
}

impl AsyncRead for Session {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if give(&mut this.output, buf) {
            return Poll::Ready(Ok(()));
        }
        if this.greeting.is_some() {
            return this.poll_greeting(cx);
        }
        let host_filter = this.filter.as_mut().and_then(|filter| filter.host.as_mut());
        let Some(host_filter) = host_filter else {
            return poll_host(&mut this.host, cx, buf);
        };
        loop {
            let before = buf.filled().len();
            ready!(poll_host(&mut this.host, cx, buf))?;
            let read = buf.filled_mut().get_mut(before..).unwrap_or_default();
            let ended = read.is_empty();
            let kept = host_filter.sift(read)?;
            buf.set_filled(before + kept);
            // Nothing at all would mean the end.
            if kept > 0 || ended {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Session {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_backlog(cx))?;
        if this.greeting.is_some() {
            return Poll::Ready(this.greet(buf).map_err(Into::into));
        }
        if let Some(filter) = &mut this.filter {
            filter.pass(buf, &mut this.backlog)?;
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut this.host).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_backlog(cx))?;
        Pin::new(&mut this.host).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_backlog(cx))?;
        Pin::new(&mut this.host).poll_shutdown(cx)
    }
}
