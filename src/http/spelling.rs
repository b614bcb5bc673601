//! The spelling of header names over HTTP/1.1: as received, or as their standards write them.
//!
//! Names mean the same in every spelling (RFC 9110 §5.1), but there are apps and consoles that compare bytes. hyper
//! remembers how the names of a message were spelled in an extension that only its parser makes; so the extensions
//! travel with a message, and those for names that no rule spells are parsed once, from a message in memory.

use std::io;
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Extensions, Request};
use http_body_util::Empty;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Names that are not spelled with a capital at the beginning of each word.
const MESSAGE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: 1\r\nWWW-Authenticate: 1\r\n\
    Sec-WebSocket-Key: 1\r\nSec-WebSocket-Accept: 1\r\nSec-WebSocket-Version: 1\r\n\
    Sec-WebSocket-Protocol: 1\r\nSec-WebSocket-Extensions: 1\r\nX-Real-IP: 1\r\nTE: 1\r\nDNT: 1\r\n\
    X-Request-ID: 1\r\n\r\n";

/// The spelling of names in a message without one of its own: made here, or received over HTTP/2. All other names
/// get a capital at the beginning of each word.
#[must_use]
pub fn standard_spelling() -> Extensions {
    static PARSED: LazyLock<Extensions> = LazyLock::new(|| parsed().unwrap_or_default());
    PARSED.clone()
}

/// Parses the message in memory. No future here waits, so each is ready when it is polled.
fn parsed() -> Option<Extensions> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut builder = Builder::new();
    builder.preserve_header_case(true);
    let handshake = pin!(builder.handshake(TokioIo::new(Memory::default())));
    let Poll::Ready(Ok((mut sender, mut connection))) = handshake.poll(&mut cx) else {
        return None;
    };
    let _ = Pin::new(&mut connection).poll(&mut cx);
    let mut answer = pin!(sender.send_request(Request::new(Empty::<Bytes>::new())));
    for _ in 0..8 {
        if let Poll::Ready(answer) = answer.as_mut().poll(&mut cx) {
            return Some(answer.ok()?.into_parts().0.extensions);
        }
        if Pin::new(&mut connection).poll(&mut cx).is_ready() {
            let Poll::Ready(answer) = answer.as_mut().poll(&mut cx) else {
                return None;
            };
            return Some(answer.ok()?.into_parts().0.extensions);
        }
    }
    None
}

/// A server in memory that gives one fixed response to any request.
#[derive(Default)]
struct Memory {
    asked: bool,
    left: &'static [u8],
}

impl AsyncRead for Memory {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.asked {
            return Poll::Pending;
        }
        let (now, rest) = this.left.split_at(this.left.len().min(buf.remaining()));
        buf.put_slice(now);
        this.left = rest;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.asked, true) {
            this.left = MESSAGE;
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_spelling_is_there() {
        assert!(!standard_spelling().is_empty());
    }
}
