//! Minimal JSON (RFC 8259) for the demo: quotes a string, and parses a flat object of strings.
//!
//! The login is the only JSON that the app reads. Anything but one flat object of strings is refused.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Quotes `text` as a JSON string, which is a TOML basic string as well.
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

/// A JSON array of items that are JSON already.
pub(super) fn array(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}

/// Parses `{"name": "value", ...}`. Of a repeated name the last value counts.
pub(super) fn flat_object(text: &str) -> Option<BTreeMap<String, String>> {
    serde_json::from_str(text).ok()
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
