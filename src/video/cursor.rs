//! The shape of the pointer, which viewers draw themselves.

use super::colour::{Colour, Pixels};
use super::screen::Screen;

/// A shape, and the pixel of it that points.
#[derive(Clone, Default)]
pub(super) struct Cursor {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    /// The last number of a pixel is its opacity.
    pub(super) pixels: Vec<Colour>,
}

impl Cursor {
    /// The shape of the encoding `Cursor`: pixels, and a bit for each that is seen.
    pub(super) fn masked(&mut self, pixels: Pixels<'_>, bytes: &[u8], mask: &[u8]) {
        let stride = self.width.div_ceil(8);
        let colours = pixels.colours(bytes).enumerate();
        let width = self.width.max(1);
        let seen = colours.map(|(at, [red, green, blue, _])| {
            let (x, y) = (at % width, at / width);
            let byte = mask.get(y * stride + x / 8).copied().unwrap_or(0);
            let is_seen = byte & (0x80 >> (x % 8)) != 0;
            [red, green, blue, if is_seen { 255 } else { 0 }]
        });
        self.pixels = seen.collect();
    }

    /// The same screen with the pointer at a place.
    pub(super) fn over(&self, screen: &Screen, (x, y): (usize, usize)) -> Screen {
        let mut screen = screen.clone();
        for (row, colours) in self.pixels.chunks(self.width.max(1)).enumerate() {
            let Some(y) = (y + row).checked_sub(self.y) else {
                continue;
            };
            for (column, colour) in colours.iter().enumerate() {
                if let Some(x) = (x + column).checked_sub(self.x)
                    && let Some(below) = screen.part(x, y, 1).first_mut()
                {
                    *below = mixed(*colour, *below);
                }
            }
        }
        screen
    }
}

/// Mixes a colour with the one below it.
fn mixed([r, g, b, opacity]: Colour, [r0, g0, b0, _]: Colour) -> Colour {
    let mix = |above: u8, below: u8| {
        let (above, below, opacity) = (u32::from(above), u32::from(below), u32::from(opacity));
        ((above * opacity + below * (255 - opacity)) / 255).to_le_bytes()[0]
    };
    [mix(r, r0), mix(g, g0), mix(b, b0), 255]
}
