//! As much JSON as the demo needs (RFC 8259): quoting a string, and reading a flat object of strings.
//!
//! The login is the only JSON the app reads. Anything but one flat object of strings is refused, so nothing here
//! recurses and the size of the body bounds the work.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::iter::Peekable;
use std::str::Chars;

/// `text` as a JSON string, quotes included. It is a TOML basic string as well.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\u{0}'..='\u{1f}' | '\u{7f}' => {
                // Writing to a String cannot fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// A JSON array of things that are JSON already.
pub(super) fn array(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}

/// Reads `{"name": "value", ...}`. Of a name given twice the last one counts.
pub(super) fn flat_object(text: &str) -> Option<BTreeMap<String, String>> {
    let mut object = BTreeMap::new();
    let mut rest = text.chars().peekable();
    expect(&mut rest, '{')?;
    if take(&mut rest, '}').is_none() {
        loop {
            let name = string(&mut rest)?;
            expect(&mut rest, ':')?;
            object.insert(name, string(&mut rest)?);
            if take(&mut rest, ',').is_none() {
                expect(&mut rest, '}')?;
                break;
            }
        }
    }
    skip_space(&mut rest);
    rest.next().is_none().then_some(object)
}

type Rest<'a> = Peekable<Chars<'a>>;

fn skip_space(rest: &mut Rest<'_>) {
    while rest
        .next_if(|next| matches!(next, ' ' | '\t' | '\r' | '\n'))
        .is_some()
    {}
}

fn take(rest: &mut Rest<'_>, wanted: char) -> Option<char> {
    skip_space(rest);
    rest.next_if_eq(&wanted)
}

// The same as `take`; the name says that the text is not JSON without it.
fn expect(rest: &mut Rest<'_>, wanted: char) -> Option<char> {
    take(rest, wanted)
}

fn string(rest: &mut Rest<'_>) -> Option<String> {
    expect(rest, '"')?;
    let mut text = String::new();
    loop {
        match rest.next()? {
            '"' => return Some(text),
            '\\' => text.push(escape(rest)?),
            '\u{0}'..='\u{1f}' => return None,
            plain => text.push(plain),
        }
    }
}

fn escape(rest: &mut Rest<'_>) -> Option<char> {
    Some(match rest.next()? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => return unicode_escape(rest),
        plain @ ('"' | '\\' | '/') => plain,
        _ => return None,
    })
}

/// The rest of `\uXXXX`; a character beyond the basic plane is written as two of them.
fn unicode_escape(rest: &mut Rest<'_>) -> Option<char> {
    let first = four_digits(rest)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first);
    }
    (rest.next()? == '\\' && rest.next()? == 'u').then_some(())?;
    let second = four_digits(rest)?;
    if !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
}

fn four_digits(rest: &mut Rest<'_>) -> Option<u32> {
    (0..4).try_fold(0, |number, _| {
        Some(number * 16 + rest.next()?.to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_reads_back_the_same() {
        let strange = "a \"quoted\" \\ \u{1}\n\u{7f} é 暖簾 🏮";
        let object =
            flat_object(&format!("{{ {}: {} }}", quote("k"), quote(strange))).expect("an object");
        assert_eq!(object.get("k").map(String::as_str), Some(strange));
    }

    #[test]
    fn every_escape_is_read() {
        let object =
            flat_object(r#"{"k":"\"\\\/\b\f\n\r\t\u00e9\ud83c\udfee"}"#).expect("an object");
        assert_eq!(
            object.get("k").map(String::as_str),
            Some("\"\\/\u{8}\u{c}\n\r\té🏮")
        );
    }

    #[test]
    fn an_empty_object_is_an_object() {
        assert_eq!(flat_object(" { } "), Some(BTreeMap::new()));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "{",
            "[]",
            "{}x",
            r#"{"a"}"#,
            r#"{"a":1}"#,
            r#"{"a":"b",}"#,
            r#"{"a":{"b":"c"}}"#,
            r#"{"a":"b"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\ud800\u0041"}"#,
            "{\"a\":\"\n\"}",
            "{'a':'b'}",
        ] {
            assert_eq!(flat_object(text), None, "{text}");
        }
    }
}
