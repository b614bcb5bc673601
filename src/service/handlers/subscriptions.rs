//! Subscribes clients on behalf of the handlers, and converts errors of the hub to refusals. Independent of the
//! transport, and of permissions.

use std::time::Duration;

use http::StatusCode;

use crate::config::ChannelName;
use crate::http::{Lease, Refusal};
use crate::hub::{Hub, Parameters, SubscribeError, Subscription};
use crate::service::exchange::VisitorParts;

/// Subscribes a client to channels, from the position that its request names.
pub(super) fn subscribe(
    hub: &Hub,
    names: &[ChannelName],
    parameters: &Parameters,
    lease: Option<Lease>,
    visitor_parts: VisitorParts<'_>,
) -> Result<Subscription, Refusal> {
    let from = parameters.begin(visitor_parts.headers);
    let address = visitor_parts.context.peer.counted_as();
    let subscribed = hub.subscribe_from(address, names, from, lease);
    subscribed.map_err(|error| unsubscribed(&error, hub.retry()))
}

/// True if messages of all these channels may be compressed for a client; `private` is true if it is authorised by a
/// session or a token.
pub(super) fn compresses(hub: &Hub, names: &[ChannelName], private: bool) -> bool {
    names.iter().all(|name| {
        let rules = hub.rules(name);
        rules.is_some_and(|rules| rules.compress && (rules.compress_private || !private))
    })
}

/// The refusal for a client that cannot subscribe.
pub(super) fn unsubscribed(error: &SubscribeError, retry: Duration) -> Refusal {
    let status = match error {
        SubscribeError::Unknown(_) => return Refusal::not_found(error.to_string()),
        SubscribeError::Share | SubscribeError::ChannelShare | SubscribeError::AddressTooFast => {
            StatusCode::TOO_MANY_REQUESTS
        }
        SubscribeError::TooManyChannels(_)
        | SubscribeError::Starting
        | SubscribeError::Unread(_)
        | SubscribeError::Full(_)
        | SubscribeError::TooFast(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal::new(status, error.to_string()).retry_after(retry)
}
