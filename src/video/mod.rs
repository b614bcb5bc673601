//! The video of a recorded graphical console (RFC 6143): its pictures are drawn as the viewer drew them, and written as
//! uncompressed frames in Matroska, which an encoder such as `ffmpeg` makes a video file of.
//!
//! The bytes of the console are read one after the other, so whatever stands before a picture is needed to draw it. The
//! pixel format and the pointer are the client's, from the recorded input; without input, noVNC's format is assumed.
//! Draws the encodings that noVNC asks for, but `TightPNG`, H.264 and bare JPEG. Must not know files and programs.

mod client;
mod colour;
mod console;
mod cursor;
mod encodings;
mod frames;
mod inflater;
mod login;
mod matroska;
mod screen;
mod stream;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead, Write};
use std::time::Duration;

use crate::recording::{ReadError, Reader};
use console::Console;
use frames::Frames;
use stream::Stream;

/// Settings of the conversion.
#[derive(Clone, Copy, Debug)]
pub struct Video {
    /// The video is this many times as fast as the console was.
    pub speed: f64,
    /// Longer pauses are shortened to this many seconds.
    pub max_pause: Option<f64>,
}

/// The size of the frames: that of the largest screen in the recording, with even numbers, as encoders want them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSize {
    /// Pixels in a row.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
}

/// The video that was written.
#[derive(Debug)]
pub struct Written {
    /// Its length.
    pub duration: Duration,
    /// The reason why it ends before the recording does, if it does.
    pub cut: Option<String>,
}

/// Reasons why there is no video of a recording.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    /// The recording cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The frames cannot be written.
    #[error(transparent)]
    Write(#[from] io::Error),
    /// It has no picture, for this reason.
    #[error("there is no picture in it: {0}")]
    NoPicture(String),
}

/// Reasons why no further message of a console is drawn.
#[derive(Debug, thiserror::Error)]
enum Halt {
    #[error("the recording ends")]
    End,
    #[error("{0} bytes are missing from here on, and without them nothing can be drawn")]
    Gap(u64),
    #[error("{0}")]
    Unknown(String),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] io::Error),
}

impl Halt {
    fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown(reason.into())
    }

    /// The reason why a video ends before its recording; `None` at the end of the recording.
    fn cut(self) -> Result<Option<String>, VideoError> {
        match self {
            Self::End => Ok(None),
            Self::Gap(_) | Self::Unknown(_) => Ok(Some(self.to_string())),
            Self::Read(error) => Err(error.into()),
            Self::Write(error) => Err(error.into()),
        }
    }
}

impl Video {
    /// Determines the size of the frames, by drawing all pictures once.
    ///
    /// # Errors
    /// [`VideoError`] if the recording cannot be read, or has no picture.
    pub fn measure<R: BufRead>(self, reader: Reader<R>) -> Result<FrameSize, VideoError> {
        let mut frames = Frames::<io::Sink>::measuring();
        let halt = self.draw(reader, &mut frames);
        let cut = halt.cut()?;
        frames.largest().ok_or_else(|| {
            let reason = "it ends before the console has drawn one";
            VideoError::NoPicture(cut.unwrap_or_else(|| reason.to_owned()))
        })
    }

    /// Writes all frames.
    ///
    /// # Errors
    /// [`VideoError`] if the recording cannot be read, or the frames cannot be written.
    pub fn write<R: BufRead>(
        self,
        reader: Reader<R>,
        size: FrameSize,
        into: impl Write,
    ) -> Result<Written, VideoError> {
        let mut frames = Frames::writing(size, into)?;
        let halt = self.draw(reader, &mut frames);
        let cut = halt.cut()?;
        Ok(Written {
            duration: frames.finish()?,
            cut,
        })
    }

    /// Draws until something ends it.
    fn draw<R: BufRead, W: Write>(self, reader: Reader<R>, frames: &mut Frames<W>) -> Halt {
        let mut stream = Stream::new(reader, self);
        let mut console = match Console::open(&mut stream) {
            Ok(console) => console,
            Err(halt) => return halt,
        };
        let halt = loop {
            if let Err(halt) = step(&mut stream, &mut console, frames) {
                break halt;
            }
        };
        match frames.settle(&console) {
            Ok(()) => halt,
            Err(error) => error.into(),
        }
    }
}

/// Draws one message.
fn step<R: BufRead, W: Write>(
    stream: &mut Stream<R>,
    console: &mut Console,
    frames: &mut Frames<W>,
) -> Result<(), Halt> {
    // Movements of the pointer are seen although the console says nothing.
    while stream.is_empty() {
        let read = stream.pull();
        frames.proceed(stream.time(), console)?;
        frames.point(stream.client.pointer());
        read?;
    }
    if console.read(stream)? {
        frames.change(stream.time(), console, !stream.is_empty())?;
    }
    Ok(())
}
