//! A zlib stream that goes on over many rectangles.

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush};

use super::Halt;

/// First size of the buffer for what is decompressed, which grows with it: the size of a rectangle says little of it.
const LEAST: usize = 4096;

/// Decompresses one stream.
pub(super) struct Inflater(Box<InflateState>);

impl Inflater {
    pub(super) fn new() -> Self {
        Self(InflateState::new_boxed(DataFormat::Zlib))
    }

    /// Decompresses the bytes of one rectangle, to at most so many.
    pub(super) fn inflate(&mut self, mut bytes: &[u8], most: usize) -> Result<Vec<u8>, Halt> {
        let mut out = Vec::new();
        let mut length = 0;
        loop {
            // With no room left the end of the rectangle would stay in the stream, and be taken for the next one.
            if length == out.len() {
                out.resize((2 * length).max(LEAST).min(most + 1), 0);
            }
            let room = out.get_mut(length..).unwrap_or_default();
            let done = inflate(&mut self.0, bytes, room, MZFlush::Sync);
            bytes = bytes.get(done.bytes_consumed..).unwrap_or_default();
            length += done.bytes_written;
            let is_stuck = done.bytes_consumed == 0 && done.bytes_written == 0;
            match done.status {
                Err(miniz_oxide::MZError::Buf) | Ok(_) if is_stuck => break,
                Err(miniz_oxide::MZError::Buf) | Ok(_) => {}
                Err(error) => {
                    return Err(Halt::unknown(format!(
                        "the console sends what cannot be decompressed ({error:?})"
                    )));
                }
            }
        }
        if length > most {
            return Err(Halt::unknown(
                "the console sends more pixels than a rectangle has",
            ));
        }
        out.truncate(length);
        Ok(out)
    }
}
