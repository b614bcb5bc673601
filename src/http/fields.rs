//! Header fields with one reading only (RFC 9110 §5, RFC 9113 §8.2), and the names that are not a client's to set.
//!
//! h2 accepts names and values that hyper's parser of HTTP/1.1 refuses; the two are held to the same rules here.
//! Which fields the app gets in the end is decided in `forwarded` and in the proxy.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version};

use crate::http::refusal::Refusal;

/// Counts the lines of a request as its client has sent it. Over HTTP/1.1 hyper does, and h2 counts bytes only.
///
/// # Errors
/// 431.
pub fn check_lines<B>(request: &Request<B>, most: usize) -> Result<(), Refusal> {
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

/// Why fields that came over HTTP/2, in a head or as trailers, are malformed (RFC 9113 §8.2.1); none if they are
/// not.
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

/// RFC 9110 §5.6.2. `HeaderName` also admits a quotation mark.
fn is_token(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Frameworks let a POST be another method by such a header, which changes nothing of what is decided here: a POST
/// is never repeated, and counts as a login. A GET that becomes a POST behind the door would be repeated when a
/// connection breaks, and would not count.
fn check_method_override(parts: &Parts) -> Result<(), Refusal> {
    if parts.method != Method::POST && method_overrides(&parts.headers).next().is_some() {
        return Err(Refusal::bad_request(
            "only a POST may ask to be taken for another method",
        ));
    }
    Ok(())
}

/// The methods that a request asks to be taken for, by headers that frameworks know.
pub fn method_overrides(headers: &HeaderMap) -> impl Iterator<Item = &HeaderValue> {
    const NAMES: [&str; 3] = [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ];
    NAMES.iter().flat_map(|name| headers.get_all(*name))
}

/// Whether two names are one to some gateway: CGI, WSGI and their relatives make `X_REAL_IP` of `X-Real-IP`, and of
/// every spelling with another sign in the place of the hyphen.
pub(super) fn same_when_folded(one: &str, other: &str) -> bool {
    let fold = |byte: u8| match byte.to_ascii_lowercase() {
        letter @ (b'a'..=b'z' | b'0'..=b'9') => letter,
        _ => b'-',
    };
    one.len() == other.len() && one.bytes().map(fold).eq(other.bytes().map(fold))
}

/// Whether only the door, or a proxy it trusts, may set a request header of this name, so that one of a client never
/// reaches the app.
///
/// A name with another sign than the hyphen is one of them, whatever it says: some gateway folds it into the name
/// of another header, and so no spelling of any name is left but its own. `X-Request-Id` and `traceparent` are not
/// in the list: they are replaced by what [`RequestId::tell`](crate::http::RequestId::tell) makes of them.
pub(super) fn is_for_the_door_to_set(of: &HeaderName) -> bool {
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
                )
        }
        Some(b'n') => is_own(of),
        Some(b'c') => matches!(name, "client-ip" | "client-cert" | "client-cert-chain"),
        Some(b'f') => matches!(name, "forwarded" | "front-end-https"),
        // HTTP_PROXY in CGI, which libraries take for their proxy ("httpoxy").
        Some(b'p') => name == "proxy",
        Some(b't') => name == "true-client-ip",
        _ => false,
    }
}

/// Whether it is one of the headers by which Noren and an app speak to each other.
pub(super) fn is_own(name: &HeaderName) -> bool {
    name.as_str().starts_with("noren-")
}

/// Removes what names a file for the server before the app to send, or says how: unless that was done, it would tell
/// clients where files are. `X-Accel-Buffering` tells nothing, and proxies before this one look for it.
pub fn drop_file_names(headers: &mut HeaderMap) {
    drop_where(headers, names_a_file);
}

/// Removes every header of these names.
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
                assert!(is_for_the_door_to_set(&name), "{name}");
            }
        }
        for name in [
            "x-requested-with",
            "wok-robot",
            "client-hints",
            "x-request-id",
        ] {
            assert!(!is_for_the_door_to_set(&HeaderName::from_static(name)));
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
            ("x-accel-buffering", false),
            ("x-accept", false),
            ("xaccel", false),
            ("etag", false),
        ] {
            assert_eq!(names_a_file(&HeaderName::from_static(name)), is, "{name}");
        }
    }
}
