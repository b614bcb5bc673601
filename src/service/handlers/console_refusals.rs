//! Refusals for clients that do not get their console. They reveal nothing about existing targets.

use http::StatusCode;

use crate::http::Refusal;
use crate::tokens::{LinkError, ResolveError};

/// The refusal of a request about viewers for a console that is not shared.
pub(super) fn not_shared() -> Refusal {
    Refusal::not_found("this console is not shared, so it has no list of viewers")
}

/// The refusal for a client whose link is not valid. It reveals nothing about existing targets.
pub(super) fn not_admitted(error: &LinkError) -> Refusal {
    let (status, reason) = match error {
        LinkError::Unsigned => (StatusCode::FORBIDDEN, "only signed links are accepted here"),
        LinkError::Invalid(_) => (StatusCode::FORBIDDEN, "this link is not valid"),
        LinkError::Expired => (
            StatusCode::FORBIDDEN,
            "this link has expired; ask for a new one",
        ),
        LinkError::Early => (StatusCode::FORBIDDEN, "this link is not valid yet"),
        LinkError::Elsewhere => (
            StatusCode::FORBIDDEN,
            "this link was made for another address",
        ),
        LinkError::Used => (
            StatusCode::FORBIDDEN,
            "this link was used already; ask for a new one",
        ),
        LinkError::Keys(_) | LinkError::Store(_) => (
            StatusCode::BAD_GATEWAY,
            "links cannot be checked; the log of Noren says why",
        ),
        LinkError::Slow => (
            StatusCode::GATEWAY_TIMEOUT,
            "the link could not be checked in time",
        ),
    };
    Refusal::new(status, reason).because(error)
}

/// The refusal for a token that leads to no target.
pub(super) fn unresolved(error: &ResolveError) -> Refusal {
    let refusal = match error {
        // A malformed line is reported in the log; the client must not learn whether a token exists.
        // Nor whether the token leads to a target that is not permitted.
        ResolveError::Unknown | ResolveError::Malformed { .. } | ResolveError::Forbidden { .. } => {
            Refusal::not_found("this token is not known here; the console may have been closed")
        }
        ResolveError::Slow => Refusal::new(
            StatusCode::GATEWAY_TIMEOUT,
            "the token could not be looked up in time",
        ),
        ResolveError::Refused { .. } => Refusal::not_found("this token does not lead to a socket"),
        ResolveError::Unreadable { .. } | ResolveError::Failed { .. } => Refusal::new(
            StatusCode::BAD_GATEWAY,
            "the tokens cannot be read; the log of Noren says where, and why",
        ),
    };
    refusal.because(error)
}
