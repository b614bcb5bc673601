//! The framing of a response body (RFC 9112 §6), which determines the end of the response.

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Version};

use crate::upstream::h1::chunked::Chunked;
use crate::upstream::h1::{Fault, ResponseHead};

/// The part of a response body that has not arrived yet.
#[derive(Debug)]
pub(in crate::upstream) enum Framing {
    /// This many bytes.
    Length(u64),
    /// Chunks, the last of which is empty.
    Chunked(Chunked),
    /// All bytes until the app closes the connection.
    UntilClose,
}

/// The next part of a body.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::upstream) enum Piece {
    /// Data that has arrived.
    Data(Bytes),
    /// The decoder needs more input.
    Missing,
    /// The body is complete.
    End,
}

impl Framing {
    /// Determines the framing from the head of a response to a request with this method.
    pub(in crate::upstream) fn of(head: &ResponseHead, method: &Method) -> Result<Self, Fault> {
        let status = head.status();
        if *method == Method::HEAD
            || status.is_informational()
            || matches!(status.as_u16(), 204 | 304)
        {
            return Ok(Self::Length(0));
        }
        let headers = head.headers();
        let Some(coding) = headers.get_all(TRANSFER_ENCODING).iter().next_back() else {
            return Ok(length(headers)?.map_or(Self::UntilClose, Self::Length));
        };
        if head.version() < Version::HTTP_11 {
            return Err(Fault::Coding);
        }
        let codings = coding.to_str().unwrap_or_default();
        let last = codings.rsplit(',').next().unwrap_or_default();
        Ok(if last.trim().eq_ignore_ascii_case("chunked") {
            Self::Chunked(Chunked::default())
        } else {
            Self::UntilClose
        })
    }

    /// Takes the next part of the body from `input`.
    pub(in crate::upstream) fn take(&mut self, input: &mut BytesMut) -> Result<Piece, Fault> {
        match self {
            Self::Length(0) => Ok(Piece::End),
            Self::Length(left) => {
                let here = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(input.len());
                *left -= here as u64;
                Ok(data(input, here))
            }
            Self::Chunked(chunked) => chunked.take(input),
            Self::UntilClose => {
                let here = input.len();
                Ok(data(input, here))
            }
        }
    }

    /// Handles the end of the connection: it is the end of the body, or the body is too short.
    pub(in crate::upstream) fn closed(&mut self) -> Result<(), Fault> {
        match self {
            Self::UntilClose | Self::Length(0) => {
                *self = Self::Length(0);
                Ok(())
            }
            _ => Err(Fault::Short),
        }
    }

    /// True if the body is complete, as far as that is known without further input.
    pub(in crate::upstream) fn is_end(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_end(),
            Self::UntilClose => false,
        }
    }

    /// Number of bytes that have not arrived yet, if it is known.
    pub(in crate::upstream) fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(chunked) => chunked.is_end().then_some(0),
            Self::UntilClose => None,
        }
    }
}

/// True if the connection may be used again after a response with this head (RFC 9112 §9.3).
pub(in crate::upstream) fn persists(head: &ResponseHead, framing: &Framing) -> bool {
    if matches!(framing, Framing::UntilClose) || head.status().as_u16() == 101 {
        return false;
    }
    let says = |wanted: &str| {
        let values = head.headers().get_all(CONNECTION).iter();
        let mut options = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        options.any(|option| option.trim().eq_ignore_ascii_case(wanted))
    };
    if head.version() < Version::HTTP_11 {
        says("keep-alive")
    } else {
        !says("close")
    }
}

fn data(input: &mut BytesMut, length: usize) -> Piece {
    if length == 0 {
        return Piece::Missing;
    }
    Piece::Data(input.split_to(length).freeze())
}

