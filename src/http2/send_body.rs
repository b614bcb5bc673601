//! Sends the body of a response in DATA frames, as the windows of the client permit (RFC 9113 §5.2, §6.1).

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body;
use tracing::debug;

/// A body on its way to the client.
pub(super) struct SendBody<B> {
    stream: SendStream<Bytes>,
    body: B,
    /// A piece that waits for the window, and true if it is the last.
    piece: Option<(Bytes, bool)>,
}

/// The reason why the rest of a body is not sent.
enum SendError {
    /// The client has reset the stream, or the connection has ended.
    Client(h2::Error),
    /// The stream is not open any more.
    Closed,
}

impl From<h2::Error> for SendError {
    fn from(error: h2::Error) -> Self {
        Self::Client(error)
    }
}

impl<B> SendBody<B> {
    /// Resets the stream if this is true of the body.
    pub(super) fn reset_if(&mut self, is_over: impl FnOnce(&mut B) -> bool) -> bool {
        let is_over = is_over(&mut self.body);
        if is_over {
            self.stream.send_reset(Reason::CANCEL);
        }
        is_over
    }
}

impl<B> SendBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    /// Sends this body on a stream whose head was sent.
    pub(super) fn new(stream: SendStream<Bytes>, body: B) -> Self {
        Self {
            stream,
            body,
            piece: None,
        }
    }

    /// Ready when the body has ended in any way.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.poll_sent(cx)) {
            Ok(()) => {}
            Err(SendError::Client(error)) => debug!(%error, "the client did not take the response"),
            Err(SendError::Closed) => debug!("the client did not take the response"),
        }
        Poll::Ready(())
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        loop {
            // Also wakes the task when the client resets the stream, so that the body is dropped then.
            if let Poll::Ready(reset) = self.stream.poll_reset(cx) {
                return Poll::Ready(Err(reset?).map_err(|reason| h2::Error::from(reason).into()));
            }
            if self.piece.is_some() {
                ready!(self.poll_window(cx))?;
            }
            if let Some((mut piece, is_last)) = self.piece.take() {
                // h2 takes any number of bytes, and would hold those that the client does not want to have.
                let part = piece.split_to(piece.len().min(self.stream.capacity()));
                let is_end = is_last && piece.is_empty();
                self.stream.send_data(part, is_end)?;
                if is_end {
                    return Poll::Ready(Ok(()));
                }
                if !piece.is_empty() {
                    self.stream.reserve_capacity(piece.len());
                    self.piece = Some((piece, is_last));
                }
                continue;
            }
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
                self.stream.send_data(Bytes::new(), true)?;
                return Poll::Ready(Ok(()));
            };
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => {
                    debug!(%error, "the response breaks off");
                    self.stream.send_reset(Reason::INTERNAL_ERROR);
                    return Poll::Ready(Ok(()));
                }
            };
            match frame.into_data() {
                Ok(data) => self.accept(data)?,
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        // No more DATA frames: others may have the window.
                        self.stream.reserve_capacity(0);
                        self.stream.send_trailers(trailers)?;
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }

    /// Takes a piece of the body. An empty one needs no window.
    fn accept(&mut self, data: Bytes) -> Result<(), h2::Error> {
        let is_last = self.body.is_end_stream();
        if data.is_empty() && !is_last {
            return self.stream.send_data(data, false);
        }
        if !data.is_empty() {
            self.stream.reserve_capacity(data.len());
        }
        self.piece = Some((data, is_last));
        Ok(())
    }

    /// Ready when the piece may be sent.
    fn poll_window(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let is_empty = matches!(&self.piece, Some((piece, _)) if piece.is_empty());
        while !is_empty && self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(error.into())),
                None => return Poll::Ready(Err(SendError::Closed)),
            }
        }
        Poll::Ready(Ok(()))
    }
}
