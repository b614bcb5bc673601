//! The body type of all responses and upstream requests.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};

/// Any error of a body. It can only be logged, since the head has been sent by then.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body of any origin.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// An empty body.
#[must_use]
pub(crate) fn empty() -> Body {
    Empty::new().map_err(never).boxed_unsync()
}

/// A complete body.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(never).boxed_unsync()
}

fn never(error: Infallible) -> BoxError {
    match error {}
}
