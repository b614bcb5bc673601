//! Follows HTTP/2 header blocks across their frames (RFC 9113 §4.3, §6.2, §6.10), and finds fragments in `:path` and
//! pseudo-headers in trailers.
//!
//! Trailers with a pseudo-header are malformed (RFC 9113 §8.1). h2 drops such a field silently, so that no code
//! above it can refuse the request. Violations of other rules are left to h2, which ends the connection for them.

use crate::http::hpack::{FieldNames, Lost};

const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// The header blocks of a client.
#[derive(Debug)]
pub(super) struct HeaderBlocks {
    names: FieldNames,
    /// The highest stream that was opened. A block of that or an earlier stream holds trailers.
    opened: u32,
    block: Option<Block>,
    frame: Frame,
}

/// The block in progress.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Block {
    Head,
    Trailers,
    /// A block that is skipped: h2 does not decode the block of a stream that depends on itself, and refuses the
    /// stream.
    Skipped,
}

/// A frame of the block.
#[derive(Debug, Default)]
struct Frame {
    stream: u32,
    ends_block: bool,
    is_padded: bool,
    /// Number of payload bytes that have not arrived.
    left: usize,
    /// Padding length, dependency and weight, as far as they have arrived.
    prefix: [u8; 6],
    filled: usize,
    /// Number of prefix bytes that have arrived.
    prefixed: usize,
    padding: usize,
}

impl HeaderBlocks {
    pub(super) fn new() -> Self {
        Self {
            names: FieldNames::new(),
            opened: 0,
            block: None,
            frame: Frame::default(),
        }
    }

    /// Begins a HEADERS frame.
    pub(super) fn begin(&mut self, stream: u32, flags: u8, length: usize) -> Result<(), Lost> {
        if self.block.is_some() {
            return Err(Lost);
        }
        self.block = Some(if stream > self.opened {
            Block::Head
        } else {
            Block::Trailers
        });
        let is_padded = flags & PADDED != 0;
        let has_priority = flags & PRIORITY != 0;
        self.frame = Frame {
            stream,
            ends_block: flags & END_HEADERS != 0,
            is_padded,
            left: length,
            prefixed: usize::from(is_padded) + 5 * usize::from(has_priority),
            ..Frame::default()
        };
        self.end_of_frame()
    }

    /// Begins a CONTINUATION frame.
    pub(super) fn resume(&mut self, stream: u32, flags: u8, length: usize) -> Result<(), Lost> {
        if self.block.is_none() || stream != self.frame.stream {
            return Err(Lost);
        }
        self.frame = Frame {
            stream,
            ends_block: flags & END_HEADERS != 0,
            left: length,
            ..Frame::default()
        };
        self.end_of_frame()
    }

    /// Reads more of the payload; true if trailers contain a pseudo-header. Changes a fragment in a `:path` so that
    /// h2 refuses it.
    pub(super) fn take(&mut self, payload: &mut [u8]) -> Result<bool, Lost> {
        let rest = self.prefix(payload)?;
        let here = self.frame.left.saturating_sub(self.frame.padding);
        self.frame.left = self.frame.left.checked_sub(rest.len()).ok_or(Lost)?;
        let here = here.min(rest.len());
        let fragment = rest.get_mut(..here).unwrap_or_default();
        let is_wrong = match self.block {
            Some(Block::Head) => self.names.take(fragment).map(|_| false)?,
            Some(Block::Trailers) => self.names.take(fragment)? > 0,
            Some(Block::Skipped) | None => false,
        };
        self.end_of_frame()?;
        Ok(is_wrong)
    }

    /// Removes the prefix in front of the block fragment.
    fn prefix<'a>(&mut self, payload: &'a mut [u8]) -> Result<&'a mut [u8], Lost> {
        let frame = &mut self.frame;
        let missing = frame.prefixed - frame.filled;
        if missing == 0 {
            return Ok(payload);
        }
        let (part, rest) = payload.split_at_mut(missing.min(payload.len()));
        for (place, byte) in frame.prefix.iter_mut().skip(frame.filled).zip(part.iter()) {
            *place = *byte;
        }
        frame.filled += part.len();
        frame.left = frame.left.checked_sub(part.len()).ok_or(Lost)?;
        if frame.filled < frame.prefixed {
            return Ok(rest);
        }
        let [first, second, third, fourth, fifth, _] = frame.prefix;
        let dependency = if frame.is_padded {
            frame.padding = usize::from(first);
            [second, third, fourth, fifth]
        } else {
            [first, second, third, fourth]
        };
        let dependency = u32::from_be_bytes(dependency) & 0x7fff_ffff;
        if frame.prefixed >= 5 && dependency == frame.stream {
            self.block = Some(Block::Skipped);
        } else if frame.padding > frame.left {
            return Err(Lost);
        }
        Ok(rest)
    }

    fn end_of_frame(&mut self) -> Result<(), Lost> {
        let frame = &self.frame;
        if frame.left > 0 {
            return Ok(());
        }
        if frame.filled < frame.prefixed {
            return Err(Lost);
        }
        if frame.ends_block {
            if self.block.take() != Some(Block::Skipped) {
                self.opened = self.opened.max(frame.stream);
            }
            self.names.end()?;
        }
        Ok(())
    }
}
