//! Reads the messages of a page from its WebSocket: small JSON objects, one at a time.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, ReadBuf};

use crate::config::ChannelName;
use crate::hub::{Data, Draft};
use crate::push::sockjs_frames;
use crate::websocket::{Event, FrameReader, Kind, Violation, inflate};

/// Size of a read.
const READ: usize = 4 * 1024;
/// Size limit of an object apart from its data.
const ENVELOPE: usize = 2 * 1024;

/// Callback that publishes a message of a page; the last argument is the id the page gave it.
pub type Receiver = Arc<dyn Fn(ChannelName, Draft, Option<Box<str>>) -> Receiving + Send + Sync>;

/// The pending result of a message of a page.
pub type Receiving = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// The result of a message of a page, with the meaning of an HTTP status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The HTTP status.
    pub status: u16,
    /// Reason for a refusal; `None` if the message was accepted.
    pub reason: Option<String>,
}

/// An event of the page that the socket has to act on.
pub(super) enum Said {
    /// Send this text in reply.
    Answer(String),
    /// A WebSocket ping; reply with the same payload.
    Ping(Vec<u8>),
    /// The page closes the connection.
    Closed,
}

/// Reasons why reading has failed.
pub(super) enum Fault {
    Broke(io::Error),
    Violation(Violation),
}

/// The result of parsing an object of a page.
pub(super) enum Understood {
    /// Reply with this text at once.
    Answer(String),
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

/// The reading half of a socket.
pub(super) struct ClientMessages {
    reader: FrameReader,
    receiver: Option<Receiver>,
    /// The part of the current message read so far; `unread` holds the bytes behind it.
    message: Vec<u8>,
    unread: Vec<u8>,
    /// Remaining objects of a frame that held several.
    texts: VecDeque<String>,
    limit: usize,
    language: Language,
    heard: bool,
    under_way: Option<(Option<Box<RawValue>>, Receiving)>,
    /// Total bytes of messages.
    pub(super) bytes: u64,
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
    /// `deflates` if the handshake has agreed on compressed messages.
    pub(super) fn new(
        receiver: Option<Receiver>,
        limit: usize,
        language: Language,
        deflates: bool,
    ) -> Self {
        let limit = match language {
            Language::SockJs => sockjs_frames::largest(limit),
            Language::Objects | Language::Nothing => limit + ENVELOPE,
        };
        Self {
            reader: FrameReader::new().with_deflate(deflates),
            receiver,
            message: Vec::new(),
            unread: Vec::new(),
            texts: VecDeque::new(),
            limit,
            language,
            heard: false,
            under_way: None,
            bytes: 0,
        }
    }

    /// Adds bytes that were read before the socket was set up.
    pub(super) fn feed(&mut self, read: &[u8]) {
        self.unread = read.to_vec();
    }

