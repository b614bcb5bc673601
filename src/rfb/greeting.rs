//! The handshake that is served to the browser (RFC 6143 §7.1): it is offered no security, because it was let in
//! before. Independent of the host, whose own handshake is over.

use super::protocol_error::ProtocolError;
use super::version::{LENGTH, Version};

/// The handshake up to `ClientInit`.
#[derive(Debug)]
pub(super) struct Greeting {
    /// Bytes for the browser, behind the version of Noren itself.
    pub(super) output: Vec<u8>,
    /// The message received so far.
    input: Vec<u8>,
    step: Step,
}

/// The message that the browser has to send next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Version,
    Method(Version),
    Init,
}

impl Greeting {
    pub(super) fn new() -> Self {
        Self {
            output: Vec::new(),
            input: Vec::new(),
            step: Step::Version,
        }
    }

    /// Takes bytes of the browser, and returns its `ClientInit` with the bytes behind it once it is complete.
    pub(super) fn read<'a>(
        &mut self,
        bytes: &'a [u8],
    ) -> Result<Option<(u8, &'a [u8])>, ProtocolError> {
        for (at, byte) in bytes.iter().enumerate() {
            match self.step {
                Step::Version => {
                    self.input.push(*byte);
                    if let Ok(said) = <[u8; LENGTH]>::try_from(self.input.as_slice()) {
                        self.offer(said)?;
                    }
                }
                Step::Method(version) => {
                    if *byte != NONE {
                        return Err(ProtocolError::client(
                            "it chose a method that was not offered",
                        ));
                    }
                    if version == Version::V3_8 {
                        self.output.extend_from_slice(&0_u32.to_be_bytes());
                    }
                    self.step = Step::Init;
                }
                Step::Init => return Ok(Some((*byte, bytes.get(at + 1..).unwrap_or_default()))),
            }
        }
        Ok(None)
    }

    fn offer(&mut self, said: [u8; LENGTH]) -> Result<(), ProtocolError> {
        let version = Version::read(said);
        let version = version.map_err(|_| ProtocolError::client("it does not speak RFB"))?;
        if version == Version::V3_3 {
            self.output
                .extend_from_slice(&u32::from(NONE).to_be_bytes());
            self.step = Step::Init;
        } else {
            self.output.extend_from_slice(&[1, NONE]);
            self.step = Step::Method(version);
        }
        Ok(())
    }
}

/// The number of the method without security.
const NONE: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// The conversation with a browser that sends these pieces, and the rest behind `ClientInit`.
    fn talk(pieces: &[&[u8]]) -> (Vec<u8>, Option<(u8, Vec<u8>)>) {
        let mut greeting = Greeting::new();
        let mut done = None;
        for piece in pieces {
            let read = greeting.read(piece).expect("a good browser");
            done = done.or(read.map(|(shared, rest)| (shared, rest.to_vec())));
        }
        (greeting.output, done)
    }

    #[test]
    fn every_version_gets_what_it_expects_however_it_is_cut() {
        let later: &[u8] = b"\x01\x01\0\0\0\0";
        for (said, expected) in [
            (&b"RFB 003.008\n\x01\x01rest"[..], later),
            (b"RFB 003.007\n\x01\x01rest", b"\x01\x01"),
            (b"RFB 003.003\n\x01rest", b"\0\0\0\x01"),
        ] {
            let at_once = talk(&[said]);
            assert_eq!(at_once, (expected.to_vec(), Some((1, b"rest".to_vec()))));
            let (first, second) = said.split_at(said.len() - 4);
            let bytes: Vec<_> = first.chunks(1).chain([second]).collect();
            let (output, done) = talk(&bytes);
            assert_eq!((output.as_slice(), done), (expected, Some((1, Vec::new()))));
        }
    }

    #[test]
    fn a_browser_that_chooses_something_else_is_refused() {
        for said in [&b"GET / HTTP/1"[..], b"RFB 003.008\n\x02"] {
            assert!(Greeting::new().read(said).is_err());
        }
    }
}
