//! `SockJS` frames `o`, `h` and `c[code,"reason"]`, the messages of a page, and the separation of frames over two HTTP
//! transports. Independent of sessions; the frame of a message is made once for all subscribers, by the hub.

use std::time::Duration;

use crate::hub::NOT_PERMITTED;
use crate::hub::sockjs_message::quote;

/// The frame that opens a session.
pub(super) const OPEN: &str = "o";
/// The heartbeat frame.
pub(super) const HEARTBEAT: &str = "h";
/// Interval of heartbeats; the client library reconnects after twice as long without one.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(25);

/// The reason with which a session closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Close {
    pub(super) code: u16,
    pub(super) reason: &'static str,
}

impl Close {
    /// Close reason of a second receiving request while the first is still open.
    pub(super) const SECOND: Self = Self::new(2010, "Another connection still open");
    /// Close reason after a receiving connection was lost: it is unknown how much of the response arrived.
    pub(super) const INTERRUPTED: Self = Self::new(1002, "Connection interrupted");
    pub(super) const SLOW: Self = Self::new(1013, "too slow");
    pub(super) const STOPPING: Self = Self::new(1001, "the server stops");
    pub(super) const BY_ADMINISTRATOR: Self = Self::new(4403, "closed by an administrator");
    pub(super) const REFUSED: Self = Self::new(4403, NOT_PERMITTED);
    pub(super) const SESSION_ENDED: Self = Self::new(4401, "the session has ended");
    pub(super) const EXPIRED: Self = Self::new(4401, "the token has expired");

    pub(super) const fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason }
    }

    /// The frame that reports this reason.
    pub(super) fn frame(self) -> String {
        let mut frame = format!("c[{},", self.code);
        quote(self.reason, &mut frame);
        frame.push(']');
        frame
    }
}

/// Parses the messages of a page: an array of strings, or on a WebSocket also a single string. `None` if it is
/// neither.
pub(super) fn parse(text: &str) -> Option<Vec<String>> {
    if text.trim_start().starts_with('"') {
        return serde_json::from_str(text).ok().map(|text| vec![text]);
    }
    serde_json::from_str(text).ok()
}

/// Size limit of a request body for this message size limit: JSON in JSON escapes twice, and clients collect
/// messages while a request is in flight.
pub(super) fn largest(message: usize) -> usize {
    2 * message + 16 * 1024
}

/// The separation of frames in a response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// One frame per line: `xhr`, `xhr_streaming`.
    Lines,
    /// One frame per event: `eventsource`.
    Events,
}

impl Framing {
    /// The first bytes of a stream: enough for old browsers to pass anything to the page.
    pub(super) fn prelude(self) -> Vec<u8> {
        match self {
            Self::Lines => [b"h".repeat(2048).as_slice(), b"\n"].concat(),
            Self::Events => b"\r\n".to_vec(),
        }
    }

    pub(super) fn push(self, frame: &[u8], into: &mut Vec<u8>) {
        let (before, behind): (&[u8], &[u8]) = match self {
            Self::Lines => (b"", b"\n"),
            Self::Events => (b"data: ", b"\r\n\r\n"),
        };
        into.extend_from_slice(before);
        into.extend_from_slice(frame);
        into.extend_from_slice(behind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::sockjs_message::message;

    #[test]
    fn what_browsers_change_is_escaped() {
        let killers =
            "\"\\\0\n\u{1f}\u{200c}\u{200f}\u{2028}\u{202f}\u{2060}\u{206f}\u{fff0}\u{ffff}";
        let frame = message(killers);
        assert_eq!(
            frame,
            r#"a["\"\\\u0000\u000a\u001f\u200c\u200f\u2028\u202f\u2060\u206f\ufff0\uffff"]"#
        );
        assert_eq!(parse(&frame[1..]), Some(vec![killers.to_owned()]));
        assert_eq!(message("é\u{200b}€😀/"), "a[\"é\u{200b}€😀/\"]");
    }

    #[test]
    fn a_page_sends_strings_and_nothing_else() {
        assert_eq!(parse(r#"["a","b"]"#), Some(vec!["a".into(), "b".into()]));
        assert_eq!(parse(r#" "a" "#), Some(vec!["a".into()]));
        assert_eq!(parse("[]"), Some(vec![]));
        for text in ["", "[\"a", "[1]", "{}", "a", "[\"a\"] x", "null"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_close_frame_has_a_code_and_a_reason() {
        assert_eq!(
            Close::SECOND.frame(),
            r#"c[2010,"Another connection still open"]"#
        );
    }
}