    /// True if the page was heard since the last call. While its last message is being handled the page is not
    /// read, so that counts as well.
    pub(super) fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.heard) || self.under_way.is_some()
    }

    /// Returns the next event of the page; `None` at the end of the stream.
    pub(super) fn poll<C>(
        &mut self,
        client: &mut C,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Said>, Fault>>
    where
        C: AsyncRead + Unpin,
    {
        loop {
            if let Some((_, receiving)) = &mut self.under_way {
                let outcome = ready!(receiving.as_mut().poll(cx));
                let reference = self.under_way.take().and_then(|(reference, _)| reference);
                return Poll::Ready(Ok(Some(Said::Answer(answer(reference, &outcome)))));
            }
            if let Some(text) = self.texts.pop_front() {
                if let Some(said) = self.understand(&text) {
                    return Poll::Ready(Ok(Some(said)));
                }
                continue;
            }
            if !self.unread.is_empty() {
                let mut unread = std::mem::take(&mut self.unread);
                let said = self.read(&mut unread).map_err(Fault::Violation)?;
                if said.is_some() {
                    return Poll::Ready(Ok(said));
                }
                continue;
            }
            let mut space = [MaybeUninit::uninit(); READ];
            let mut buffer = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut *client).poll_read(cx, &mut buffer)).map_err(Fault::Broke)?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(None));
            }
            let said = self.read(buffer.filled_mut()).map_err(Fault::Violation)?;
            if said.is_some() {
                return Poll::Ready(Ok(said));
            }
        }
    }

    /// Reads frames until one needs a reply or handling; keeps the bytes behind it.
    fn read(&mut self, bytes: &mut [u8]) -> Result<Option<Said>, Violation> {
        let mut at = 0;
        while let Some(event) = self.reader.next(bytes, &mut at)? {
            self.heard = true;
            let said = match event {
                Event::Data { kind, piece, last } => {
                    let piece = bytes.get(piece).unwrap_or_default();
                    self.collect(kind, piece, last)?
                }
                Event::Ping(payload) => Some(Said::Ping(payload)),
                Event::Pong => None,
                Event::Close(_) => return Ok(Some(Said::Closed)),
            };
            if said.is_some() || self.under_way.is_some() || !self.texts.is_empty() {
                self.unread = bytes.get(at..).unwrap_or_default().to_vec();
                return Ok(said);
            }
        }
        Ok(None)
    }

    fn collect(&mut self, kind: Kind, piece: &[u8], last: bool) -> Result<Option<Said>, Violation> {
        self.bytes += piece.len() as u64;
        if self.language == Language::Nothing {
            return Ok(None);
        }
        if kind == Kind::Binary {
            return Err(Violation {
                code: 1003,
                reason: "messages to a channel are text",
            });
        }
        if self.message.len() + piece.len() > self.limit {
            return Err(Violation {
                code: 1009,
                reason: "the message is too large",
            });
        }
        self.message.extend_from_slice(piece);
        if !last {
            return Ok(None);
        }
        let mut message = std::mem::take(&mut self.message);
        if self.reader.is_compressed() {
            message = inflate(message, self.limit)?;
        }
        let text = std::str::from_utf8(&message).map_err(|_| Violation {
            code: 1007,
            reason: "a text message is not UTF-8",
        })?;
        if self.language == Language::Objects {
            return Ok(self.understand(text));
        }
        // Old clients send empty frames, which mean nothing.
        if !text.is_empty() {
            let texts = sockjs_frames::parse(text).ok_or(Violation {
                code: 1007,
                reason: "Broken JSON encoding.",
            })?;
            self.texts.extend(texts);
        }
        Ok(None)
    }

    fn understand(&mut self, text: &str) -> Option<Said> {
        match understand(text, self.receiver.as_ref()) {
            Understood::Answer(text) => return Some(Said::Answer(text)),
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
            let outcome = Outcome::refused(400, format!("this is no message: {error}"));
            return Understood::Answer(answer(None, &outcome));
        }
    };
    if object.kind == Some("ping") {
        return Understood::Answer(r#"{"type":"pong"}"#.to_owned());
    }
    let refuse = |status, reason: &str| {
        let outcome = Outcome::refused(status, reason.to_owned());
        Understood::Answer(answer(object.reference.clone(), &outcome))
    };
    let (Some(channel), Some(data)) = (object.channel, object.data) else {
        return refuse(400, "a message has a channel and data");
    };
    let Ok(channel) = ChannelName::parse(channel) else {
        return refuse(400, "this is not the name of a channel");
    };
    let Some(receiver) = receiver else {
        return refuse(403, "this channel takes no messages of pages");
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
    pub fn taken(status: u16) -> Self {
        Self {
            status,
            reason: None,
        }
    }

    /// A result for a refused message.
    #[must_use]
    pub fn refused(status: u16, reason: String) -> Self {
        Self {
            status,
            reason: Some(reason),
        }
    }
}

/// Formats the reply that reports a result to the page.
pub(super) fn answer(reference: Option<Box<RawValue>>, outcome: &Outcome) -> String {
    #[derive(serde::Serialize)]
    struct Answer<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Box<RawValue>>,
        status: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    }
    let answer = Answer {
        kind: if outcome.reason.is_none() {
            "sent"
        } else {
            "error"
        },
        reference,
        status: outcome.status,
        reason: outcome.reason.as_deref(),
    };
    serde_json::to_string(&answer).unwrap_or_default()
}

impl fmt::Debug for ClientMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}
