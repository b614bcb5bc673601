//! The encodings of pictures (RFC 6143 §7.7), and the zlib streams that they go on with. Whatever a recording says, a
//! rectangle needs memory for no more pixels than the screen has.

mod hextile;
mod tight;
mod zrle;

use std::io::BufRead;

use super::Halt;
use super::colour::{ColourMap, PixelFormat};
use super::inflater::Inflater;
use super::screen::{Area, Screen};
use super::stream::Stream;
use tight::Tight;

/// The streams of a console.
#[derive(Default)]
pub(super) struct Streams {
    zlib: Option<Inflater>,
    zrle: Option<Inflater>,
    tight: Tight,
}

impl Streams {
    /// Draws a rectangle.
    pub(super) fn draw<R: BufRead>(
        &mut self,
        stream: &mut Stream<R>,
        screen: &mut Screen,
        (format, map): (PixelFormat, &ColourMap),
        encoding: i32,
        area: Area,
    ) -> Result<(), Halt> {
        if area.width > screen.width() || area.height > screen.height() {
            return Err(Halt::unknown(
                "the console draws a rectangle that is larger than its screen",
            ));
        }
        let pixels = format.whole(map);
        match encoding {
            // Raw
            0 => {
                let bytes = stream.bytes(area.size() * pixels.len())?;
                screen.put(area, pixels.colours(&bytes));
            }
            // CopyRect
            1 => {
                let (x, y) = (stream.short()?, stream.short()?);
                screen.copy(area, x, y);
            }
            2 => hextile::rre(stream, screen, pixels, area)?,
            5 => hextile::hextile(stream, screen, pixels, area)?,
            // zlib
            6 => {
                let inflater = self.zlib.get_or_insert_with(Inflater::new);
                let length = stream.long()?;
                let bytes = stream.bytes(length)?;
                let bytes = inflater.inflate(&bytes, area.size() * pixels.len())?;
                screen.put(area, pixels.colours(&bytes));
            }
            7 => self.tight.draw(stream, screen, format.tight(map), area)?,
            16 => {
                let inflater = self.zrle.get_or_insert_with(Inflater::new);
                let length = stream.long()?;
                let bytes = stream.bytes(length)?;
                zrle::draw(inflater, &bytes, screen, format.compressed(map), area)?;
            }
            other => {
                return Err(Halt::unknown(format!(
                    "the console uses the encoding {other}, which cannot be drawn here"
                )));
            }
        }
        Ok(())
    }
}
