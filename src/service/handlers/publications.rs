//! Builds messages from the bodies of requests and responses, publishes them, and converts errors of the hub to
//! refusals. Does not know who may publish.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};

use crate::config::ChannelName;
use crate::http::Refusal;
use crate::hub::{Data, Draft, EventId, Hub, Parameters, PublishError, PublisherId};
use crate::service::page_message::essence;

/// Publishes a message, and waits until it is as durable as its channel promises.
pub(super) async fn publish_whole(
    hub: &Hub,
    name: &ChannelName,
    draft: Draft,
) -> Result<EventId, PublishError> {
    hub.publish(name, draft)?.acknowledged().await
}

/// Parses a message from a body, by its media type.
pub(super) fn draft(
    parameters: &Parameters,
    headers: &HeaderMap,
    bytes: Bytes,
) -> Result<Draft, Refusal> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = essence(kind.unwrap_or_default());
    let unsound = |what: &str| Refusal::bad_request(format!("the message is not {what}"));
    let data = if kind.eq_ignore_ascii_case("application/json") {
        let text = std::str::from_utf8(&bytes).map_err(|_| unsound("UTF-8"))?;
        Data::json(text).map_err(|error| unsound(&format!("JSON: {error}")))?
    } else if kind.get(..5).is_some_and(|kind| kind.eq_ignore_ascii_case("text/"))
        // The default type of curl and of old forms.
        || kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    {
        let text = String::from_utf8(bytes.into()).map_err(|_| unsound("UTF-8"))?;
        Data::text(text)
    } else {
        // A copy, which keeps neither the receive buffer nor its share of the memory for request bodies.
        Data::bytes(Bytes::copy_from_slice(&bytes))
    };
    Ok(labels(parameters, data))
}

/// A message with the event, key and id from the parameters.
pub(super) fn labels(parameters: &Parameters, data: Data) -> Draft {
    Draft {
        event: parameters.event.as_deref().map(Into::into),
        key: parameters.key.as_deref().map(Into::into),
        id: None,
        data,
    }
}

/// Parses the publisher's own id of a message.
pub(super) fn own_id(text: Option<&str>) -> Result<Option<PublisherId>, Refusal> {
    let id = text.map(PublisherId::parse).transpose();
    id.map_err(Refusal::bad_request)
}
