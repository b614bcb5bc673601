//! Refusals for a failed exchange with the app.

use std::time::Duration;

use http::StatusCode;

use crate::config;
use crate::http::Refusal;
use crate::net::ConnectError;
use crate::tls::DialError;
use crate::upstream::UpstreamError;

/// `Retry-After`: soon enough for a restart, late enough for a thousand waiting pages.
const RETRY: Duration = Duration::from_secs(5);

/// The refusal for a failed exchange. The client gets a remedy, the log the cause.
pub(super) fn from_upstream(app: &config::App, error: &UpstreamError) -> Refusal {
    let cause = format!("app {}: {error}", app.name);
    let refusal = match error {
        UpstreamError::QueueFull(_) | UpstreamError::QueueSlow(_) => Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the application is busy; please try again in a moment",
        )
        .retry_after(RETRY),
        UpstreamError::Connect(DialError::Connect(ConnectError::Refused { .. })) => Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the application is not running at the moment; it may be restarting",
        )
        .retry_after(RETRY),
        UpstreamError::Unhealthy(_) => Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the application is not ready at the moment; it may be restarting",
        )
        .retry_after(RETRY),
        UpstreamError::Connect(DialError::Handshake { .. }) => Refusal::new(
            StatusCode::BAD_GATEWAY,
            "the application could not be reached over an encrypted connection",
        ),
        UpstreamError::Connect(
            DialError::Connect(ConnectError::Slow { .. }) | DialError::Slow { .. },
        )
        | UpstreamError::Slow(_) => Refusal::new(
            StatusCode::GATEWAY_TIMEOUT,
            "the application did not respond in time",
        )
        .retry_after(RETRY),
        UpstreamError::Broken(_) => Refusal::new(
            StatusCode::BAD_GATEWAY,
            "the application closed the connection before it had responded",
        )
        .retry_after(RETRY),
    };
    refusal.because(&cause)
}

/// The 502 refusal for a response that no app may send.
pub(super) fn invalid_response(app: &config::App, what: &'static str) -> Refusal {
    Refusal::new(
        StatusCode::BAD_GATEWAY,
        "the application sent a response that is not valid HTTP",
    )
    .because(&format!("app {}: it {what}", app.name))
}
