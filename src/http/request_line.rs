//! Finds in HTTP/1.1 request heads two facts that hyper does not report: fragments in targets, which the `http` crate
//! removes silently although a target must not have one (RFC 9112 §3.2), and the spelling of header names.
//!
//! Follows the framing of requests (RFC 9112 §6), so that the heads of pipelined requests are read too, and no line of
//! a body is. Refuses nothing itself: hyper refuses invalid framing, and ends the connection. A request that comes
//! behind bytes that cannot be followed is reported, since hyper may read it all the same.

use crate::http::activity::Activity;
use crate::http::spelling::SpellingReader;

/// Bytes of a line that are kept. The fields that are read are shorter.
const LONGEST: usize = 256;

const WEBSOCKET: &[u8] = b"websocket";

/// Reader of the request heads of one connection.
#[derive(Debug)]
pub(super) struct RequestLine {
    activity: Activity,
    position: Position,
    /// Number of the current request on the connection, from 1 on.
    number: u64,
    /// True once bytes were passed over that may be a request.
    is_lost: bool,
    line: Line,
    body: Framing,
    spelling: SpellingReader,
}

/// Position in the input: the kind of the next part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// A request line, or an empty line in front of it (RFC 9112 §2.2).
    Before,
    /// The rest of a request line.
    Request,
    Fields,
    /// A body of this many bytes.
    Body(u64),
    /// Bytes that are not followed: of another protocol, of a chunked body, behind which the connection ends, or of
    /// invalid framing.
    Unknown,
}

/// A line that is being read.
#[derive(Debug, Default)]
struct Line {
    begin: Vec<u8>,
    is_cut: bool,
    /// True behind the method of a request line, which may contain number signs itself (RFC 9110 §9.1).
    in_target: bool,
    has_fragment: bool,
}

/// The framing of a body, as far as it is known from the fields so far.
#[derive(Debug, Default)]
struct Framing {
    length: u64,
    /// The body is chunked, its length is invalid, or the request asks for another protocol.
    is_unknown: bool,
}

impl RequestLine {
    pub(super) fn new(activity: Activity) -> Self {
        Self {
            activity,
            position: Position::Before,
            number: 0,
            is_lost: false,
            line: Line::default(),
            body: Framing::default(),
            spelling: SpellingReader::default(),
        }
    }

    /// Reads further bytes of the connection.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        if self.is_lost || bytes.is_empty() {
            return;
        }
        if self.position == Position::Unknown {
            // After the response to a refused upgrade, the connection continues with HTTP.
            let request = self.activity.request_count();
            if self.activity.is_busy() || request < self.number {
                self.pass_over();
                return;
            }
            self.number = request;
            self.line = Line::default();
            self.position = Position::Before;
        }
        while !bytes.is_empty() && self.position != Position::Unknown {
            bytes = self.take(bytes);
        }
        if !bytes.is_empty() {
            self.pass_over();
        }
    }

    /// Passes over bytes behind the current request. If they are another request after all, its head was not read here.
    fn pass_over(&mut self) {
        self.is_lost = true;
        self.activity.passed_over(self.number);
    }

    fn take<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        match self.position {
            Position::Body(left) => {
                let (left, rest) = skip(bytes, left);
                self.position = if left > 0 {
                    Position::Body(left)
                } else {
                    Position::Before
                };
                rest
            }
            Position::Before => {
                let begin = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
                let Some(rest) = begin.and_then(|begin| bytes.get(begin..)) else {
                    return &[];
                };
                self.number += 1;
                self.position = Position::Request;
                self.body = Framing::default();
                self.spelling = SpellingReader::default();
                rest
            }
            Position::Request | Position::Fields => {
                let end = bytes.iter().position(|byte| *byte == b'\n');
                let (piece, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                if end.is_some() && self.position == Position::Fields && self.line.begin.is_empty()
                {
                    // Nearly always the whole line is here, and need not be copied.
                    self.position = self.field(piece, false);
                    return rest.get(1..).unwrap_or_default();
                }
                self.line.add(piece);
                if end.is_some() {
                    let line = std::mem::take(&mut self.line);
                    self.position = self.position_behind(&line);
                    // The next line takes its space; an idle connection has none.
                    if self.position == Position::Fields {
                        self.line = line.cleared();
                    }
                }
                rest.get(1..).unwrap_or_default()
            }
            Position::Unknown => &[],
        }
    }

    /// Returns the position behind a line.
    fn position_behind(&mut self, line: &Line) -> Position {
        match self.position {
            Position::Request => {
                if line.has_fragment {
                    self.activity.saw_fragment(self.number);
                }
                Position::Fields
            }
            Position::Fields => self.field(&line.begin, line.is_cut),
            position => position,
        }
    }

    /// Reads a header line, or the empty line that ends a head, and returns the position behind it.
    fn field(&mut self, line: &[u8], is_cut: bool) -> Position {
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        if text.is_empty() {
            self.activity.spelled(self.number, self.spelling.finish());
            return self.body.position();
        }
        let colon = text.iter().position(|byte| *byte == b':');
        let (name, value) = text.split_at(colon.unwrap_or(text.len()));
        self.spelling.push(name);
        self.body
            .read(name, value.get(1..).unwrap_or_default(), is_cut);
        Position::Fields
    }
}

/// Skips bytes; returns the number that is left to skip, and the rest of the input.
fn skip(bytes: &[u8], left: u64) -> (u64, &[u8]) {
    let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    let (skipped, rest) = bytes.split_at(count);
    (left - skipped.len() as u64, rest)
}

