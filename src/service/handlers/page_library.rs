//! The page library: files that pages of any app load, and pages that Noren shows itself. Does not know who may see a
//! channel.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH,
};
use http::{HeaderValue, Response, StatusCode};

use crate::config::{AmqpFormat, ChannelName, Source};
use crate::http::{Body, Refusal, empty, full};
use crate::hub::Hub;

/// Files of the page library: name, type, content.
const ASSETS: &[(&str, &str, &str)] = &[
    (
        "noren.js",
        "text/javascript; charset=utf-8",
        include_str!("../../push/page/noren.js"),
    ),
    (
        "noren.mjs",
        "text/javascript; charset=utf-8",
        include_str!("../../push/page/noren.mjs"),
    ),
    (
        "noren.d.ts",
        "text/plain; charset=utf-8",
        include_str!("../../push/page/noren.d.ts"),
    ),
    (
        "notifications.js",
        "text/javascript; charset=utf-8",
        include_str!("../../push/page/notifications.js"),
    ),
    (
        "notifications.css",
        "text/css; charset=utf-8",
        include_str!("../../push/page/notifications.css"),
    ),
    (
        "nasqueron.js",
        "text/javascript; charset=utf-8",
        include_str!("../../push/page/nasqueron.js"),
    ),
    (
        "nasqueron.css",
        "text/css; charset=utf-8",
        include_str!("../../push/page/nasqueron.css"),
    ),
];

/// The live page, which loads only its own files.
const PAGE: &str = include_str!("../../push/page/notifications.html");
/// The page for channels whose messages come from Nasqueron.
const NASQUERON: &str = include_str!("../../push/page/nasqueron.html");
const PAGE_POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The page for channels: the live page, or the page of its kind for a single channel that has one.
pub(super) fn page_of(hub: &Hub, names: &[ChannelName]) -> Response<Body> {
    let is_nasqueron = |source: &Source| match source {
        Source::Amqp(source) => source.format == AmqpFormat::Nasqueron,
        _ => false,
    };
    let rules = match names {
        [name] => hub.rules(name),
        _ => None,
    };
    page(match rules {
        Some(rules) if rules.sources.iter().any(is_nasqueron) => NASQUERON,
        _ => PAGE,
    })
}

/// A page that shows the channel of its own URL.
fn page(html: &'static str) -> Response<Body> {
    let mut response = Response::new(full(html));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(PAGE_POLICY),
    );
    response
}

/// A file of the page library.
pub(super) fn asset(file: &str, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    let found = ASSETS.iter().find(|(name, ..)| *name == file);
    let Some((_, kind, content)) = found else {
        return Err(Refusal::not_found("there is no such file"));
    };
    let tag = concat!("\"", env!("CARGO_PKG_VERSION"), "\"");
    let known = headers.get(IF_NONE_MATCH).is_some_and(|value| value == tag);
    let mut response = if known {
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        Response::new(full(*content))
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ETAG, HeaderValue::from_static(tag));
    Ok(response)
}
