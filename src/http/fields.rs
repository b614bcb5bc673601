//! Header fields with a single reading (RFC 9110 §5, RFC 9113 §8.2), and the reserved names that a client must not
//! set.
//!
//! h2 accepts names and values that hyper's parser of HTTP/1.1 refuses; both are held to the same rules here.
//! `forwarded` and the proxy decide which fields the app gets.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version};

use crate::http::refusal::Refusal;

/// Checks the number of header lines of a request. Over HTTP/1.1 hyper does it, while h2 limits bytes only.
///
/// # Errors
/// A 431 refusal, if there are too many.
pub(crate) fn check_lines<B>(request: &Request<B>, most: usize) -> Result<(), Refusal> {
    if request.version() < Version::HTTP_2 || request.headers().len() <= most {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "the request has more header lines than are accepted here",
    ))
}

/// Checks the fields of a request head.
///
/// # Errors
/// The refusal to send.
pub(super) fn check(parts: &Parts) -> Result<(), Refusal> {
    if parts.version == Version::HTTP_2
        && let Some(fault) = fault(&parts.headers)
    {
        return Err(Refusal::bad_request(fault));
    }
    check_method_override(parts)
}

/// Describes the fault of fields that arrived over HTTP/2, in a head or as trailers (RFC 9113 §8.2.1); `None` if
/// they are well-formed.
pub(super) fn fault(fields: &HeaderMap) -> Option<&'static str> {
    fields.iter().find_map(|(name, value)| {
        let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        let value = value.as_bytes();
        if !is_token(name.as_str()) {
            Some("the name of a header holds a byte that no such name may have")
        } else if blank(value.first()) || blank(value.last()) {
            Some("the value of a header begins or ends with a blank")
        } else {
            None
        }
    })
}

/// True for a token (RFC 9110 §5.6.2). `HeaderName` also admits a quotation mark.
fn is_token(name: &str) -> bool {
    // Nearly all bytes are of the first two kinds.
    let usual = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    name.bytes().all(|byte| {
        usual(byte) || byte.is_ascii_alphanumeric() || b"!#$%&'*+.^_`|~".contains(&byte)
    })
}

/// Refuses method overrides that would change Noren's decisions. Frameworks let a POST act as another method if such a
/// header says so. That is harmless: Noren never repeats a POST, and counts it as a login. A GET that the app treats as
/// a POST would be repeated after a broken connection, and would not count as a login.
fn check_method_override(parts: &Parts) -> Result<(), Refusal> {
    if parts.method != Method::POST && method_overrides(&parts.headers).next().is_some() {
        return Err(Refusal::bad_request("only a POST may override its method"));
    }
    Ok(())
}

/// Headers with which frameworks override the method of a request.
static OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

/// The values of the override headers of a request.
pub(crate) fn method_overrides(headers: &HeaderMap) -> impl Iterator<Item = &HeaderValue> {
    OVERRIDES.iter().flat_map(|name| headers.get_all(name))
}

/// Removes override headers from a request that Noren has given a method of its own.
pub(crate) fn drop_method_overrides(headers: &mut HeaderMap) {
    for name in &OVERRIDES {
        headers.remove(name);
    }
}

/// True if some gateway treats two names as the same: CGI, WSGI and similar interfaces turn `X-Real-IP` into
/// `X_REAL_IP`, and likewise every name with another special character in place of the hyphen.
pub(super) fn same_when_folded(one: &str, other: &str) -> bool {
    let fold = |byte: u8| match byte.to_ascii_lowercase() {
        letter @ (b'a'..=b'z' | b'0'..=b'9') => letter,
        _ => b'-',
    };
    one.len() == other.len() && one.bytes().map(fold).eq(other.bytes().map(fold))
}

/// True if only Noren, or a proxy it trusts, may set a request header of this name, so a client's header of this name
/// never reaches the app.
///
/// This includes every name with a special character other than the hyphen: some gateway folds it into the name of
/// another header, so only the standard spelling of a name is permitted. `X-Request-Id` and `traceparent` are not in
/// the list: [`RequestId::set_headers`](crate::http::RequestId::set_headers) replaces them.
pub(super) fn is_proxy_header(of: &HeaderName) -> bool {
    let name = of.as_str();
    if !name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        return true;
    }
    let begins = |prefix: &str| name.starts_with(prefix);
    match name.as_bytes().first() {
        Some(b'x') => {
            begins("x-forwarded")
                || begins("x-accel-")
                || begins("x-sendfile")
                || begins("x-original-")
                || begins("x-rewrite-")
                || matches!(
                    name,
                    "x-real-ip"
                        | "x-client-ip"
                        | "x-remote-ip"
                        | "x-remote-addr"
                        | "x-cluster-client-ip"
                        | "x-host"
                        | "x-scheme"
                        | "x-url-scheme"
                        | "x-script-name"
                        | "x-lighttpd-send-file"
                        | "x-originating-ip"
                        | "x-proxyuser-ip"
                        | "x-custom-ip-authorization"
                        | "x-true-client-ip"
                        | "x-azure-clientip"
                        | "x-azure-socketip"
                        | "x-envoy-external-address"
                        | "x-envoy-original-path"
                        | "x-http-host-override"
                )
        }
        // Instructions and signatures of GRIP.
        Some(b'g') => begins("grip-"),
        Some(b'n') => is_own(of),
        Some(b'c') => {
            begins("cf-connecting-ip")
                || matches!(
                    name,
                    "client-ip" | "client-cert" | "client-cert-chain" | "cluster-client-ip"
                )
        }
        Some(b'f') => begins("forwarded") || matches!(name, "front-end-https" | "fastly-client-ip"),
        // HTTP_PROXY in CGI, which libraries take for their proxy ("httpoxy").
        Some(b'p') => name == "proxy",
        Some(b't') => name == "true-client-ip",
        _ => false,
    }
}

