//! `xhr_send`: receives messages of a page; the replies go to the page over its receiving request.

use std::sync::Arc;

use http::{Response, StatusCode};

use crate::http::{Body, BodyLimits, Incoming, Received, Refusal, receive, refuse};
use crate::hub::Hub;
use crate::push::client_messages::{Understood, answer, understand};
use crate::push::sockjs::response::{nonsense, taken};
use crate::push::sockjs::session::Session;
use crate::push::sockjs::{Visitor, no_session};
use crate::push::sockjs_frames::{largest, parse};

/// Publishes the page's messages, one after the other.
pub(super) async fn send(
    hub: &Hub,
    session: Option<Arc<Session>>,
    body: Incoming,
    visitor: &Visitor<'_>,
) -> Result<Response<Body>, Refusal> {
    let Some(session) = session else {
        refuse(body, visitor.tasks);
        return Err(no_session());
    };
    let largest = largest(hub.settings().message_size);
    let limits = BodyLimits {
        size: largest as u64,
        buffer: largest,
        ..visitor.body
    };
    let Received::Whole(body) = receive(body, limits, Some(visitor.budget), visitor.tasks).await?
    else {
        return Ok(nonsense("Payload expected."));
    };
    if body.is_empty() {
        return Ok(nonsense("Payload expected."));
    }
    let Some(texts) = std::str::from_utf8(&body).ok().and_then(parse) else {
        return Ok(nonsense("Broken JSON encoding."));
    };
    for text in texts {
        if session.is_full() {
            let reason = "the answers to earlier messages have not been received";
            return Err(
                Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason).retry_after(hub.retry())
            );
        }
        let told = match understand(&text, visitor.receiver.as_ref()) {
            Understood::Reply(text) => text,
            Understood::UnderWay(reference, receiving) => answer(reference, &receiving.await),
        };
        session.queue_text(&told);
    }
    Ok(taken())
}
