//! Parses one message as a JSON object: `{"event": …, "key": …, "id": …, "data": …, "channel": …}`, of which only
//! `data` is required. A string is text, anything else stays JSON. Must not know sockets and permissions.

use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::config::ChannelName;
use crate::hub::{Data, Draft, PublisherId};

/// Length limit of an invalid channel name that is quoted in an error.
const LONGEST_QUOTED: usize = 128;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object<'a> {
    event: Option<Box<str>>,
    key: Option<Box<str>>,
    id: Option<String>,
    #[serde(borrow)]
    data: &'a RawValue,
    channel: Option<String>,
}

/// Parses the message, and the channel if it names one; the error describes the fault. It quotes nothing but the
/// name of a channel: messages and line breaks of others do not belong in the log.
pub(super) fn parse(text: &[u8]) -> Result<(Draft, Option<ChannelName>), String> {
    let object: Object<'_> = serde_json::from_slice(text).map_err(|error| reason(&error))?;
    let data = if object.data.get().starts_with('"') {
        let text: String =
            serde_json::from_str(object.data.get()).map_err(|error| reason(&error))?;
        Data::text(text)
    } else {
        Data::raw(object.data)
    };
    let channel = object.channel.map(|name| match name.len() {
        0..=LONGEST_QUOTED => ChannelName::parse(&name),
        _ => Err("the name of its channel is too long".to_owned()),
    });
    let draft = Draft {
        event: object.event,
        key: object.key,
        id: object.id.as_deref().map(PublisherId::parse).transpose()?,
        data,
    };
    Ok((draft, channel.transpose()?))
}

fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // These quote the names of our own fields only; all others of this category quote the text.
    let harmless = text.starts_with("missing field") || text.starts_with("duplicate field");
    if error.classify() == Category::Data && !harmless {
        let column = error.column();
        return format!(
            "it is not an object with the strings event, key, id and channel, and data (column {column})"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Kind;

    #[test]
    fn a_string_is_text_and_everything_else_stays_json() {
        let kind_and_text = |text: &str| {
            let (draft, _) = parse(text.as_bytes()).expect("an object");
            let data = draft.data;
            (data.kind(), data.as_text().unwrap_or_default().to_owned())
        };
        let text = |text: &str| (Kind::Text, text.to_owned());
        let json = |text: &str| (Kind::Json, text.to_owned());
        assert_eq!(kind_and_text(r#"{"data":"a\n\u00e9"}"#), text("a\né"));
        assert_eq!(
            kind_and_text(r#"{"data": {"a": [1]} }"#),
            json(r#"{"a": [1]}"#)
        );
        assert_eq!(kind_and_text(r#"{"data":null}"#), json("null"));
        assert_eq!(kind_and_text(r#"{"data":1.50}"#), json("1.50"));
    }

    #[test]
    fn event_key_and_channel_may_be_there() {
        let (draft, channel) =
            parse(br#"{"event":"e","key":"k","data":1,"channel":"job.1"}"#).expect("an object");
        assert_eq!(draft.event.as_deref(), Some("e"));
        assert_eq!(draft.key.as_deref(), Some("k"));
        assert_eq!(
            channel.map(|name| name.to_string()).as_deref(),
            Some("job.1")
        );
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        for (text, reason) in [
            (&br#"{"data":1,"dta":2}"#[..], "not an object with"),
            (br#"{"event":"e"}"#, "missing field `data`"),
            (br#"{"data":1,"data":2}"#, "duplicate field"),
            (br#"{"data":1} {"data":2}"#, "trailing"),
            (br#"{"data":"\ud800"}"#, "hex escape"),
            (br#"{"data":1,"event":5}"#, "not an object with"),
            (br#""secret""#, "not an object with"),
            (
                br#"{"data":1,"channel":"a b"}"#,
                "not the name of a channel",
            ),
            (b"{\"data\":\"\xff\"}", "unicode"),
            (br#"{"data":"#, "EOF"),
            (b"hello", "expected"),
        ] {
            let refusal = parse(text).expect_err(reason);
            let found = refusal.to_lowercase().contains(&reason.to_lowercase());
            assert!(found, "{refusal:?} should say {reason:?}");
            assert!(!refusal.contains("secret") && !refusal.contains("dta"));
        }
    }
}
