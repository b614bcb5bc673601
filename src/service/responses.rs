//! Responses of Noren itself that several handlers send.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use crate::http::{Body, full};

/// A JSON object that no cache keeps.
pub(super) fn json(status: StatusCode, object: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(full(format!("{object}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
