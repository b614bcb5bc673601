//! Messages as NDJSON: splits a stream into lines, and parses the message in a line. Does not publish.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf as _, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::http::{Refusal, parameter};
use crate::hub::{Data, Draft, PublisherId};

/// Splits a byte stream into lines of limited length.
#[derive(Debug)]
pub(super) struct Lines {
    limit: usize,
    waiting: BytesMut,
    line: BytesMut,
    /// Position up to which there is no line end.
    looked: usize,
    finished: bool,
}

impl Lines {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            waiting: BytesMut::new(),
            line: BytesMut::new(),
            looked: 0,
            finished: false,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Marks the end of the stream: the remaining bytes are a line too.
    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    /// Returns the next complete line, without its line end.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        let unseen = self.waiting.get(self.looked..).unwrap_or_default();
        if let Some(end) = unseen.iter().position(|byte| *byte == b'\n') {
            self.line = self.waiting.split_to(self.looked + end);
            self.waiting.advance(1);
        } else if self.finished && !self.waiting.is_empty() {
            self.line = self.waiting.split();
        } else {
            self.looked = self.waiting.len();
            return None;
        }
        self.looked = 0;
        Some(&self.line)
    }

    /// True if the incomplete line has exceeded the limit.
    pub(super) fn is_too_long(&self) -> bool {
        self.waiting.len() > self.limit
    }
}

/// Default event name and key for messages without their own.
#[derive(Debug)]
pub(super) struct Labels<'r> {
    pub(super) event: Option<Cow<'r, str>>,
    pub(super) key: Option<Cow<'r, str>>,
}

impl<'r> Labels<'r> {
    /// The labels in a query.
    pub(super) fn read(query: Option<&'r str>) -> Result<Self, Refusal> {
        let label = |name| {
            let label = parameter(query, name)?;
            Ok::<_, Refusal>(label.filter(|label| !label.is_empty()))
        };
        Ok(Self {
            event: label("event")?,
            key: label("key")?,
        })
    }
}

/// The JSON object in a line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'l> {
    #[serde(borrow)]
    event: Option<Cow<'l, str>>,
    #[serde(borrow)]
    key: Option<Cow<'l, str>>,
    #[serde(borrow)]
    id: Option<Cow<'l, str>>,
    #[serde(borrow)]
    data: &'l RawValue,
    #[serde(borrow)]
    encoding: Option<Cow<'l, str>>,
}

/// Parses the message in a line: `{"event":…,"key":…,"id":…,"data":…}`. A string as data is text, or bytes if
/// `encoding` is `base64`; anything else is a JSON value. The error describes the fault.
pub(super) fn draft(line: &[u8], labels: &Labels<'_>) -> Result<Draft, String> {
    let parsed: Line<'_> = serde_json::from_slice(line).map_err(|error| {
        format!(
            r#"this is not a message, such as {{"event":"e","key":"k","data":"text"}}: {error}"#
        )
    })?;
    let text = || -> Result<String, String> {
        serde_json::from_str(parsed.data.get()).map_err(|_| "base64 data is a string".to_owned())
    };
    let data = match parsed.encoding.as_deref() {
        None if parsed.data.get().starts_with('"') => Data::text(text()?),
        None => Data::raw(parsed.data),
        Some("base64") => {
            let bytes = STANDARD.decode(text()?);
            Data::bytes(bytes.map_err(|error| format!("this is not base64: {error}"))?)
        }
        Some(other) => return Err(format!("{other:?} is no encoding; there is base64")),
    };
    let label = |own: &Option<Cow<'_, str>>, general: &Option<Cow<'_, str>>| {
        own.as_deref().or(general.as_deref()).map(Into::into)
    };
    Ok(Draft {
        event: label(&parsed.event, &labels.event),
        key: label(&parsed.key, &labels.key),
        id: parsed.id.as_deref().map(PublisherId::parse).transpose()?,
        data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Labels<'static> = Labels {
        event: None,
        key: None,
    };

    #[test]
    fn a_line_may_come_in_pieces_and_the_last_needs_no_end() {
        let mut lines = Lines::new(10);
        lines.push(b"a");
        assert_eq!(lines.next(), None);
        lines.push(b"b\n\nc");
        assert_eq!(lines.next(), Some(&b"ab"[..]));
        assert_eq!(lines.next(), Some(&b""[..]));
        assert_eq!(lines.next(), None);
        lines.finish();
        assert_eq!(lines.next(), Some(&b"c"[..]));
        assert_eq!(lines.next(), None);
        assert!(!lines.is_too_long());
        lines.push(b"12345678901");
        assert!(lines.is_too_long());
    }

    #[test]
    fn data_is_text_a_value_or_bytes() {
        let data = |line: &str| draft(line.as_bytes(), &NONE).map(|draft| draft.data);
        assert_eq!(data(r#"{"data":"a\nb"}"#), Ok(Data::text("a\nb")));
        assert_eq!(
            data(r#"{"data":[1]}"#),
            Ok(Data::json("[1]").expect("JSON"))
        );
        let bytes = data(r#"{"data":"/wA=","encoding":"base64"}"#);
        assert_eq!(bytes, Ok(Data::bytes(&b"\xff\x00"[..])));
        for wrong in [
            "",
            "text",
            "{}",
            r#"{"data":1,"encoding":"base64"}"#,
            r#"{"data":"?","encoding":"base64"}"#,
            r#"{"data":"","encoding":"hex"}"#,
            r#"{"data":1,"colour":2}"#,
        ] {
            assert!(data(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_message_has_its_own_labels_or_the_general_ones() {
        let general = Labels {
            event: Some("general".into()),
            key: Some("k".into()),
        };
        let draft = draft(br#"{"event":"own","data":1}"#, &general).expect("a message");
        assert_eq!(draft.event.as_deref(), Some("own"));
        assert_eq!(draft.key.as_deref(), Some("k"));
    }
}
