//! Writes a recorded serial console as asciicast v2, the format of `asciinema`: a line of JSON with the size of the
//! terminal, and then a line for each output, `[seconds, "o", text]`.
//!
//! The text of an asciicast is UTF-8, and a record may end within a character, so the start of a character waits for
//! its rest. Invalid bytes become U+FFFD. Must not know files.

use std::io::{self, BufRead, Write};
use std::time::Duration;

use serde_json::json;

use super::format::Kind;
use super::reader::{ReadError, Reader};
use crate::text::escape;

/// The first bytes of every graphical console (RFC 6143, section 7.1.1).
const RFB: &[u8] = b"RFB 00";

/// Settings of the conversion.
#[derive(Clone, Copy, Debug)]
pub struct Asciicast {
    /// Columns of the terminal; a recording does not contain them.
    pub columns: u16,
    /// Its rows.
    pub rows: u16,
    /// True to include input, as events `i`.
    pub input: bool,
    /// Longer pauses are shortened to this.
    pub max_pause: Option<f64>,
}

/// Reasons why a recording cannot be written as an asciicast.
#[derive(Debug, thiserror::Error)]
pub enum NotText {
    /// It is a graphical console.
    #[error("this is the recording of a graphical console (RFB), and an asciicast is of text")]
    Graphical,
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// Bytes of one direction, decoded.
#[derive(Default)]
struct Text {
    /// The start of a character whose rest has not come yet: at most three bytes.
    incomplete: Vec<u8>,
}

impl Asciicast {
    /// Writes the whole recording.
    ///
    /// # Errors
    /// [`NotText`], after nothing was written if the console is a graphical one.
    pub fn write<R: BufRead>(
        self,
        mut reader: Reader<R>,
        into: &mut impl Write,
    ) -> Result<(), NotText> {
        let mut head = Some(self.head(&reader));
        let mut beginning = Vec::new();
        let (mut output, mut input) = (Text::default(), Text::default());
        let mut waiting = Vec::new();
        let mut last = Duration::ZERO;
        while let Some(record) = reader.read()? {
            last = record.at;
            if record.kind == Kind::Output && beginning.len() < RFB.len() {
                beginning.extend(record.data.iter().take(RFB.len()));
                if beginning.starts_with(RFB) {
                    return Err(NotText::Graphical);
                }
            }
            let (code, text) = match record.kind {
                Kind::Output => ("o", output.decode(&record.data)),
                Kind::Input if self.input => ("i", input.decode(&record.data)),
                Kind::Input | Kind::End => continue,
                Kind::Gap => ("m", lost(&record.data)),
            };
            if text.is_empty() {
                continue;
            }
            waiting.extend_from_slice(&event(record.at, code, &text));
            // A console may say its first word in pieces, and nothing of a graphical one is written.
            if RFB.starts_with(&beginning) {
                continue;
            }
            into.write_all(&head.take().unwrap_or_default())?;
            into.write_all(&waiting)?;
            waiting.clear();
        }
        into.write_all(&head.take().unwrap_or_default())?;
        into.write_all(&waiting)?;
        for (code, text) in [("o", output.end()), ("i", input.end())] {
            if !text.is_empty() {
                into.write_all(&event(last, code, &text))?;
            }
        }
        Ok(into.flush()?)
    }

    /// The first line.
    fn head<R: BufRead>(self, reader: &Reader<R>) -> Vec<u8> {
        let header = reader.header();
        let mut head = json!({
            "version": 2,
            "width": self.columns,
            "height": self.rows,
            "timestamp": header.begun / 1000,
            "title": header.console.as_ref().unwrap_or(&header.target),
        });
        if let (Some(pause), Some(fields)) = (self.max_pause, head.as_object_mut()) {
            fields.insert("idle_time_limit".to_owned(), pause.into());
        }
        line(&head)
    }
}

impl Text {
    fn decode(&mut self, bytes: &[u8]) -> String {
        self.incomplete.extend_from_slice(bytes);
        let mut text = String::new();
        let mut rest = 0;
        for chunk in self.incomplete.utf8_chunks() {
            text.push_str(chunk.valid());
            rest += chunk.valid().len();
            let broken = chunk.invalid();
            let is_last = rest + broken.len() == self.incomplete.len();
            if is_last && may_continue(broken) {
                break;
            }
            if !broken.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
            rest += broken.len();
        }
        self.incomplete.drain(..rest);
        text
    }

