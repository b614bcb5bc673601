//! The messages of a browser to a host (RFC 6143 §7.5 and the community's extensions), and those among them that do not
//! reach it: the input of a viewer, and clipboards that stay where they are.
//!
//! Lengths are those that the host reads, or what is passed on could be read as other messages: so extensions that
//! change the length of a message are taken out of `SetEncodings`, and a type that is not known ends the console, as it
//! does at QEMU and TigerVNC. Whatever is dropped is not buffered, however long it is. Does not decide who is a viewer.

use super::host_filter::{self, HostFilter};
use super::protocol_error::ProtocolError;
use crate::config::Clipboard;

/// The rules of one console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// True if keys, pointer, clipboard, size and power are not the client's.
    pub view_only: bool,
    /// The ways that a clipboard may take.
    pub clipboard: Clipboard,
}

impl Rules {
    /// True if messages have to be distinguished.
    pub(super) fn filters(self) -> bool {
        self.view_only || self.clipboard != Clipboard::Both
    }

    /// True if text copied at the client stays there.
    fn keeps_clipboard(self) -> bool {
        self.view_only || !self.clipboard.reaches_host()
    }
}

/// Number of encodings that a client may list; real ones list two dozen.
const MOST_ENCODINGS: usize = 1024;

/// `ExtendedMouseButtons`: with it a `PointerEvent` may have seven bytes.
const EXTENDED_POINTER: i32 = -316;
/// General Input Interface: devices of the client's own.
const GII: i32 = -305;
/// `xvp`: shutting down, rebooting, resetting the guest.
const XVP: i32 = -309;
/// Pseudo-encoding of the extended clipboard, in which a text goes both ways.
const EXTENDED_CLIPBOARD: i32 = 0xC0A1_E5CE_u32.cast_signed();

/// Reads the messages of a client, which may be cut anywhere.
#[derive(Debug)]
pub(super) struct Filter {
    rules: Rules,
    /// The beginning of a message of unknown length or use.
    head: Vec<u8>,
    /// The rest of a message of known length.
    rest: Rest,
    /// The filter of the host's messages, which depends on what the client asks for.
    pub(super) host: Option<HostFilter>,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    left: u64,
    passes: bool,
}

/// The use of the beginning of a message.
enum Measured {
    /// This many bytes are needed to know the length.
    Needs(usize),
    /// A message of this length, which passes or not.
    Message(u64, bool),
    /// `SetEncodings`, complete.
    Encodings,
}

