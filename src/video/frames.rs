//! The frames of a video: one at most every 40 ms, and only where something has changed, so that a console that is idle
//! for days costs nothing. Does not know how pictures are drawn.

use std::io::{self, Write};
use std::time::Duration;

use super::console::Console;
use super::matroska::{FRAME, Matroska};
use super::screen::Screen;
use super::{FrameSize, Halt};

/// Collects the changes of a picture into frames.
pub(super) struct Frames<W> {
    /// None while only the size is wanted.
    out: Option<(Matroska<W>, FrameSize)>,
    largest: FrameSize,
    /// Pixels of the last picture, as they are written.
    pixels: Vec<u8>,
    /// Number of the frame that they were composed for while it had not been written.
    kept: Option<u64>,
    /// Number of the frame that the picture belongs to, if it was not written yet.
    changed: Option<u64>,
    /// Number of the last frame that was written.
    last: Option<u64>,
    /// Number of the frame in which the recording is.
    now: u64,
    pointer: Option<(usize, usize)>,
}

impl Frames<io::Sink> {
    /// Only determines how large the pictures are.
    pub(super) fn measuring() -> Self {
        Self::new(None)
    }
}

impl<W: Write> Frames<W> {
    /// Writes frames of this size.
    pub(super) fn writing(size: FrameSize, into: W) -> io::Result<Self> {
        Ok(Self::new(Some((Matroska::new(size, into)?, size))))
    }

    fn new(out: Option<(Matroska<W>, FrameSize)>) -> Self {
        Self {
            out,
            largest: FrameSize {
                width: 0,
                height: 0,
            },
            pixels: Vec::new(),
            kept: None,
            changed: None,
            last: None,
            now: 0,
            pointer: None,
        }
    }

    /// The size that holds every picture, if there was one.
    pub(super) fn largest(&self) -> Option<FrameSize> {
        let FrameSize { width, height } = self.largest;
        (width > 0 && height > 0).then_some(FrameSize {
            width: width.next_multiple_of(2),
            height: height.next_multiple_of(2),
        })
    }

    /// Writes the frames before this time, when the next message comes.
    pub(super) fn proceed(&mut self, time: Duration, console: &Console) -> Result<(), Halt> {
        let now = number(time);
        if now > self.now {
            self.settle(console)?;
            self.now = now;
        }
        Ok(())
    }

    /// Moves the pointer.
    pub(super) fn point(&mut self, pointer: Option<(usize, usize)>) {
        if self.pointer != pointer {
            self.pointer = pointer;
            // Before the first picture there is nothing that it could point at.
            if self.last.is_some() {
                self.changed.get_or_insert(self.now);
            }
        }
    }

    /// Records that the picture has changed. `is_followed` is true if the next message has begun to come: what it draws
    /// may belong to a later frame, so that the picture is kept as it is now, or as it was earlier in this frame.
    pub(super) fn change(
        &mut self,
        time: Duration,
        console: &Console,
        is_followed: bool,
    ) -> io::Result<()> {
        let FrameSize { width, height } = &mut self.largest;
        *width = (*width).max(console.screen.width());
        *height = (*height).max(console.screen.height());
        self.now = self.now.max(number(time));
        if let Some(earlier) = self.changed.filter(|earlier| *earlier < self.now) {
            if self.kept != Some(earlier) {
                self.compose(console);
            }
            self.write(earlier)?;
        }
        self.changed = Some(self.now);
        if is_followed && self.kept != self.changed {
            self.compose(console);
            self.kept = self.changed;
        }
        Ok(())
    }

    /// Writes the picture, if it has changed.
    pub(super) fn settle(&mut self, console: &Console) -> io::Result<()> {
        let Some(changed) = self.changed.take() else {
            return Ok(());
        };
        self.kept = None;
        self.compose(console);
        self.write(changed)
    }

    /// Writes the last picture again, so that it is seen until the end.
    pub(super) fn finish(mut self) -> io::Result<Duration> {
        if self.last.is_some_and(|last| last < self.now) {
            self.write(self.now)?;
        }
        let frames = self.last.map_or(0, |last| last + 1);
        if let Some((out, _)) = self.out {
            out.finish()?;
        }
        Ok(Duration::from_millis(frames.saturating_mul(FRAME)))
    }

    fn write(&mut self, number: u64) -> io::Result<()> {
        // A message that took long to come may have been passed by the pointer.
        let number = number.max(self.last.map_or(0, |last| last + 1));
        self.last = Some(number);
        match &mut self.out {
            Some((out, _)) => out.frame(number * FRAME, &self.pixels),
            None => Ok(()),
        }
    }

    /// Puts the picture, the pointer and black edges together.
    fn compose(&mut self, console: &Console) {
        let Some((_, size)) = &self.out else { return };
        let pointed;
        let screen = match (self.pointer, &console.cursor) {
            (Some(place), Some(cursor)) => {
                pointed = cursor.over(&console.screen, place);
                &pointed
            }
            _ => &console.screen,
        };
        self.pixels.clear();
        for y in 0..size.height {
            push_row(&mut self.pixels, screen, y, size.width);
        }
    }
}

fn push_row(pixels: &mut Vec<u8>, screen: &Screen, y: usize, width: usize) {
    let row = screen.row(y);
    let row = row.get(..width).unwrap_or(row);
    pixels.extend_from_slice(row.as_flattened());
    for _ in row.len()..width {
        pixels.extend_from_slice(&[0, 0, 0, 255]);
    }
}

/// The number of the frame at a time.
fn number(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX) / FRAME
}
