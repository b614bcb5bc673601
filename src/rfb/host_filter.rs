//! The messages of a host to a browser (RFC 6143 §7.6, §7.7 and the community's extensions), of which its clipboard,
//! `ServerCutText`, is held back.
//!
//! They have no common frame, so that a clipboard is only found by the lengths of all pictures before it. Nothing is
//! decompressed for that. The client may ask for encodings only whose lengths are known here, and for its pixel format
//! before it asks for the first picture: a later change would come at a place in the stream that nobody tells. Does not
//! decide whose clipboard is held back.

use super::protocol_error::ProtocolError;

/// Encodings that a client may ask for. Raw, `CopyRect`, zlib, Tight, ZRLE, ZYWRLE and `TightPNG`; then cursors, sizes,
/// the end of an update, QEMU's pointer, keys, audio and lamps, the name, xvp, fences and continuous updates.
const KNOWN: [i32; 20] = [
    0, 1, 6, 7, 16, 17, -260, -239, -240, -223, -308, -224, -257, -258, -259, -261, -307, -309,
    -312, -313,
];

/// Levels of quality and compression, which say how an encoding is used.
const LEVELS: [std::ops::RangeInclusive<i32>; 4] =
    [-32..=-23, -256..=-247, -512..=-412, -768..=-763];

/// True if the length of a rectangle in this encoding can be determined.
pub(super) fn is_known(encoding: i32) -> bool {
    KNOWN.contains(&encoding) || LEVELS.iter().any(|range| range.contains(&encoding))
}

/// The sizes of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pixel {
    bytes: u64,
    /// The size in Tight, which leaves out a byte that is always zero.
    tight: u64,
}

impl Pixel {
    /// Reads a `PIXEL_FORMAT` (RFC 6143 §7.4).
    fn read(format: &[u8]) -> Option<Self> {
        let [bits, depth, _, colour, r0, r1, g0, g1, b0, b1, ..] = *format else {
            return None;
        };
        let bytes = u64::from(bits / 8).max(1);
        let eight = [0, 255];
        let is_full = [[r0, r1], [g0, g1], [b0, b1]] == [eight; 3];
        let packs = colour != 0 && bits == 32 && depth == 24 && is_full;
        Some(Self {
            bytes,
            tight: if packs { 3 } else { bytes },
        })
    }
}

/// Reads the messages of a host, which may be cut anywhere.
#[derive(Debug)]
pub(super) struct HostFilter {
    /// The beginning of the current field, as far as its length depends on it.
    head: Vec<u8>,
    /// Remaining bytes of the current field, and their use.
    left: u64,
    passes: bool,
    field: Field,
    pixel: Option<Pixel>,
    /// True once the client has asked for a picture.
    asked: bool,
}

/// The field of the stream that is read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// `ServerInit`, which comes first.
    Init,
    /// The beginning of a message.
    Message,
    /// The header of a rectangle, of which this many are left.
    Rectangle(u16),
}

/// The use of the beginning.
enum Measured {
    /// This many bytes are needed to know the length.
    Needs(usize),
    /// A field with this many bytes in all, followed by another one.
    Length(u64, Field),
}

const SHORT: ProtocolError = ProtocolError {
    by_client: false,
    reason: "it sends what cannot be read here, so that its clipboard could not be told from its pictures",
};

impl HostFilter {
    pub(super) fn new() -> Self {
        Self {
            head: Vec::new(),
            left: 0,
            passes: true,
            field: Field::Init,
            pixel: None,
            asked: false,
        }
    }

    /// Notes the client's pixel format.
    pub(super) fn set_pixel(&mut self, format: &[u8]) -> Result<(), ProtocolError> {
        if self.asked {
            return Err(ProtocolError::client(
                "it changes its pixel format after the first picture, where rfb.clipboard cannot follow it",
            ));
        }
        self.pixel = Pixel::read(format);
        Ok(())
    }

    /// Records that the client has requested a picture.
    pub(super) fn picture_requested(&mut self) {
        self.asked = true;
    }

    /// Moves the bytes that pass together, and returns their length.
    pub(super) fn sift(&mut self, bytes: &mut [u8]) -> Result<usize, ProtocolError> {
        let (mut at, mut kept) = (0, 0);
        while at < bytes.len() {
            let count = if self.left > 0 {
                let left = usize::try_from(self.left).unwrap_or(usize::MAX);
                let count = left.min(bytes.len() - at);
                self.left -= count as u64;
                count
            } else {
                match self.measure()? {
                    Measured::Needs(needed) => {
                        let missing = needed.saturating_sub(self.head.len()).max(1);
                        let count = missing.min(bytes.len() - at);
                        let of_head = bytes.get(at..at + count).unwrap_or_default();
                        self.head.extend_from_slice(of_head);
                        // A message is held back from its first byte on, or not at all.
                        self.passes = self.field != Field::Message || self.head.first() != Some(&3);
                        count
                    }
                    Measured::Length(length, next) => {
                        self.settle(length, next);
                        continue;
                    }
                }
            };
            if self.passes {
                bytes.copy_within(at..at + count, kept);
                kept += count;
            }
            at += count;
        }
        if self.left == 0
            && let Measured::Length(length, next) = self.measure()?
        {
            self.settle(length, next);
        }
        Ok(kept)
    }

    fn settle(&mut self, length: u64, next: Field) {
        self.left = length.saturating_sub(self.head.len() as u64);
        self.head.clear();
        self.field = next;
    }

