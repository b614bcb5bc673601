//! Frames: decodes what a client sends, piece by piece, and encodes what a server sends (RFC 6455 §5).
//!
//! The reader does no I/O and keeps no payload. It works in place on the bytes that have arrived, so a frame of
//! any size passes through a buffer of any size.

use std::io::Cursor;
use std::ops::Range;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use crate::websocket::mask::unmask;

/// Length of the longest header: two bytes, eight of length, four of mask.
const LONGEST_HEADER: usize = 14;
/// Length of the longest header that [`write_header`] writes; a server does not mask.
pub(crate) const HEADER_SPACE: usize = 10;
/// Payload limit of a control frame (RFC 6455 §5.5).
const CONTROL_PAYLOAD: usize = 125;

/// The two kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A text message (UTF-8).
    Text,
    /// A binary message.
    Binary,
}

/// The kinds of frames that a server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    /// A whole text message.
    Text,
    /// A whole binary message.
    Binary,
    /// A ping.
    Ping,
    /// A pong.
    Pong,
}

/// An event found in the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A piece of a message, unmasked in place.
    Data {
        /// Kind of the message.
        kind: Kind,
        /// Position of the piece in the buffer.
        piece: Range<usize>,
        /// True if the message ends with this piece.
        last: bool,
    },
    /// A ping; its payload has to be returned in a pong.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// A close frame, with the client's code, if it gave one.
    Close(Option<u16>),
}

/// A violation of the protocol, with the close code that the client gets for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Violation {
    /// The close code (RFC 6455 §7.4.1).
    pub code: u16,
    /// Description, for the log and the close frame.
    pub reason: &'static str,
}

impl Violation {
    /// A protocol error.
    const fn protocol(reason: &'static str) -> Self {
        Self { code: 1002, reason }
    }
}

/// Finds frames in the bytes of a client.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    header: [u8; LONGEST_HEADER],
    header_length: usize,
    frame: Option<Open>,
    /// Kind of the message whose last fragment has not arrived.
    message: Option<Kind>,
    /// True if messages may be compressed (RFC 7692).
    deflates: bool,
    /// True if the newest message is.
    compressed: bool,
}

/// A frame whose header is complete.
#[derive(Debug)]
struct Open {
    body: Content,
    mask: [u8; 4],
    position: u64,
    left: u64,
}

#[derive(Debug)]
enum Content {
    Message { kind: Kind, last: bool },
    Control(Control, Vec<u8>),
}

impl FrameReader {
    /// Creates a reader for the start of a connection.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Permits compressed messages, if the handshake has agreed on them.
    #[must_use]
    pub(crate) fn with_deflate(mut self, deflates: bool) -> Self {
        self.deflates = deflates;
        self
    }

    /// True if the message of the last [`Event::Data`] is compressed as a whole.
    #[must_use]
    pub(crate) fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Takes the next event out of `bytes`, from `at` on, and moves `at` behind it. `None` if all bytes are
    /// consumed.
    ///
    /// # Errors
    /// A [`Violation`]; the connection must be closed with its code then, and nothing more be read.
    pub(crate) fn next(
        &mut self,
        bytes: &mut [u8],
        at: &mut usize,
    ) -> Result<Option<Event>, Violation> {
        loop {
            if self.frame.is_none() && !self.read_header(bytes, at)? {
                return Ok(None);
            }
            if let Some(event) = self.read_payload(bytes, at)? {
                return Ok(Some(event));
            }
            if *at >= bytes.len() {
                return Ok(None);
            }
        }
    }

    /// Collects header bytes; true once the header is complete.
    fn read_header(&mut self, bytes: &[u8], at: &mut usize) -> Result<bool, Violation> {
        loop {
            let wanted = self.wanted_header();
            if self.header_length == wanted {
                break;
            }
            let Some(byte) = bytes.get(*at) else {
                return Ok(false);
            };
            *at += 1;
            // `wanted` is at most the length of the array.
            if let Some(slot) = self.header.get_mut(self.header_length) {
                *slot = *byte;
            }
            self.header_length += 1;
        }
        let known = self.header.get(..self.header_length).unwrap_or_default();
        let parsed = FrameHeader::parse(&mut Cursor::new(known));
        self.header_length = 0;
        match parsed {
            Ok(Some((header, length))) => {
                self.frame = Some(self.open(&header, length)?);
                Ok(true)
            }
            _ => Err(Violation::protocol("a frame has a reserved opcode")),
        }
    }

    /// Length of the header, as far as its first two bytes tell.
    fn wanted_header(&self) -> usize {
        let [_, second, ..] = self.header;
        if self.header_length < 2 {
            return 2;
        }
        let length = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + if second & 0x80 == 0 { 0 } else { 4 }
    }

    fn open(&mut self, header: &FrameHeader, length: u64) -> Result<Open, Violation> {
        let Some(mask) = header.mask else {
            return Err(Violation::protocol("a frame is not masked"));
        };
        // The first bit is for the first frame of a message (RFC 7692 §6).
        let may_compress =
            self.deflates && matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
        if header.rsv1 && !may_compress || header.rsv2 || header.rsv3 {
            return Err(Violation::protocol("a frame has a reserved bit set"));
        }
        if length > i64::MAX as u64 {
            return Err(Violation::protocol("a frame has an impossible length"));
        }
        let last = header.is_final;
        let body = match header.opcode {
            OpCode::Control(control) => {
                if !last || length > CONTROL_PAYLOAD as u64 {
                    return Err(Violation::protocol(
                        "a control frame is fragmented or too long",
                    ));
                }
                Content::Control(control, Vec::new())
            }
            OpCode::Data(data) => {
                let kind = self.kind(data)?;
                if self.message.is_none() {
                    self.compressed = header.rsv1;
                }
                self.message = (!last).then_some(kind);
                Content::Message { kind, last }
            }
        };
        Ok(Open {
            body,
            mask,
            position: 0,
            left: length,
        })
    }

