//! A body that is produced piece by piece while it is sent.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;

use crate::http::{Body, BoxError};

/// A source of the pieces of a body.
pub(crate) trait Pieces: Send + Unpin + 'static {
    /// Returns the next piece; `None` after the last. It cannot fail: a body that cannot continue ends.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>>;

    /// True once there are no more pieces.
    fn has_ended(&self) -> bool;
}

/// The body of these pieces, which is dropped with them.
pub(crate) fn in_pieces(pieces: impl Pieces) -> Body {
    PieceBody(pieces).boxed_unsync()
}

struct PieceBody<P>(P);

impl<P: Pieces> http_body::Body for PieceBody<P> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let piece = self.get_mut().0.poll_piece(cx);
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.has_ended()
    }
}

impl<P> fmt::Debug for PieceBody<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PieceBody").finish_non_exhaustive()
    }
}
