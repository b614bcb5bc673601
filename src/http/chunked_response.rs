//! The rest of a chunked response (RFC 9112 §7.1), written without hyper: the body of an event stream, which may have
//! nothing to send for hours. It has no buffer while it waits.
//!
//! The client may leave at any time, and may send its next request before this response ends. Must not know the origin
//! of the body.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::buf::Chain;
use bytes::{Buf as _, Bytes};
use http_body::Body;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::body::BoxError;

/// Limits on what waits to be written while a client does not read; then the body is not polled.
const MOST_CHUNKS: usize = 16;
const MOST_BYTES: usize = 256 * 1024;
/// Limit on received bytes of later requests. Further ones wait in the system, and then hide the end of the input.
const READ_AHEAD: usize = 8 * 1024;
/// Bytes of one read.
const PIECE: usize = 512;

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A chunk, partly written: its size, its data, and the end of its line.
type Chunk = Chain<Chain<Bytes, Bytes>, &'static [u8]>;

/// A response that is being written on a transport, which belongs to the caller.
pub(crate) struct ChunkedResponse<B> {
    /// The body, until it ends.
    body: Option<B>,
    chunks: VecDeque<Chunk>,
    received: Vec<u8>,
}

impl<B: Body<Data = Bytes, Error = BoxError> + Unpin> ChunkedResponse<B> {
    /// Creates a response whose head is written. `received` was read from the transport behind its request.
    #[must_use]
    pub(crate) fn new(body: B, received: &[u8]) -> Self {
        Self {
            body: Some(body),
            chunks: VecDeque::new(),
            received: received.to_vec(),
        }
    }

    /// Writes the response. Ready with the bytes of later requests once it is written to its end.
    ///
    /// # Errors
    /// The client has left, or the body has failed; the connection cannot be used any more.
    pub(crate) fn poll(
        &mut self,
        transport: &mut (impl AsyncRead + AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Bytes>> {
        self.read(transport, cx)?;
        loop {
            self.collect(cx)?;
            if self.chunks.is_empty() {
                // Nothing of a response to a slow client stays behind.
                self.chunks = VecDeque::new();
                ready!(Pin::new(&mut *transport).poll_flush(cx))?;
                return if self.body.is_none() {
                    Poll::Ready(Ok(std::mem::take(&mut self.received).into()))
                } else {
                    Poll::Pending
                };
            }
            ready!(self.poll_write(transport, cx))?;
        }
    }

    /// Reads what the client sends, and detects that it has left.
    fn read(
        &mut self,
        transport: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        while self.received.len() < READ_AHEAD {
            let mut piece = [0; PIECE];
            let mut piece = ReadBuf::new(&mut piece);
            match Pin::new(&mut *transport).poll_read(cx, &mut piece) {
                Poll::Pending => return Ok(()),
                Poll::Ready(read) => read?,
            }
            if piece.filled().is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.received.extend_from_slice(piece.filled());
        }
        Ok(())
    }

    /// Takes what the body has, until enough waits to be written.
    fn collect(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.has_room()
            && let Some(body) = &mut self.body
        {
            let frame = match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(frame) => frame.transpose().map_err(io::Error::other)?,
            };
            let is_last = frame.is_none() || body.is_end_stream();
            // Other frames than those of data are trailers, which no response here announces.
            let data = frame
                .and_then(|frame| frame.into_data().ok())
                .unwrap_or_default();
            if !data.is_empty() {
                let size = Bytes::from(format!("{:X}\r\n", data.len()));
                self.chunks.push_back(size.chain(data).chain(b"\r\n"));
            }
            if is_last {
                self.body = None;
                self.chunks
                    .push_back(Bytes::new().chain(Bytes::new()).chain(LAST_CHUNK));
            }
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        let waiting: usize = self.chunks.iter().map(bytes::Buf::remaining).sum();
        self.chunks.len() < MOST_CHUNKS && waiting < MOST_BYTES
    }

    /// Writes a part of the chunks, which are not empty.
    fn poll_write(
        &mut self,
        transport: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut slices = [IoSlice::new(&[]); 3 * MOST_CHUNKS];
        let mut filled = 0;
        for chunk in &self.chunks {
            filled += chunk.chunks_vectored(slices.get_mut(filled..).unwrap_or_default());
        }
        let slices = slices.get(..filled).unwrap_or_default();
        let mut written = ready!(Pin::new(transport).poll_write_vectored(cx, slices))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        while let Some(chunk) = self.chunks.front_mut() {
            let part = written.min(chunk.remaining());
            chunk.advance(part);
            written -= part;
            if chunk.has_remaining() {
                break;
            }
            self.chunks.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

impl<B> fmt::Debug for ChunkedResponse<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkedResponse").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    fn data(text: &'static str) -> Frame<Bytes> {
        Frame::data(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn a_body_is_written_in_chunks_and_what_came_meanwhile_is_kept() {
        let frames = [data("one"), data(""), data("sixteen letters.")];
        let body = StreamBody::new(stream::iter(frames.map(Ok)));
        let (mut client, mut transport) = duplex(1024);
        client.write_all(b" /").await.expect("room");
        let mut response = ChunkedResponse::new(body, b"GET");
        let received = poll_fn(|cx| response.poll(&mut transport, cx)).await;
        assert_eq!(received.expect("a client that is there"), "GET /");
        drop(transport);
        let mut written = String::new();
        client.read_to_string(&mut written).await.expect("text");
        assert_eq!(written, "3\r\none\r\n10\r\nsixteen letters.\r\n0\r\n\r\n");
    }

    #[tokio::test]
    async fn the_body_of_a_client_that_does_not_read_is_not_polled_for_ever() {
        let mut polls = 0;
        let body = StreamBody::new(stream::poll_fn(|_| {
            polls += 1;
            Poll::Ready(Some(Ok(data("event"))))
        }));
        let (_client, mut transport) = duplex(8);
        let mut response = ChunkedResponse::new(body, b"");
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..50 {
            assert!(response.poll(&mut transport, &mut cx).is_pending());
        }
        drop(response);
        assert!(polls <= MOST_CHUNKS + 1, "{polls}");
    }

    #[tokio::test]
    async fn a_client_that_has_left_is_noticed_and_the_failure_of_a_body_too() {
        let silent = || StreamBody::new(stream::pending::<Result<Frame<Bytes>, BoxError>>());
        let (client, mut transport) = duplex(64);
        let mut response = ChunkedResponse::new(silent(), b"GET /next");
        drop(client);
        let ended = poll_fn(|cx| response.poll(&mut transport, cx)).await;
        let error = ended.expect_err("the client has left");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);

        let (mut client, mut transport) = duplex(64);
        let body = StreamBody::new(stream::iter([Ok(data("one")), Err("broken".into())]));
        let mut response = ChunkedResponse::new(body, b"");
        let ended = poll_fn(|cx| response.poll(&mut transport, cx)).await;
        assert_eq!(ended.expect_err("it failed").to_string(), "broken");
        drop(transport);
        let mut written = Vec::new();
        client.read_to_end(&mut written).await.expect("bytes");
        assert!(!written.ends_with(LAST_CHUNK));
    }
}