    fn measure(&mut self) -> Result<Measured, ProtocolError> {
        match self.field {
            Field::Init => {
                let Some(length) = number(&self.head, 20) else {
                    return Ok(Measured::Needs(24));
                };
                let format = self.head.get(4..20).unwrap_or_default();
                self.pixel = self.pixel.or_else(|| Pixel::read(format));
                Ok(Measured::Length(24 + length, Field::Message))
            }
            Field::Message => message(&self.head),
            Field::Rectangle(left) => {
                let pixel = self.pixel.ok_or(SHORT)?;
                let next = match left {
                    0 | 1 => Field::Message,
                    more => Field::Rectangle(more - 1),
                };
                rectangle(&self.head, pixel, next)
            }
        }
    }
}

/// Measures a message.
fn message(head: &[u8]) -> Result<Measured, ProtocolError> {
    let whole = |length| Ok(Measured::Length(length, Field::Message));
    match *head {
        [] => Ok(Measured::Needs(1)),
        // FramebufferUpdate
        [0, _, high, low, ..] => {
            let next = match u16::from_be_bytes([high, low]) {
                0 => Field::Message,
                count => Field::Rectangle(count),
            };
            Ok(Measured::Length(4, next))
        }
        // SetColourMapEntries
        [1, _, _, _, high, low, ..] => whole(6 + 6 * u64::from(u16::from_be_bytes([high, low]))),
        // Bell, EndOfContinuousUpdates
        [2 | 150, ..] => whole(1),
        // ServerCutText; a negative length is that of an extended clipboard
        [3, _, _, _, a, b, c, d, ..] => {
            whole(8 + u64::from(i32::from_be_bytes([a, b, c, d]).unsigned_abs()))
        }
        // Fence
        [248, _, _, _, _, _, _, _, length, ..] => whole(9 + u64::from(length)),
        // xvp; QEMU's audio: its end, its beginning, its data
        [250, ..] | [255, 1, 0, 0 | 1, ..] => whole(4),
        [255, 1, 0, 2, ..] => match number(head, 4) {
            Some(length) => whole(8 + length),
            None => Ok(Measured::Needs(8)),
        },
        [0, ..] | [255] | [255, 1] | [255, 1, _] => Ok(Measured::Needs(4)),
        [1, ..] => Ok(Measured::Needs(6)),
        [3, ..] => Ok(Measured::Needs(8)),
        [248, ..] => Ok(Measured::Needs(9)),
        _ => Err(SHORT),
    }
}

/// Measures a rectangle, at whose end stands `next`.
fn rectangle(head: &[u8], pixel: Pixel, next: Field) -> Result<Measured, ProtocolError> {
    let [_, _, _, _, w0, w1, h0, h1, e0, e1, e2, e3, ref data @ ..] = *head else {
        return Ok(Measured::Needs(12));
    };
    let (width, height) = (u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]));
    let (width, height) = (u64::from(width), u64::from(height));
    let mask = width.div_ceil(8) * height;
    let whole = |length: u64| Ok(Measured::Length(12 + length, next));
    match i32::from_be_bytes([e0, e1, e2, e3]) {
        0 => whole(width * height * pixel.bytes),
        1 => whole(4),
        6 | 16 | 17 | -307 => match number(head, 12) {
            Some(length) => whole(4 + length),
            None => Ok(Measured::Needs(16)),
        },
        7 | -260 => Ok(match tight(data, width, height, pixel.tight)? {
            Some(length) => Measured::Length(12 + length, next),
            None => Measured::Needs(head.len() + 1),
        }),
        -239 => whole(width * height * pixel.bytes + mask),
        -240 if mask == 0 => whole(0),
        -240 => whole(6 + 2 * mask),
        -223 | -257 | -258 | -259 => whole(0),
        // LastRect
        -224 => Ok(Measured::Length(12, Field::Message)),
        -261 => whole(1),
        -308 => match data.first() {
            Some(screens) => whole(4 + 16 * u64::from(*screens)),
            None => Ok(Measured::Needs(13)),
        },
        _ => Err(SHORT),
    }
}

/// Length below which the encoding Tight does not compress.
const TIGHT_MIN: u64 = 12;

/// The length of a rectangle of Tight, if that is known already.
fn tight(data: &[u8], width: u64, height: u64, pixel: u64) -> Result<Option<u64>, ProtocolError> {
    let Some(control) = data.first() else {
        return Ok(None);
    };
    let (begin, length) = match control >> 4 {
        8 => return Ok(Some(1 + pixel)),
        // JPEG, PNG
        9 | 10 => return Ok(compact(data, 1)),
        0..=7 if control & 0x40 == 0 => (1, width * height * pixel),
        0..=7 => match data.get(1..) {
            Some([0 | 2, ..]) => (2, width * height * pixel),
            Some([1, colours, ..]) => {
                let colours = u64::from(*colours) + 1;
                let bits = if colours <= 2 {
                    width.div_ceil(8)
                } else {
                    width
                };
                (3 + colours * pixel, bits * height)
            }
            Some([] | [1]) | None => return Ok(None),
            Some(_) => return Err(SHORT),
        },
        _ => return Err(SHORT),
    };
    if length < TIGHT_MIN {
        return Ok(Some(begin + length));
    }
    let begin = usize::try_from(begin).map_err(|_| SHORT)?;
    Ok(compact(data, begin))
}

/// The end of data behind a compact length, of one to three bytes, at this place.
fn compact(data: &[u8], at: usize) -> Option<u64> {
    let [first, rest @ ..] = data.get(at..)? else {
        return None;
    };
    let (mut length, mut count) = (u64::from(first & 0x7F), 1);
    if first & 0x80 != 0 {
        let second = rest.first()?;
        (length, count) = (length | u64::from(second & 0x7F) << 7, 2);
        if second & 0x80 != 0 {
            length |= u64::from(*rest.get(1)?) << 14;
            count = 3;
        }
    }
    Some(at as u64 + count + length)
}

/// The number of 32 bits at this place, if it is there.
fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*bytes).into())
}

#[cfg(test)]
mod tests;
