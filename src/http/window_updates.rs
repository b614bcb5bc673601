//! Finds the window updates of the connection (RFC 9113 §6.9) in the bytes written to an HTTP/2 client. h2 announces in
//! them the bytes that it holds no longer, and offers no other way to learn of it.

const HEADER: usize = 9;
const WINDOW_UPDATE: u8 = 8;
/// Payload length of a `WINDOW_UPDATE` frame.
const PAYLOAD: usize = 4;

/// The outgoing frames of one connection.
#[derive(Debug, Default)]
pub(super) struct WindowUpdates {
    /// Number of bytes until the next frame header, or until the end of a payload that is being read.
    skip: usize,
    /// The part of a frame header, and of the payload that is being read, that has been written so far.
    header: [u8; HEADER],
    filled: usize,
    payload: Option<u32>,
}

impl WindowUpdates {
    /// Reads bytes that were written; returns the number of bytes by which they extend the window of the connection.
    pub(super) fn take(&mut self, mut written: &[u8]) -> u64 {
        let mut opened = 0;
        while !written.is_empty() {
            let (payload, rest) = written.split_at(self.skip.min(written.len()));
            self.skip -= payload.len();
            if let Some(increment) = &mut self.payload {
                for byte in payload {
                    *increment = (*increment << 8) | u32::from(*byte);
                }
                if self.skip == 0 {
                    opened += u64::from(*increment & 0x7fff_ffff);
                    self.payload = None;
                }
            }
            let (part, rest) = rest.split_at((HEADER - self.filled).min(rest.len()));
            let room = self.header.get_mut(self.filled..self.filled + part.len());
            room.unwrap_or_default().copy_from_slice(part);
            self.filled += part.len();
            written = rest;
            if self.filled == HEADER {
                self.begin();
            }
        }
        opened
    }

    fn begin(&mut self) {
        let [high, middle, low, kind, _flags, stream @ ..] = self.header;
        self.filled = 0;
        self.skip = u32::from_be_bytes([0, high, middle, low]) as usize;
        let is_of_connection = kind == WINDOW_UPDATE && u32::from_be_bytes(stream) == 0;
        self.payload = (is_of_connection && self.skip == PAYLOAD).then_some(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).expect("a short payload");
        let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, stream];
        frame.extend(payload);
        frame
    }

    #[test]
    fn updates_of_the_connection_are_found_however_the_bytes_are_cut() {
        let written = [
            frame(4, 0, &[8; 12]),
            frame(8, 0, &[0, 1, 0, 2]),
            frame(8, 3, &[0, 7, 7, 7]),
            frame(0, 3, &[8; 200]),
            frame(4, 0, &[]),
            frame(8, 0, &[0x80, 0, 0, 1]),
        ]
        .concat();
        for step in 1..written.len() {
            let mut updates = WindowUpdates::default();
            let opened: u64 = written.chunks(step).map(|piece| updates.take(piece)).sum();
            assert_eq!(opened, 0x1_0003, "in pieces of {step}");
        }
    }
}
