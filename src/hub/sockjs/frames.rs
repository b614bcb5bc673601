//! `SockJS` frames: `o`, `h`, `a[…]` and `c[code,"reason"]`, and how two HTTP transports separate them.
//! Independent of sessions and messages.

use std::fmt::Write as _;

use bytes::Bytes;

use crate::hub::subscription::NOT_PERMITTED;

/// The frame that opens a session.
pub(in crate::hub) const OPEN: &str = "o";
/// The heartbeat frame.
pub(in crate::hub) const HEARTBEAT: &str = "h";

/// The reason with which a session closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hub) struct Close {
    pub(in crate::hub) code: u16,
    pub(in crate::hub) reason: &'static str,
}

impl Close {
    /// Close reason of a second receiving request while the first is still open.
    pub(super) const SECOND: Self = Self::new(2010, "Another connection still open");
    /// Close reason after a receiving connection was lost: it is unknown how much of the response arrived.
    pub(super) const INTERRUPTED: Self = Self::new(1002, "Connection interrupted");
    pub(super) const SLOW: Self = Self::new(1013, "too slow");
    pub(super) const STOPPING: Self = Self::new(1001, "the server stops");
    pub(super) const ASKED: Self = Self::new(4403, "closed by an administrator");
    pub(super) const REFUSED: Self = Self::new(4403, NOT_PERMITTED);
    pub(super) const SESSION_ENDED: Self = Self::new(4401, "the session has ended");
    pub(super) const EXPIRED: Self = Self::new(4401, "the token has expired");

    pub(in crate::hub) const fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason }
    }

    /// The frame that reports this reason.
    pub(in crate::hub) fn frame(self) -> String {
        let mut frame = format!("c[{},", self.code);
        quote(self.reason, &mut frame);
        frame.push(']');
        frame
    }
}

/// The frame of one message.
pub(in crate::hub) fn message(text: &str) -> String {
    let mut frame = String::with_capacity(text.len() + text.len() / 4 + 4);
    frame.push_str("a[");
    quote(text, &mut frame);
    frame.push(']');
    frame
}

/// The quoted text between the brackets of a message frame.
pub(super) fn quoted(frame: &Bytes) -> &[u8] {
    frame
        .strip_prefix(b"a[")
        .and_then(|frame| frame.strip_suffix(b"]"))
        .unwrap_or_default()
}

/// Appends a JSON string. Escapes what JSON demands, and all characters that browsers and intermediaries are known
/// to alter, as the protocol lists them.
pub(super) fn quote(text: &str, into: &mut String) {
    into.push('"');
    for sign in text.chars() {
        match sign {
            '"' | '\\' => into.extend(['\\', sign]),
            '\0'..='\x1f'
            | '\u{200c}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff0}'..='\u{ffff}' => {
                // Writing to a string cannot fail.
                let _ = write!(into, "\\u{:04x}", u32::from(sign));
            }
            sign => into.push(sign),
        }
    }
    into.push('"');
}

/// Parses the messages of a page: an array of strings, or on a WebSocket also a single string. `None` if it is
/// neither.
pub(in crate::hub) fn parse(text: &str) -> Option<Vec<String>> {
    if text.trim_start().starts_with('"') {
        return serde_json::from_str(text).ok().map(|text| vec![text]);
    }
    serde_json::from_str(text).ok()
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
    fn a_message_is_found_again_in_its_frame() {
        assert_eq!(quoted(&message("x]").into()), br#""x]""#);
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
