//! The request head for the app.

use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderName};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri, Version};

use crate::http::{
    Forwarded, Spelling, apply_to_request, drop_client_claims, drop_hop_by_hop, drop_spellings_of,
};
use crate::proxy::Forward;
use crate::tls::ClientName;
use crate::upstream::Payload;

/// Turns a request of any version into the HTTP/1.1 request for the app.
pub(super) fn rewrite(
    mut parts: Parts,
    payload: Payload,
    forward: Forward<'_>,
) -> Request<Payload> {
    let length = payload.length();
    let mut request = Request::new(payload);
    *request.uri_mut() = origin_form(&parts.uri);
    *request.version_mut() = Version::HTTP_11;
    let mut headers = parts.headers;
    clean(&mut headers, forward);
    // A GET without a body has no length, as browsers send it; anything that has, or could have, a body gets
    // one: cheroot and most WSGI servers refuse a chunked body, and a POST without a length.
    if length > 0 || expects_length(&parts.method) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    } else {
        headers.remove(CONTENT_LENGTH);
    }
    *request.method_mut() = parts.method;
    *request.headers_mut() = headers;
    if let Some(spelling) = parts.extensions.remove::<Spelling>() {
        request.extensions_mut().insert(spelling);
    }
    request
}

/// Removes all headers that the app must not get, and adds those that describe the client.
pub(super) fn clean(headers: &mut HeaderMap, forward: Forward<'_>) {
    drop_hop_by_hop(headers);
    drop_client_claims(headers);
    let app = forward.upstream.settings();
    if app.grip.is_some() {
        // Messages are appended to the app's body as they are.
        headers.remove(ACCEPT_ENCODING);
    }
    if app.siblings.speak_grip {
        drop_parts_of_events(headers);
    }
    // Answered here, by reading the body.
    headers.remove(EXPECT);
    join_cookies(headers);
    headers.insert(HOST, forward.head.authority.to_header());
    let forwarded = Forwarded {
        peer: forward.context.peer,
        scheme: forward.context.scheme,
        authority: &forward.head.authority,
    };
    forwarded.set(headers);
    set_names(headers, forward);
    let rules = &app.request_headers;
    if !rules.is_empty() {
        apply_to_request(rules, headers);
    }
}

/// Removes the headers that would make a client's request an event of a WebSocket to an app with GRIP.
fn drop_parts_of_events(headers: &mut HeaderMap) {
    headers.remove("connection-id");
    let metas = headers
        .keys()
        .filter(|name| name.as_str().starts_with("meta-"));
    let metas: Vec<_> = metas.cloned().collect();
    for name in metas {
        headers.remove(name);
    }
}

/// Sets the headers with the verified user names, and removes the client's, also those that carry names on another
/// route.
fn set_names(headers: &mut HeaderMap, forward: Forward<'_>) {
    let app = forward.upstream.settings();
    for name in app.siblings.names.iter() {
        drop_spellings_of(headers, name);
    }
    let user = forward.head.user.as_deref();
    let certificate = forward.context.client.as_ref().map(ClientName::as_str);
    let told = [
        (&app.user_header, user),
        (&app.certificate_header, certificate),
    ];
    let told = told.map(|(header, name)| {
        let header = header.as_deref().map(HeaderName::try_from)?.ok()?;
        Some((header, name))
    });
    for (header, name) in told.into_iter().flatten() {
        if let Some(Ok(name)) = name.map(|name| HeaderValue::from_bytes(name.as_bytes())) {
            headers.insert(header, name);
        }
    }
}

/// The path and query, byte for byte, without the scheme and authority of HTTP/2 and of absolute targets.
pub(super) fn origin_form(uri: &Uri) -> Uri {
    if uri.scheme().is_none() && uri.authority().is_none() {
        return uri.clone();
    }
    let path = uri
        .path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    Uri::from(path)
}

/// True if the app may expect a body. It may for any method that RFC 9110 does not define.
fn expects_length(method: &http::Method) -> bool {
    !matches!(
        *method,
        http::Method::GET | http::Method::HEAD | http::Method::OPTIONS | http::Method::DELETE
    )
}

/// Joins Cookie lines. HTTP/2 lets browsers send a line for each cookie (RFC 9113 §8.2.3), while HTTP/1.1 has one
/// line (RFC 6265 §5.4), and apps take the first or the last of several.
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (cookies.next(), cookies.next()) else {
        return;
    };
    let mut joined = first.as_bytes().to_vec();
    for cookie in std::iter::once(second).chain(cookies) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(cookie.as_bytes());
    }
    if let Ok(value) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, value);
    }
}
