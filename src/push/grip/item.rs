//! A message of GRIP: one item of a POST to the control endpoint, in its forms for the transports. Does not publish it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use super::json::{self, Object};
use super::patch::Patch;

/// A message and its forms.
#[derive(Debug, Default)]
pub(super) struct Item {
    pub(super) channel: String,
    pub(super) id: Option<String>,
    pub(super) previous: Option<String>,
    /// True if the item does not wait for its predecessor.
    pub(super) is_unordered: bool,
    pub(super) meta: BTreeMap<String, String>,
    pub(super) response: Option<ResponseForm>,
    pub(super) stream: Option<StreamForm>,
    pub(super) message: Option<MessageForm>,
}

/// The effect of a message on a stream or a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send the content.
    Send,
    /// Fetch the next link, or repeat the request.
    Hint,
    /// End the connection.
    Close,
    /// Send the app an empty request of the WebSocket.
    Refresh,
}

/// The form `http-stream`, for held streams.
#[derive(Debug)]
pub(super) struct StreamForm {
    pub(super) action: Action,
    pub(super) content: Bytes,
    pub(super) filters: Vec<String>,
}

/// The form `http-response`, for held responses.
#[derive(Debug)]
pub(super) struct ResponseForm {
    pub(super) action: Action,
    pub(super) code: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: ResponseBody,
    pub(super) filters: Vec<String>,
}

/// The body of an `http-response`.
#[derive(Debug)]
pub(super) enum ResponseBody {
    Whole(Bytes),
    /// A patch of the body that the app has sent with the instruction.
    Patched(Patch),
}

/// The form `ws-message`, for WebSockets.
#[derive(Debug)]
pub(super) struct MessageForm {
    pub(super) action: Action,
    pub(super) kind: MessageKind,
    pub(super) content: Bytes,
    pub(super) code: Option<u16>,
    pub(super) reason: String,
    pub(super) filters: Vec<String>,
}

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageKind {
    Text,
    Binary,
    Ping,
    Pong,
}

impl MessageKind {
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        match name {
            "text" => Ok(Self::Text),
            "binary" => Ok(Self::Binary),
            "ping" => Ok(Self::Ping),
            "pong" => Ok(Self::Pong),
            _ => Err(format!("the message type {name:?} is not known here")),
        }
    }
}

impl Item {
    /// Reads an item; the error text says what is wrong with it.
    pub(super) fn read(item: &Object) -> Result<Self, String> {
        // Without `formats` they stand beside the rest.
        let formats = json::object(item, "formats")?.unwrap_or(item);
        let read = Self {
            channel: json::text(item, "channel")?.ok_or("channel is missing")?,
            id: json::text(item, "id")?,
            previous: json::text(item, "prev-id")?,
            is_unordered: item.get("no-seq") == Some(&Value::Bool(true)),
            meta: json::pairs(item, "meta")?,
            response: form(formats, "http-response", ResponseForm::read)?,
            stream: form(formats, "http-stream", StreamForm::read)?,
            message: form(formats, "ws-message", MessageForm::read)?,
        };
        if read.response.is_none() && read.stream.is_none() && read.message.is_none() {
            return Err(
                "it has none of the formats http-response, http-stream, ws-message".to_owned(),
            );
        }
        Ok(read)
    }

    /// Reads the text of an item that was checked before it was published.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::read(&serde_json::from_str(text).ok()?).ok()
    }
}

fn form<T>(
    formats: &Object,
    name: &str,
    read: impl FnOnce(&Object) -> Result<T, String>,
) -> Result<Option<T>, String> {
    let form = json::object(formats, name)?.map(read).transpose();
    form.map_err(|reason| format!("{name}: {reason}"))
}

/// Reads the action, which is one of these.
fn action(form: &Object, possible: &[(&str, Action)]) -> Result<Action, String> {
    let Some(name) = json::text(form, "action")? else {
        return Ok(Action::Send);
    };
    let mut possible = possible.iter();
    let found = possible.find(|(known, _)| *known == name);
    found
        .map(|(_, action)| *action)
        .ok_or_else(|| format!("the action {name:?} is not known here"))
}

