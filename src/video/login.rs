//! The handshake of a recorded console (RFC 6143 §7.1 to §7.3), up to its first picture.

use std::io::BufRead;

use super::Halt;
use super::colour::PixelFormat;
use super::stream::Stream;
use crate::rfb::Version;

const NONE: u8 = 1;
const VNC: u8 = 2;

/// The screen of a console as it begins (`ServerInit`).
pub(super) struct Init {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) format: PixelFormat,
}

/// Reads the handshake.
pub(super) fn log_in<R: BufRead>(stream: &mut Stream<R>) -> Result<Init, Halt> {
    let serial = "it is of a serial console; write --asciicast instead";
    match &stream.peek()? {
        b"RFB " => {}
        b"REDQ" => {
            return Err(Halt::unknown(
                "it is of a SPICE console, of which there is no video",
            ));
        }
        _ => return Err(Halt::unknown(serial)),
    }
    let version = Version::read(stream.array()?).map_err(|_| Halt::unknown(serial))?;
    // The client's version is recorded before the console goes on.
    stream.peek::<1>()?;
    let version = stream.client.version().unwrap_or(version).min(version);
    let security = if version == Version::V3_3 {
        match stream.array()? {
            [0, 0, 0, security] => {
                stream.client.choose(security);
                security
            }
            _ => 0,
        }
    } else {
        let count = stream.byte()?;
        let offered = stream.bytes(count.into())?;
        chosen(stream, &offered)?
    };
    match security {
        NONE => {}
        VNC => stream.skip(16)?,
        0 => return Err(Halt::unknown("the console had let nobody in")),
        other => {
            return Err(Halt::unknown(format!(
                "the viewer logged in by the security type {other}, and only None and VNC authentication can be \
                 followed; let Noren log in (rfb)"
            )));
        }
    }
    let has_result = security == VNC || version == Version::V3_8;
    if has_result && stream.long()? != 0 {
        return Err(Halt::unknown("the console had not let the visitor in"));
    }
    let (width, height) = (stream.short()?, stream.short()?);
    let format = stream.array()?;
    let name = stream.long()?;
    stream.skip(name)?;
    Ok(Init {
        width,
        height,
        format: PixelFormat::read(&format)?,
    })
}

/// The security type that the client has chosen, or, if its input was not recorded, the one that the console went on
/// with: a result of zero, or the random bytes of a challenge.
fn chosen<R: BufRead>(stream: &mut Stream<R>, offered: &[u8]) -> Result<u8, Halt> {
    if let [] | [_] = offered {
        return Ok(offered.first().copied().unwrap_or(0));
    }
    let next = stream.peek()?;
    Ok(match stream.client.security() {
        Some(security) => security,
        None if next == [0; 4] && offered.contains(&NONE) => NONE,
        None => VNC,
    })
}
