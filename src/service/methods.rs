//! Checks the method of a request: against those that an app accepts (`methods` of an `[[app]]`), and those of Noren's
//! own handlers. Must not know their meaning.

use std::borrow::Cow;

use http::header::{ALLOW, HOST};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Method, StatusCode, Uri};

use crate::config::Methods;
use crate::http::{Refusal, method_overrides};

/// Methods in `Allow` for an app that lists none. Such an app gets all methods, which a list cannot express.
const COMMON: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// True for a method that no resource supports: TRACE, and CONNECT unless it opens a WebSocket (RFC 8441).
pub(super) fn is_for_no_resource(parts: &Parts) -> bool {
    match parts.method {
        Method::TRACE => true,
        Method::CONNECT => parts.extensions.get::<h2::ext::Protocol>().is_none(),
        _ => false,
    }
}

/// The head of a GET request for the same resource, with which the supported methods are found. A CONNECT has a host
/// and no path (RFC 9110 §9.3.6), so its resource is the root of that host.
pub(super) fn with_get(parts: &Parts) -> Parts {
    let mut asked = parts.clone();
    asked.method = Method::GET;
    if parts.method != Method::CONNECT {
        return asked;
    }
    let host = parts.uri.authority().map(Authority::as_str);
    if let Some(Ok(host)) = host.map(HeaderValue::from_str)
        && !asked.headers.contains_key(HOST)
    {
        asked.headers.insert(HOST, host);
    }
    asked.uri = Uri::from_static("/");
    asked
}

/// The refusal of a method, with the methods that the resource supports; an empty list means that it supports none (RFC
/// 9110 §10.2.1).
pub(super) fn not_allowed(method: &Method, allow: &str) -> Refusal {
    let reason = format!("{method} is not allowed here");
    refused(reason, allow)
}

/// Methods for the `Allow` of an app.
pub(super) fn of_app(methods: &Methods) -> Cow<'static, str> {
    methods.allow().map_or(Cow::Borrowed(COMMON), Cow::Owned)
}

/// Checks that one of Noren's own handlers supports a method.
///
/// # Errors
/// 405 with its methods.
pub(super) fn permit_own_method(allow: &'static str, method: &Method) -> Result<(), Refusal> {
    if allow.split(", ").any(|name| name == method.as_str()) {
        return Ok(());
    }
    Err(not_allowed(method, allow))
}

/// Checks that an app accepts the method of a request, and the method with which a POST overrides it.
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
    Err(refused(
        "the application does not accept this method",
        &allow,
    ))
}

fn refused(reason: impl Into<Cow<'static, str>>, allow: &str) -> Refusal {
    let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, reason);
    match HeaderValue::try_from(allow) {
        Ok(allow) => refusal.with(ALLOW, allow),
        Err(_) => refusal,
    }
}
