//! The picture of a console as the viewer has it. What a console draws outside of it is left out.

use super::Halt;
use super::colour::Colour;

/// Limit on the pixels of a screen: one of 8K, or four of 4K, in 135 MiB.
const MOST_PIXELS: usize = 8192 * 4320;
const BLACK: Colour = [0, 0, 0, 255];

/// Rows of pixels.
#[derive(Clone)]
pub(super) struct Screen {
    width: usize,
    height: usize,
    pixels: Vec<Colour>,
}

/// A part of a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Area {
    /// Number of pixels.
    pub(super) fn size(self) -> usize {
        self.width * self.height
    }

    /// Squares of this size, row by row, of which those at the right and at the bottom are smaller.
    pub(super) fn tiles(self, side: usize) -> impl Iterator<Item = Area> {
        let columns = move |y| (0..self.width).step_by(side).map(move |x| (x, y));
        let corners = (0..self.height).step_by(side).flat_map(columns);
        corners.map(move |(x, y)| Area {
            x: self.x + x,
            y: self.y + y,
            width: side.min(self.width - x),
            height: side.min(self.height - y),
        })
    }
}

impl Screen {
    /// A black screen.
    pub(super) fn new(width: usize, height: usize) -> Result<Self, Halt> {
        if width * height > MOST_PIXELS {
            return Err(Halt::unknown(format!(
                "a screen of {width} by {height} pixels, which is too large"
            )));
        }
        Ok(Self {
            width,
            height,
            pixels: vec![BLACK; width * height],
        })
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn height(&self) -> usize {
        self.height
    }

    /// The same picture on a screen of another size.
    pub(super) fn resized(&self, width: usize, height: usize) -> Result<Self, Halt> {
        let mut screen = Self::new(width, height)?;
        for y in 0..height.min(self.height) {
            screen.draw(0, y, self.row(y));
        }
        Ok(screen)
    }

    /// One row.
    pub(super) fn row(&self, y: usize) -> &[Colour] {
        let start = y.saturating_mul(self.width);
        let row = self.pixels.get(start..start + self.width);
        row.unwrap_or_default()
    }

    /// A part of a row, as far as there is one.
    pub(super) fn part(&mut self, x: usize, y: usize, width: usize) -> &mut [Colour] {
        if y >= self.height {
            return &mut [];
        }
        let end = x.saturating_add(width).min(self.width);
        let start = y * self.width;
        let part = self.pixels.get_mut(start + x.min(end)..start + end);
        part.unwrap_or_default()
    }

    /// Draws a part of a row.
    pub(super) fn draw(&mut self, x: usize, y: usize, colours: &[Colour]) {
        let part = self.part(x, y, colours.len());
        for (pixel, colour) in part.iter_mut().zip(colours) {
            *pixel = *colour;
        }
    }

    /// Draws an area, row by row.
    pub(super) fn put(&mut self, area: Area, mut colours: impl Iterator<Item = Colour>) {
        let mut row = Vec::with_capacity(area.width);
        for y in area.y..area.y + area.height {
            row.clear();
            row.extend(colours.by_ref().take(area.width));
            self.draw(area.x, y, &row);
        }
    }

    /// Draws an area in one colour.
    pub(super) fn fill(&mut self, area: Area, colour: Colour) {
        for y in area.y..area.y + area.height {
            self.part(area.x, y, area.width).fill(colour);
        }
    }

    /// Draws an area with what is at another place.
    pub(super) fn copy(&mut self, area: Area, from_x: usize, from_y: usize) {
        let mut copied = Vec::with_capacity(area.height);
        for y in from_y..from_y + area.height {
            copied.push(self.part(from_x, y, area.width).to_vec());
        }
        for (y, row) in (area.y..).zip(copied) {
            self.draw(area.x, y, &row);
        }
    }
}
