//! HTTP refusals of messages that were not accepted.

use std::time::Duration;

use http::StatusCode;

use crate::http::Refusal;
use crate::hub::PublishError;

/// The refusal of a message; `retry` is the time after which it may be accepted.
#[must_use]
pub(crate) fn publish_refusal(error: &PublishError, retry: Duration) -> Refusal {
    let status = match error {
        PublishError::Unknown(_) => StatusCode::NOT_FOUND,
        PublishError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        PublishError::Malformed(_) => StatusCode::BAD_REQUEST,
        PublishError::ChannelShare => StatusCode::TOO_MANY_REQUESTS,
        PublishError::TooManyChannels(_) | PublishError::Moving | PublishError::NotStored(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    let refusal = Refusal::new(status, error.to_string());
    match status {
        StatusCode::SERVICE_UNAVAILABLE => refusal.retry_after(retry),
        _ => refusal,
    }
}