impl Filter {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            head: Vec::new(),
            rest: Rest {
                left: 0,
                passes: false,
            },
            host: (!rules.clipboard.reaches_browser()).then(HostFilter::new),
        }
    }

    /// Appends the messages that may reach the host to `host`.
    pub(super) fn pass(
        &mut self,
        mut bytes: &[u8],
        host: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        while !bytes.is_empty() {
            if self.rest.left > 0 {
                let count = usize::try_from(self.rest.left).unwrap_or(usize::MAX);
                let (of_message, others) = bytes.split_at(count.min(bytes.len()));
                if self.rest.passes {
                    host.extend_from_slice(of_message);
                }
                self.rest.left -= of_message.len() as u64;
                bytes = others;
                continue;
            }
            let needed = match self.measure()? {
                Measured::Needs(needed) => needed.saturating_sub(self.head.len()).max(1),
                Measured::Message(length, passes) => {
                    self.begin(length, passes, host)?;
                    continue;
                }
                Measured::Encodings => {
                    self.encodings(host);
                    continue;
                }
            };
            let (of_head, others) = bytes.split_at(needed.min(bytes.len()));
            self.head.extend_from_slice(of_head);
            bytes = others;
        }
        self.settle(host)
    }

    /// Passes on, or drops, a message that is complete already.
    fn settle(&mut self, host: &mut Vec<u8>) -> Result<(), ProtocolError> {
        if self.head.is_empty() || self.rest.left > 0 {
            return Ok(());
        }
        match self.measure()? {
            Measured::Needs(_) => {}
            Measured::Message(length, passes) => self.begin(length, passes, host)?,
            Measured::Encodings => self.encodings(host),
        }
        Ok(())
    }

    /// Passes on, or drops, the head of a message, and notes the rest.
    fn begin(
        &mut self,
        length: u64,
        passes: bool,
        host: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        if let Some(of_host) = &mut self.host {
            match *self.head {
                [0, _, _, _, ref format @ ..] => of_host.set_pixel(format)?,
                [3 | 150, ..] => of_host.picture_requested(),
                _ => {}
            }
        }
        if passes {
            host.extend_from_slice(&self.head);
        }
        self.rest = Rest {
            left: length - self.head.len() as u64,
            passes,
        };
        self.head = Vec::new();
        Ok(())
    }

    fn measure(&self) -> Result<Measured, ProtocolError> {
        let head = self.head.as_slice();
        let is_input = !self.rules.view_only;
        Ok(match *head {
            [] => Measured::Needs(1),
            // SetPixelFormat, then FramebufferUpdateRequest, EnableContinuousUpdates, the format of QEMU's audio
            [0, ..] if self.host.is_some() && head.len() < 20 => Measured::Needs(20),
            [0, ..] => Measured::Message(20, true),
            [3 | 150, ..] | [255, 1, 0, 2, ..] => Measured::Message(10, true),
            // KeyEvent, PointerEvent, xvp
            [4, ..] => Measured::Message(8, is_input),
            [5, ..] => Measured::Message(6, is_input),
            [250, ..] => Measured::Message(4, is_input),
            // SetEncodings
            [2, _, high, low, ..] => {
                let count = usize::from(u16::from_be_bytes([high, low]));
                let length = 4 + 4 * count;
                if count > MOST_ENCODINGS {
                    return Err(ProtocolError::client("it lists more than 1,024 encodings"));
                } else if head.len() < length {
                    Measured::Needs(length)
                } else {
                    Measured::Encodings
                }
            }
            // ClientCutText
            [6, _, _, _, a, b, c, d, ..] => {
                let length = i32::from_be_bytes([a, b, c, d]);
                let length = u64::try_from(length).map_err(|_| {
                    ProtocolError::client(
                        "it sends an extended clipboard, which was not offered to it",
                    )
                })?;
                Measured::Message(8 + length, !self.rules.keeps_clipboard())
            }
            // Fence
            [248, _, _, _, _, _, _, _, length, ..] => {
                Measured::Message(9 + u64::from(length), true)
            }
            // SetDesktopSize
            [251, _, _, _, _, _, screens, _, ..] => {
                Measured::Message(8 + 16 * u64::from(screens), is_input)
            }
            // gii, which no host here was told of, so that none may get it
            [253, kind, first, second, ..] => {
                let length = if kind & 0x80 == 0 {
                    u16::from_le_bytes([first, second])
                } else {
                    u16::from_be_bytes([first, second])
                };
                Measured::Message(4 + u64::from(length), false)
            }
            // QEMU's extended key event, and audio: switching it on or off (its format is above)
            [255, 0, ..] => Measured::Message(12, is_input),
            [255, 1, 0, 0 | 1, ..] => Measured::Message(4, true),
            [2 | 253 | 255, ..] if head.len() < 4 && !matches!(head, [255, 2..=255, ..]) => {
                Measured::Needs(if head.len() < 2 { 2 } else { 4 })
            }
            [6 | 251, ..] if head.len() < 8 => Measured::Needs(8),
            [248, ..] if head.len() < 9 => Measured::Needs(9),
            _ => {
                return Err(ProtocolError::client(
                    "it sends a message of a type that is not known here, so what follows cannot be told apart",
                ));
            }
        })
    }

    /// Passes on a `SetEncodings` without the encodings that a filter cannot have.
    fn encodings(&mut self, host: &mut Vec<u8>) {
        let listed = self.head.get(4..).unwrap_or_default();
        let (listed, _) = listed.as_chunks::<4>();
        let passes = |encoding: &&[u8; 4]| match i32::from_be_bytes(**encoding) {
            EXTENDED_POINTER | GII | EXTENDED_CLIPBOARD => false,
            XVP => !self.rules.view_only,
            encoding => self.host.is_none() || host_filter::is_known(encoding),
        };
        let left: Vec<_> = listed.iter().filter(passes).copied().collect();
        let count = u16::try_from(left.len()).unwrap_or(u16::MAX);
        host.extend_from_slice(&[2, 0]);
        host.extend_from_slice(&count.to_be_bytes());
        host.extend(left.as_flattened());
        self.head = Vec::new();
    }
}

/// Filters a client's messages in pieces of this size; returns the bytes for the host, and the reason of an end. For
/// the fuzz target.
pub(crate) fn filtered(
    rules: Rules,
    stream: &[u8],
    step: usize,
) -> (Vec<u8>, Option<&'static str>) {
    let mut filter = Filter::new(rules);
    let mut host = Vec::new();
    for piece in stream.chunks(step.max(1)) {
        if let Err(broken) = filter.pass(piece, &mut host) {
            return (host, Some(broken.reason));
        }
    }
    (host, None)
}

/// The same of a host's messages without its clipboard.
pub(crate) fn host_filtered(stream: &[u8], step: usize) -> (Vec<u8>, Option<&'static str>) {
    let mut filter = HostFilter::new();
    let mut browser = Vec::new();
    for piece in stream.chunks(step.max(1)) {
        let mut piece = piece.to_vec();
        match filter.sift(&mut piece) {
            Ok(kept) => browser.extend_from_slice(piece.get(..kept).unwrap_or_default()),
            // Of the piece that ends it nothing is delivered, whatever stood before in it.
            Err(broken) => return (Vec::new(), Some(broken.reason)),
        }
    }
    (browser, None)
}

#[cfg(test)]
mod tests;
