//! GRIP: a blocking app answers a request with an instruction to hold the connection, and publishes to it later
//! (<https://pushpin.org/docs/protocols/grip/>). Its libraries are for Pushpin, and work with Noren unchanged.
//!
//! A held connection is a subscriber of the hub. The app's channels are channels of the hub in a namespace of the app,
//! so that their history, limits and cluster are those of all others.
//!
//! Must not know requests: permissions, and the way to the app, are decided above.

mod cause;
mod control;
mod dialogue;
mod events;
mod field;
mod filter;
mod heartbeat;
mod held;
mod instruct;
mod item;
mod json;
mod next;
mod patch;
mod post;
mod publish;
mod reading;
mod response;
mod resumable_streams;
mod socket;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::http::{Body, full};
use crate::hub::SubscribeError;
use crate::telemetry::Tunnel;

pub(crate) use held::HoldContext;
pub(crate) use instruct::{Fault, drop_grip_headers, is_instruction};
pub(crate) use next::{AppSender, FollowUp, FollowUpKind};
pub(crate) use post::{Events, SendEvents, Unsent};
pub(crate) use publish::{Items, Order};
pub(crate) use resumable_streams::{Key, ResumableStreams};

use dialogue::Dialogue;
use events::Event;
use instruct::{Hold, Instruct};
use post::Post;
use socket::Session;

/// Size limit of a body that is held.
const LARGEST_HELD: usize = 100_000;

/// Reasons why a connection is not held.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HoldError {
    /// The instruction is malformed.
    #[error(transparent)]
    Instruction(#[from] Fault),
    /// A limit of the hub is reached.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
}

impl HoldError {
    /// A body that its own content filter cannot be applied to.
    fn content(reason: String) -> Self {
        Self::Instruction(Fault {
            header: "body",
            reason,
        })
    }
}

/// The rules for the continuation of a held stream.
#[derive(Clone, Debug)]
pub(crate) struct Continuation {
    /// Shortest time between two fetches of a next link while nothing is missing.
    pub refresh: Duration,
    /// The time after its end for which a stream is remembered.
    pub resume: Duration,
    /// The store of this stream, for a visitor who reconnects.
    pub returning: Option<(Arc<ResumableStreams>, Key)>,
}

/// The features in `Grip-Feature`, all of which are supported.
#[must_use]
pub(crate) fn features() -> String {
    let filters = filter::NAMES.map(|(name, _)| format!("filter:{name}"));
    format!(
        "status, session, link:next, link:gone, {}",
        filters.join(", ")
    )
}

/// Follows the instruction in a response of the app: responds at once, or holds the connection.
///
/// # Errors
/// A fault of the instruction, or a limit of the hub.
pub(crate) async fn follow(
    hold_context: HoldContext,
    parts: &Parts,
    body: Bytes,
    sender: AppSender,
    continuation: Continuation,
) -> Result<Response<Body>, HoldError> {
    let length = body.len();
    let instruct = Instruct::read(parts, body)?;
    match instruct.hold {
        Some(Hold::Response) if length > LARGEST_HELD => {
            let reason =
                format!("the body has {length} bytes; one that is held has at most {LARGEST_HELD}");
            Err(Fault::new("body", reason).into())
        }
        Some(Hold::Response) => response::hold(hold_context, instruct, sender, continuation).await,
        Some(Hold::Stream) => stream::hold(hold_context, instruct, sender, continuation),
        None if instruct.next.is_some() => {
            stream::hold(hold_context, instruct, sender, continuation)
        }
        None => {
            let mut response = Response::new(full(instruct.answer.body));
            *response.status_mut() = instruct.answer.status;
            *response.headers_mut() = instruct.answer.headers;
            Ok(response)
        }
    }
}

/// Continues a lost stream behind an event from the history; `None` if the stream is not remembered, and the app has to
/// be queried.
pub(crate) fn resume(
    hold_context: HoldContext,
    last_event: &str,
    sender: AppSender,
    continuation: Continuation,
) -> Option<Response<Body>> {
    let (returning, key) = continuation.returning.as_ref()?;
    let within = continuation.resume;
    let instruct = returning.find(
        (&hold_context.hub, &hold_context.app),
        key,
        last_event,
        within,
    )?;
    stream::hold(hold_context, instruct, sender, continuation).ok()
}

/// The body of the request that opens a WebSocket.
pub(crate) const OPENING: &[u8] = b"OPEN\r\n";

/// The media type of the events of a WebSocket.
pub(crate) use dialogue::EVENTS;

/// A WebSocket that the app has opened.
pub(crate) struct Opening {
    dialogue: Dialogue,
    events: Vec<Event>,
}

impl Opening {
    /// Reads the app's response to the opening; `None` if it is an ordinary response, which refuses it.
    ///
    /// # Errors
    /// The fault of a response with events.
    pub(crate) fn read(parts: &Parts, body: Bytes) -> Result<Option<Self>, String> {
        if parts.status != StatusCode::OK || !dialogue::is_of_events(&parts.headers) {
            return Ok(None);
        }
        let (dialogue, events) = Dialogue::open(parts, body)?;
        Ok(Some(Self { dialogue, events }))
    }

    /// The headers of the app's response that are for the client.
    #[must_use]
    pub(crate) fn headers(parts: &Parts) -> HeaderMap {
        let headers = parts.headers.iter();
        let own = headers.filter(|(name, _)| !dialogue::is_of_dialogue(name));
        own.map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// Carries events between the client and the app until either side ends it. Returns the bytes in both directions
    /// and the reason of the end.
    pub(crate) async fn run<C>(
        self,
        (client, read): (C, Vec<u8>),
        hold_context: HoldContext,
        send: SendEvents,
        tunnel: &Tunnel,
    ) -> (u64, u64, String)
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let session = Box::new(Session::new(
            client,
            hold_context,
            self.dialogue,
            Post(send),
        ));
        session.run(self.events, read, tunnel).await
    }
}
