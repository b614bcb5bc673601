//! Sends requests with the events of a WebSocket, in several attempts. Independent of the way to the app.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use tokio::time::sleep;

use super::next::random;

/// Number of attempts, and the pause before the second.
const TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The reason why a request got no response.
#[derive(Debug)]
pub(crate) struct Unsent {
    /// Text for the log.
    pub reason: String,
    /// True if the app may have received it, so that it is not repeated.
    pub may_have_arrived: bool,
}

/// The events of a request, and the values that the app stores with the connection (`Meta-*`).
#[derive(Clone, Debug)]
pub(crate) struct Events {
    /// The body.
    pub body: Bytes,
    /// Names and values.
    pub meta: BTreeMap<String, String>,
}

/// Sends one request with events.
pub(crate) type SendEvents = Arc<
    dyn Fn(Events) -> Pin<Box<dyn Future<Output = Result<(Parts, Bytes), Unsent>> + Send>>
        + Send
        + Sync,
>;

/// A request in progress.
pub(super) type Posting = Pin<Box<dyn Future<Output = Result<(Parts, Bytes), String>> + Send>>;

/// The way to the app.
pub(super) struct Post(pub(super) SendEvents);

impl Post {
    /// Sends a request, and repeats it while the app cannot be reached.
    pub(super) fn send(&self, body: Bytes, meta: &BTreeMap<String, String>) -> Posting {
        let (send, meta) = (Arc::clone(&self.0), meta.clone());
        Box::pin(async move {
            let events = Events { body, meta };
            let mut wait = FIRST_WAIT;
            for _ in 1..TRIES {
                match send(events.clone()).await {
                    Ok(answered) => return Ok(answered),
                    Err(unsent) if unsent.may_have_arrived => return Err(unsent.reason),
                    Err(_) => sleep(wait + wait.mul_f64(random())).await,
                }
                wait *= 2;
            }
            send(events).await.map_err(|unsent| unsent.reason)
        })
    }
}