impl StreamForm {
    fn read(form: &Object) -> Result<Self, String> {
        let possible = [
            ("send", Action::Send),
            ("hint", Action::Hint),
            ("close", Action::Close),
        ];
        let action = action(form, &possible)?;
        let content = json::bytes(form, "content")?;
        if action == Action::Send && content.is_none() {
            return Err("content is missing".to_owned());
        }
        Ok(Self {
            action,
            content: content.unwrap_or_default(),
            filters: json::texts(form, "content-filters")?,
        })
    }
}

impl ResponseForm {
    fn read(form: &Object) -> Result<Self, String> {
        let action = action(form, &[("send", Action::Send), ("hint", Action::Hint)])?;
        let code = json::number(form, "code")?.unwrap_or(200);
        let code = u16::try_from(code)
            .ok()
            .filter(|code| (200..600).contains(code));
        let body = match form.get("body-patch") {
            None | Some(Value::Null) => {
                ResponseBody::Whole(json::bytes(form, "body")?.unwrap_or_default())
            }
            Some(patch) => ResponseBody::Patched(Patch::read(patch)?),
        };
        Ok(Self {
            action,
            code: code.ok_or("code is no status of a response")?,
            headers: json::headers(form, "headers")?,
            body,
            filters: json::texts(form, "content-filters")?,
        })
    }
}

impl MessageForm {
    fn read(form: &Object) -> Result<Self, String> {
        let possible = [
            ("send", Action::Send),
            ("close", Action::Close),
            ("refresh", Action::Refresh),
            ("hint", Action::Refresh),
        ];
        let action = action(form, &possible)?;
        let content = json::bytes(form, "content")?;
        if action == Action::Send && content.is_none() {
            return Err("content is missing".to_owned());
        }
        let kind = match json::text(form, "type")? {
            Some(name) => MessageKind::parse(&name)?,
            None if form.contains_key("content-bin") => MessageKind::Binary,
            None => MessageKind::Text,
        };
        let content = content.unwrap_or_default();
        if kind == MessageKind::Text && std::str::from_utf8(&content).is_err() {
            return Err("a text message is not UTF-8".to_owned());
        }
        let code = json::number(form, "code")?;
        Ok(Self {
            action,
            kind,
            content,
            code: code.and_then(|code| u16::try_from(code).ok()),
            reason: json::text(form, "reason")?.unwrap_or_default(),
            filters: json::texts(form, "content-filters")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Item, String> {
        Item::read(&serde_json::from_str(text).expect("an object"))
    }

    #[test]
    fn formats_stand_in_an_object_or_beside_the_rest() {
        for text in [
            r#"{"channel": "a", "id": 2, "prev-id": "1", "formats": {"http-stream": {"content": "x"}}}"#,
            r#"{"channel": "a", "id": "2", "prev-id": 1, "http-stream": {"content-bin": "eA=="}}"#,
        ] {
            let item = read(text).expect("an item");
            assert_eq!(item.id.as_deref(), Some("2"));
            assert_eq!(item.previous.as_deref(), Some("1"));
            assert_eq!(item.stream.expect("a stream").content, "x");
        }
    }

    #[test]
    fn a_malformed_item_is_refused() {
        for text in [
            "{}",
            r#"{"channel": "a"}"#,
            r#"{"channel": 1, "http-stream": {"content": "x"}}"#,
            r#"{"channel": "a", "http-stream": {}}"#,
            r#"{"channel": "a", "http-stream": {"action": "explode"}}"#,
            r#"{"channel": "a", "http-stream": {"content-bin": "?"}}"#,
            r#"{"channel": "a", "http-response": {"code": 99}}"#,
            r#"{"channel": "a", "http-response": {"code": 101}}"#,
            r#"{"channel": "a", "http-response": {"action": "close"}}"#,
            r#"{"channel": "a", "http-response": {"body-patch": 1}}"#,
            r#"{"channel": "a", "http-response": {"headers": [["a"]]}}"#,
            r#"{"channel": "a", "ws-message": {"content": "x", "type": "blob"}}"#,
            r#"{"channel": "a", "ws-message": {"content-bin": "/w==", "type": "text"}}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
