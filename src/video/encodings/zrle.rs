//! ZRLE (RFC 6143 §7.7.6): tiles of 64 by 64 pixels, with palettes and runs, in one zlib stream.

use crate::video::Halt;
use crate::video::colour::{Colour, Pixels};
use crate::video::inflater::Inflater;
use crate::video::screen::{Area, Screen};

const SIDE: usize = 64;
/// Limit on the decompressed bytes of a pixel (a run of one) and of a tile (its kind and palette).
const MOST_OF_PIXEL: usize = 6;
const MOST_OF_TILE: usize = 1024;

/// Draws a rectangle.
pub(super) fn draw(
    inflater: &mut Inflater,
    bytes: &[u8],
    screen: &mut Screen,
    pixels: Pixels<'_>,
    area: Area,
) -> Result<(), Halt> {
    let tiles = area.width.div_ceil(SIDE) * area.height.div_ceil(SIDE);
    let most = area.size() * MOST_OF_PIXEL + tiles * MOST_OF_TILE;
    let bytes = inflater.inflate(bytes, most)?;
    let mut input = Input(&bytes);
    for tile in area.tiles(SIDE) {
        let kind = input.byte()?;
        let size = usize::from(kind & 0x7F);
        match kind {
            0 => {
                let bytes = input.take(tile.size() * pixels.len())?;
                screen.put(tile, pixels.colours(bytes));
            }
            1 => screen.fill(tile, input.colour(pixels)?),
            2..=16 => {
                let palette = input.palette(pixels, size)?;
                packed(&mut input, screen, &palette, tile)?;
            }
            128 => {
                let next = |input: &mut Input<'_>| {
                    let colour = input.colour(pixels)?;
                    Ok((colour, input.length()?))
                };
                runs(&mut input, screen, tile, next)?;
            }
            130.. => {
                let palette = input.palette(pixels, size)?;
                let next = |input: &mut Input<'_>| {
                    let index = input.byte()?;
                    let colour = palette.get(usize::from(index & 0x7F)).copied();
                    let length = if index & 0x80 == 0 {
                        1
                    } else {
                        input.length()?
                    };
                    Ok((colour.ok_or_else(broken)?, length))
                };
                runs(&mut input, screen, tile, next)?;
            }
            17..=127 | 129 => return Err(broken()),
        }
    }
    Ok(())
}

/// Draws a tile of indices of one, two or four bits, whose rows begin with a byte.
fn packed(
    input: &mut Input<'_>,
    screen: &mut Screen,
    palette: &[Colour],
    tile: Area,
) -> Result<(), Halt> {
    let bits = match palette.len() {
        0..=2 => 1,
        3 | 4 => 2,
        _ => 4,
    };
    for y in tile.y..tile.y + tile.height {
        let row = input.take((tile.width * bits).div_ceil(8))?;
        let colour = |x: usize| {
            let byte = row.get(x * bits / 8).copied().unwrap_or(0);
            let index = byte >> (8 - bits - x * bits % 8) & ((1 << bits) - 1);
            palette.get(usize::from(index)).copied().ok_or_else(broken)
        };
        let row: Vec<_> = (0..tile.width).map(colour).collect::<Result<_, _>>()?;
        screen.draw(tile.x, y, &row);
    }
    Ok(())
}

/// Draws a tile of runs.
fn runs<'a>(
    input: &mut Input<'a>,
    screen: &mut Screen,
    tile: Area,
    mut next: impl FnMut(&mut Input<'a>) -> Result<(Colour, usize), Halt>,
) -> Result<(), Halt> {
    let mut drawn = Vec::with_capacity(tile.size());
    while drawn.len() < tile.size() {
        let (colour, length) = next(input)?;
        let end = (drawn.len() + length).min(tile.size());
        drawn.resize(end, colour);
    }
    screen.put(tile, drawn.into_iter());
    Ok(())
}

/// Decompressed bytes.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Halt> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(broken)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Halt> {
        let taken = self.take(1)?;
        Ok(taken.first().copied().unwrap_or(0))
    }

    fn colour(&mut self, pixels: Pixels<'_>) -> Result<Colour, Halt> {
        Ok(pixels.colour(self.take(pixels.len())?))
    }

    fn palette(&mut self, pixels: Pixels<'_>, size: usize) -> Result<Vec<Colour>, Halt> {
        let bytes = self.take(size * pixels.len())?;
        Ok(pixels.colours(bytes).collect())
    }

    /// The length of a run: one, and the sum of bytes up to one that is not 255.
    fn length(&mut self) -> Result<usize, Halt> {
        let mut length = 1;
        loop {
            let byte = self.byte()?;
            length += usize::from(byte);
            if byte != 255 {
                return Ok(length);
            }
        }
    }
}

fn broken() -> Halt {
    Halt::unknown("the console sends a picture (ZRLE) that cannot be read")
}
