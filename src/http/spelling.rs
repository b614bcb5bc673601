//! The spelling of header names over HTTP/1.1: as received, or as the standards write them.
//!
//! Names mean the same in every letter case (RFC 9110 §5.1), but there are apps and clients that compare bytes. Nearly
//! all names have the standard spelling, so only the others are stored with a message. hyper, which writes the heads
//! for clients, accepts a spelling only in an extension that its own parser creates. So the spelling is written into a
//! message in memory and parsed with hyper, and the result is reused.

use std::collections::HashMap;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{LazyLock, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, Request};
use http_body_util::Empty;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::sync::lock;

/// Standard names that do not have a capital at the beginning of each word and small letters elsewhere.
const STANDARD: [&str; 11] = [
    "ETag",
    "WWW-Authenticate",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
    "X-Real-IP",
    "TE",
    "DNT",
    "X-Request-ID",
];
/// Limit on cached spellings that were parsed with hyper. An app has a few.
const REMEMBERED: usize = 256;
/// Limit on header lines of the message in memory; a message has no more names.
const MOST_LINES: usize = 1024;

/// The names in a message that do not have the standard spelling, as they were received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spelling(
    /// The names, each followed by a line feed.
    Bytes,
);

/// Collects the names of a message as they arrive.
#[derive(Debug, Default)]
pub(crate) struct SpellingReader(Vec<u8>);

/// Writes names in the order of a message: the search for a name begins behind the name that was found last.
pub(crate) struct SpellingCursor<'a> {
    names: &'a [u8],
    at: usize,
}

impl SpellingReader {
    /// Adds a name, which must be a token (RFC 9110 §5.6.2).
    pub(crate) fn push(&mut self, name: &[u8]) {
        if !is_standard(name) {
            self.0.extend_from_slice(name);
            self.0.push(b'\n');
        }
    }

    /// Ends the message, returns its spelling, and begins the next.
    pub(crate) fn finish(&mut self) -> Spelling {
        Spelling(std::mem::take(&mut self.0).into())
    }
}

impl Spelling {
    /// A spelling of these names.
    #[cfg(test)]
    pub(crate) fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut reader = SpellingReader::default();
        names
            .into_iter()
            .for_each(|name| reader.push(name.as_bytes()));
        reader.finish()
    }

    /// True if all names have the standard spelling.
    #[must_use]
    pub(crate) fn is_standard(&self) -> bool {
        self.0.is_empty()
    }

    /// A cursor at the beginning.
    #[must_use]
    pub(crate) fn cursor(&self) -> SpellingCursor<'_> {
        SpellingCursor {
            names: &self.0,
            at: 0,
        }
    }

    /// The spelling of these headers as an extension for hyper; `None` if hyper writes them that way by itself.
    #[must_use]
    pub(crate) fn for_hyper(&self, headers: &HeaderMap) -> Option<Extensions> {
        let mut names = Vec::new();
        let mut cursor = self.cursor();
        for name in headers.keys() {
            let standard = standard(name.as_str().as_bytes()).map(str::as_bytes);
            if let Some(spelled) = cursor.find(name).or(standard) {
                names.extend_from_slice(spelled);
                names.extend_from_slice(b": 1\r\n");
            }
        }
        if names.is_empty() {
            return None;
        }
        remembered(names)
    }
}

impl<'a> SpellingCursor<'a> {
    /// Appends a name to `out`.
    pub(crate) fn write(&mut self, name: &HeaderName, out: &mut Vec<u8>) {
        if let Some(own) = self.find(name) {
            return out.extend_from_slice(own);
        }
        let name = name.as_str().as_bytes();
        if let Some(standard) = standard(name) {
            return out.extend_from_slice(standard.as_bytes());
        }
        let begin = out.len();
        out.extend_from_slice(name);
        let mut before = b'-';
        for byte in out.iter_mut().skip(begin) {
            if before == b'-' {
                byte.make_ascii_uppercase();
            }
            before = *byte;
        }
    }

    fn find(&mut self, name: &HeaderName) -> Option<&'a [u8]> {
        let begin = self.at;
        while !self.names.is_empty() {
            let rest = self.names.get(self.at..).unwrap_or_default();
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            let own = rest.get(..end)?;
            self.at += end + 1;
            if self.at >= self.names.len() {
                self.at = 0;
            }
            if own.eq_ignore_ascii_case(name.as_str().as_bytes()) {
                return Some(own);
            }
            if self.at == begin {
                return None;
            }
        }
        None
    }
}

/// The standard spelling of a name whose capitals are not exactly those at the beginning of each word.
fn standard(name: &[u8]) -> Option<&'static str> {
    let found = STANDARD.iter().find(|standard| {
        standard.len() == name.len() && standard.as_bytes().eq_ignore_ascii_case(name)
    });
    found.copied()
}

fn is_standard(name: &[u8]) -> bool {
    if let Some(standard) = standard(name) {
        return standard.as_bytes() == name;
    }
    let mut begins = true;
    name.iter().all(|byte| {
        let begin = std::mem::replace(&mut begins, *byte == b'-');
        if begin {
            !byte.is_ascii_lowercase()
        } else {
            !byte.is_ascii_uppercase()
        }
    })
}

/// Returns the extension for these header lines from the cache, or parses them.
fn remembered(lines: Vec<u8>) -> Option<Extensions> {
    static PARSED: LazyLock<Mutex<HashMap<Vec<u8>, Extensions>>> = LazyLock::new(Mutex::default);
    let mut all = lock(&PARSED);
    if let Some(parsed) = all.get(&lines) {
        return Some(parsed.clone());
    }
    let parsed = parsed(&lines)?;
    if all.len() < REMEMBERED {
        all.insert(lines, parsed.clone());
    }
    Some(parsed)
}

/// Parses a message in memory with hyper. No future waits for I/O here, so each is ready when it is polled.
fn parsed(lines: &[u8]) -> Option<Extensions> {
    let message = [b"HTTP/1.1 204 No Content\r\n", lines, b"\r\n"].concat();
    let mut cx = Context::from_waker(Waker::noop());
    let mut builder = Builder::new();
    builder.preserve_header_case(true).max_headers(MOST_LINES);
    let handshake = pin!(builder.handshake(TokioIo::new(Memory::new(message))));
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
struct Memory {
    asked: bool,
    left: Bytes,
}

impl Memory {
    fn new(response: Vec<u8>) -> Self {
        Self {
            asked: false,
            left: response.into(),
        }
    }
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
        let room = this.left.len().min(buf.remaining());
        buf.put_slice(&this.left.split_to(room));
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
        this.asked = true;
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
mod tests;
