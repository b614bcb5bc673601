//! The transport below hyper, which serves HTTP/1.1, and below h2, which serves HTTP/2: a plain or TLS stream, with
//! the time limits that neither has.
//!
//! A client that requests a large response and never reads it would keep its connection, its buffers and the app's
//! worker for any time: TCP itself waits for ever on a zero window. And hyper has a single limit for the time between
//! two requests of HTTP/1.1 and the time for a head; the first has to be long, for browsers, and the second short,
//! against clients that send a byte a minute. Both limits are here, also because hyper would create a timer for each
//! request.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::abort::Flushes;
use crate::http::activity::Activity;
use crate::http::h2_flood::Frames;
use crate::http::head_limit::{HeadLimit, PassedLimit, PrefaceLimit};
use crate::http::interim::Interim;
use crate::http::layered::Layered;
use crate::http::linger::Linger;
use crate::http::request_line::RequestLine;
use crate::http::stall::Stall;
use crate::http::unread::Unread;
use crate::http::window_updates::WindowUpdates;
use crate::http::write_batch::{Write, WriteBatch};
use crate::net::{Peer, Stream};
use crate::shutdown::Shutdown;
use crate::telemetry::CloseReason;
use crate::tls::TlsStream;

/// An accepted stream as used by HTTP.
pub(crate) struct Transport {
    stream: Layered,
    peer: Peer,
    writing: Stall,
    head: Option<HeadLimit>,
    line: Option<RequestLine>,
    preface: Option<PrefaceLimit>,
    linger: Option<Linger>,
    gather: Option<WriteBatch>,
    flushes: Flushes,
    interim: Interim,
    /// Bytes that were received during a response, and are read again for the next requests.
    received: Bytes,
    /// The rest of an interim response that is being written.
    unwritten: Bytes,
    close_reason: CloseReason,
    /// Frame checks; boxed, because connections of HTTP/1.1 have none.
    frames: Option<Box<Frames>>,
    /// The count of unread bytes, and the window updates in the written bytes, which correct it.
    unread: Option<Box<(Unread, WindowUpdates)>>,
}

/// Response to a client that began a head and did not complete it (RFC 9110 §15.5.9). A client that has sent nothing
/// gets no response: browsers open connections in advance, and would take it for the response to a later request.
const HEAD_TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

impl Transport {
    /// Creates a transport without TLS. A write without progress within the limit, or with a rate that is too low,
    /// fails.
    #[must_use]
    pub(crate) fn plain(stream: Stream, writing: Stall) -> Self {
        let peer = stream.peer();
        Self::new(Layered::Plain(stream), peer, writing)
    }

    /// Creates a transport with TLS. A write without progress within the limit, or with a rate that is too low,
    /// fails.
    #[must_use]
    pub(crate) fn tls(stream: TlsStream, writing: Stall) -> Self {
        let peer = stream.get_ref().peer();
        Self::new(Layered::Tls(stream), peer, writing)
    }

    fn new(stream: Layered, peer: Peer, writing: Stall) -> Self {
        Self {
            stream,
            peer,
            writing,
            head: None,
            line: None,
            preface: None,
            linger: None,
            gather: None,
            flushes: Flushes::default(),
            interim: Interim::default(),
            received: Bytes::new(),
            unwritten: Bytes::new(),
            close_reason: CloseReason::default(),
            frames: None,
            unread: None,
        }
    }

    /// Gives these bytes to the next reads, before any others. They were read from here before.
    #[must_use]
    pub(crate) fn with_received(mut self, received: Bytes) -> Self {
        self.received = received;
        self
    }

    /// Records the close reason in `close_reason` if one of the limits here ends the connection.
    #[must_use]
    pub(crate) fn reporting_to(mut self, close_reason: &CloseReason) -> Self {
        self.close_reason = close_reason.clone();
        self
    }

    /// The interim responses to send on this stream, between other output.
    #[must_use]
    pub(crate) fn interim(&self) -> Interim {
        self.interim.clone()
    }

