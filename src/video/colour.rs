//! Pixels and their colours (RFC 6143 §7.4), in the three forms in which encodings have them.

use super::Halt;

/// Red, green, blue, and 255.
pub(super) type Colour = [u8; 4];

/// The colours of a palette that the console has set.
pub(super) type ColourMap = Vec<Colour>;

/// The form of a pixel (`PIXEL_FORMAT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PixelFormat {
    bytes: usize,
    depth: u8,
    is_big_endian: bool,
    is_true_colour: bool,
    /// Red, green, blue.
    channels: [Channel; 3],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Channel {
    max: u16,
    shift: u8,
}

/// A form of pixels in an encoding.
#[derive(Clone, Copy)]
enum Form {
    Whole,
    /// Without the most significant byte.
    Low,
    /// Without the least significant byte.
    High,
    /// One byte for each of red, green and blue.
    Rgb,
}

/// Reads the pixels of one encoding.
#[derive(Clone, Copy)]
pub(super) struct Pixels<'a> {
    format: PixelFormat,
    form: Form,
    map: &'a ColourMap,
}

impl PixelFormat {
    /// The format that noVNC sets.
    pub(super) const NOVNC: Self = Self {
        bytes: 4,
        depth: 24,
        is_big_endian: false,
        is_true_colour: true,
        channels: [Channel::byte(0), Channel::byte(8), Channel::byte(16)],
    };

    pub(super) fn read(format: &[u8; 16]) -> Result<Self, Halt> {
        let [
            bits,
            depth,
            big,
            colour,
            r0,
            r1,
            g0,
            g1,
            b0,
            b1,
            rs,
            gs,
            bs,
            ..,
        ] = *format;
        let channel = |high, low, shift| Channel {
            max: u16::from_be_bytes([high, low]),
            shift,
        };
        if !matches!(bits, 8 | 16 | 32) || [rs, gs, bs].iter().any(|shift| *shift > 31) {
            return Err(Halt::unknown(format!(
                "pixels of {bits} bits, which RFB does not have"
            )));
        }
        Ok(Self {
            bytes: usize::from(bits / 8),
            depth,
            is_big_endian: big != 0,
            is_true_colour: colour != 0,
            channels: [
                channel(r0, r1, rs),
                channel(g0, g1, gs),
                channel(b0, b1, bs),
            ],
        })
    }

    /// Pixels as they are in most encodings.
    pub(super) fn whole(self, map: &ColourMap) -> Pixels<'_> {
        self.pixels(Form::Whole, map)
    }

    /// `CPIXEL` of ZRLE (RFC 6143 §7.7.5): three bytes where the fourth one has no colour.
    pub(super) fn compressed(self, map: &ColourMap) -> Pixels<'_> {
        let used = self.channels.iter().fold(0_u32, |used, channel| {
            used | u32::from(channel.max)
                .checked_shl(channel.shift.into())
                .unwrap_or(0)
        });
        let is_short = self.bytes == 4 && self.is_true_colour && self.depth <= 24;
        let form = match used {
            0..=0x00FF_FFFF if is_short => Form::Low,
            _ if is_short && used.trailing_zeros() >= 8 => Form::High,
            _ => Form::Whole,
        };
        self.pixels(form, map)
    }

    /// `TPIXEL` of Tight: red, green and blue if each has a byte of four.
    pub(super) fn tight(self, map: &ColourMap) -> Pixels<'_> {
        let is_full = self.channels.iter().all(|channel| channel.max == 255);
        let form = if self.bytes == 4 && self.depth == 24 && self.is_true_colour && is_full {
            Form::Rgb
        } else {
            Form::Whole
        };
        self.pixels(form, map)
    }

    fn pixels(self, form: Form, map: &ColourMap) -> Pixels<'_> {
        Pixels {
            format: self,
            form,
            map,
        }
    }
}

impl Pixels<'_> {
    /// Bytes of one pixel.
    pub(super) fn len(&self) -> usize {
        match self.form {
            Form::Whole => self.format.bytes,
            Form::Low | Form::High | Form::Rgb => 3,
        }
    }

    /// The colour of one pixel.
    pub(super) fn colour(&self, pixel: &[u8]) -> Colour {
        if let (Form::Rgb, &[red, green, blue, ..]) = (self.form, pixel) {
            return [red, green, blue, 255];
        }
        let add = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
        let value = if self.format.is_big_endian {
            pixel.iter().fold(0, add)
        } else {
            pixel.iter().rev().fold(0, add)
        };
        let value = match self.form {
            Form::High => value << 8,
            _ => value,
        };
        if !self.format.is_true_colour {
            let index = usize::from(value.to_le_bytes()[0]);
            return self.map.get(index).copied().unwrap_or([0, 0, 0, 255]);
        }
        let [red, green, blue] = self.format.channels.map(|channel| channel.level(value));
        [red, green, blue, 255]
    }

    /// The colours of many pixels.
    pub(super) fn colours<'b>(&'b self, bytes: &'b [u8]) -> impl Iterator<Item = Colour> + 'b {
        let pixels = bytes.chunks_exact(self.len());
        pixels.map(|pixel| self.colour(pixel))
    }

    /// True if red, green and blue are bytes of their own.
    pub(super) fn is_rgb(&self) -> bool {
        matches!(self.form, Form::Rgb)
    }
}

impl Channel {
    const fn byte(shift: u8) -> Self {
        Self { max: 255, shift }
    }

    fn level(self, pixel: u32) -> u8 {
        let max = u32::from(self.max);
        let level = (pixel >> self.shift) & max;
        match max {
            255 => level,
            0 => 0,
            max => level * 255 / max,
        }
        .to_le_bytes()[0]
    }
}