    fn kind(&self, data: Data) -> Result<Kind, Violation> {
        match (data, self.message) {
            (Data::Text, None) => Ok(Kind::Text),
            (Data::Binary, None) => Ok(Kind::Binary),
            (Data::Continue, Some(kind)) => Ok(kind),
            (Data::Continue, None) => {
                Err(Violation::protocol("a message begins with a continuation"))
            }
            _ => Err(Violation::protocol("a message begins inside another")),
        }
    }

    fn read_payload(
        &mut self,
        bytes: &mut [u8],
        at: &mut usize,
    ) -> Result<Option<Event>, Violation> {
        let Some(frame) = &mut self.frame else {
            return Ok(None);
        };
        let there = bytes.len().saturating_sub(*at) as u64;
        let taken = there.min(frame.left);
        let piece = *at..*at + usize::try_from(taken).unwrap_or_default();
        if let Some(payload) = bytes.get_mut(piece.clone()) {
            unmask(payload, frame.mask, frame.position);
        }
        frame.position += taken;
        frame.left -= taken;
        *at = piece.end;
        let complete = frame.left == 0;
        match &mut frame.body {
            Content::Message { kind, last } => {
                // An empty piece says nothing, unless it ends a message.
                let event = (complete || taken > 0).then_some(Event::Data {
                    kind: *kind,
                    piece,
                    last: complete && *last,
                });
                if complete {
                    self.frame = None;
                }
                Ok(event)
            }
            Content::Control(control, payload) => {
                payload.extend_from_slice(bytes.get(piece).unwrap_or_default());
                if !complete {
                    return Ok(None);
                }
                let event = control_event(*control, std::mem::take(payload));
                self.frame = None;
                event.map(Some)
            }
        }
    }
}

fn control_event(control: Control, payload: Vec<u8>) -> Result<Event, Violation> {
    match control {
        Control::Ping => Ok(Event::Ping(payload)),
        Control::Pong => Ok(Event::Pong),
        Control::Close => close_event(&payload),
        Control::Reserved(_) => Err(Violation::protocol("a frame has a reserved opcode")),
    }
}

fn close_event(payload: &[u8]) -> Result<Event, Violation> {
    let Some((code, reason)) = payload.split_at_checked(2) else {
        return if payload.is_empty() {
            Ok(Event::Close(None))
        } else {
            Err(Violation::protocol("a close frame has half a code"))
        };
    };
    let code = code
        .iter()
        .fold(0, |code, byte| code << 8 | u16::from(*byte));
    if !CloseCode::from(code).is_allowed() {
        return Err(Violation::protocol(
            "a close frame has a code that must not be sent",
        ));
    }
    if std::str::from_utf8(reason).is_err() {
        return Err(Violation {
            code: 1007,
            reason: "the reason in a close frame is not UTF-8",
        });
    }
    Ok(Event::Close(Some(code)))
}

/// Writes the header of an unmasked, final frame so that it ends right before `space[HEADER_SPACE]`, where the
/// payload of `length` bytes begins. Returns the position of the header.
pub(crate) fn write_header(space: &mut [u8; HEADER_SPACE], opcode: Opcode, length: usize) -> usize {
    let header = FrameHeader {
        opcode: match opcode {
            Opcode::Text => OpCode::Data(Data::Text),
            Opcode::Binary => OpCode::Data(Data::Binary),
            Opcode::Ping => OpCode::Control(Control::Ping),
            Opcode::Pong => OpCode::Control(Control::Pong),
        },
        ..FrameHeader::default()
    };
    let start = HEADER_SPACE - header.len(length as u64).min(HEADER_SPACE);
    let written = header.format(
        length as u64,
        &mut space.get_mut(start..).unwrap_or_default(),
    );
    debug_assert!(
        written.is_ok(),
        "the header of an unmasked frame fits into ten bytes"
    );
    start
}

/// Encodes a ping or pong frame. `payload` is cut at the 125 bytes that a control frame may have.
#[must_use]
pub(crate) fn control_frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let payload = payload.get(..CONTROL_PAYLOAD).unwrap_or(payload);
    let mut header = [0; HEADER_SPACE];
    let start = write_header(&mut header, opcode, payload.len());
    let mut frame = header.get(start..).unwrap_or_default().to_vec();
    frame.extend_from_slice(payload);
    frame
}

/// Encodes a close frame; `None` replies to a close frame without a code.
#[must_use]
pub(crate) fn close_frame(code: Option<u16>, reason: &str) -> Vec<u8> {
    let Some(code) = code else {
        return vec![0x88, 0];
    };
    let cut = (0..=reason.len().min(CONTROL_PAYLOAD - 2))
        .rev()
        .find(|cut| reason.is_char_boundary(*cut))
        .unwrap_or_default();
    let reason = reason.get(..cut).unwrap_or_default();
    // At most 125, so the length fits into the seven bits of the second byte.
    let mut frame = vec![0x88, u8::try_from(reason.len() + 2).unwrap_or_default()];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(reason.as_bytes());
    frame
}

#[cfg(test)]
mod tests;