    /// Writes the rest of an interim response.
    fn poll_unwritten(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unwritten.is_empty() {
            let mut unwritten = std::mem::take(&mut self.unwritten);
            let written = self.inner().poll_write(cx, &unwritten);
            let written = self.limit(cx, written, |bytes| *bytes);
            if let Poll::Ready(Ok(count)) = &written {
                unwritten.advance(*count);
            }
            self.unwritten = unwritten;
            if ready!(written)? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Closes the stream with a lingering close, for which `tasks` runs a task.
    #[must_use]
    pub(crate) fn lingering(mut self, tasks: &Shutdown) -> Self {
        self.linger = Some(Linger::new(tasks));
        self
    }

    /// Limits the time for the HTTP/2 preface, starting now.
    #[must_use]
    pub(crate) fn with_preface_limit(mut self, limit: Duration) -> Self {
        self.preface = Some(PrefaceLimit::new(limit));
        self
    }

    /// The flush signal of this stream, for bodies that wait for one.
    #[must_use]
    pub(crate) fn flushes(&self) -> Flushes {
        self.flushes.clone()
    }

    /// Ends an HTTP/2 connection that is flooded with control frames, or whose trailers contain a pseudo-header; makes
    /// h2 reset a stream whose `:path` has a fragment.
    #[must_use]
    pub(crate) fn checking_frames(mut self) -> Self {
        self.frames = Some(Box::new(Frames::new()));
        self
    }

    /// Counts the bytes of DATA frames until they are read, and stops reading while there is no room for more. Needs
    /// [`checking_frames`](Self::checking_frames).
    #[must_use]
    pub(crate) fn counting(mut self, unread: Unread) -> Self {
        self.unread = Some(Box::new((unread, WindowUpdates::default())));
        self
    }

    /// Counts the DATA frames of a read.
    fn count_data(&mut self) {
        if let Some(frames) = &mut self.frames
            && let Some(unread) = &self.unread
        {
            let data = frames.data();
            if data.bytes > 0 {
                unread.0.received(data.bytes);
            }
            unread.0.read(data.padding);
        }
    }

    /// Finds window updates in the first `written` bytes of these buffers.
    fn count_written(&mut self, bufs: &[IoSlice<'_>], mut written: usize) {
        let Some(unread) = &mut self.unread else {
            return;
        };
        for buf in bufs {
            let (part, _) = buf.split_at(written.min(buf.len()));
            written -= part.len();
            let opened = unread.1.take(part);
            if opened > 0 {
                unread.0.permitted(opened);
            }
        }
    }

    /// Collects small writes until the flush. Responses of several HTTP/2 streams that are ready at the same time are
    /// then sent in one TLS record and one system call.
    #[must_use]
    pub(crate) fn gathering(mut self) -> Self {
        self.gather = Some(WriteBatch::default());
        self
    }

    /// Writes the collected bytes.
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(mut gather) = self.gather.take() else {
            return Poll::Ready(Ok(()));
        };
        let written = gather.poll_write_out(|bytes| {
            let written = self.inner().poll_write(cx, bytes);
            self.limit(cx, written, |bytes| *bytes)
        });
        self.gather = Some(gather);
        written
    }

    /// Detects fragments in targets, which hyper does not report. Limits the time for each request head, from now on
    /// for the first one, and the idle time before each later one. Has no effect while a request is in progress, and so
    /// none after an upgrade that counts as one.
    #[must_use]
    pub(crate) fn with_head_limit(
        mut self,
        head: Duration,
        idle: Duration,
        activity: Activity,
    ) -> Self {
        self.line = Some(RequestLine::new(activity.clone()));
        self.head = Some(HeadLimit::new(head, idle, activity));
        self
    }

    /// The peer of the connection.
    #[must_use]
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    fn inner(&mut self) -> Pin<&mut (dyn Duplex + '_)> {
        match &mut self.stream {
            Layered::Plain(stream) => Pin::new(stream),
            Layered::Tls(stream) => Pin::new(stream),
            Layered::Gone(stream) => Pin::new(stream),
        }
    }

    /// Checks the time limits of the head after a read; `came` is true if the read returned bytes.
    fn head_is_late(&mut self, cx: &mut Context<'_>, came: bool) -> bool {
        let late = self.head.as_mut().and_then(|head| head.check(cx, came));
        if let Some(PassedLimit::Head) = late {
            let _ = self.inner().poll_write(cx, HEAD_TOO_SLOW);
            let _ = self.inner().poll_flush(cx);
        }
        late.is_some()
    }

    /// Checks the time limit of the preface after a read of this many bytes.
    fn preface_is_late(&mut self, cx: &mut Context<'_>, came: usize) -> bool {
        let Some(preface) = &mut self.preface else {
            return false;
        };
        let is_late = preface.is_late(cx, came);
        if preface.is_complete() {
            self.preface = None;
        }
        is_late
    }

    /// Records the close reason that the result of a read or write implies.
    fn note<T>(&mut self, done: &Poll<io::Result<T>>, is_over: impl Fn(&T) -> bool) {
        let Some(linger) = &mut self.linger else {
            return;
        };
        match done {
            Poll::Ready(Ok(done)) => linger.over |= is_over(done),
            Poll::Ready(Err(_)) => linger.over = true,
            Poll::Pending => {}
        }
    }

    /// Starts or stops the stall timer, depending on the progress of the write.
    fn limit<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
        bytes: impl Fn(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(written) = &written {
            self.writing
                .progressed_by(written.as_ref().map_or(0, bytes));
        } else if self.writing.waited(cx) {
            self.close_reason
                .is("the client did not take the answer in time");
            if let Some(linger) = &mut self.linger {
                linger.over = true;
            }
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.received.is_empty() {
            let count = buf.remaining().min(this.received.len());
            buf.put_slice(&this.received.split_to(count));
            // The limit of the next head begins; the idle time is over.
            let _ = this.head_is_late(cx, count > 0);
            return Poll::Ready(Ok(()));
        }
        if let Some(unread) = &this.unread {
            ready!(unread.0.poll_room(cx));
        }
        let before = buf.filled().len();
        let had_room = buf.remaining() > 0;
        let read = this.inner().poll_read(cx, buf);
        let came = buf.filled().len() - before;
        this.note(&read, |()| had_room && came == 0);
        let new = buf.filled_mut().get_mut(before..).unwrap_or_default();
        if let Some(frames) = &mut this.frames
            && let Err(violation) = frames.check(new)
        {
            this.close_reason.is(violation.as_str());
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        this.count_data();
        if this.preface_is_late(cx, came) {
            this.close_reason
                .is("the client did not begin to speak HTTP/2");
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if let Some(line) = &mut this.line
            && came > 0
        {
            line.read(buf.filled().get(before..).unwrap_or_default());
        }
        if this.head.is_some() && this.head_is_late(cx, came > 0) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(linger) = &mut this.linger {
            linger.wrote = true;
        }
        ready!(this.poll_unwritten(cx))?;
        while let Some(gather) = &mut this.gather {
            match gather.take(bufs) {
                Write::Taken => {
                    let taken = bufs.iter().map(|buf| buf.len()).sum();
                    this.count_written(bufs, taken);
                    return Poll::Ready(Ok(taken));
                }
                Write::Behind => ready!(this.poll_write_out(cx))?,
                Write::Direct => break,
            }
        }
        let written = this.inner().poll_write_vectored(cx, bufs);
        this.note(&written, |_| false);
        if let Poll::Ready(Ok(written)) = &written {
            this.count_written(bufs, *written);
        }
        this.limit(cx, written, |bytes| *bytes)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Layered::Plain(stream) => stream.is_write_vectored(),
            Layered::Tls(stream) => stream.is_write_vectored(),
            Layered::Gone(_) => false,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(gather) = &mut this.gather {
            ready!(gather.poll_turn(cx));
            ready!(this.poll_write_out(cx))?;
        }
        // Interim responses of HTTP/1.1: hyper has nothing left to write when it flushes, so none of its output is cut
        // in two.
        ready!(this.poll_unwritten(cx))?;
        while let Some(next) = this.interim.next() {
            this.unwritten = next;
            ready!(this.poll_unwritten(cx))?;
        }
        let flushed = this.inner().poll_flush(cx);
        if flushed.is_ready() {
            if let Some(gather) = &mut this.gather {
                gather.flushed();
            }
            this.flushes.completed();
            // hyper reads no further if a read is pending since the request arrived: the next one, for which the task
            // is woken, ends the connection.
            if let Some(head) = &mut this.head {
                head.begin_idle(cx);
            }
        }
        this.note(&flushed, |()| false);
        this.limit(cx, flushed, |()| 0)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_write_out(cx))?;
        let closed = this.inner().poll_shutdown(cx);
        this.limit(cx, closed, |()| 0)
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        if let Some(linger) = self.linger.take() {
            let gone = Layered::Gone(tokio::io::empty());
            linger.close(std::mem::replace(&mut self.stream, gone));
        }
    }
}
