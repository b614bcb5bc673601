//! Uncompressed frames with their times in Matroska (RFC 9559), as a stream that nobody can seek in: the segment is of
//! unknown size, and has one cluster for each frame. Encoders take this from a pipe, and a picture that stays costs
//! nothing. Does not know where the frames come from.

use std::io::{self, Write};

use super::FrameSize;

/// Milliseconds of the shortest frame.
pub(super) const FRAME: u64 = 40;
/// The length of an element that ends with the stream.
const UNKNOWN: [u8; 8] = [0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];

/// Writes frames.
pub(super) struct Matroska<W> {
    into: W,
}

impl<W: Write> Matroska<W> {
    /// Writes everything before the first frame.
    pub(super) fn new(size: FrameSize, mut into: W) -> io::Result<Self> {
        let ebml = [
            element(&[0x42, 0x82], b"matroska"),
            number(&[0x42, 0x87], 4),
            number(&[0x42, 0x85], 2),
        ];
        let about = [
            // A unit of time is a millisecond.
            number(&[0x2A, 0xD7, 0xB1], 1_000_000),
            element(&[0x4D, 0x80], b"noren"),
            element(&[0x57, 0x41], b"noren"),
        ];
        let video = [
            number(&[0xB0], size.width as u64),
            number(&[0xBA], size.height as u64),
            element(&[0x2E, 0xB5, 0x24], b"RGBA"),
        ];
        let track = [
            number(&[0xD7], 1),
            number(&[0x73, 0xC5], 1),
            number(&[0x83], 1),
            element(&[0x86], b"V_UNCOMPRESSED"),
            number(&[0x23, 0xE3, 0x83], FRAME * 1_000_000),
            element(&[0xE0], &video.concat()),
        ];
        into.write_all(&element(&[0x1A, 0x45, 0xDF, 0xA3], &ebml.concat()))?;
        into.write_all(&[0x18, 0x53, 0x80, 0x67])?;
        into.write_all(&UNKNOWN)?;
        into.write_all(&element(&[0x15, 0x49, 0xA9, 0x66], &about.concat()))?;
        let track = element(&[0xAE], &track.concat());
        into.write_all(&element(&[0x16, 0x54, 0xAE, 0x6B], &track))?;
        Ok(Self { into })
    }

    /// Writes one frame, whose pixels come row by row.
    pub(super) fn frame(&mut self, milliseconds: u64, pixels: &[u8]) -> io::Result<()> {
        // Track 1, at the time of the cluster, a key frame.
        let block = [0x81, 0, 0, 0x80];
        let time = number(&[0xE7], milliseconds);
        let of_block = head(&[0xA3], block.len() + pixels.len());
        let length = time.len() + of_block.len() + block.len() + pixels.len();
        let start = [
            &head(&[0x1F, 0x43, 0xB6, 0x75], length)[..],
            &time,
            &of_block,
            &block,
        ];
        self.into.write_all(&start.concat())?;
        self.into.write_all(pixels)
    }

    /// Hands everything over.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.into.flush()
    }
}

/// The name of an element, and its length in eight bytes.
fn head(name: &[u8], length: usize) -> Vec<u8> {
    let length = 1 << 56 | length as u64;
    [name, &length.to_be_bytes()].concat()
}

fn element(name: &[u8], data: &[u8]) -> Vec<u8> {
    [&head(name, data.len())[..], data].concat()
}

fn number(name: &[u8], number: u64) -> Vec<u8> {
    element(name, &number.to_be_bytes())
}
