//! The stream of an accepted CONNECT as a stream of bytes (RFC 9113 §8.5, RFC 8441).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot::{Receiver, Sender, channel};

/// Limit on the bytes of one DATA frame, and on those that h2 holds beyond the window of the client.
const PIECE: usize = 16 * 1024;

/// The upgrade of a CONNECT, which is complete once its response was sent.
#[derive(Debug)]
pub(crate) struct Upgrade {
    received: RecvStream,
    accepted: Receiver<SendStream<Bytes>>,
}

/// An upgraded stream.
#[derive(Debug)]
pub(crate) struct Upgraded {
    received: RecvStream,
    sent: SendStream<Bytes>,
    /// The rest of the frame that is being read.
    piece: Bytes,
    is_shut: bool,
}

impl Upgrade {
    /// Creates the upgrade of a CONNECT. The sender takes the stream when the response is sent.
    pub(super) fn new(received: RecvStream) -> (Sender<SendStream<Bytes>>, Self) {
        let (sender, accepted) = channel();
        (sender, Self { received, accepted })
    }

    /// The upgraded stream; `None` if the request was refused, or the client has left meanwhile.
    pub(crate) async fn stream(self) -> Option<Upgraded> {
        let sent = self.accepted.await.ok()?;
        Some(Upgraded {
            received: self.received,
            sent,
            piece: Bytes::new(),
            is_shut: false,
        })
    }
}

impl Upgraded {
    /// Ready when h2 takes a piece. Nothing is reserved of the client's window while there is nothing to send: it would
    /// be missing for other streams.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(reset) = self.sent.poll_reset(cx) {
            return Poll::Ready(Err(broken(reset.map_or_else(|error| error, Into::into))));
        }
        while self.sent.capacity() == 0 {
            self.sent.reserve_capacity(1);
            match ready!(self.sent.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn broken(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error
            .into_io()
            .unwrap_or_else(|| io::ErrorKind::Other.into());
    }
    io::Error::new(io::ErrorKind::BrokenPipe, error)
}

impl AsyncRead for Upgraded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.piece.is_empty() {
            match ready!(this.received.poll_data(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(piece)) => this.piece = piece,
                Some(Err(error)) => {
                    // A client that goes away resets its streams.
                    let has_left =
                        matches!(error.reason(), Some(Reason::NO_ERROR | Reason::CANCEL));
                    return Poll::Ready(if has_left { Ok(()) } else { Err(broken(error)) });
                }
            }
        }
        let length = this.piece.len().min(buf.remaining());
        buf.put_slice(this.piece.get(..length).unwrap_or_default());
        this.piece.advance(length);
        let _ = this.received.flow_control().release_capacity(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let piece = buf.get(..buf.len().min(PIECE)).unwrap_or_default();
        if piece.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(this.poll_room(cx))?;
        let sent = this.sent.send_data(Bytes::copy_from_slice(piece), false);
        Poll::Ready(sent.map(|()| piece.len()).map_err(broken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The task of the connection writes as soon as it can.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if std::mem::replace(&mut this.is_shut, true) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(this.sent.send_data(Bytes::new(), true).map_err(broken))
    }
}

impl Drop for Upgraded {
    fn drop(&mut self) {
        if !self.is_shut {
            // Behind what was written, which would be dropped with a reset otherwise.
            let _ = self.sent.send_data(Bytes::new(), true);
        }
    }
}
