//! Decodes the base64 messages of a client (RFC 4648 §4) as their text arrives: one padded string in each message.
//!
//! A message that arrives in one piece is decoded into the caller's buffer. Of any other the decoded bytes are kept
//! until it is complete and known to be valid: none of it may reach the target before.

use base64::Engine;

use crate::bridge::codec::engine;
use crate::websocket::Violation;

/// Size limit of the text of a message. Clients of this subprotocol send only what a person types.
pub(super) const LONGEST_TEXT: usize = 1024 * 1024;

const TOO_LONG: Violation = Violation {
    code: 1009,
    reason: "a base64 message is longer than 1 MiB",
};
const NOT_BASE64: Violation = Violation {
    code: 1007,
    reason: "a text message is not padded base64",
};

/// Decoder of one tunnel. It owns no memory between two messages after [`rest`](Self::rest).
#[derive(Debug, Default)]
pub(super) struct Base64Reader {
    /// Bytes of the incomplete message.
    decoded: Vec<u8>,
    /// The last characters of its text so far, of which there are up to four: only the last group has padding.
    group: [u8; 4],
    grouped: usize,
    /// Characters of its text so far.
    length: usize,
}

/// The result of decoding a piece of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// The message is not complete.
    Nothing,
    /// The message is these many bytes at the beginning of the caller's buffer.
    Bytes(usize),
    /// The message did not fit there.
    Long(Vec<u8>),
}

impl Base64Reader {
    /// Decodes a piece of a message, the last one or not, into `out` if all of the message fits.
    ///
    /// # Errors
    /// A [`Violation`]: the text is too long, or no base64.
    pub(super) fn piece(
        &mut self,
        piece: &[u8],
        last: bool,
        out: &mut [u8],
    ) -> Result<Decoded, Violation> {
        let is_first = self.length == 0;
        self.length += piece.len();
        if self.length > LONGEST_TEXT {
            return Err(TOO_LONG);
        }
        if last {
            self.length = 0;
            if is_first && piece.len() <= out.len() {
                let decoded = engine().decode_slice(piece, out);
                return decoded.map(Decoded::Bytes).map_err(|_| NOT_BASE64);
            }
        }
        self.add(piece)?;
        if !last {
            return Ok(Decoded::Nothing);
        }
        let group = self.group.get(..std::mem::take(&mut self.grouped));
        decode(group.unwrap_or_default(), &mut self.decoded)?;
        let Some(room) = out.get_mut(..self.decoded.len()) else {
            return Ok(Decoded::Long(std::mem::take(&mut self.decoded)));
        };
        room.copy_from_slice(&self.decoded);
        self.decoded.clear();
        Ok(Decoded::Bytes(room.len()))
    }

    /// Frees the memory that no message needs.
    pub(super) fn rest(&mut self) {
        if self.length == 0 {
            self.decoded = Vec::new();
        }
    }

    /// Decodes all groups but the last one, which cannot have padding then.
    fn add(&mut self, piece: &[u8]) -> Result<(), Violation> {
        let (filling, piece) = piece.split_at(piece.len().min(4 - self.grouped));
        let group = self.group.iter_mut().skip(self.grouped);
        group.zip(filling).for_each(|(to, from)| *to = *from);
        self.grouped += filling.len();
        let Some(before_last) = piece.len().checked_sub(1) else {
            return Ok(());
        };
        let (whole, group) = piece.split_at(before_last / 4 * 4);
        let text = self.decoded.len();
        decode(&self.group, &mut self.decoded)?;
        decode(whole, &mut self.decoded)?;
        if self.decoded.len() - text != 3 + whole.len() / 4 * 3 {
            return Err(NOT_BASE64);
        }
        self.grouped = group.len();
        let places = self.group.iter_mut();
        places.zip(group).for_each(|(to, from)| *to = *from);
        Ok(())
    }
}

/// Appends the bytes of a text.
fn decode(text: &[u8], bytes: &mut Vec<u8>) -> Result<(), Violation> {
    engine().decode_vec(text, bytes).map_err(|_| NOT_BASE64)
}

/// Decodes a message that arrives in pieces of this size, for the fuzz targets.
pub(crate) fn decode_base64(text: &[u8], size: usize) -> Result<Vec<u8>, Violation> {
    let mut reader = Base64Reader::default();
    let mut out = vec![0; text.len()];
    let mut pieces = text.chunks(size.max(1)).peekable();
    loop {
        let piece = pieces.next().unwrap_or_default();
        match reader.piece(piece, pieces.peek().is_none(), &mut out)? {
            Decoded::Nothing => {}
            Decoded::Bytes(length) => {
                out.truncate(length);
                return Ok(out);
            }
            Decoded::Long(bytes) => return Ok(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_the_same_wherever_its_text_is_cut() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("QQ==", b"A"),
            ("QUI=", b"AB"),
            ("QUJD", b"ABC"),
            ("QUJDRA==", b"ABCD"),
            ("SXJhc3NoYWltYXNlIQ==", b"Irasshaimase!"),
        ] {
            for size in 1..=text.len().max(1) {
                let decoded = decode_base64(text.as_bytes(), size);
                assert_eq!(decoded.as_deref(), Ok(bytes), "{text} in pieces of {size}");
            }
        }
    }

    #[test]
    fn anything_else_is_refused_wherever_it_is_cut() {
        for text in [
            "Q",
            "QQ",
            "QQ=",
            "QR==",
            "QQ==QQ==",
            "QUI=QUI=",
            "QUJD\n",
            "QU-_",
            "QUJDQ===",
            "====",
            "QQ==\0\0\0\0",
        ] {
            for size in 1..=text.len() {
                let decoded = decode_base64(text.as_bytes(), size);
                assert_eq!(decoded, Err(NOT_BASE64), "{text} in pieces of {size}");
            }
        }
    }

    #[test]
    fn an_empty_last_piece_ends_a_message_and_the_next_one_begins_anew() {
        let mut reader = Base64Reader::default();
        let out = &mut [0; 9];
        for _ in 0..2 {
            assert_eq!(reader.piece(b"QQ==", false, out), Ok(Decoded::Nothing));
            assert_eq!(reader.piece(b"", true, out), Ok(Decoded::Bytes(1)));
            assert_eq!(out.first(), Some(&b'A'));
        }
        assert_eq!(reader.piece(b"", false, out), Ok(Decoded::Nothing));
        assert_eq!(reader.piece(b"", true, out), Ok(Decoded::Bytes(0)));
        assert_eq!(reader.piece(b"QUJD", false, out), Ok(Decoded::Nothing));
        let long = reader.piece(b"QUJDQUJDQUJD", true, out);
        assert_eq!(long, Ok(Decoded::Long(b"ABCABCABCABC".to_vec())));
        reader.rest();
        assert_eq!(reader.decoded.capacity(), 0);
    }
}
