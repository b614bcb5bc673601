//! Faults of a request body, and the refusal for each. Does not read bodies.

use std::time::Duration;

use http::StatusCode;

use crate::http::refusal::Refusal;
use crate::shares::Denied;

/// `Retry-After` for a client whose body could not be stored.
const NO_ROOM_RETRY: Duration = Duration::from_secs(5);

/// Faults of a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    /// No byte arrived for this long.
    #[error("no byte of the request body came for {0:?}")]
    Idle(Duration),
    /// The rate was below the minimum for too long.
    #[error("the request body came at less than {0} bytes a second")]
    TooSlow(u64),
    /// The body exceeds this many bytes.
    #[error("the request body is larger than {0} bytes")]
    TooLarge(u64),
    /// The body has no length and exceeds the buffer.
    #[error("a request body of more than {0} bytes needs a Content-Length")]
    NoLength(u64),
    /// The body has no length, or must not be streamed, and the spool is full or broken.
    #[error("there is no room for this request body at the moment")]
    NoRoom,
    /// The memory for bodies is used up and none can go to disk, or the limit on streaming uploads is reached.
    #[error("too many request bodies are under way at the moment")]
    Busy,
    /// The client's share of the room for request bodies is used up.
    #[error(
        "the request bodies of your address take up all the room that one address may have; please wait a moment"
    )]
    Share,
    /// The trailer fields are malformed, or too many.
    #[error("the trailers of the request are wrong: {0}")]
    Trailers(&'static str),
    /// The chunks or the length are invalid, or the client left.
    #[error("the request body ended before it was complete, or its framing is broken")]
    Broken,
}

impl From<Denied> for BodyFault {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Client => Self::Share,
            Denied::All => Self::Busy,
        }
    }
}

impl From<BodyFault> for Refusal {
    fn from(fault: BodyFault) -> Self {
        let status = match fault {
            BodyFault::Idle(_) | BodyFault::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            BodyFault::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BodyFault::NoLength(_) => StatusCode::LENGTH_REQUIRED,
            BodyFault::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
            BodyFault::Busy => StatusCode::SERVICE_UNAVAILABLE,
            BodyFault::Share => StatusCode::TOO_MANY_REQUESTS,
            BodyFault::Trailers(_) | BodyFault::Broken => StatusCode::BAD_REQUEST,
        };
        let refusal = Self::new(status, fault.to_string()).closing();
        match fault {
            BodyFault::NoRoom | BodyFault::Busy | BodyFault::Share => {
                refusal.retry_after(NO_ROOM_RETRY)
            }
            _ => refusal,
        }
    }
}
