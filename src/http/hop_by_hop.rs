//! Hop-by-hop headers (RFC 9110 §7.6.1).

use http::header::{CONNECTION, HeaderMap, HeaderName};

/// Removes the headers that concern one connection only, and those that `Connection` nominates. Applies to both
/// directions: a nominated header that was forwarded could be removed by the app, after a rule here was based on it.
pub(crate) fn drop_hop_by_hop(headers: &mut HeaderMap) {
    // Collected first, since the header that nominates is itself among those that go.
    let nominated: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(may_be_nominated)
        .collect();
    for name in nominated {
        headers.remove(name);
    }
    let doomed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_hop_by_hop(name))
        .cloned()
        .collect();
    for name in doomed {
        headers.remove(name);
    }
}

/// True for a header that a client may nominate. A client must not remove end-to-end headers from its request that way.
fn may_be_nominated(name: &HeaderName) -> bool {
    use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, ORIGIN};
    ![
        AUTHORIZATION,
        CONTENT_LENGTH,
        CONTENT_TYPE,
        COOKIE,
        HOST,
        ORIGIN,
    ]
    .contains(name)
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "keep-alive"
            | "proxy-connection"
            | "http2-settings"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn nominated_headers_go_and_end_to_end_headers_stay() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Secret, Cookie"),
            ("x-secret", "1"),
            ("cookie", "a=b"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("x-kept", "1"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        drop_hop_by_hop(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["cookie", "x-kept"]);
    }
}