    /// The start of a character whose rest never came.
    fn end(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.incomplete)).into_owned()
    }
}

/// True for the start of a character in UTF-8.
fn may_continue(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

fn lost(data: &[u8]) -> String {
    let lost = data.try_into().map(u64::from_be_bytes).unwrap_or_default();
    format!("{lost} bytes are missing here")
}

fn event(at: Duration, code: &str, text: &str) -> Vec<u8> {
    line(&json!([at.as_secs_f64(), code, text]))
}

/// A line of JSON. Characters that control a terminal are written as escapes of JSON, with the same meaning.
fn line(value: &serde_json::Value) -> Vec<u8> {
    let mut line = escape::json(&value.to_string()).into_owned().into_bytes();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{Header, encode};

    const SETTINGS: Asciicast = Asciicast {
        columns: 80,
        rows: 24,
        input: false,
        max_pause: None,
    };

    fn cast(records: &[(u64, Kind, &[u8])], settings: Asciicast) -> Result<Vec<String>, NotText> {
        let mut header = Header::new(1_764_111_600_123, "unix:/run/vm1".into(), "unix".into());
        header.console = Some("vm1".into());
        let mut file = header.line();
        for (milliseconds, kind, data) in records {
            encode(*kind, Duration::from_millis(*milliseconds), data, &mut file);
        }
        let mut text = Vec::new();
        settings.write(Reader::open(&file[..])?, &mut text)?;
        let text = String::from_utf8(text).expect("UTF-8");
        Ok(text.lines().map(str::to_owned).collect())
    }

    #[test]
    fn a_character_in_two_records_is_one_and_what_is_none_is_replaced() {
        let written = cast(
            &[
                (0, Kind::Output, b"caf\xc3"),
                (250, Kind::Input, b"secret"),
                (500, Kind::Output, b"\xa9 \xf0\x9f"),
                (750, Kind::Output, b"\x8d\x9c \xff\x1b[31m\x9b"),
                (900, Kind::Gap, &7_u64.to_be_bytes()),
                (1000, Kind::Output, b"\xe2\x82"),
                (1500, Kind::End, b"the client closed it"),
            ],
            SETTINGS,
        );
        let head = r#"{"height":24,"timestamp":1764111600,"title":"vm1","version":2,"width":80}"#;
        assert_eq!(
            written.expect("text"),
            [
                head,
                r#"[0.0,"o","caf"]"#,
                r#"[0.5,"o","é "]"#,
                "[0.75,\"o\",\"\u{1f35c} \u{fffd}\\u001b[31m\u{fffd}\"]",
                r#"[0.9,"m","7 bytes are missing here"]"#,
                "[1.5,\"o\",\"\u{fffd}\"]",
            ]
        );
    }

    #[test]
    fn what_was_typed_is_written_where_it_is_asked_for() {
        let settings = Asciicast {
            input: true,
            max_pause: Some(2.0),
            ..SETTINGS
        };
        let written = cast(
            &[(0, Kind::Input, b"ls\r"), (1, Kind::Output, b"x")],
            settings,
        );
        let written = written.expect("text");
        assert!(
            written[0].contains(r#""idle_time_limit":2.0"#),
            "{written:?}"
        );
        assert_eq!(written[1..], [r#"[0.0,"i","ls\r"]"#, r#"[0.001,"o","x"]"#]);
    }

    #[test]
    fn a_graphical_console_is_none_of_text_however_its_first_word_was_cut() {
        for cut in 0..6 {
            let (one, two) = b"RFB 003.008\n".split_at(cut);
            let written = cast(&[(0, Kind::Output, one), (1, Kind::Output, two)], SETTINGS);
            assert!(matches!(written, Err(NotText::Graphical)), "cut at {cut}");
        }
        let short = cast(&[(0, Kind::Output, b"RFB")], SETTINGS).expect("text");
        assert_eq!(short[1], r#"[0.0,"o","RFB"]"#);
    }
}
