//! The access line of a request, written when the last byte of the response is sent, or when the client has left.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::header::{REFERER, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use tracing::{info, warn};

use crate::telemetry::combined::Combined;
use crate::telemetry::{CloseReason, Timings};

/// Status in the access line of a request whose client left before there was a response. It is never sent.
const LEFT: u16 = 499;

/// The access line in progress. It is written in any case, at the latest when this is dropped.
#[derive(Debug)]
pub struct AccessLine {
    peer: String,
    method: Method,
    /// The path without the query, which may contain a token. It is a copy: a reference would keep the whole head
    /// in memory for the duration of the response, which takes hours for an event stream.
    path: Box<str>,
    version: Version,
    started_at: Instant,
    /// Id of the request, which the app and the error page have too.
    request: Option<String>,
    close_reason: CloseReason,
    times: Timings,
    /// Additional values of the combined format: `Referer` and `User-Agent`.
    combined: Option<[Option<HeaderValue>; 2]>,
    /// Number of suppressed lines of its kind before this one.
    suppressed: Option<u64>,
    written: bool,
}

impl AccessLine {
    /// Begins the line of a request that just arrived; `close_reason` will hold the close reason of its connection.
    #[must_use]
    pub fn begin<B>(
        peer: &impl fmt::Display,
        request: &Request<B>,
        close_reason: CloseReason,
    ) -> Self {
        Self {
            peer: peer.to_string(),
            method: request.method().clone(),
            path: request.uri().path().into(),
            version: request.version(),
            started_at: Instant::now(),
            request: None,
            close_reason,
            times: Timings::default(),
            combined: None,
            suppressed: None,
            written: false,
        }
    }

    /// Sets the id of the request.
    #[must_use]
    pub fn called(mut self, name: impl fmt::Display) -> Self {
        self.request = Some(name.to_string());
        self
    }

    /// Selects the combined format.
    #[must_use]
    pub fn combined<B>(mut self, request: &Request<B>) -> Self {
        let copy = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
        let header = |name| request.headers().get(name).and_then(copy);
        self.combined = Some([header(REFERER), header(USER_AGENT)]);
        self
    }

    /// Sets whether the line is written: only with a `turn`, which is the number of suppressed lines of its kind.
    pub fn in_turn(&mut self, turn: Option<u64>) {
        self.written = turn.is_none();
        self.suppressed = turn;
    }

    /// The timings of this request.
    #[must_use]
    pub fn times(&self) -> &Timings {
        &self.times
    }

    fn write(&mut self, status: u16, bytes: u64, cause: Option<&str>) {
        if std::mem::replace(&mut self.written, true) {
            return;
        }
        let Self {
            peer,
            method,
            version,
            request,
            suppressed,
            ..
        } = &*self;
        let path = &*self.path;
        if let Some([referer, agent]) = &self.combined {
            let combined = Combined {
                peer,
                request: format!("{method} {path} {version:?}"),
                status,
                bytes,
                referer: referer.as_ref(),
                agent: agent.as_ref(),
            };
            return combined.write();
        }
        let milliseconds = (self.started_at.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        let (queued, app) = self.times.milliseconds();
        let received = self.times.bytes();
        if (500..600).contains(&status) {
            warn!(
                %peer,
                request,
                %method,
                path,
                ?version,
                status,
                bytes,
                received,
                milliseconds,
                queued,
                app,
                cause,
                suppressed,
                "request",
            );
        } else {
            info!(
                %peer,
                request,
                %method,
                path,
                ?version,
                status,
                bytes,
                received,
                milliseconds,
                queued,
                app,
                cause,
                suppressed,
                "request",
            );
        }
    }
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        let cause = self.close_reason.get();
        self.write(
            LEFT,
            0,
            cause.or(Some("the client left before there was an answer")),
        );
    }
}

/// A response body that counts its bytes. Dropping it writes the line, if there is one, and drops `held`, which
/// represents the request in progress.
pub struct Measured<B, H> {
    body: B,
    /// The line; boxed, because it would make most of the size of a response that stays open for hours.
    line: Option<Box<AccessLine>>,
    end: End,
    _held: H,
}

/// State at the end of a response.
struct End {
    status: StatusCode,
    cause: Option<String>,
    bytes: u64,
    complete: bool,
}

impl<B: Body, H> Measured<B, H> {
    /// Wraps a response body when its head is sent. `cause` is the reason of an error response.
    pub fn new(
        body: B,
        line: Option<Box<AccessLine>>,
        status: StatusCode,
        cause: Option<String>,
        held: H,
    ) -> Self {
        Self {
            end: End {
                status,
                cause,
                bytes: 0,
                complete: body.is_end_stream(),
            },
            body,
            line,
            _held: held,
        }
    }
}

impl<B, H> Measured<B, H> {
    /// Records the reason why the rest of the body is not sent.
    pub fn fail(&mut self, cause: &str) {
        self.end.cause.get_or_insert_with(|| cause.to_owned());
    }
}

impl<B, H> Body for Measured<B, H>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
    H: Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.end.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                this.end.complete = this.body.is_end_stream();
            }
            Poll::Ready(Some(Err(error))) => this.end.cause = Some(error.to_string()),
            Poll::Ready(None) => this.end.complete = true,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B, H> Drop for Measured<B, H> {
    fn drop(&mut self) {
        let Some(line) = &mut self.line else {
            return;
        };
        let left = || {
            let reason = line.close_reason.get();
            reason.unwrap_or("the client left before the end")
        };
        let cut = (!self.end.complete).then(left);
        let cause = self.end.cause.as_deref().or(cut);
        line.write(self.end.status.as_u16(), self.end.bytes, cause);
    }
}

impl<B, H> fmt::Debug for Measured<B, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measured")
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}
