//! RRE and Hextile (RFC 6143 §7.7.3, §7.7.4): areas of one colour with rectangles of others.

use std::io::BufRead;

use crate::video::Halt;
use crate::video::colour::{Colour, Pixels};
use crate::video::screen::{Area, Screen};
use crate::video::stream::Stream;

const RAW: u8 = 1;
const BACKGROUND: u8 = 2;
const FOREGROUND: u8 = 4;
const RECTANGLES: u8 = 8;
const COLOURED: u8 = 16;

fn colour<R: BufRead>(stream: &mut Stream<R>, pixels: Pixels<'_>) -> Result<Colour, Halt> {
    Ok(pixels.colour(&stream.bytes(pixels.len())?))
}

/// Draws a rectangle of RRE.
pub(super) fn rre<R: BufRead>(
    stream: &mut Stream<R>,
    screen: &mut Screen,
    pixels: Pixels<'_>,
    area: Area,
) -> Result<(), Halt> {
    let count = stream.long()?;
    let background = colour(stream, pixels)?;
    screen.fill(area, background);
    for _ in 0..count {
        let colour = colour(stream, pixels)?;
        let (x, y) = (stream.short()?, stream.short()?);
        let (width, height) = (stream.short()?, stream.short()?);
        let part = Area {
            x: area.x + x,
            y: area.y + y,
            width,
            height,
        };
        screen.fill(part, colour);
    }
    Ok(())
}

/// Draws a rectangle of Hextile.
pub(super) fn hextile<R: BufRead>(
    stream: &mut Stream<R>,
    screen: &mut Screen,
    pixels: Pixels<'_>,
    area: Area,
) -> Result<(), Halt> {
    let mut background = [0, 0, 0, 255];
    let mut foreground = background;
    for tile in area.tiles(16) {
        let kind = stream.byte()?;
        if kind & RAW != 0 {
            let bytes = stream.bytes(tile.size() * pixels.len())?;
            screen.put(tile, pixels.colours(&bytes));
            continue;
        }
        if kind & BACKGROUND != 0 {
            background = colour(stream, pixels)?;
        }
        if kind & FOREGROUND != 0 {
            foreground = colour(stream, pixels)?;
        }
        screen.fill(tile, background);
        if kind & RECTANGLES == 0 {
            continue;
        }
        for _ in 0..stream.byte()? {
            let colour = if kind & COLOURED == 0 {
                foreground
            } else {
                colour(stream, pixels)?
            };
            let [place, size] = stream.array()?.map(usize::from);
            let part = Area {
                x: tile.x + (place >> 4),
                y: tile.y + (place & 15),
                width: (size >> 4) + 1,
                height: (size & 15) + 1,
            };
            screen.fill(part, colour);
        }
    }
    Ok(())
}
