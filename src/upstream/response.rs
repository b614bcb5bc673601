//! The response body that the client reads.
//!
//! Most responses are complete before their head is sent. Of the others some are streamed, as event streams must be,
//! and the rest are buffered for slow clients: see [`response_buffer`](super::response_buffer).

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};

use crate::http::BoxError;
use crate::shares::Client;
use crate::upstream::Upstream;
use crate::upstream::response_buffer::ResponseBuffer;
use crate::upstream::response_reader::{Beginning, End, Source};

/// The body of a response.
pub(crate) struct UpstreamBody {
    pieces: VecDeque<Bytes>,
    rest: Rest,
    /// True if the client must not get the length although it is known: the app requires that its chunks stay as they
    /// are.
    keeps_chunks: bool,
}

/// The part of the body after the pieces that were available at the beginning.
enum Rest {
    Nothing,
    Broken(Option<BoxError>),
    AtOnce(Box<Source>),
    ResponseBuffer(ResponseBuffer),
}

impl UpstreamBody {
    /// Creates the body that belongs to `headers`, for this client.
    pub(super) fn new(
        headers: &HeaderMap,
        beginning: Beginning,
        client: Client,
        upstream: &Arc<Upstream>,
    ) -> Self {
        let Beginning { mut pieces, end } = beginning;
        let rest = match end {
            End::Complete => Rest::Nothing,
            End::Broken(error) => Rest::Broken(Some(error)),
            End::Open(source) if !upstream.settings.response_spool || source.is_endless() => {
                Rest::AtOnce(source)
            }
            End::Open(source) => {
                let pieces = std::mem::take(&mut pieces);
                Rest::ResponseBuffer(ResponseBuffer::new(pieces, *source, client, upstream))
            }
        };
        Self {
            pieces,
            rest,
            keeps_chunks: keeps_chunks(headers),
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Some(piece) = this.pieces.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let polled = match &mut this.rest {
            Rest::Nothing => Poll::Ready(None),
            Rest::Broken(error) => Poll::Ready(error.take().map(Err)),
            Rest::AtOnce(source) => source.poll(cx),
            Rest::ResponseBuffer(kept) => kept.poll(cx),
        };
        polled.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
            && match &self.rest {
                Rest::Nothing => true,
                Rest::Broken(error) => error.is_none(),
                Rest::AtOnce(source) => source.is_end_stream(),
                Rest::ResponseBuffer(kept) => kept.left() == Some(0),
            }
    }

    fn size_hint(&self) -> SizeHint {
        if self.keeps_chunks && !self.is_end_stream() {
            return SizeHint::default();
        }
        let here: u64 = self.pieces.iter().map(|piece| piece.len() as u64).sum();
        let rest = match &self.rest {
            Rest::Nothing => Some(0),
            Rest::Broken(_) => None,
            Rest::AtOnce(source) => source.left(),
            Rest::ResponseBuffer(kept) => kept.left(),
        };
        rest.map_or_else(SizeHint::default, |rest| SizeHint::with_exact(here + rest))
    }
}

/// True if the app forbids proxies to transform a response without a length (RFC 9110 §7.7). Any other response that is
/// complete before its head is sent gets a length.
fn keeps_chunks(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CACHE_CONTROL).iter();
    let mut directives = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    !headers.contains_key(CONTENT_LENGTH)
        && directives.any(|directive| directive.trim().eq_ignore_ascii_case("no-transform"))
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody").finish_non_exhaustive()
    }
}
