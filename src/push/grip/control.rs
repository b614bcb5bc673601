//! Control messages of an app on its WebSocket: text messages that begin with `c:`. Does not execute them.

use std::time::Duration;

use bytes::Bytes;

use super::filter::Filter;
use super::instruct::{Channel, KeepAlive};
use super::item::MessageKind;
use super::json::{self, Object};

/// Default interval of heartbeats, and default delay of a delayed message.
const KEEP_ALIVE: u64 = 55;
const DELAY: u64 = 1;

/// A message of a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: MessageKind,
    pub(super) content: Bytes,
}

/// A control message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Subscribe(Channel),
    Unsubscribe(String),
    /// Send the app no further requests.
    Detach,
    SetMeta(String, Option<String>),
    /// A heartbeat of this kind, or none.
    KeepAlive(Option<(KeepAlive, MessageKind)>),
    /// Send a message later, unless another one comes first.
    SendDelayed(Message, Duration),
    /// Send it now.
    FlushDelayed,
    /// A name for the connection, which is not used here.
    Session,
}

impl Control {
    /// Reads the text behind `c:`.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let message: Object =
            serde_json::from_str(text).map_err(|_| "it is not a JSON object".to_owned())?;
        let kind = json::text(&message, "type")?.ok_or("it has no type")?;
        let channel =
            || json::text(&message, "channel")?.ok_or_else(|| "it has no channel".to_owned());
        match kind.as_str() {
            "subscribe" => {
                let mut channel = Channel::named(channel()?);
                channel.filters = Filter::parse_all(&json::texts(&message, "filters")?)?;
                Ok(Self::Subscribe(channel))
            }
            "unsubscribe" => Ok(Self::Unsubscribe(channel()?)),
            "detach" => Ok(Self::Detach),
            "set-meta" => {
                let name = json::text(&message, "name")?.ok_or("it has no name")?;
                Ok(Self::SetMeta(name, json::text(&message, "value")?))
            }
            "keep-alive" => keep_alive(&message).map(Self::KeepAlive),
            "send-delayed" => {
                let content = json::bytes(&message, "content")?.ok_or("it has no content")?;
                let delay = json::number(&message, "timeout")?.unwrap_or(DELAY);
                let kind = message_kind(&message)?;
                let delayed = Message { kind, content };
                Ok(Self::SendDelayed(delayed, Duration::from_secs(delay)))
            }
            "flush-delayed" => Ok(Self::FlushDelayed),
            "session" => Ok(Self::Session),
            _ => Err(format!("the type {kind:?} is not known here")),
        }
    }
}

fn keep_alive(message: &Object) -> Result<Option<(KeepAlive, MessageKind)>, String> {
    let Some(content) = json::bytes(message, "content")? else {
        return Ok(None);
    };
    let every = json::number(message, "timeout")?.unwrap_or(KEEP_ALIVE);
    let keep_alive = KeepAlive {
        content,
        every: Duration::from_secs(every.max(1)),
        is_regular: json::text(message, "mode")?.as_deref() == Some("interval"),
    };
    Ok(Some((keep_alive, message_kind(message)?)))
}

fn message_kind(message: &Object) -> Result<MessageKind, String> {
    match json::text(message, "message-type")? {
        Some(name) => MessageKind::parse(&name),
        None => Ok(MessageKind::Text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_message_is_read_or_refused() {
        let channel = Channel {
            filters: vec![Filter::SkipSelf],
            ..Channel::named("a".to_owned())
        };
        for (text, control) in [
            (
                r#"{"type": "subscribe", "channel": "a", "filters": ["skip-self"]}"#,
                Control::Subscribe(channel),
            ),
            (
                r#"{"type": "unsubscribe", "channel": "a"}"#,
                Control::Unsubscribe("a".to_owned()),
            ),
            (r#"{"type": "detach"}"#, Control::Detach),
            (r#"{"type": "keep-alive"}"#, Control::KeepAlive(None)),
            (
                r#"{"type": "set-meta", "name": "user", "value": "ann"}"#,
                Control::SetMeta("user".to_owned(), Some("ann".to_owned())),
            ),
        ] {
            assert_eq!(Control::read(text), Ok(control), "{text}");
        }
        for text in [
            "",
            "[]",
            r#"{"type": "explode"}"#,
            r#"{"type": "subscribe"}"#,
            r#"{"type": "subscribe", "channel": "a", "filters": ["other"]}"#,
            r#"{"type": "send-delayed"}"#,
        ] {
            assert!(Control::read(text).is_err(), "{text}");
        }
    }
}
