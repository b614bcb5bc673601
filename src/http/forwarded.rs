//! What the app is told about the client, and what the client may not tell it.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::http::head::{Authority, Scheme};
use crate::net::Peer;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The headers that describe the client to the app.
#[derive(Debug)]
pub struct Forwarded<'a> {
    /// Who asked.
    pub peer: Peer,
    /// With or without TLS.
    pub scheme: Scheme,
    /// The public name and port that were asked for.
    pub authority: &'a Authority,
}

impl Forwarded<'_> {
    /// Sets `X-Forwarded-For`, `-Host` and `-Proto`, and `X-Real-IP`. Those that the client sent must have
    /// been [dropped](drop_client_claims) before.
    pub fn set(&self, headers: &mut HeaderMap) {
        headers.insert(
            FORWARDED_PROTO,
            HeaderValue::from_static(self.scheme.as_str()),
        );
        headers.insert(FORWARDED_HOST, self.authority.to_header());
        if let Some(address) = self.peer.ip() {
            let address = address.to_string();
            if let Ok(value) = HeaderValue::try_from(address) {
                headers.insert(REAL_IP, value.clone());
                headers.insert(FORWARDED_FOR, value);
            }
        }
    }
}

/// Removes every header that only a proxy may set, and every name with an underscore or a dot: CGI and WSGI
/// fold `X_Forwarded_For` and `X.Forwarded.For` into the same variable as the real one.
pub fn drop_client_claims(headers: &mut HeaderMap) {
    let doomed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_claim(name))
        .cloned()
        .collect();
    for name in doomed {
        headers.remove(name);
    }
}

fn is_claim(name: &HeaderName) -> bool {
    let name = name.as_str();
    if name.contains(['_', '.']) || name.starts_with("x-forwarded") || name.starts_with("x-accel-")
    {
        return true;
    }
    if is_own(name) {
        return true;
    }
    matches!(
        name,
        "forwarded"
            | "x-real-ip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "true-client-ip"
            // Becomes HTTP_PROXY in CGI, which libraries take for their proxy ("httpoxy").
            | "proxy"
            // Replace the path behind the checks in some frameworks.
            | "x-original-url"
            | "x-rewrite-url"
            // Choose files to be sent in Rack.
            | "x-sendfile-type"
    )
}

/// Removes the headers by which Noren and an app speak to each other. What an app says there is not for its visitors.
pub fn drop_own_headers(headers: &mut HeaderMap) {
    let doomed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_own(name.as_str()))
        .cloned()
        .collect();
    for name in doomed {
        headers.remove(name);
    }
}

fn is_own(name: &str) -> bool {
    name.starts_with("noren-")
}

#[cfg(test)]
mod tests {
    use super::*;

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
