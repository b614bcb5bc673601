//! Escapes foreign text for a terminal or a log.
//!
//! A control sequence in a name or a message could rename the window, overwrite the previous line, or inject
//! keyboard input; a direction mark (Unicode Standard Annex 9) changes the visible order. Such characters are
//! escaped: as in Rust (`\u{9b}`), in JSON as JSON does (`\u009b`), where the value stays the same; in TOML too.
//! This is the only place that defines which characters these are.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// True if a character has an effect instead of a visible form: controls (C0, DEL, C1), direction marks, line
/// separators, characters without a width that hide others, and tags.
#[must_use]
pub fn is_active(sign: char) -> bool {
    sign.is_control()
        || matches!(sign,
            '\u{61c}' | '\u{180e}'
            | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Escapes a text as one line.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_active)
}

/// Escapes a text that may have several lines, and tabs.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |sign| !matches!(sign, '\n' | '\t') && is_active(sign))
}

/// Escapes JSON without changing its value. Outside of strings, JSON has none of these characters but white space.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    let is_active = |sign| !matches!(sign, '\n' | '\r' | '\t') && is_active(sign);
    if !text.contains(is_active) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for sign in text.chars() {
        if is_active(sign) {
            for unit in sign.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(sign);
        }
    }
    Cow::Owned(shown)
}

/// Escapes TOML; basic strings keep their value. Outside of strings and comments, TOML has none of these
/// characters but white space.
#[must_use]
pub fn toml(text: &str) -> Cow<'_, str> {
    let is_active = |sign| !matches!(sign, '\n' | '\t') && is_active(sign);
    if !text.contains(is_active) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for sign in text.chars() {
        if is_active(sign) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\U{:08x}", u32::from(sign));
        } else {
            shown.push(sign);
        }
    }
    Cow::Owned(shown)
}

fn escaped(text: &str, is_active: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_active) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for sign in text.chars() {
        if is_active(sign) {
            shown.extend(sign.escape_default());
        } else {
            shown.push(sign);
        }
    }
    Cow::Owned(shown)
}

/// A writer that escapes text as one line by [`line()`].
#[derive(Debug)]
pub struct LineWriter<W>(pub W);

impl<W: Write> Write for LineWriter<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(&line(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One active character of each kind.
    const ACTIVE: &str = "\0\u{7}\u{8}\n\r\t\u{1b}\u{7f}\u{80}\u{85}\u{9b}\u{9f}\u{61c}\u{200b}\u{200e}\u{200f}\
                          \u{2028}\u{2029}\u{202a}\
                          \u{202e}\u{2060}\u{2066}\u{2069}\u{206f}\u{feff}\u{fffa}\u{e0001}\u{e007f}";

    #[test]
    fn what_commands_a_terminal_is_written_out() {
        for sign in ACTIVE.chars() {
            let text = format!("a{sign}b");
            let shown = line(&text);
            assert!(shown.is_ascii() && shown.contains('\\'), "{shown:?}");
            assert!(!shown.contains(is_active), "{shown:?}");
            let shown = lines(&text);
            let kept = matches!(sign, '\n' | '\t');
            assert_eq!(shown == text, kept, "{shown:?}");
        }
        assert_eq!(line("\u{1b}]0;x\u{7}\u{9b}\n"), r"\u{1b}]0;x\u{7}\u{9b}\n");
    }

    #[test]
    fn ordinary_text_of_any_script_stays() {
        for text in [
            "",
            "plain",
            "Grüße, 東京",
            "שלום",
            "नमस्ते",
            "👩\u{200d}🍳",
            "می\u{200c}خواهم",
        ] {
            assert_eq!(line(text), text);
            assert_eq!(lines(text), text);
            assert_eq!(json(text), text);
            assert_eq!(toml(text), text);
        }
    }

    #[test]
    fn json_keeps_its_value() {
        let value = serde_json::json!({ "a": ACTIVE, "b": [1, "\"\\"] });
        for text in [value.to_string(), format!("{value:#}")] {
            let shown = json(&text);
            let bare: String = shown.chars().filter(|sign| *sign != '\n').collect();
            assert!(!bare.contains(is_active), "{bare:?}");
            let read: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
            assert_eq!(read, value);
        }
    }

    #[test]
    fn toml_keeps_its_value() {
        let active: String = ACTIVE
            .chars()
            .filter(|sign| !sign.is_ascii_control())
            .collect();
        let text = format!("# {active}\n[table]\n\tkey = \"{active}\\n\"\n");
        let shown = toml(&text);
        let bare = shown.replace(['\n', '\t'], "");
        assert!(!bare.contains(is_active), "{bare:?}");
        let read: ::toml::Table = shown.parse().expect("TOML");
        let value = read.get("table").and_then(|table| table.get("key"));
        let value = value.and_then(::toml::Value::as_str);
        assert_eq!(value, Some(format!("{active}\n").as_str()));
    }

    #[test]
    fn a_writer_escapes_what_passes_through_it() {
        let mut writer = LineWriter(String::new());
        write!(writer, "\u{9b}-{:?}", "\u{202e}").expect("a string");
        assert_eq!(writer.0, r#"\u{9b}-"\u{202e}""#);
    }
}
