//! Responses of Noren itself that need no handler.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Response, StatusCode};

use crate::http::{Body, Form, Head, Refusal, empty, full};

/// A 308 redirect to the same host and path with https (RFC 9110 §15.4.9).
pub(super) fn redirect(head: &Head, uri: &http::Uri, port: u16) -> Result<Response<Body>, Refusal> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    let host = head.authority.host();
    if head.authority.is_unknown() {
        return Err(Refusal::bad_request(
            "there is no Host, so this leads nowhere",
        ));
    }
    let location = if port == 443 {
        format!("https://{host}{path}")
    } else {
        format!("https://{host}:{port}{path}")
    };
    let location = HeaderValue::try_from(location)
        .map_err(|_| Refusal::bad_request("this address cannot be written into a redirect"))?;
    Ok(Refusal::new(
        StatusCode::PERMANENT_REDIRECT,
        "this site is served with https only",
    )
    .with(LOCATION, location)
    .into_response(Form::Text, &Method::GET))
}

pub(super) fn json(status: StatusCode, object: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(full(format!("{object}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The response to an ACME authority's validation request (RFC 8555 §8.3).
pub(super) fn challenge(text: &str) -> Response<Body> {
    let mut response = Response::new(full(text.to_owned()));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The welcome page of an installation without a configuration.
pub(super) fn welcome() -> Response<Body> {
    let mut response = Response::new(full(include_str!("welcome.html")));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) fn no_content() -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
