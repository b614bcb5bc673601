//! One line for each request, written when the last byte of the answer is on its way.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{Method, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use tracing::{info, warn};

/// What is known of a request when it comes.
#[derive(Debug)]
pub struct AccessLine {
    peer: String,
    method: Method,
    /// Only the path of it is logged: a query may carry a token.
    uri: Uri,
    version: Version,
    begun: Instant,
    /// The request's own name, which the app and the error page have too.
    request: Option<String>,
}

impl AccessLine {
    /// A request that just came.
    #[must_use]
    pub fn begin(peer: &impl fmt::Display, method: &Method, uri: &Uri, version: Version) -> Self {
        Self {
            peer: peer.to_string(),
            method: method.clone(),
            uri: uri.clone(),
            version,
            begun: Instant::now(),
            request: None,
        }
    }

    /// With the request's own name.
    #[must_use]
    pub fn called(mut self, name: impl fmt::Display) -> Self {
        self.request = Some(name.to_string());
        self
    }

    fn write(&self, end: &End) {
        let Self {
            peer,
            method,
            version,
            request,
            ..
        } = self;
        let milliseconds = (self.begun.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        let path = self.uri.path();
        let status = end.status.as_u16();
        let bytes = end.bytes;
        let cut = "the client left before the end";
        let cause = end.cause.as_deref().or((!end.complete).then_some(cut));
        if end.status.is_server_error() {
            warn!(%peer, request, %method, path, ?version, status, bytes, milliseconds, cause, "request");
        } else {
            info!(%peer, request, %method, path, ?version, status, bytes, milliseconds, cause, "request");
        }
    }
}

/// The body of an answer. Dropping it writes the line, if there is one, and drops `held`, which stands for
/// the request being under way.
pub struct Measured<B, H> {
    body: B,
    line: Option<AccessLine>,
    end: End,
    _held: H,
}

/// How an answer ended.
struct End {
    status: StatusCode,
    cause: Option<String>,
    bytes: u64,
    complete: bool,
}

impl<B: Body, H> Measured<B, H> {
    /// The answer's body, with what is known when its head is sent. `cause` says why it is an error.
    pub fn new(
        body: B,
        line: Option<AccessLine>,
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
        if let Some(line) = &self.line {
            line.write(&self.end);
        }
    }
}

impl<B, H> fmt::Debug for Measured<B, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measured")
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}
