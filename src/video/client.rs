//! The client's messages in a recording (RFC 6143 §7.5), as far as pictures depend on them: the security type, the
//! pixel format, and the place of the pointer. Whatever cannot be read ends the reading and nothing else.

use super::colour::PixelFormat;
use crate::rfb::Version;

/// Limit on the head of a message; the longest that is kept is one of 20 bytes.
const HEAD: usize = 20;

/// Reads the messages of a client, which may be cut anywhere.
pub(super) struct Client {
    state: State,
    /// The beginning of the current message.
    head: Vec<u8>,
    /// Remaining bytes of the current message, which mean nothing here.
    rest: u64,
    version: Option<Version>,
    security: Option<u8>,
    format: Option<PixelFormat>,
    pointer: Option<(usize, usize)>,
    /// True once the console permits pointer messages with more buttons.
    has_more_buttons: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Version,
    Security,
    /// The response to the challenge of VNC authentication.
    Response,
    Init,
    Messages,
    /// Nothing more is understood.
    Lost,
}

impl Client {
    pub(super) fn new() -> Self {
        Self {
            state: State::Version,
            head: Vec::new(),
            rest: 0,
            version: None,
            security: None,
            format: None,
            pointer: None,
            has_more_buttons: false,
        }
    }

    /// The version that the client has chosen.
    pub(super) fn version(&self) -> Option<Version> {
        self.version
    }

    /// The security type that the client has chosen.
    pub(super) fn security(&self) -> Option<u8> {
        self.security
    }

    /// The pixel format that the client has set.
    pub(super) fn format(&self) -> Option<PixelFormat> {
        self.format
    }

    /// True if the input is recorded and understood so far.
    pub(super) fn is_followed(&self) -> bool {
        self.state == State::Messages
    }

    /// The place of the pointer.
    pub(super) fn pointer(&self) -> Option<(usize, usize)> {
        self.pointer
    }

    /// Records that the console understands pointer messages of seven bytes.
    pub(super) fn permit_more_buttons(&mut self) {
        self.has_more_buttons = true;
    }

    /// Records the security type of a version in which the console chooses it.
    pub(super) fn choose(&mut self, security: u8) {
        self.security = Some(security);
        if self.state == State::Security {
            self.state = after(security);
        }
    }

    /// Reads input.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while self.state != State::Lost {
            let skipped = usize::try_from(self.rest).unwrap_or(usize::MAX);
            let (skipped, rest) = bytes.split_at(skipped.min(bytes.len()));
            self.rest -= skipped.len() as u64;
            bytes = rest;
            let Some((byte, rest)) = bytes.split_first() else {
                return;
            };
            self.head.push(*byte);
            bytes = rest;
            if self.head.len() > HEAD {
                self.state = State::Lost;
            }
            self.understand();
        }
    }

    /// Takes the message in the head, if that is long enough.
    fn understand(&mut self) {
        let length = match self.state {
            State::Version => 12,
            State::Security | State::Init => 1,
            State::Response => 16,
            State::Messages => match length(&self.head, self.has_more_buttons) {
                Length::Is(length) => length,
                Length::Needs(more) if self.head.len() < more => return,
                Length::Needs(_) | Length::Unknown => return self.state = State::Lost,
            },
            State::Lost => return,
        };
        // Only those that are looked into are kept to their end.
        let kept = matches!(self.head.first(), Some(0 | 5)) || self.state != State::Messages;
        let have = self.head.len() as u64;
        if kept && have < length {
            return;
        }
        self.rest = length.saturating_sub(have);
        self.take();
        self.head.clear();
    }

    fn take(&mut self) {
        match (self.state, self.head.as_slice()) {
            (State::Version, message) => {
                let version = message.first_chunk().map(|text| Version::read(*text));
                self.version = version.and_then(Result::ok);
                self.state = match self.version {
                    // The console chooses, and says so on its own side.
                    Some(Version::V3_3) => self.security.map_or(State::Security, after),
                    Some(_) => State::Security,
                    None => State::Lost,
                };
            }
            (State::Security, [chosen, ..]) => {
                self.security = Some(*chosen);
                self.state = after(*chosen);
            }
            (State::Response, _) => self.state = State::Init,
            (State::Init, _) => self.state = State::Messages,
            (State::Messages, [0, _, _, _, format @ ..]) => {
                let format = format.first_chunk().map(PixelFormat::read);
                self.format = format.and_then(Result::ok);
            }
            (State::Messages, [5, _, x0, x1, y0, y1, ..]) => {
                let place = |high, low| u16::from_be_bytes([high, low]).into();
                self.pointer = Some((place(*x0, *x1), place(*y0, *y1)));
            }
            _ => {}
        }
    }
}

fn after(security: u8) -> State {
    match security {
        1 => State::Init,
        2 => State::Response,
        _ => State::Lost,
    }
}

enum Length {
    /// This many bytes are needed to know it.
    Needs(usize),
    Is(u64),
    Unknown,
}

/// Measures a message.
fn length(head: &[u8], has_more_buttons: bool) -> Length {
    let short = |high, low| u64::from(u16::from_be_bytes([high, low]));
    match *head {
        [0, ..] => Length::Is(20),
        [2, _, high, low, ..] => Length::Is(4 + 4 * short(high, low)),
        [3 | 150, ..] | [255, 1, 0, 2, ..] => Length::Is(10),
        [4, ..] => Length::Is(8),
        [5, buttons, ..] if has_more_buttons && buttons & 0x80 != 0 => Length::Is(7),
        [5, _, ..] => Length::Is(6),
        [6, _, _, _, a, b, c, d, ..] => {
            let length = i32::from_be_bytes([a, b, c, d]);
            Length::Is(8 + u64::from(length.unsigned_abs()))
        }
        [248, _, _, _, _, _, _, _, length, ..] => Length::Is(9 + u64::from(length)),
        [250, ..] | [255, 1, 0, 0 | 1, ..] => Length::Is(4),
        [251, _, _, _, _, _, screens, _, ..] => Length::Is(8 + 16 * u64::from(screens)),
        [255, 0, ..] => Length::Is(12),
        [5] => Length::Needs(2),
        [2, ..] | [255] | [255, 1] | [255, 1, _] => Length::Needs(4),
        [6 | 251, ..] => Length::Needs(8),
        [248, ..] => Length::Needs(9),
        _ => Length::Unknown,
    }
}
