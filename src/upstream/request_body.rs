//! The body of a request to the app.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};

use crate::http::{BoxError, RequestBody};

/// The body of a request to the app.
#[derive(Default)]
pub(crate) enum Payload {
    /// There is no body, or it was sent already.
    #[default]
    Empty,
    /// The complete body in memory.
    Whole(Bytes),
    /// A body of known length; the missing part arrives from the client while the app reads.
    Stream(Box<RequestBody>),
}

impl Payload {
    /// Total number of bytes.
    #[must_use]
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Stream(body) => body.length(),
        }
    }
}

/// Counter of the body bytes that the app has taken; `None` if the body is not streamed.
pub(super) fn passed_on(request: &Request<Payload>) -> Option<Arc<AtomicU64>> {
    match request.body() {
        Payload::Stream(body) => Some(body.passed_on()),
        Payload::Empty | Payload::Whole(_) => None,
    }
}

/// Copies a body, if it can be sent twice.
pub(super) fn copy(payload: &Payload) -> Option<Payload> {
    Some(match payload {
        Payload::Empty => Payload::Empty,
        Payload::Whole(bytes) => Payload::Whole(bytes.clone()),
        Payload::Stream(body) => Payload::Stream(Box::new(body.copy()?)),
    })
}

impl Body for Payload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Self::Stream(body) = this {
            return Pin::new(body.as_mut()).poll_frame(cx);
        }
        match std::mem::take(this) {
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            _ => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.length())
    }
}