/// True if a client's header of this name, in any letter case, never reaches an app: only Noren, or a proxy that it
/// trusts, may set it.
#[must_use]
pub fn is_reserved_header(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| is_proxy_header(&name))
}

/// True for the headers with which Noren and an app communicate.
pub(super) fn is_own(name: &HeaderName) -> bool {
    name.as_str().starts_with("noren-")
}

/// Removes headers that name a file for the server to send, or control its transmission: they would reveal to clients
/// the locations of files. `X-Accel-Buffering` reveals nothing, and proxies in front of Noren use it.
pub(crate) fn drop_file_names(headers: &mut HeaderMap) {
    drop_where(headers, names_a_file);
}

/// Removes all headers whose name matches.
pub(super) fn drop_where(headers: &mut HeaderMap, doomed: impl Fn(&HeaderName) -> bool) {
    let doomed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| doomed(name))
        .cloned()
        .collect();
    for name in doomed {
        headers.remove(name);
    }
}

fn names_a_file(name: &HeaderName) -> bool {
    let name = name.as_str();
    if !matches!(name.as_bytes(), [b'x', sign, ..] if !sign.is_ascii_alphanumeric()) {
        return false;
    }
    let folded: String = name
        .chars()
        .map(|sign| {
            if sign.is_ascii_alphanumeric() {
                sign
            } else {
                '-'
            }
        })
        .collect();
    (folded.starts_with("x-accel-") && folded != "x-accel-buffering")
        || folded.starts_with("x-sendfile")
        || folded.starts_with("x-lighttpd-send-")
        || folded.starts_with("x-reproxy-")
        || folded == "x-litespeed-location"
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_no_header_can_hold_is_malformed() {
        let reason = |name: &str, value: &'static str| {
            let mut fields = HeaderMap::new();
            let name = HeaderName::from_lowercase(name.as_bytes()).expect("a name");
            fields.insert(name, HeaderValue::from_static(value));
            fault(&fields)
        };
        for (name, value) in [
            ("x-a", ""),
            ("x-a", "a b"),
            ("!#$%&'*+-.^_`|~09az", "\"a\""),
        ] {
            assert_eq!(reason(name, value), None, "{name}: {value:?}");
        }
        for (name, value) in [
            ("x\"a", "1"),
            ("x-a", " 1"),
            ("x-a", "1 "),
            ("x-a", "\t1"),
            ("x-a", "1\t"),
            ("x-a", " "),
        ] {
            assert!(reason(name, value).is_some(), "{name}: {value:?}");
        }
    }

    #[test]
    fn a_name_that_some_gateway_folds_is_never_a_clients() {
        for sign in "!#$%&'*+.^_`|~".chars() {
            for name in ["forwarded-for", "anything"] {
                let name = format!("x{sign}{name}");
                let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
                assert!(is_proxy_header(&name), "{name}");
            }
        }
        for name in [
            "forwarded-for",
            "x-originating-ip",
            "cf-connecting-ipv6",
            "fastly-client-ip",
        ] {
            assert!(is_proxy_header(&HeaderName::from_static(name)));
        }
        for name in [
            "x-requested-with",
            "wok-robot",
            "client-hints",
            "x-request-id",
        ] {
            assert!(!is_proxy_header(&HeaderName::from_static(name)));
        }
        assert!(same_when_folded("X-Remote_User", "x.remote-user"));
        assert!(!same_when_folded("x-remote-user", "x-remote-users"));
        assert!(!same_when_folded("x-remote-user", "x-remote-usez"));
    }

    #[test]
    fn an_answer_names_a_file_in_every_spelling() {
        for (name, is) in [
            ("x-accel-redirect", true),
            ("x_accel_redirect", true),
            ("x-accel-expires", true),
            ("x-sendfile", true),
            ("x-sendfile2", true),
            ("x-lighttpd-send-tempfile", true),
            ("x-reproxy-url", true),
            ("x-litespeed-location", true),
            ("x-accel-buffering", false),
            ("x-accept", false),
            ("xaccel", false),
            ("etag", false),
        ] {
            assert_eq!(names_a_file(&HeaderName::from_static(name)), is, "{name}");
        }
    }
}
