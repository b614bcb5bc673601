//! The methods that an app accepts, as a step of a request (`methods` of an `[[app]]`). Independent of their
//! meaning.

use http::header::ALLOW;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};

use crate::config::Methods;
use crate::http::{Refusal, method_overrides};

/// Checks that an app accepts the method of a request, and the one that a POST overrides it with.
///
/// # Errors
/// 405 with the accepted methods.
pub(super) fn permit_method(methods: &Methods, parts: &Parts) -> Result<(), Refusal> {
    let Some(allow) = methods.allow() else {
        return Ok(());
    };
    // A WebSocket over HTTP/2 (RFC 8441 §4) is the GET that the app gets.
    let method = if parts.method == Method::CONNECT {
        "GET"
    } else {
        parts.method.as_str()
    };
    let is_listed = |value: &HeaderValue| {
        let name = value.to_str().unwrap_or_default().trim();
        methods.permits(&name.to_ascii_uppercase())
    };
    if methods.permits(method) && method_overrides(&parts.headers).all(is_listed) {
        return Ok(());
    }
    let refusal = Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "the application does not take this method",
    );
    Err(match HeaderValue::try_from(allow) {
        Ok(allow) => refusal.with(ALLOW, allow),
        Err(_) => refusal,
    })
}
