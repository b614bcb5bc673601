//! Responses and refusals of the admin socket that several of its resources send. Independent of the resources.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::Value;

use crate::config::ChannelName;
use crate::http::{Body, Refusal, full, refuse};
use crate::hub::Hub;
use crate::shutdown::Shutdown;

/// A refusal for a client that may still be sending its request.
pub(super) fn refused<T>(
    request: Request<Incoming>,
    refusal: Refusal,
    tasks: &Shutdown,
) -> Result<T, Refusal> {
    refuse(request.into_body(), tasks);
    Err(refusal)
}

/// The refusal for a channel that does not exist.
pub(super) fn unknown(hub: &Hub, name: &ChannelName) -> Refusal {
    let known = hub.configured();
    Refusal::not_found(if known.is_empty() {
        format!("there is no channel {name}; the configuration has no [[channel]] at all")
    } else {
        format!("there is no channel {name}; there is {}", known.join(", "))
    })
}

/// A JSON response on one line.
pub(super) fn object(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(full(format!("{value}\n")));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    no_store(&mut response);
    response
}

/// Response to a health probe: 200 without faults, with a line for each remark, or 503 with a line for each fault.
pub(super) fn health(faults: &[String], remarks: &[String]) -> Response<Body> {
    let (status, text) = if faults.is_empty() {
        let lines: Vec<_> = ["ok"]
            .into_iter()
            .chain(remarks.iter().map(String::as_str))
            .collect();
        (StatusCode::OK, lines.join("\n") + "\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, faults.join("\n") + "\n")
    };
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let moment = HeaderValue::from_static("2");
        response.headers_mut().insert(RETRY_AFTER, moment);
    }
    no_store(&mut response);
    response
}

/// Marks a response as not cacheable.
pub(super) fn no_store(response: &mut Response<Body>) {
    let value = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, value);
}

/// The refusal of a method.
pub(super) fn not_allowed(method: &'static str) -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("this address accepts {method} only"),
    )
    .allow(method)
}
