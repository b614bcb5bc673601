//! The state of a WebSocket that the app's responses change: its channels, values, heartbeat, and whether the app still
//! wants requests. Does not read or write the connection.

use std::collections::BTreeMap;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, SEC_WEBSOCKET_EXTENSIONS};
use http::response::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use tokio::time::{Sleep, sleep};
use tracing::debug;

use crate::hub::SubscribeError;

use super::control::{Control, Message};
use super::events::Event;
use super::field;
use super::heartbeat::Heartbeat;
use super::held::{HeldConnection, HoldContext};
use super::instruct::{Channel, is_grip_header};
use super::item::MessageKind;

/// The media type of events.
pub(crate) const EVENTS: &str = "application/websocket-events";
/// Shortest interval of empty requests.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(20);
/// Limits on channels and on values of a connection.
const MOST_CHANNELS: usize = 100;
const MOST_VALUES: usize = 50;

/// The effect of an event of the app.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    Send(Message),
    Close(Option<u16>, String),
    /// The connection ends without a close frame of the app.
    Drop(&'static str),
}

/// The state of a connection.
pub(super) struct Dialogue {
    /// Prefix of messages for the client, if the app has chosen control messages (`grip`).
    prefix: Option<String>,
    /// Values that the app stores with the connection.
    pub(super) meta: BTreeMap<String, String>,
    /// Values for filters.
    own: BTreeMap<String, String>,
    channels: Vec<Channel>,
    changed: bool,
    held: Option<HeldConnection>,
    /// Time between two empty requests.
    pub(super) interval: Option<Duration>,
    heartbeat: Option<(Heartbeat, MessageKind)>,
    delayed: Option<(Message, Pin<Box<Sleep>>)>,
    pub(super) is_detached: bool,
    /// The code with which the client has closed.
    pub(super) closed: Option<u16>,
}

impl Dialogue {
    /// Reads the app's response to the opening. Returns the state, and the events behind the opening; an error with the
    /// reason if it is not a valid response to an opening.
    pub(super) fn open(parts: &Parts, body: Bytes) -> Result<(Self, Vec<Event>), String> {
        let mut dialogue = Self {
            prefix: prefix(&parts.headers)?,
            meta: BTreeMap::new(),
            own: BTreeMap::new(),
            channels: Vec::new(),
            changed: false,
            held: None,
            interval: None,
            heartbeat: None,
            delayed: None,
            is_detached: false,
            closed: None,
        };
        let mut events = dialogue.read(parts, body)?;
        match events.first() {
            Some(Event::Open) => {
                events.remove(0);
            }
            None if dialogue.interval.is_some() => {}
            _ => return Err("the app has not opened the WebSocket".to_owned()),
        }
        Ok((dialogue, events))
    }

    /// Reads a response: applies its values, and returns its events.
    pub(super) fn read(&mut self, parts: &Parts, body: Bytes) -> Result<Vec<Event>, String> {
        if parts.status != StatusCode::OK {
            return Err(format!("it answers events with {}", parts.status));
        }
        if !is_of_events(&parts.headers) {
            return Err(format!(
                "it answers events with something else than {EVENTS}"
            ));
        }
        for (name, value) in &parts.headers {
            let name = name.as_str();
            if let Some(name) = name.strip_prefix("set-meta-") {
                let value = value
                    .to_str()
                    .map_err(|_| "Set-Meta-*: a value is no text")?;
                if value.is_empty() {
                    self.meta.remove(name);
                } else if self.meta.len() < MOST_VALUES {
                    self.meta.insert(name.to_owned(), value.to_owned());
                }
            } else if name == "keep-alive-interval" {
                let seconds = value
                    .to_str()
                    .ok()
                    .and_then(|text| text.trim().parse().ok());
                let seconds: u32 =
                    seconds.ok_or("Keep-Alive-Interval: it is no number of seconds")?;
                let interval = Duration::from_secs(seconds.into());
                self.interval = (seconds > 0).then(|| interval.max(SHORTEST_INTERVAL));
            }
        }
        Event::read_all(body).map_err(str::to_owned)
    }

    /// Applies an event of the app.
    pub(super) fn take(&mut self, event: Event) -> Effect {
        let message = |kind, content| Message { kind, content };
        match event {
            Event::Text(content) => self.message(message(MessageKind::Text, content)),
            Event::Binary(content) => self.message(message(MessageKind::Binary, content)),
            Event::Ping(content) => Effect::Send(message(MessageKind::Ping, content)),
            Event::Pong(content) => Effect::Send(message(MessageKind::Pong, content)),
            Event::Close(code, reason) => Effect::Close(code, reason),
            Event::Disconnect => Effect::Drop("it ends the connection"),
            Event::Open => Effect::Drop("it opens the connection once more"),
        }
    }