impl Line {
    fn add(&mut self, piece: &[u8]) {
        let mut target = piece;
        if !self.in_target {
            let blank = piece.iter().position(|byte| *byte == b' ');
            self.in_target = blank.is_some();
            target = blank
                .and_then(|blank| piece.get(blank..))
                .unwrap_or_default();
        }
        self.has_fragment |= target.contains(&b'#');
        let room = LONGEST - self.begin.len();
        self.is_cut |= piece.len() > room;
        let here = piece.get(..room.min(piece.len())).unwrap_or_default();
        self.begin.extend_from_slice(here);
    }

    fn cleared(mut self) -> Self {
        self.begin.clear();
        Self {
            begin: self.begin,
            ..Self::default()
        }
    }
}

impl Framing {
    fn read(&mut self, name: &[u8], value: &[u8], is_cut: bool) {
        let value = value.trim_ascii();
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("content-length") {
            let length = std::str::from_utf8(value).ok();
            match length.and_then(|length| length.parse().ok()) {
                Some(length) if !is_cut => self.length = length,
                _ => self.is_unknown = true,
            }
        }
        // No other upgrade is ever accepted.
        let protocols = || value.windows(WEBSOCKET.len());
        let is_socket = || protocols().any(|protocol| protocol.eq_ignore_ascii_case(WEBSOCKET));
        self.is_unknown |= is("transfer-encoding") || (is("upgrade") && is_socket());
    }

    /// Returns the position behind a head. Nothing is pipelined behind an upgrade.
    fn position(&self) -> Position {
        match self.length {
            _ if self.is_unknown => Position::Unknown,
            0 => Position::Before,
            length => Position::Body(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The requests in this text whose targets have a fragment, however it is cut.
    fn seen(text: &str) -> Vec<u64> {
        let mut all = Vec::new();
        for step in 1..=text.len() {
            let activity = Activity::new();
            let mut line = RequestLine::new(activity.clone());
            text.as_bytes()
                .chunks(step)
                .for_each(|piece| line.read(piece));
            let mut found = Vec::new();
            for number in 1..=9 {
                drop(activity.begin());
                if activity.has_fragment() {
                    found.push(number);
                }
            }
            if step > 1 {
                assert_eq!(found, all, "{text:?} by {step}");
            }
            all = found;
        }
        all
    }

    #[test]
    fn the_fragment_of_each_target_is_seen_and_nothing_else() {
        let none: &[u64] = &[];
        for (text, found) in [
            ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", &[1][..]),
            ("GET /# HTTP/1.0\n\n", &[1]),
            ("\r\n\r\nGET /#x HTTP/1.1\r\n", &[1]),
            ("A#B /#x HTTP/1.1\r\n", &[1]),
            ("GET /%23 HTTP/1.1\r\n\r\nPOST /#x HTTP/1.1\r\n\r\n", &[2]),
            (
                "GET / HTTP/1.1\r\nA: b\r\n\r\nGET /?#x HTTP/1.1\r\n\r\n",
                &[2],
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nGET /#x\r\nGET /#x HTTP/1.1\r\n\r\n",
                &[2],
            ),
            ("GET /a HTTP/1.1\r\nCookie: GET /a#b HTTP/1.1\r\n\r\n", none),
            (
                "GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\nGET /?#x HTTP/1.1\r\n\r\n",
                &[2],
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\nGET /#x HTTP/1.1\r\n\r\n",
                none,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\nGET /#x HTTP/1.1\r\n\r\n",
                none,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\nGET /#x HTTP/1.1\r\n\r\n",
                none,
            ),
            ("GET /#x", none),
            ("A#B / HTTP/1.1\r\n", none),
        ] {
            assert_eq!(seen(text), found, "{text:?}");
        }
    }

    #[test]
    fn a_long_target_is_seen_to_its_end() {
        let long = "x".repeat(1000);
        let text = format!("GET /{long}#{long} HTTP/1.1\r\n\r\n");
        assert_eq!(seen(&text), [1]);
    }

    #[test]
    fn behind_an_upgrade_that_was_refused_it_is_http_again() {
        let activity = Activity::new();
        let mut line = RequestLine::new(activity.clone());
        line.read(b"GET / HTTP/1.1\r\nUpgrade: WebSocket\r\n\r\n");
        drop(activity.begin());
        line.read(b"GET / HTTP/1.1\r\n\r\n");
        drop(activity.begin());
        assert!(!activity.has_fragment() && !activity.is_unread());
        line.read(b"GET /#x HTTP/1.1\r\n\r\n");
        drop(activity.begin());
        assert!(activity.has_fragment() && !activity.is_unread());
    }

    #[test]
    fn a_request_behind_what_cannot_be_followed_is_reported() {
        let padded = format!("Content-Length: {}5", "0".repeat(300));
        for line in ["Upgrade: websocket", "Transfer-Encoding: chunked", &padded] {
            let text = format!("GET / HTTP/1.1\r\n{line}\r\n\r\nGET /#x HTTP/1.1\r\n\r\n");
            // A line that comes at once is read whole, however long it is.
            for step in [1, 7, 100] {
                let activity = Activity::new();
                let mut reader = RequestLine::new(activity.clone());
                let pieces = text.as_bytes().chunks(step);
                pieces.for_each(|piece| reader.read(piece));
                let first = activity.begin();
                assert!(!activity.is_unread(), "{text:?} by {step}");
                drop(first);
                // Its own head may be whole, but it is not known where it begins.
                reader.read(b"GET / HTTP/1.1\r\n\r\n");
                for _ in 0..2 {
                    drop(activity.begin());
                    assert!(activity.is_unread(), "{text:?} by {step}");
                }
            }
        }
    }
}
