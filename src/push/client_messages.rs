//! Reads the messages of a page from its WebSocket: small JSON objects, one at a time.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::AsyncRead;

use crate::config::ChannelName;
use crate::hub::{Data, Draft};
use crate::push::sockjs_frames;
use crate::websocket::{Accepts, MessageReader, ReadFault, Received, Violation};

/// Size limit of an object apart from its data.
const ENVELOPE: usize = 2 * 1024;

/// Callback that publishes a message of a page; the last argument is the id the page gave it.
pub(crate) type Receiver =
    Arc<dyn Fn(ChannelName, Draft, Option<Box<str>>) -> Receiving + Send + Sync>;

/// The pending result of a message of a page.
pub(super) type Receiving = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// The result of a message of a page, with the meaning of an HTTP status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The HTTP status.
    pub status: u16,
    /// Reason for a refusal; `None` if the message was accepted.
    pub reason: Option<String>,
}

/// An event of the page that the socket has to act on.
pub(super) enum ClientEvent {
    /// Send this text in reply.
    Reply(String),
    /// A WebSocket ping; reply with the same payload.
    Ping(Vec<u8>),
    /// The page closes the connection.
    Closed,
}

/// The result of parsing an object of a page.
pub(super) enum Understood {
    /// Reply with this text at once.
    Reply(String),
    /// Publish the message, and reply with the page's own reference once the result is known.
    UnderWay(Option<Box<RawValue>>, Receiving),
}

/// The format of the frames that a page sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// Each frame is one object.
    Objects,
    /// Each frame is an array of strings, each of them an object.
    SockJs,
    /// The frames are ignored.
    Nothing,
}

/// Reads the objects of a page from its WebSocket.
pub(super) struct ClientMessages {
    messages: MessageReader,
    receiver: Option<Receiver>,
    /// Remaining objects of a message that held several.
    texts: VecDeque<String>,
    language: Language,
    under_way: Option<(Option<Box<RawValue>>, Receiving)>,
}

/// The JSON object that a page may send.
#[derive(Deserialize)]
struct Object<'a> {
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    channel: Option<&'a str>,
    event: Option<Box<str>>,
    key: Option<Box<str>>,
    id: Option<Box<str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(rename = "ref")]
    reference: Option<Box<RawValue>>,
}

impl ClientMessages {
    /// Creates a reader of objects whose data has at most `limit` bytes. `deflates` if the handshake has agreed on
    /// compressed messages.
    pub(super) fn new(
        receiver: Option<Receiver>,
        limit: usize,
        language: Language,
        deflates: bool,
    ) -> Self {
        let (accepts, limit) = match language {
            Language::SockJs => (Accepts::Text, sockjs_frames::largest(limit)),
            Language::Objects => (Accepts::Text, limit + ENVELOPE),
            Language::Nothing => (Accepts::Nothing, 0),
        };
        Self {
            messages: MessageReader::new(accepts, limit).with_deflate(deflates),
            receiver,
            texts: VecDeque::new(),
            language,
            under_way: None,
        }
    }

    /// Adds bytes that were read before the socket was set up.
    pub(super) fn feed(&mut self, read: &[u8]) {
        self.messages.feed(read);
    }

    /// True if the page has sent anything since the last call. While its last message is being handled the page is not
    /// read, so that counts too.
    pub(super) fn take_heard(&mut self) -> bool {
        self.messages.take_heard() || self.under_way.is_some()
    }

    /// Total bytes of messages.
    pub(super) fn bytes(&self) -> u64 {
        self.messages.bytes()
    }

