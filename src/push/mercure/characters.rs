//! The characters of topics, ids and event types: neither control characters, which would end a line of an event
//! stream, nor format characters of Unicode, which nobody sees. Independent of forms and of events.

/// The characters of the category `Cf` (Unicode 17).
const FORMAT: [(char, char); 21] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{2064}'),
    ('\u{2066}', '\u{206f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0001}', '\u{e0001}'),
    ('\u{e0020}', '\u{e007f}'),
];

/// True if a text has none of these characters.
pub(super) fn are_visible(text: &str) -> bool {
    let is_format = |sign: char| {
        FORMAT
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&sign))
    };
    !text
        .chars()
        .any(|sign| sign.is_control() || (!sign.is_ascii() && is_format(sign)))
}

/// The pairs of a form or of a query (<https://url.spec.whatwg.org/#urlencoded-parsing>). `None` if one of them is not
/// UTF-8, which the standard would replace: a topic would then be another.
pub(super) fn pairs(form: &[u8]) -> Option<Vec<(String, String)>> {
    let parts = form
        .split(|byte| *byte == b'&')
        .filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let mut halves = part.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            Some((name, decode(halves.next().unwrap_or_default())?))
        })
        .collect()
}

/// Decodes a name or a value. A percent sign that is no escape stands for itself.
fn decode(text: &[u8]) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return String::from_utf8(decoded).ok(),
            [b'+', rest @ ..] => {
                decoded.push(b' ');
                rest
            }
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(digit(*high) * 16 + digit(*low));
                rest
            }
            [byte, rest @ ..] => {
                decoded.push(*byte);
                rest
            }
        };
    }
}

fn digit(sign: u8) -> u8 {
    let digit = char::from(sign).to_digit(16).unwrap_or(0);
    u8::try_from(digit).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_break_lines_or_hide_are_seen() {
        for text in ["https://example.com/é", "", "日本 a\u{301}"] {
            assert!(are_visible(text), "{text:?}");
        }
        for text in [
            "a\nb",
            "\0",
            "\u{7f}",
            "\u{85}",
            "a\u{200b}b",
            "\u{202e}x",
            "\u{ad}",
            "\u{e0041}",
        ] {
            assert!(!are_visible(text), "{text:?}");
        }
    }

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let found = pairs(b"topic=a+b%20%C3%A9&topic=%&private&&=x&data=a%3Db=c").expect("UTF-8");
        let expected = [
            ("topic", "a b é"),
            ("topic", "%"),
            ("private", ""),
            ("", "x"),
            ("data", "a=b=c"),
        ];
        let expected: Vec<_> = expected
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        assert_eq!(found, expected);
        assert!(pairs(b"topic=%ff").is_none());
        assert!(pairs(b"%ff=1").is_none());
    }
}
