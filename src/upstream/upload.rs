//! The bytes of a request to the app: the head, and the body as it arrives. Independent of sockets.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::Request;
use http_body::Body as _;

use crate::http::{BoxError, Spelling};
use crate::upstream::Payload;
use crate::upstream::h1::write_head;

/// Size up to which the buffer of a head is kept for the next request.
const KEPT_CAPACITY: usize = 4 * 1024;

/// A request that is being written.
#[derive(Debug, Default)]
pub(super) struct Upload {
    /// The head; its buffer is reused.
    head: Vec<u8>,
    /// Number of bytes of the head that were written.
    written: usize,
    /// The part of the body that is written next.
    piece: Bytes,
    rest: Payload,
    /// Number of body bytes that the head announces and `rest` has not yielded yet.
    left: u64,
    /// True if the socket has accepted a byte.
    has_left: bool,
}

impl Upload {
    /// Begins to write a request, and takes its body.
    pub(super) fn begin(&mut self, request: &mut Request<Payload>) {
        let standard = Spelling::default();
        let spelling = request.extensions().get().unwrap_or(&standard);
        self.head.clear();
        self.head.shrink_to(KEPT_CAPACITY);
        write_head(request, spelling, &mut self.head);
        self.written = 0;
        self.has_left = false;
        self.piece = Bytes::new();
        self.left = request.body().length();
        self.rest = match std::mem::take(request.body_mut()) {
            Payload::Whole(bytes) => {
                self.left = 0;
                self.piece = bytes;
                Payload::Empty
            }
            rest => rest,
        };
    }

    /// Drops the rest of the request.
    pub(super) fn end(&mut self) {
        self.written = self.head.len();
        self.piece = Bytes::new();
        self.rest = Payload::Empty;
        self.left = 0;
    }

    /// The body, if no byte of the request has been sent.
    pub(super) fn unsent(&mut self) -> Option<Payload> {
        if self.has_left {
            return None;
        }
        let piece = std::mem::take(&mut self.piece);
        let rest = std::mem::take(&mut self.rest);
        Some(if piece.is_empty() {
            rest
        } else {
            Payload::Whole(piece)
        })
    }

    /// True if there is nothing more to write.
    pub(super) fn is_complete(&self) -> bool {
        self.next_bytes().0.is_empty() && self.piece.is_empty() && self.left == 0
    }

    /// The next bytes to write, of the head and of the body.
    pub(super) fn next_bytes(&self) -> (&[u8], &[u8]) {
        let head = self.head.get(self.written..).unwrap_or_default();
        (head, &self.piece)
    }

    /// Records that this many of the bytes were written.
    pub(super) fn advance(&mut self, count: usize) {
        let of_head = count.min(self.head.len() - self.written);
        self.has_left |= count > 0;
        self.written += of_head;
        self.piece.advance((count - of_head).min(self.piece.len()));
    }

    /// Gets the next part of the body when all earlier bytes are written. Ready without a part at the end.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        while self.left > 0 && self.piece.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut self.rest).poll_frame(cx)?) else {
                return Poll::Ready(Err("the body of the request is too short".into()));
            };
            if let Ok(data) = frame.into_data() {
                let left = self.left.checked_sub(data.len() as u64);
                self.left = left.ok_or("the body of the request is too long")?;
                self.piece = data;
            }
        }
        if self.left == 0 {
            // A body holds a share of what uploads may use.
            self.rest = Payload::Empty;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn upload_of(payload: Payload) -> Upload {
        let mut upload = Upload::default();
        let mut request = Request::new(payload);
        upload.begin(&mut request);
        upload
    }

    #[test]
    fn a_request_can_be_taken_back_until_its_first_byte_has_left() {
        let mut upload = upload_of(Payload::Whole(Bytes::from_static(b"body")));
        let back = upload.unsent().expect("nothing has left");
        assert_eq!(back.length(), 4);
        let mut upload = upload_of(back);
        upload.advance(1);
        assert!(upload.unsent().is_none());
    }

    #[test]
    fn head_and_body_are_written_in_any_parts() {
        let mut upload = upload_of(Payload::Whole(Bytes::from_static(b"body")));
        let mut all = Vec::new();
        while !upload.is_complete() {
            let (head, body) = upload.next_bytes();
            let byte = head.first().or(body.first()).copied();
            all.extend(byte);
            upload.advance(1);
            let cx = &mut Context::from_waker(Waker::noop());
            assert!(matches!(upload.poll_next(cx), Poll::Ready(Ok(()))));
        }
        let text = String::from_utf8(all).expect("text");
        assert_eq!(text, "GET / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody");
    }
}
