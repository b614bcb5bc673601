//! The messages of a recorded console (RFC 6143 §7.6 and the community's extensions), of which those that draw are
//! drawn. Does not know time.

use std::io::BufRead;

use super::Halt;
use super::colour::{ColourMap, PixelFormat, Pixels};
use super::cursor::Cursor;
use super::encodings::Streams;
use super::login::log_in;
use super::screen::{Area, Screen};
use super::stream::Stream;

/// `LastRect`, which ends an update of unknown length.
const LAST: i32 = -224;
/// Pseudo-encoding of VMware's cursors.
const VMWARE_CURSOR: i32 = 0x574D_5664;

/// The state of a console that its pictures depend on.
pub(super) struct Console {
    pub(super) screen: Screen,
    pub(super) cursor: Option<Cursor>,
    /// The format of the console itself, until its client sets another one.
    own_format: PixelFormat,
    format: PixelFormat,
    map: ColourMap,
    streams: Streams,
}

impl Console {
    /// Reads the handshake.
    pub(super) fn open<R: BufRead>(stream: &mut Stream<R>) -> Result<Self, Halt> {
        let init = log_in(stream)?;
        Ok(Self {
            screen: Screen::new(init.width, init.height)?,
            cursor: None,
            own_format: init.format,
            format: init.format,
            map: vec![[0, 0, 0, 255]; 256],
            streams: Streams::default(),
        })
    }

    /// Reads a message; true if it has drawn something.
    pub(super) fn read<R: BufRead>(&mut self, stream: &mut Stream<R>) -> Result<bool, Halt> {
        // The client sets its format before it asks for a picture.
        self.format = match stream.client.format() {
            Some(format) => format,
            None if stream.client.is_followed() => self.own_format,
            None => PixelFormat::NOVNC,
        };
        match stream.byte()? {
            0 => return self.update(stream).map(|()| true),
            1 => self.colours(stream)?,
            // Bell, the end of continuous updates
            2 | 150 => {}
            // ServerCutText; a negative length is that of an extended clipboard
            3 => {
                let [_, _, _, length @ ..] = stream.array::<7>()?;
                let length = i32::from_be_bytes(length).unsigned_abs();
                stream.skip(length as usize)?;
            }
            // Fence
            248 => {
                let [.., length] = stream.array::<8>()?;
                stream.skip(length.into())?;
            }
            // xvp
            250 => stream.skip(3)?,
            // QEMU's audio
            255 => {
                let [kind, _, operation] = stream.array()?;
                if kind == 1 && operation == 2 {
                    let length = stream.long()?;
                    stream.skip(length)?;
                }
            }
            other => {
                return Err(Halt::unknown(format!(
                    "the console sends a message of the type {other}, whose length is not known"
                )));
            }
        }
        Ok(false)
    }

    /// Reads colours of the palette (`SetColourMapEntries`).
    fn colours<R: BufRead>(&mut self, stream: &mut Stream<R>) -> Result<(), Halt> {
        stream.skip(1)?;
        let (first, count) = (stream.short()?, stream.short()?);
        for at in first..first + count {
            let [red, _, green, _, blue, _] = stream.array()?;
            if let Some(colour) = self.map.get_mut(at) {
                *colour = [red, green, blue, 255];
            }
        }
        Ok(())
    }

    fn update<R: BufRead>(&mut self, stream: &mut Stream<R>) -> Result<(), Halt> {
        stream.skip(1)?;
        for _ in 0..stream.short()? {
            let (x, y) = (stream.short()?, stream.short()?);
            let (width, height) = (stream.short()?, stream.short()?);
            let area = Area {
                x,
                y,
                width,
                height,
            };
            let encoding = i32::from_be_bytes(stream.array()?);
            if encoding == LAST {
                break;
            }
            self.rectangle(stream, encoding, area)?;
        }
        Ok(())
    }

    fn rectangle<R: BufRead>(
        &mut self,
        stream: &mut Stream<R>,
        encoding: i32,
        area: Area,
    ) -> Result<(), Halt> {
        match encoding {
            // DesktopSize; ExtendedDesktopSize, where x is the cause and y the failure of a request
            -223 => self.screen = self.screen.resized(area.width, area.height)?,
            -308 => {
                let [screens, ..] = stream.array::<4>()?;
                stream.skip(16 * usize::from(screens))?;
                if area.y == 0 {
                    self.screen = self.screen.resized(area.width, area.height)?;
                }
            }
            -239 | -240 | VMWARE_CURSOR => self.shape(stream, encoding, area)?,
            // QEMU's pointer motion, keys, and audio
            -259..=-257 => {}
            -316 => stream.client.permit_more_buttons(),
            // The lamps of the keyboard, of QEMU and of VMware
            -261 => stream.skip(1)?,
            0x574D_5668 => stream.skip(4)?,
            // The name of the desktop
            -307 => {
                let length = stream.long()?;
                stream.skip(length)?;
            }
            _ => {
                let pixels = (self.format, &self.map);
                self.streams
                    .draw(stream, &mut self.screen, pixels, encoding, area)?;
            }
        }
        Ok(())
    }

    /// The shape of the pointer, whose tip is at x and y.
    fn shape<R: BufRead>(
        &mut self,
        stream: &mut Stream<R>,
        encoding: i32,
        area: Area,
    ) -> Result<(), Halt> {
        let mut cursor = Cursor {
            x: area.x,
            y: area.y,
            width: area.width,
            pixels: Vec::new(),
        };
        let pixels = self.format.whole(&self.map);
        let mask = area.width.div_ceil(8) * area.height;
        match encoding {
            -239 => {
                let bytes = stream.bytes(area.size() * pixels.len())?;
                cursor.masked(pixels, &bytes, &stream.bytes(mask)?);
            }
            // Two colours, and two bits for each pixel
            -240 if mask == 0 => {}
            -240 => stream.skip(6 + 2 * mask)?,
            _ => vmware(stream, &mut cursor, pixels, area)?,
        }
        self.cursor = Some(cursor);
        Ok(())
    }
}

/// VMware's cursors: masks for AND and XOR, or pixels with their opacity.
fn vmware<R: BufRead>(
    stream: &mut Stream<R>,
    cursor: &mut Cursor,
    pixels: Pixels<'_>,
    area: Area,
) -> Result<(), Halt> {
    let [kind, _] = stream.array()?;
    if kind == 1 {
        let bytes = stream.bytes(4 * area.size())?;
        let (colours, _) = bytes.as_chunks::<4>();
        cursor.pixels = colours.to_vec();
        return Ok(());
    }
    let and = stream.bytes(pixels.len() * area.size())?;
    let xor = stream.bytes(pixels.len() * area.size())?;
    let seen = and.chunks_exact(pixels.len()).zip(pixels.colours(&xor));
    // What inverts the screen is seen as white.
    let seen = seen.map(
        |(and, colour)| match (and.iter().all(|byte| *byte == 0), colour) {
            (true, colour) => colour,
            (false, [0, 0, 0, _]) => [0, 0, 0, 0],
            (false, _) => [255; 4],
        },
    );
    cursor.pixels = seen.collect();
    Ok(())
}
