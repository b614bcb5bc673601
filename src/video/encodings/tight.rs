//! Tight (`rfbproto`, "Tight Encoding"): one colour, a JPEG picture, or pixels behind a filter in one of four zlib
//! streams.

use std::io::BufRead;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::video::Halt;
use crate::video::colour::{Colour, Pixels};
use crate::video::inflater::Inflater;
use crate::video::screen::{Area, Screen};
use crate::video::stream::Stream;

/// Length below which nothing is compressed.
const LEAST: usize = 12;

/// The four streams.
#[derive(Default)]
pub(super) struct Tight([Option<Inflater>; 4]);

/// The way in which pixels are written.
enum Filter {
    Copy,
    Palette(Vec<Colour>),
    /// Each pixel is the difference to what its neighbours let expect.
    Gradient,
}

impl Tight {
    /// Draws a rectangle.
    pub(super) fn draw<R: BufRead>(
        &mut self,
        stream: &mut Stream<R>,
        screen: &mut Screen,
        pixels: Pixels<'_>,
        area: Area,
    ) -> Result<(), Halt> {
        let control = stream.byte()?;
        for (bit, inflater) in self.0.iter_mut().enumerate() {
            if control & (1 << bit) != 0 {
                *inflater = None;
            }
        }
        match control >> 4 {
            8 => {
                let colour = pixels.colour(&stream.bytes(pixels.len())?);
                screen.fill(area, colour);
            }
            9 => {
                let length = compact(stream)?;
                let bytes = stream.bytes(length)?;
                screen.put(area, jpeg(&bytes, area)?.into_iter());
            }
            kind @ 0..=7 => {
                let filter = filter(stream, kind & 4 != 0, pixels)?;
                let length = match &filter {
                    Filter::Palette(colours) if colours.len() <= 2 => {
                        area.width.div_ceil(8) * area.height
                    }
                    Filter::Palette(_) => area.size(),
                    Filter::Copy | Filter::Gradient => area.size() * pixels.len(),
                };
                let bytes = if length < LEAST {
                    stream.bytes(length)?
                } else {
                    let compressed = compact(stream)?;
                    let compressed = stream.bytes(compressed)?;
                    let inflater = self.0.get_mut(usize::from(kind & 3)).ok_or_else(broken)?;
                    let inflater = inflater.get_or_insert_with(Inflater::new);
                    inflater.inflate(&compressed, length)?
                };
                filter.draw(&bytes, screen, pixels, area)?;
            }
            _ => return Err(broken()),
        }
        Ok(())
    }
}

fn filter<R: BufRead>(
    stream: &mut Stream<R>,
    is_explicit: bool,
    pixels: Pixels<'_>,
) -> Result<Filter, Halt> {
    Ok(match if is_explicit { stream.byte()? } else { 0 } {
        0 => Filter::Copy,
        1 => {
            let count = usize::from(stream.byte()?) + 1;
            let bytes = stream.bytes(count * pixels.len())?;
            Filter::Palette(pixels.colours(&bytes).collect())
        }
        2 if pixels.is_rgb() => Filter::Gradient,
        _ => return Err(broken()),
    })
}

impl Filter {
    fn draw(
        &self,
        bytes: &[u8],
        screen: &mut Screen,
        pixels: Pixels<'_>,
        area: Area,
    ) -> Result<(), Halt> {
        match self {
            Self::Copy => screen.put(area, pixels.colours(bytes)),
            Self::Palette(palette) => {
                let stride = area.width.div_ceil(8);
                let is_bits = palette.len() <= 2;
                let index = |at: usize| {
                    let (x, y) = (at % area.width, at / area.width);
                    let byte = bytes.get(if is_bits { y * stride + x / 8 } else { at });
                    let byte = byte.copied().unwrap_or(0);
                    usize::from(if is_bits {
                        byte >> (7 - x % 8) & 1
                    } else {
                        byte
                    })
                };
                let colour = |at| palette.get(index(at)).copied().ok_or_else(broken);
                let colours: Vec<_> = (0..area.size()).map(colour).collect::<Result<_, _>>()?;
                screen.put(area, colours.into_iter());
            }
            Self::Gradient => screen.put(area, gradient(bytes, area).into_iter()),
        }
        Ok(())
    }
}

/// Adds differences to what is expected: left, and above, less what is above on the left.
fn gradient(bytes: &[u8], area: Area) -> Vec<Colour> {
    let mut colours = Vec::with_capacity(area.size());
    let mut above = vec![[0_u8; 3]; area.width];
    for row in bytes.chunks_exact((3 * area.width).max(1)) {
        let (differences, _) = row.as_chunks::<3>();
        let (mut left, mut corner) = ([0; 3], [0; 3]);
        for (above, difference) in above.iter_mut().zip(differences) {
            let mut pixel = [0; 3];
            let neighbours = left.into_iter().zip(*above).zip(corner);
            for ((value, difference), ((left, above), corner)) in
                pixel.iter_mut().zip(difference).zip(neighbours)
            {
                let expected = i16::from(left) + i16::from(above) - i16::from(corner);
                let expected = expected.clamp(0, 255).to_le_bytes()[0];
                *value = expected.wrapping_add(*difference);
            }
            corner = std::mem::replace(above, pixel);
            left = pixel;
            let [red, green, blue] = pixel;
            colours.push([red, green, blue, 255]);
        }
    }
    colours
}

fn jpeg(bytes: &[u8], area: Area) -> Result<Vec<Colour>, Halt> {
    let options = DecoderOptions::new_fast()
        .set_max_width(area.width)
        .set_max_height(area.height)
        .jpeg_set_out_colorspace(ColorSpace::RGBA);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let pixels = decoder.decode();
    let pixels = pixels.map_err(|error| {
        Halt::unknown(format!(
            "the console sends a JPEG that cannot be read: {error}"
        ))
    })?;
    if decoder.dimensions() != Some((area.width, area.height)) {
        return Err(broken());
    }
    let (pixels, _) = pixels.as_chunks::<4>();
    Ok(pixels.to_vec())
}

/// A length of one to three bytes.
fn compact<R: BufRead>(stream: &mut Stream<R>) -> Result<usize, Halt> {
    let mut length = 0;
    for shift in [0, 7, 14] {
        let byte = usize::from(stream.byte()?);
        if shift == 14 {
            return Ok(length | byte << shift);
        }
        length |= (byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    Ok(length)
}

fn broken() -> Halt {
    Halt::unknown("the console sends a picture (Tight) that cannot be read")
}