/// Parses `Content-Length`; if there are several values, they must be equal (RFC 9112 §6.3).
fn length(headers: &HeaderMap) -> Result<Option<u64>, Fault> {
    let mut found = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for part in value.as_bytes().split(|byte| *byte == b',') {
            let length = number(part.trim_ascii()).ok_or(Fault::Length)?;
            if found.is_some_and(|found| found != length) {
                return Err(Fault::Length);
            }
            found = Some(length);
        }
    }
    Ok(found)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::h1::read_head;

    fn framing(lines: &str, method: &Method) -> Result<(Framing, bool), Fault> {
        let text = format!("HTTP/1.{lines}\r\n\r\n");
        let head = read_head(&mut BytesMut::from(text.as_str()))?.expect("complete");
        let framing = Framing::of(&head, method)?;
        let persists = persists(&head, &framing);
        Ok((framing, persists))
    }

    #[test]
    fn the_head_says_the_framing_and_whether_the_connection_persists() {
        for (lines, expected, again) in [
            ("1 200 OK\r\nContent-Length: 5", Some(5), true),
            (
                "1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5",
                Some(5),
                true,
            ),
            ("1 200 OK\r\nContent-Length: 5, 5", Some(5), true),
            ("1 200 OK\r\nContent-Length: 0", Some(0), true),
            ("1 200 OK", None, false),
            ("1 204 No Content\r\nContent-Length: 5", Some(0), true),
            (
                "1 304 Not Modified\r\nTransfer-Encoding: chunked",
                Some(0),
                true,
            ),
            (
                "1 101 Switching Protocols\r\nConnection: upgrade",
                Some(0),
                false,
            ),
            ("1 200 OK\r\nTransfer-Encoding: chunked", None, true),
            ("1 200 OK\r\nTransfer-Encoding: gzip, chunked", None, true),
            ("1 200 OK\r\nTransfer-Encoding: gzip", None, false),
            (
                "1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
                None,
                true,
            ),
            (
                "1 200 OK\r\nContent-Length: 5\r\nConnection: a, Close",
                Some(5),
                false,
            ),
            ("0 200 OK\r\nContent-Length: 5", Some(5), false),
            (
                "0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive",
                Some(5),
                true,
            ),
        ] {
            let (framing, persists) = framing(lines, &Method::GET).expect("valid");
            assert_eq!((framing.left(), persists), (expected, again), "{lines}");
        }
        let (head, _) = framing("1 200 OK\r\nContent-Length: 5", &Method::HEAD).expect("valid");
        assert!(head.is_end());
    }

    #[test]
    fn lengths_that_differ_or_are_none_are_refused() {
        for lines in [
            "1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6",
            "1 200 OK\r\nContent-Length: 5, 6",
            "1 200 OK\r\nContent-Length: +5",
            "1 200 OK\r\nContent-Length: -5",
            "1 200 OK\r\nContent-Length: 0x5",
            "1 200 OK\r\nContent-Length:",
            "1 200 OK\r\nContent-Length: 99999999999999999999",
            "0 200 OK\r\nTransfer-Encoding: chunked",
        ] {
            assert!(framing(lines, &Method::GET).is_err(), "{lines}");
        }
    }

    #[test]
    fn a_body_ends_with_its_length_and_what_follows_stays() {
        let mut input = BytesMut::from("12345rest");
        let mut framing = Framing::Length(7);
        assert_eq!(framing.take(&mut input), Ok(Piece::Data("12345re".into())));
        assert_eq!(framing.take(&mut input), Ok(Piece::End));
        assert_eq!(input, "st");
        let mut framing = Framing::Length(7);
        assert_eq!(framing.take(&mut input), Ok(Piece::Data("st".into())));
        assert_eq!(framing.take(&mut input), Ok(Piece::Missing));
        assert_eq!(framing.closed(), Err(Fault::Short));
        let mut framing = Framing::UntilClose;
        assert_eq!(framing.take(&mut input), Ok(Piece::Missing));
        assert_eq!(framing.closed(), Ok(()));
        assert!(framing.is_end());
    }
}
