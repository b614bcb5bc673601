//! WebSocket frames as they are on the wire (RFC 6455 §5.2), right or wrong.

use super::wire::{Input, Wire};

pub(crate) const FIN: u8 = 0x80;
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame from the door.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

/// A whole binary message of a client.
pub(crate) fn binary(payload: &[u8]) -> Vec<u8> {
    masked(FIN | BINARY, payload)
}

/// A frame of a client. `first` is the whole first byte: FIN, reserved bits and opcode.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, 0x80, payload.len());
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(a, b)| a ^ b));
    frame
}

/// A frame as only servers send it.
pub(crate) fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, 0, payload.len());
    frame.extend(payload);
    frame
}

fn header(first: u8, mask: u8, length: usize) -> Vec<u8> {
    let mut header = vec![first];
    match length {
        0..126 => header.push(mask | u8::try_from(length).unwrap()),
        126..0x1_0000 => {
            header.push(mask | 0x7e);
            header.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            header.push(mask | 0x7f);
            header.extend((length as u64).to_be_bytes());
        }
    }
    header
}

impl Input {
    /// The next frame of the door: never masked, never in fragments.
    pub(crate) async fn frame(&mut self) -> Frame {
        let start = self.take(2).await;
        assert_eq!(start[0] & 0xf0, FIN, "whole messages, no reserved bits");
        assert_eq!(start[1] & 0x80, 0, "a server does not mask");
        let length = match start[1] {
            126 => self.number(2).await,
            127 => self.number(8).await,
            short => usize::from(short),
        };
        Frame {
            opcode: start[0] & 0x0f,
            payload: self.take(length).await,
        }
    }

    /// The next frame; none if the connection ends before it or within it.
    pub(crate) async fn try_frame(&mut self) -> Option<Frame> {
        let mut wanted = 2;
        while self.has(wanted).await {
            let start = self.peek(10);
            let (header, length) = match start[1] {
                126 => (4, start.get(2..4)),
                127 => (10, start.get(2..10)),
                _ => (2, Some(&start[1..2])),
            };
            let length = length.map(|bytes| bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b)));
            let whole = length.map_or(header, |length| header + length);
            if wanted == whole && length.is_some() {
                return Some(self.frame().await);
            }
            wanted = whole;
        }
        None
    }

    async fn number(&mut self, bytes: usize) -> usize {
        let bytes = self.take(bytes).await;
        bytes
            .into_iter()
            .fold(0, |n, byte| n << 8 | usize::from(byte))
    }

    /// The payload of the next `length` bytes of binary messages.
    pub(crate) async fn messages(&mut self, length: usize) -> Vec<u8> {
        let mut payload = Vec::with_capacity(length);
        while payload.len() < length {
            let frame = self.frame().await;
            assert_eq!(frame.opcode, BINARY);
            payload.extend(frame.payload);
        }
        payload
    }

    /// The code of the close frame that has to come next.
    pub(crate) async fn close_code(&mut self) -> u16 {
        let frame = self.frame().await;
        assert_eq!(frame.opcode, CLOSE, "{frame:?}");
        u16::from_be_bytes([frame.payload[0], frame.payload[1]])
    }
}

impl Wire {
    pub(crate) async fn frame(&mut self) -> Frame {
        self.input.frame().await
    }

    pub(crate) async fn close_code(&mut self) -> u16 {
        self.input.close_code().await
    }
}
