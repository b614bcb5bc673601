//! Detects fragments in HTTP/1.1 targets before hyper parses them: `http` cuts a fragment off a target, where RFC
//! 9112 §3.2 permits none, so that later code could not see it.
//!
//! Examines the first line that arrives while no request is in progress. Pipelined request lines are not examined;
//! their fragments are cut off, and reach no app either.

use crate::http::activity::Activity;

/// The end of a request line. A line without it is the middle of a pipelined head.
const VERSIONS: [&[u8]; 2] = [b" HTTP/1.1", b" HTTP/1.0"];

/// Detector of fragments in the targets of one connection.
#[derive(Debug)]
pub(super) struct RequestLine {
    activity: Activity,
    /// Number of requests at the last check.
    requests: u64,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the first byte of a head.
    Before,
    /// In the method, which may contain number signs (RFC 9110 §9.1).
    Method,
    /// Behind the method; true after a number sign.
    Inside { fragment: bool },
    /// Behind the request line.
    Behind,
}

impl RequestLine {
    pub(super) fn new(activity: Activity) -> Self {
        Self {
            activity,
            requests: 0,
            place: Place::Before,
        }
    }

    /// Examines bytes that have just arrived.
    pub(super) fn came(&mut self, bytes: &[u8]) {
        let begun = self.activity.begun();
        let is_busy = self.activity.is_busy();
        if begun != self.requests || is_busy {
            self.requests = begun;
            self.place = Place::Before;
        }
        // Of a body, or of a tunnel.
        if !is_busy && self.place != Place::Behind && self.has_fragment(bytes) {
            self.activity.saw_fragment();
        }
    }

    fn has_fragment(&mut self, bytes: &[u8]) -> bool {
        if self.place == Place::Behind {
            return false;
        }
        // Empty lines before a head are skipped (RFC 9112 §2.2).
        let begin = match self.place {
            Place::Before => bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')),
            _ => Some(0),
        };
        let Some(rest) = begin.and_then(|begin| bytes.get(begin..)) else {
            return false;
        };
        let end = rest.iter().position(|byte| *byte == b'\n');
        let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let target = match self.place {
            Place::Inside { .. } => Some(line),
            _ => line.splitn(2, |byte| *byte == b' ').nth(1),
        };
        let known = self.place == Place::Inside { fragment: true };
        let fragment = known || target.is_some_and(|target| target.contains(&b'#'));
        if end.is_none() {
            self.place = match target {
                Some(_) => Place::Inside { fragment },
                None => Place::Method,
            };
            return false;
        }
        self.place = Place::Behind;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        fragment && (line.len() < 9 || VERSIONS.iter().any(|version| line.ends_with(version)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// True if a fragment is detected in these pieces before a request begins.
    fn sees(pieces: &[&str]) -> bool {
        let activity = Activity::new();
        let mut line = RequestLine::new(activity.clone());
        for piece in pieces {
            line.came(piece.as_bytes());
        }
        activity.take_fragment()
    }

    #[test]
    fn a_fragment_is_seen_in_the_first_line_only() {
        for pieces in [
            &["GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"][..],
            &["GET /# HTTP/1.0\n\n"],
            &["\r\n\r\nGET /#x HTTP/1.1\r\n"],
            &["\r", "\nGET /", "#", "x HTTP/1.1\r\nHost"],
            &["GET /#x HTTP/1.", "1\r\n"],
            &["A#", "B", " ", "/", "#", "x HTTP/1.1\r\n"],
        ] {
            assert!(sees(pieces), "{pieces:?}");
        }
        for pieces in [
            &["GET /a HTTP/1.1\r\nCookie: a#b\r\n\r\n"][..],
            &["GET /a HTTP/1.1\r\n", "Cookie: a#b HTTP/1.1\r\n"],
            &["Cookie: GET /a#b\r\n"],
            &["GET /%23 HTTP/1.1\r\n\r\nPOST /#x HTTP/1.1\r\n"],
            &["GET /#x"],
            &["A#B / HTTP/1.1\r\n"],
            &["A", "#", "B", " / HTTP/1.1\r\n"],
        ] {
            assert!(!sees(pieces), "{pieces:?}");
        }
    }

    #[test]
    fn each_request_is_looked_at_and_no_body() {
        let activity = Activity::new();
        let mut line = RequestLine::new(activity.clone());
        line.came(b"POST / HTTP/1.1\r\n\r\n");
        let busy = activity.begin();
        line.came(b"GET /#x HTTP/1.1\r\n\r\n");
        drop(busy);
        assert!(!activity.take_fragment());
        line.came(b"GET /#x HTTP/1.1\r\n\r\n");
        assert!(activity.take_fragment() && !activity.take_fragment());
    }
}
