//! Long polls: a GET that waits for messages, for clients that have neither WebSocket nor event streams.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::{HeaderValue, Response, StatusCode};
use tokio::time::timeout;

use crate::http::{Body, empty, full};
use crate::hub::{End, Next, Reset, Subscription};
use crate::hub::{EventId, Message};

/// Size limit of a response in bytes of messages; the rest comes with the next poll.
const LARGEST: usize = 256 * 1024;

/// The messages collected by one poll.
#[derive(Default)]
struct Batch {
    messages: Vec<Arc<Message>>,
    bytes: usize,
    reset: Option<Reset>,
    ended: Option<End>,
}

/// Waiting rules of a poll.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    /// Time to wait if there is no message yet.
    pub limit: Duration,
    /// True if the cursor came as an entity tag, so that the response can be 304.
    pub conditional: bool,
}

/// Waits for messages and responds with all that are available.
///
/// # Errors
/// The end of the session or of the token, as soon as it happens, so that a waiting client hears of it before its
/// time is over.
pub(crate) async fn poll(
    mut subscription: Subscription,
    wait: Wait,
) -> Result<Response<Body>, End> {
    let before = subscription.position();
    let mut batch = Batch::default();
    batch.take_all(&mut subscription);
    if batch.is_empty() {
        let first = poll_fn(|cx| subscription.poll_next(cx));
        if let Ok(next) = timeout(wait.limit, first).await {
            batch.take(next);
            batch.take_all(&mut subscription);
        }
    }
    if let Some(end @ (End::SessionEnded | End::Expired | End::Refused)) = batch.ended {
        return Err(end);
    }
    if batch.is_empty() && wait.conditional {
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        // The tag it came with: a cache between may only know that one.
        set_headers(&mut response, &before);
        return Ok(response);
    }
    let position = subscription.position();
    let mut response = Response::new(full(batch.object(&position)));
    set_headers(&mut response, &position);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn set_headers(response: &mut Response<Body>, position: &EventId) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(tag) = HeaderValue::try_from(format!("\"{position}\"")) {
        headers.insert(ETAG, tag);
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.reset.is_none() && self.ended.is_none()
    }

    fn take_all(&mut self, subscription: &mut Subscription) {
        while self.bytes < LARGEST && self.ended.is_none() {
            match subscription.try_next() {
                Some(next) => self.take(next),
                None => return,
            }
        }
    }

    fn take(&mut self, next: Next) {
        match next {
            Next::Message(message) => {
                self.bytes += message.cost();
                self.messages.push(message);
            }
            Next::Reset(reset) => self.reset = Some(reset),
            // The client polls again without this channel, with the same cursor.
            Next::Refused(_) => self.ended = Some(End::Refused),
            Next::End(end) => self.ended = Some(end),
        }
    }

    fn object(&self, position: &EventId) -> Vec<u8> {
        let mut head = format!("{{\"id\":\"{position}\",");
        if let Some(reset) = self.reset {
            // Writing to a string cannot fail.
            let _ = write!(head, "\"reset\":{{\"reason\":\"{}\"}},", reset.as_str());
        }
        let mut object = head.into_bytes();
        object.extend_from_slice(b"\"messages\":[");
        for (index, message) in self.messages.iter().enumerate() {
            if index > 0 {
                object.push(b',');
            }
            object.extend_from_slice(&message.envelope());
        }
        object.extend_from_slice(b"]}\n");
        object
    }
}
