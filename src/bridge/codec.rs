//! Encoding of messages: raw bytes, or one padded base64 string (RFC 4648 §4) in a text frame.

use base64::Engine;
use base64::engine::Simd;
use base64::engine::general_purpose::PAD;

use crate::websocket::{HEADER_SPACE, Kind, Opcode, Violation, write_header};

/// The negotiated encoding of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// Raw payload in binary frames.
    Binary,
    /// Raw payload in binary frames; from the client in text frames as well, which is how clients of STOMP send.
    Bytes,
    /// One complete padded base64 string in each text frame, in both directions.
    Base64,
}

impl Codec {
    /// Checks that the client sends messages of the agreed kind.
    pub(super) fn accepts(self, kind: Kind) -> Result<(), Violation> {
        let reason = match (self, kind) {
            (Self::Binary, Kind::Binary) | (Self::Base64, Kind::Text) | (Self::Bytes, _) => {
                return Ok(());
            }
            (Self::Binary, Kind::Text) => "this subprotocol has binary messages only",
            (Self::Base64, Kind::Binary) => "this subprotocol has text messages only",
        };
        Err(Violation { code: 1003, reason })
    }

    /// Number of bytes to read for a frame of at most `frame` bytes.
    pub(super) fn read_size(self, frame: usize) -> usize {
        match self {
            Self::Binary | Self::Bytes => frame,
            Self::Base64 => frame / 4 * 3,
        }
    }

    /// Builds a frame around `raw[HEADER_SPACE..][..length]`, in place or in `text`.
    pub(super) fn frame<'a>(
        self,
        raw: &'a mut [u8],
        length: usize,
        text: &'a mut [u8],
    ) -> &'a [u8] {
        match self {
            Self::Binary | Self::Bytes => finish(raw, Opcode::Binary, length),
            Self::Base64 => {
                let payload = raw
                    .get(HEADER_SPACE..HEADER_SPACE + length)
                    .unwrap_or_default();
                let room = text.get_mut(HEADER_SPACE..).unwrap_or_default();
                let encoded = engine().encode_slice(payload, room);
                finish(
                    text,
                    Opcode::Text,
                    encoded.expect("the text buffer fits what one read can take"),
                )
            }
        }
    }

    /// Builds a frame from bytes without room for a header in front of them.
    pub(super) fn frame_of(self, payload: &[u8]) -> Vec<u8> {
        let length = match self {
            Self::Binary | Self::Bytes => payload.len(),
            Self::Base64 => payload.len().div_ceil(3) * 4,
        };
        let mut raw = vec![0; HEADER_SPACE];
        raw.extend_from_slice(payload);
        let mut text = vec![0; HEADER_SPACE + if self == Self::Base64 { length } else { 0 }];
        self.frame(&mut raw, payload.len(), &mut text).to_vec()
    }
}

/// The fastest encoder and decoder that the processor supports; `STANDARD` of the same crate is portable and three
/// times slower.
pub(super) fn engine() -> Simd {
    Simd::standard(PAD)
}

/// Builds a whole text frame, for the fuzz targets.
pub(crate) fn frame_base64(payload: &[u8]) -> Vec<u8> {
    Codec::Base64.frame_of(payload)
}

/// Writes the header in front of a payload of `length` bytes at `buffer[HEADER_SPACE..]`.
fn finish(buffer: &mut [u8], opcode: Opcode, length: usize) -> &[u8] {
    let start = match buffer.first_chunk_mut::<HEADER_SPACE>() {
        Some(space) => write_header(space, opcode, length),
        None => 0,
    };
    buffer.get(start..HEADER_SPACE + length).unwrap_or_default()
}
