//! Headers that describe the client to the app, and removal of a client's own versions of them.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::http::fields::{drop_where, is_own, is_proxy_header, same_when_folded};
use crate::http::head::{Authority, Scheme};
use crate::net::Peer;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The values of the headers that describe the client.
#[derive(Debug)]
pub(crate) struct Forwarded<'a> {
    /// The client.
    pub peer: Peer,
    /// The scheme: with or without TLS.
    pub scheme: Scheme,
    /// The public name and port of the request.
    pub authority: &'a Authority,
}

impl Forwarded<'_> {
    /// Sets `X-Forwarded-For`, `-Host` and `-Proto`, and `X-Real-IP`. The client's versions must have been
    /// [dropped](drop_client_claims) before.
    pub(crate) fn set(&self, headers: &mut HeaderMap) {
        headers.insert(
            FORWARDED_PROTO,
            HeaderValue::from_static(self.scheme.as_str()),
        );
        headers.insert(FORWARDED_HOST, self.authority.to_header());
        if let Some(value) = self.peer.ip().and_then(written) {
            headers.insert(REAL_IP, value.clone());
            headers.insert(FORWARDED_FOR, value);
        }
    }
}

/// The address as a header value. Addresses of version 4 are formatted by hand: each request has one, and the standard
/// formatting takes ten times as long.
fn written(address: IpAddr) -> Option<HeaderValue> {
    let IpAddr::V4(address) = address else {
        return HeaderValue::try_from(address.to_string()).ok();
    };
    let mut text = Vec::with_capacity(15);
    for byte in address.octets() {
        if !text.is_empty() {
            text.push(b'.');
        }
        if byte >= 100 {
            text.push(b'0' + byte / 100);
        }
        if byte >= 10 {
            text.push(b'0' + byte / 10 % 10);
        }
        text.push(b'0' + byte % 10);
    }
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}

/// Removes all headers that only Noren may set, in every spelling.
pub(crate) fn drop_client_claims(headers: &mut HeaderMap) {
    drop_where(headers, is_proxy_header);
}

/// Removes all headers whose name some gateway treats as this one.
pub(crate) fn drop_spellings_of(headers: &mut HeaderMap, name: &HeaderName) {
    drop_where(headers, |other| {
        same_when_folded(other.as_str(), name.as_str())
    });
}

/// Removes the headers with which Noren and an app communicate, which must not reach visitors.
pub(crate) fn drop_own_headers(headers: &mut HeaderMap) {
    drop_where(headers, is_own);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_they_are_displayed() {
        for text in ["0.0.0.0", "9.10.99.100", "255.1.20.199", "2001:db8::1"] {
            let address = text.parse().expect("an address");
            assert_eq!(written(address).expect("a value"), text);
        }
    }

    #[test]
    fn what_only_a_proxy_may_set_is_dropped_in_every_spelling() {
        let mut headers = HeaderMap::new();
        for name in [
            "x-forwarded-for",
            "x-forwarded-port",
            "x_forwarded_for",
            "x.forwarded.for",
            "forwarded",
            "x-real-ip",
            "proxy",
            "x-original-url",
            "noren-channel",
            "noren_channel",
            "wok-robot",
            "x-requested-with",
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        drop_client_claims(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["wok-robot", "x-requested-with"]);
    }
}
