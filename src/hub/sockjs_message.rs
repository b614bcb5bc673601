//! The `SockJS` frame of a message, `a["…"]`, which is made once for all its subscribers.
//! Independent of sessions.

use std::fmt::Write as _;

use bytes::Bytes;

/// The frame of one message.
pub(crate) fn message(text: &str) -> String {
    let mut frame = String::with_capacity(text.len() + text.len() / 4 + 4);
    frame.push_str("a[");
    quote(text, &mut frame);
    frame.push(']');
    frame
}

/// The quoted text between the brackets of a message frame.
pub(crate) fn quoted(frame: &Bytes) -> &[u8] {
    frame
        .strip_prefix(b"a[")
        .and_then(|frame| frame.strip_suffix(b"]"))
        .unwrap_or_default()
}

/// Appends a JSON string. Escapes what JSON demands, and all characters that browsers and intermediaries are known
/// to alter, as the protocol lists them.
pub(crate) fn quote(text: &str, into: &mut String) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_found_again_in_its_frame() {
        assert_eq!(quoted(&message("x]").into()), br#""x]""#);
    }
}
