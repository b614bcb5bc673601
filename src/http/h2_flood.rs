//! Limits on incoming HTTP/2 frames that h2 accepts without bound.
//!
//! PING and SETTINGS request a reply and carry no data (RFC 9113 §6.5, §6.7, §10.5). h2 replies to every one of them,
//! and no other limit applies, because the connection is active and no request is in progress. So these frames are
//! counted, and a client that sends many more than any program needs is disconnected. Frames of unknown types are
//! counted as well; those that h2 limits itself (CONTINUATION, `RST_STREAM`, empty DATA) are not. Also finds violations
//! that h2 ignores: pseudo-headers in trailers, fragments in `:path`, and some pushes by a client.

use std::time::{Duration, Instant};

use crate::http::header_blocks::HeaderBlocks;
use crate::http::hpack::Lost;

/// Burst of the limit. Some programs ping with every read of a download, to measure the path.
const AT_ONCE: f64 = 1000.0;
/// Rate of the limit, per second.
const A_SECOND: f64 = 100.0;

/// Length of the preface of every connection (RFC 9113 §3.4).
const PREFACE: usize = 24;
const HEADER: usize = 9;
/// Flag of a DATA frame whose payload begins with the length of its padding (RFC 9113 §6.1).
const PADDED: u8 = 8;

/// The incoming frames of one connection.
#[derive(Debug)]
pub(super) struct Frames {
    /// Number of bytes until the next frame header.
    skip: usize,
    /// The part of a frame header that has arrived.
    header: [u8; HEADER],
    filled: usize,
    allowed: f64,
    at: Instant,
    /// State of header blocks; `None` once one could not be followed: h2 ends the connection for it.
    blocks: Option<HeaderBlocks>,
    /// True while the payload belongs to a header block.
    is_block: bool,
    /// True until the first byte of the payload is read: the length of the padding.
    is_padded: bool,
    data: Data,
}

/// Bytes of the DATA frames in a read, which count towards the windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Data {
    /// Bytes of the frames that begin in the read.
    pub(super) bytes: u64,
    /// Padding in this read, also of earlier frames, which h2 drops at once.
    pub(super) padding: u64,
}

/// Violation that ends the connection.
#[derive(Debug, PartialEq)]
pub(super) enum Violation {
    Flood,
    Trailers,
    Push,
}

impl Violation {
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Flood => "the client flooded the connection",
            Self::Trailers => "the client sent a pseudo-header in trailers",
            Self::Push => "the client sent a push",
        }
    }
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            skip: PREFACE,
            header: [0; HEADER],
            filled: 0,
            allowed: AT_ONCE,
            at: Instant::now(),
            blocks: Some(HeaderBlocks::new()),
            is_block: false,
            is_padded: false,
            data: Data::default(),
        }
    }

    /// The DATA frames since the last call.
    pub(super) fn data(&mut self) -> Data {
        std::mem::take(&mut self.data)
    }

    /// Checks the bytes that were read, and changes a fragment in a `:path` so that h2 refuses it.
    pub(super) fn check(&mut self, read: &mut [u8]) -> Result<(), Violation> {
        let count = self.take(read)?;
        if count == 0 {
            return Ok(());
        }
        let since = std::mem::replace(&mut self.at, Instant::now());
        if self.is_beyond(count, self.at.duration_since(since)) {
            return Err(Violation::Flood);
        }
        Ok(())
    }

    fn is_beyond(&mut self, count: u32, since: Duration) -> bool {
        let allowed = (self.allowed + since.as_secs_f64() * A_SECOND).min(AT_ONCE);
        self.allowed = allowed - f64::from(count);
        self.allowed < 0.0
    }

    /// Number of counted frames that begin in these bytes.
    fn take(&mut self, mut read: &mut [u8]) -> Result<u32, Violation> {
        let mut count = 0;
        while !read.is_empty() {
            let (payload, rest) = read.split_at_mut(self.skip.min(read.len()));
            self.skip -= payload.len();
            if self.is_block && !payload.is_empty() {
                self.block(|blocks| blocks.take(payload))?;
            }
            if self.is_padded
                && let Some(length) = payload.first()
            {
                self.data.padding += 1 + u64::from(*length);
                self.is_padded = false;
            }
            let wanted = (HEADER - self.filled).min(rest.len());
            let (part, rest) = rest.split_at_mut(wanted);
            let room = self.header.get_mut(self.filled..self.filled + wanted);
            room.unwrap_or_default().copy_from_slice(part);
            self.filled += wanted;
            read = rest;
            if self.filled == HEADER {
                count += self.begin()?;
            }
        }
        Ok(count)
    }

    /// Begins a frame; returns 1 if it is counted.
    fn begin(&mut self) -> Result<u32, Violation> {
        let [high, middle, low, kind, flags, stream @ ..] = self.header;
        self.filled = 0;
        self.skip = u32::from_be_bytes([0, high, middle, low]) as usize;
        let (stream, length) = (u32::from_be_bytes(stream) & 0x7fff_ffff, self.skip);
        self.is_block = matches!(kind, 1 | 9);
        match kind {
            0 => {
                self.data.bytes += length as u64;
                self.is_padded = flags & PADDED != 0 && length > 0;
            }
            1 => self.block(|blocks| blocks.begin(stream, flags, length).map(|()| false))?,
            9 => self.block(|blocks| blocks.resume(stream, flags, length).map(|()| false))?,
            // PUSH_PROMISE, which no client may send (RFC 9113 §8.4).
            5 => return Err(Violation::Push),
            _ => {}
        }
        Ok(u32::from(asks(kind, flags)))
    }

    fn block<F>(&mut self, read: F) -> Result<(), Violation>
    where
        F: FnOnce(&mut HeaderBlocks) -> Result<bool, Lost>,
    {
        match self.blocks.as_mut().map(read) {
            Some(Ok(true)) => Err(Violation::Trailers),
            Some(Err(Lost)) => {
                self.blocks = None;
                Ok(())
            }
            Some(Ok(false)) | None => Ok(()),
        }
    }
}

/// True if frames of this kind are counted. An acknowledgement is a reply to a frame of ours and is not counted.
fn asks(kind: u8, flags: u8) -> bool {
    match kind {
        // SETTINGS and PING.
        4 | 6 => flags & 1 == 0,
        // PRIORITY, which has no meaning any more, PRIORITY_UPDATE (RFC 9218), and what is not known.
        2 | 10.. => true,
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        frame.extend(vec![6; usize::from(length)]);
        frame
    }

    #[test]
    fn frames_are_counted_by_their_headers_however_they_are_cut() {
        let stream = [
            vec![b'P'; PREFACE],
            frame(4, 0, 6),
            frame(1, 4, 30),
            frame(6, 0, 8),
            frame(6, 1, 8),
            frame(0, 0, 200),
            frame(4, 1, 0),
            frame(11, 0, 3),
        ]
        .concat();
        for step in 1..stream.len() {
            let mut frames = Frames::new();
            let count: u32 = stream
                .clone()
                .chunks_mut(step)
                .map(|piece| frames.take(piece).unwrap())
                .sum();
            assert_eq!(count, 3, "in pieces of {step}");
        }
    }

    #[test]
    fn a_few_in_each_second_are_fine_for_ever_and_many_are_not() {
        let mut frames = Frames::new();
        let second = Duration::from_secs(1);
        assert!((0..1000).all(|_| !frames.is_beyond(100, second)));
        assert!((0..100).any(|_| frames.is_beyond(200, second)));
    }
}
