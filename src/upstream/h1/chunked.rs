//! Decodes a chunked body (RFC 9112 §7.1). Extensions and trailers are dropped.

use bytes::{Buf as _, BytesMut};

use crate::upstream::h1::{Fault, Piece};

/// Length limit of the line that begins a chunk, with its extensions.
const LINE: usize = 1024;
/// Size limit of all trailers.
const TRAILERS: usize = 16 * 1024;

/// Position in a chunked body.
#[derive(Debug, Default)]
pub(in crate::upstream) enum Chunked {
    /// At the line with the size of a chunk.
    #[default]
    Size,
    /// In the data of a chunk, with this many bytes left.
    Data(u64),
    /// At the line end behind a chunk.
    Behind,
    /// In the trailers, of which this many bytes have arrived.
    Trailers(usize),
    End,
}

impl Chunked {
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::End)
    }

    /// Takes the next part from `input`. Small chunks are separate pieces.
    pub(super) fn take(&mut self, input: &mut BytesMut) -> Result<Piece, Fault> {
        loop {
            match self {
                Self::Size => {
                    let Some(line) = line(input, LINE)? else {
                        return Ok(Piece::Missing);
                    };
                    *self = match size(&line)? {
                        0 => Self::Trailers(0),
                        size => Self::Data(size),
                    };
                }
                Self::Data(left) => {
                    let here = usize::try_from(*left)
                        .unwrap_or(usize::MAX)
                        .min(input.len());
                    if here == 0 {
                        return Ok(Piece::Missing);
                    }
                    *left -= here as u64;
                    if *left == 0 {
                        *self = Self::Behind;
                    }
                    return Ok(Piece::Data(input.split_to(here).freeze()));
                }
                Self::Behind => {
                    if !ends_line(input)? {
                        return Ok(Piece::Missing);
                    }
                    *self = Self::Size;
                }
                Self::Trailers(came) => {
                    let room = TRAILERS.saturating_sub(*came);
                    let Some(line) = line(input, room)? else {
                        return Ok(Piece::Missing);
                    };
                    *came += line.len() + 2;
                    if line.is_empty() {
                        *self = Self::End;
                    }
                }
                Self::End => return Ok(Piece::End),
            }
        }
    }
}

/// Takes a line of at most `most` bytes, without its end.
fn line(input: &mut BytesMut, most: usize) -> Result<Option<BytesMut>, Fault> {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
        return if input.len() > most {
            Err(Fault::Chunk)
        } else {
            Ok(None)
        };
    };
    let mut line = input.split_to(end + 1);
    // A bare line feed would be read as a line end by one program and not by another.
    if end > most || !line.ends_with(b"\r\n") {
        return Err(Fault::Chunk);
    }
    line.truncate(end - 1);
    Ok(Some(line))
}

/// Takes the line end behind the data of a chunk; false if it has not arrived yet.
fn ends_line(input: &mut BytesMut) -> Result<bool, Fault> {
    match input.get(..2) {
        Some(b"\r\n") => {
            input.advance(2);
            Ok(true)
        }
        None if matches!(&**input, [] | [b'\r']) => Ok(false),
        _ => Err(Fault::Chunk),
    }
}

/// Parses the size of a chunk. Blanks in front of an extension are permitted (RFC 9112 §7.1.1).
fn size(line: &[u8]) -> Result<u64, Fault> {
    let end = line.iter().position(|byte| *byte == b';');
    let digits = line.get(..end.unwrap_or(line.len())).unwrap_or_default();
    let digits = digits.trim_ascii_end();
    if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Fault::Chunk);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| Fault::Chunk)?;
    u64::from_str_radix(digits, 16).map_err(|_| Fault::Chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body in this text, however it is cut, and the rest.
    fn decoded(text: &str) -> Result<(String, String), Fault> {
        let mut all = None;
        for step in 1..=text.len() {
            let mut chunked = Chunked::default();
            let (mut input, mut body) = (BytesMut::new(), Vec::new());
            let mut result = Ok(());
            for part in text.as_bytes().chunks(step) {
                input.extend_from_slice(part);
                loop {
                    match chunked.take(&mut input) {
                        Ok(Piece::Data(data)) => body.extend_from_slice(&data),
                        Ok(Piece::Missing | Piece::End) => break,
                        Err(fault) => {
                            result = Err(fault);
                            break;
                        }
                    }
                }
            }
            let ended = if chunked.is_end() {
                result
            } else {
                result.and(Err(Fault::Short))
            };
            let body = String::from_utf8(body).expect("text");
            let rest = String::from_utf8(input.to_vec()).expect("text");
            let now = ended.map(|()| (body, rest));
            if let Some(before) = &all {
                assert_eq!(*before, now, "{text:?} by {step}");
            }
            all = Some(now);
        }
        all.expect("some text")
    }

    #[test]
    fn chunks_are_joined_and_extensions_and_trailers_dropped() {
        for (text, body) in [
            ("0\r\n\r\n", ""),
            ("3\r\nabc\r\n0\r\n\r\n", "abc"),
            (
                "3\r\nabc\r\n00a\r\n0123456789\r\n0\r\n\r\n",
                "abc0123456789",
            ),
            ("3;x=\"y\"\r\nabc\r\n0;z\r\nA: 1\r\nB: 2\r\n\r\n", "abc"),
            ("3 ;x\r\nabc\r\n0\r\n\r\n", "abc"),
        ] {
            assert_eq!(
                decoded(text),
                Ok((body.to_owned(), String::new())),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for text in [
            "\r\n\r\n",
            "x\r\n\r\n",
            "-1\r\n\r\n",
            "+1\r\na\r\n0\r\n\r\n",
            "0x1\r\na\r\n0\r\n\r\n",
            " 1\r\na\r\n0\r\n\r\n",
            "1\na\r\n0\r\n\r\n",
            "1\r\nab\r\n0\r\n\r\n",
            "1\r\na\n0\r\n\r\n",
            "11111111111111111\r\n",
        ] {
            let result = decoded(text);
            assert_eq!(result.err(), Some(Fault::Chunk), "{text:?}");
        }
        assert_eq!(decoded("3\r\nab").err(), Some(Fault::Short));
        assert_eq!(decoded("0\r\nA: 1\r\n").err(), Some(Fault::Short));
    }

    #[test]
    fn lines_and_trailers_without_end_are_refused() {
        let mut input = BytesMut::from(format!("1;{}", "x".repeat(LINE)).as_str());
        assert_eq!(Chunked::default().take(&mut input), Err(Fault::Chunk));
        let many = format!("0\r\n{}", "A: 1\r\n".repeat(TRAILERS / 6 + 2));
        let mut input = BytesMut::from(many.as_str());
        assert_eq!(Chunked::default().take(&mut input), Err(Fault::Chunk));
    }
}