    /// Handles a message, which is for the client or a control message.
    fn message(&mut self, message: Message) -> Effect {
        let Some(prefix) = &self.prefix else {
            return Effect::Send(message);
        };
        if message.kind == MessageKind::Text
            && let Some(control) = message.content.strip_prefix(b"c:")
        {
            let control = std::str::from_utf8(control).map_err(|_| "it is not UTF-8".to_owned());
            return match control.and_then(Control::read) {
                Ok(control) => self.control(control),
                Err(reason) => {
                    debug!(reason, "a control message was ignored");
                    Effect::None
                }
            };
        }
        let length = prefix.len();
        if !message.content.starts_with(prefix.as_bytes()) {
            return Effect::None;
        }
        Effect::Send(Message {
            content: message.content.slice(length..),
            ..message
        })
    }

    fn control(&mut self, control: Control) -> Effect {
        match control {
            Control::Subscribe(channel) => {
                self.channels.retain(|other| other.name != channel.name);
                if self.channels.len() < MOST_CHANNELS {
                    self.channels.push(channel);
                }
                self.changed = true;
            }
            Control::Unsubscribe(name) => {
                self.channels.retain(|other| other.name != name);
                self.changed = true;
            }
            Control::Detach => self.is_detached = true,
            Control::SetMeta(name, value) => self.set_value(name, value),
            Control::KeepAlive(settings) => {
                self.heartbeat = settings.map(|(settings, kind)| (Heartbeat::new(settings), kind));
            }
            Control::SendDelayed(message, delay) => {
                self.delayed = Some((message, Box::pin(sleep(delay))));
            }
            Control::FlushDelayed => {
                if let Some((message, _)) = self.delayed.take() {
                    return Effect::Send(message);
                }
            }
            Control::Session => {}
        }
        Effect::None
    }

    fn set_value(&mut self, name: String, value: Option<String>) {
        match value {
            Some(value) if self.own.len() < MOST_VALUES => {
                self.own.insert(name, value);
            }
            Some(_) => {}
            None => {
                self.own.remove(&name);
            }
        }
        if let Some(held) = &mut self.held {
            held.meta.clone_from(&self.own);
        }
    }

    /// Subscribes to the channels that are named now. Existing subscriptions keep their position.
    pub(super) fn join(&mut self, hold_context: &HoldContext) -> Result<(), SubscribeError> {
        if !std::mem::take(&mut self.changed) {
            return Ok(());
        }
        if self.channels.is_empty() {
            self.held = None;
            return Ok(());
        }
        let before = self.held.take();
        let held = HeldConnection::after(
            hold_context,
            before.as_ref(),
            self.channels.clone(),
            self.own.clone(),
        )?;
        self.held = Some(held);
        Ok(())
    }

    pub(super) fn held(&mut self) -> Option<&mut HeldConnection> {
        self.held.as_mut()
    }

    /// Records that something was sent: the heartbeat timer restarts, and a delayed message is dropped.
    pub(super) fn wrote(&mut self) {
        if let Some((heartbeat, _)) = &mut self.heartbeat {
            heartbeat.wrote();
        }
        self.delayed = None;
    }

    /// Ready with a heartbeat or a delayed message.
    pub(super) fn poll_timers(&mut self, cx: &mut Context<'_>) -> Poll<Message> {
        if let Some((_, clock)) = &mut self.delayed
            && clock.as_mut().poll(cx).is_ready()
            && let Some((message, _)) = self.delayed.take()
        {
            return Poll::Ready(message);
        }
        match &mut self.heartbeat {
            Some((heartbeat, kind)) => heartbeat.poll(cx).map(|content| Message {
                kind: *kind,
                content,
            }),
            None => Poll::Pending,
        }
    }
}

/// True for a response with events.
pub(super) fn is_of_events(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next();
    kind.unwrap_or_default().trim().eq_ignore_ascii_case(EVENTS)
}

/// The prefix of messages for the client, if the app answers with the extension.
fn prefix(headers: &HeaderMap) -> Result<Option<String>, String> {
    let values = field::values(headers, SEC_WEBSOCKET_EXTENSIONS.as_str());
    let values = values.map_err(|reason| format!("Sec-WebSocket-Extensions: {reason}"))?;
    let grip = values.iter().find(|value| value.text == "grip");
    Ok(grip.map(|grip| grip.parameter("message-prefix").unwrap_or("m:").to_owned()))
}

/// True for a header of the app's first response that is for Noren and not for the client.
pub(super) fn is_of_dialogue(name: &HeaderName) -> bool {
    is_grip_header(name)
        || *name == CONTENT_TYPE
        || *name == CONTENT_LENGTH
        || *name == SEC_WEBSOCKET_EXTENSIONS
        || name.as_str().starts_with("set-meta-")
        || matches!(
            name.as_str(),
            "keep-alive-interval" | "content-bytes-accepted"
        )
}