    /// Returns the next event of the page; `None` at the end of the stream.
    pub(super) fn poll<C>(
        &mut self,
        client: &mut C,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<ClientEvent>, ReadFault>>
    where
        C: AsyncRead + Unpin,
    {
        loop {
            if let Some((_, receiving)) = &mut self.under_way {
                let outcome = ready!(receiving.as_mut().poll(cx));
                let reference = self.under_way.take().and_then(|(reference, _)| reference);
                return Poll::Ready(Ok(Some(ClientEvent::Reply(answer(reference, &outcome)))));
            }
            if let Some(text) = self.texts.pop_front() {
                if let Some(said) = self.understand(&text) {
                    return Poll::Ready(Ok(Some(said)));
                }
                continue;
            }
            let Some(received) = ready!(self.messages.poll(client, cx))? else {
                return Poll::Ready(Ok(None));
            };
            match received {
                Received::Text(text) => self.take(text).map_err(ReadFault::Violation)?,
                Received::Ping(payload) => {
                    return Poll::Ready(Ok(Some(ClientEvent::Ping(payload))));
                }
                Received::Close(_) => return Poll::Ready(Ok(Some(ClientEvent::Closed))),
                // Refused by the reader.
                Received::Binary(_) => {}
            }
        }
    }

    /// Takes the objects of a message.
    fn take(&mut self, text: String) -> Result<(), Violation> {
        if self.language == Language::Objects {
            self.texts.push_back(text);
            return Ok(());
        }
        // Old clients send empty frames, which mean nothing.
        if !text.is_empty() {
            let texts = sockjs_frames::parse(&text).ok_or(Violation {
                code: 1007,
                reason: "Broken JSON encoding.",
            })?;
            self.texts.extend(texts);
        }
        Ok(())
    }

    fn understand(&mut self, text: &str) -> Option<ClientEvent> {
        match understand(text, self.receiver.as_ref()) {
            Understood::Reply(text) => return Some(ClientEvent::Reply(text)),
            Understood::UnderWay(reference, receiving) => {
                self.under_way = Some((reference, receiving));
            }
        }
        None
    }
}

/// Parses an object of a page.
pub(super) fn understand(text: &str, receiver: Option<&Receiver>) -> Understood {
    let object: Object<'_> = match serde_json::from_str(text) {
        Ok(object) => object,
        Err(error) => {
            let outcome = Outcome::refused(400, format!("this is not a message: {error}"));
            return Understood::Reply(answer(None, &outcome));
        }
    };
    if object.kind == Some("ping") {
        return Understood::Reply(r#"{"type":"pong"}"#.to_owned());
    }
    let refuse = |status, reason: &str| {
        let outcome = Outcome::refused(status, reason.to_owned());
        Understood::Reply(answer(object.reference.clone(), &outcome))
    };
    let (Some(channel), Some(data)) = (object.channel, object.data) else {
        return refuse(400, "a message has a channel and data");
    };
    let Ok(channel) = ChannelName::parse(channel) else {
        return refuse(400, "this is not the name of a channel");
    };
    let Some(receiver) = receiver else {
        return refuse(403, "this channel accepts no messages from pages");
    };
    let draft = Draft {
        event: object.event,
        key: object.key,
        // It is the page's, and others have theirs: who hands it on says whose it is.
        id: None,
        // A string is text, as it would be without JSON around it.
        data: match serde_json::from_str::<String>(data.get()) {
            Ok(text) => Data::text(text),
            Err(_) => Data::raw(data),
        },
    };
    Understood::UnderWay(object.reference, receiver(channel, draft, object.id))
}

impl Outcome {
    /// A result for an accepted message.
    #[must_use]
    pub(crate) fn taken(status: u16) -> Self {
        Self {
            status,
            reason: None,
        }
    }

    /// A result for a refused message.
    #[must_use]
    pub(crate) fn refused(status: u16, reason: String) -> Self {
        Self {
            status,
            reason: Some(reason),
        }
    }
}

/// Formats the reply that reports a result to the page.
pub(super) fn answer(reference: Option<Box<RawValue>>, outcome: &Outcome) -> String {
    #[derive(serde::Serialize)]
    struct Reply<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Box<RawValue>>,
        status: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    }
    let reply = Reply {
        kind: if outcome.reason.is_none() {
            "sent"
        } else {
            "error"
        },
        reference,
        status: outcome.status,
        reason: outcome.reason.as_deref(),
    };
    serde_json::to_string(&reply).unwrap_or_default()
}

impl fmt::Debug for ClientMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientMessages").finish_non_exhaustive()
    }
}
