//! `SockJS` responses that do not depend on a channel, and the headers of all responses: no caching, except of
//! preflight responses (Fetch standard, "CORS protocol").

use std::hash::{BuildHasher, RandomState};

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, ALLOW,
    CACHE_CONTROL, CONTENT_TYPE, EXPIRES,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use crate::http::{Body, empty, full};

const TEXT: &str = "text/plain; charset=UTF-8";
const JSON: &str = "application/json; charset=UTF-8";
const SCRIPT: &str = "application/javascript; charset=UTF-8";
/// Media type of event streams, without a charset because the format has only one (HTML standard, "Server-sent
/// events").
const EVENTS: &str = "text/event-stream";
/// `Cache-Control` of all responses. Includes `no-transform`, because a proxy that compresses would hold back
/// pieces.
const NOT_CACHED: &str = "no-store, no-cache, no-transform, must-revalidate, max-age=0";

/// Permits a page of another origin the headers it asks for. The caller permits the origin itself, for all of the
/// hub.
pub(super) fn allow_headers(asked: Option<HeaderValue>, response: &mut Response<Body>) {
    if let Some(names) = asked.filter(|names| !names.is_empty()) {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
}

pub(super) fn greeting() -> Response<Body> {
    answer(StatusCode::OK, TEXT, full("Welcome to SockJS!\n"))
}

/// The `info` response, which a client fetches before it begins. It demands cookies, because a session belongs to
/// the visitor that opened it.
pub(super) fn info() -> Response<Body> {
    // The lower half of a keyed hash whose key is random: as good as anything for a browser without a source.
    let [a, b, c, d, ..] = RandomState::new().hash_one(0_u8).to_ne_bytes();
    let entropy = u32::from_ne_bytes([a, b, c, d]);
    let text = format!(
        "{{\"websocket\":true,\"origins\":[\"*:*\"],\"cookie_needed\":true,\"entropy\":{entropy}}}"
    );
    uncached(answer(StatusCode::OK, JSON, full(text)))
}

/// Responds to a preflight request, cacheable for a year.
pub(super) fn preflight(method: &Method) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let methods = if *method == Method::GET {
        "OPTIONS, GET"
    } else {
        "OPTIONS, POST"
    };
    insert(headers, ACCESS_CONTROL_ALLOW_METHODS, methods);
    insert(headers, ACCESS_CONTROL_MAX_AGE, "31536000");
    insert(headers, CACHE_CONTROL, "public, max-age=31536000");
    // Demanded by the protocol, and never looked at where there is a max-age.
    insert(headers, EXPIRES, "Thu, 31 Dec 2037 23:55:55 GMT");
    response
}

/// A 405 response, as bare as the protocol requires it.
pub(super) fn wrong_method(methods: &'static str) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    insert(response.headers_mut(), ALLOW, methods);
    response
}

/// A 400 response to a request for a WebSocket that is no WebSocket handshake.
pub(super) fn no_socket(upgrades: bool) -> Response<Body> {
    let reason = if upgrades {
        "\"Connection\" must be \"Upgrade\".\n"
    } else {
        "Can \"Upgrade\" only to \"WebSocket\".\n"
    };
    answer(StatusCode::BAD_REQUEST, TEXT, full(reason))
}

/// A 500 response, with which the protocol reports a body that cannot be parsed.
pub(super) fn nonsense(reason: &'static str) -> Response<Body> {
    uncached(answer(
        StatusCode::INTERNAL_SERVER_ERROR,
        TEXT,
        full(reason),
    ))
}

/// The response to accepted messages of a page. It has no body, but old Firefox needs a media type.
pub(super) fn taken() -> Response<Body> {
    uncached(answer(StatusCode::NO_CONTENT, TEXT, empty()))
}

/// A response that carries messages to the page.
pub(super) fn receiving(body: Body, events: bool) -> Response<Body> {
    let mut response = answer(StatusCode::OK, if events { EVENTS } else { SCRIPT }, body);
    // A proxy that collects an answer before it passes it on would hold messages back.
    let buffering = HeaderName::from_static("x-accel-buffering");
    insert(response.headers_mut(), buffering, "no");
    uncached(response)
}

fn answer(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    insert(response.headers_mut(), CONTENT_TYPE, kind);
    response
}

fn uncached(mut response: Response<Body>) -> Response<Body> {
    insert(response.headers_mut(), CACHE_CONTROL, NOT_CACHED);
    response
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}
