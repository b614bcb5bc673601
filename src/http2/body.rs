//! The body of a request, as it comes in DATA frames (RFC 9113 §6.1, §8.1).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use http_body::{Frame, SizeHint};

use crate::http2::interim::Interim;
use crate::http2::upgrade::Upgrade;

/// A request body that has not been read yet. Bytes count as read, and the window of the stream is opened for more,
/// when they are taken.
#[derive(Debug)]
pub(crate) struct Body {
    kind: Kind,
    interim: Interim,
}

#[derive(Debug)]
enum Kind {
    /// The request has no body, or it was read.
    Empty,
    Stream(Receiving),
    /// The stream of a CONNECT, whose bytes are not a body.
    Connect(Upgrade),
}

#[derive(Debug)]
struct Receiving {
    stream: RecvStream,
    /// Number of bytes that are still to come, if the length is known.
    left: Option<u64>,
    has_all_data: bool,
    /// True if the client waits for a 100.
    waits: bool,
}

impl Body {
    /// Creates the body of a request with these headers, whose interim responses go to `interim`.
    pub(super) fn new(stream: RecvStream, headers: &HeaderMap, interim: Interim) -> Self {
        let kind = if stream.is_end_stream() {
            Kind::Empty
        } else {
            Kind::Stream(Receiving {
                stream,
                left: length(headers),
                has_all_data: false,
                waits: headers
                    .get(EXPECT)
                    .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")),
            })
        };
        Self { kind, interim }
    }

    /// Creates the body of a CONNECT, which is empty.
    pub(super) fn of_connect(upgrade: Upgrade, interim: Interim) -> Self {
        Self {
            kind: Kind::Connect(upgrade),
            interim,
        }
    }

    /// The interim responses to the request.
    #[must_use]
    pub(crate) fn interim(&self) -> &Interim {
        &self.interim
    }

    /// Prevents a `100 Continue`: a client that waits for one does not get it, even if the body is read.
    pub(crate) fn withhold_continue(&mut self) {
        if let Kind::Stream(receiving) = &mut self.kind {
            receiving.waits = false;
        }
    }

    /// Takes the upgrade of a CONNECT.
    pub(crate) fn take_upgrade(&mut self) -> Option<Upgrade> {
        match std::mem::replace(&mut self.kind, Kind::Empty) {
            Kind::Connect(upgrade) => Some(upgrade),
            other => {
                self.kind = other;
                None
            }
        }
    }
}

/// The length that a request announces. h2 refuses one that cannot be read, and a body of another length.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Receiving {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        interim: &Interim,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.has_all_data {
            let Poll::Ready(data) = self.stream.poll_data(cx) else {
                if std::mem::take(&mut self.waits) {
                    interim.proceed();
                }
                return Poll::Pending;
            };
            self.waits = false;
            match data {
                Some(Ok(data)) => {
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    if let Some(left) = &mut self.left {
                        *left = left.saturating_sub(data.len() as u64);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                // Also one without an error (NO_ERROR): the body has not come to its end.
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.has_all_data = true,
            }
        }
        Poll::Ready(match ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => trailers.map(Frame::trailers).map(Ok),
            Err(error) => Some(Err(error)),
        })
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = self.get_mut();
        match &mut this.kind {
            Kind::Empty | Kind::Connect(_) => Poll::Ready(None),
            Kind::Stream(receiving) => receiving.poll_frame(cx, &this.interim),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty | Kind::Connect(_) => true,
            Kind::Stream(receiving) => receiving.stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty | Kind::Connect(_) => SizeHint::with_exact(0),
            Kind::Stream(receiving) => receiving
                .left
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
