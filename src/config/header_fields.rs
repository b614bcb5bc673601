//! The header fields that a file may touch. Those that frame a message, belong to one connection, or say what only the
//! door knows are not among them; each refusal says why, and what to do instead.

use http::header::HeaderName;

use super::header_text::parse_header_name;

/// The messages that rules are about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Responses to clients.
    Response,
    /// Requests to an app.
    Request,
}

/// A list of rules, by its key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Remove,
    Set,
    Add,
    Default,
}

impl Operation {
    /// The key in a table.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Remove => "remove",
            Self::Set => "set",
            Self::Add => "add",
            Self::Default => "default",
        }
    }
}

/// Fields of one connection (RFC 9110 §7.6.1).
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Fields about the bytes of a body.
const FRAMING: &[&str] = &[
    "content-encoding",
    "content-length",
    "content-range",
    "expect",
];
/// Fields whose value describes one response, so that a fixed text would be wrong.
const OF_ONE_RESPONSE: &[&str] = &[
    "age",
    "allow",
    "date",
    "etag",
    "last-modified",
    "location",
    "retry-after",
    "www-authenticate",
    "x-request-id",
];
/// Fields of a request that Noren writes itself.
const WRITTEN_BY_THE_DOOR: &[&str] = &[
    "forwarded",
    "host",
    "traceparent",
    "tracestate",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];
/// Fields that are true of one request only: with a fixed text the app would send other bytes than its client expects.
const OF_ONE_REQUEST: &[&str] = &[
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
];
/// Fields of a request by which some apps know a client's address or certificate.
const OF_THE_CLIENT: &[&str] = &[
    "client-cert",
    "client-cert-chain",
    "client-ip",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-remote-addr",
    "x-remote-ip",
];
/// Fields that turn the checked request into another one: other hosts, paths and methods.
const OF_ANOTHER_REQUEST: &[&str] = &[
    "proxy",
    "x-host",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];

impl Side {
    /// Reads the name of a field that this operation may be about.
    pub(super) fn parse(self, text: &str, operation: Operation) -> Result<HeaderName, String> {
        let name = parse_header_name(text)?;
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("{text:?} is too long for the name of a header"))?;
        let refused = refused_everywhere(name.as_str()).or_else(|| match self {
            Self::Response => refused_in_responses(name.as_str(), operation),
            Self::Request => refused_in_requests(name.as_str(), operation),
        });
        match refused {
            Some(reason) => Err(format!("{text} {reason}")),
            None => Ok(name),
        }
    }

    /// Advice for a value with a variable of another program.
    pub(super) fn instead_of_variables(self) -> &'static str {
        match self {
            Self::Response => "",
            Self::Request => {
                "; X-Forwarded-For, -Host and -Proto, X-Real-IP and X-Request-Id are there without it, and user-header \
                 names the visitor"
            }
        }
    }

    /// True if values may be secrets.
    pub(super) fn may_be_secret(self) -> bool {
        self == Self::Request
    }
}

fn refused_everywhere(name: &str) -> Option<&'static str> {
    if HOP_BY_HOP.contains(&name) {
        return Some("belongs to one connection, and Noren writes it for each; leave it out");
    }
    if FRAMING.contains(&name) {
        return Some(
            "says how the bytes of the body are to be read, which stay as they are; leave it out",
        );
    }
    if name.starts_with("sec-websocket-") {
        return Some(
            "is a part of the WebSocket handshake, which would fail with another one; leave it out",
        );
    }
    if name.starts_with("noren-") {
        return Some("is one by which Noren and apps speak to each other; take another name");
    }
    None
}

fn refused_in_responses(name: &str, operation: Operation) -> Option<&'static str> {
    let writes = operation != Operation::Remove;
    if writes && OF_ONE_RESPONSE.contains(&name) {
        return Some(
            "is different for each response, so no fixed text is right; it can only be removed",
        );
    }
    if name == "set-cookie" && matches!(operation, Operation::Set | Operation::Default) {
        return Some(
            "would take the place of the cookies of the app, its session too; write it into add",
        );
    }
    let names_a_file = (name.starts_with("x-accel-") && name != "x-accel-buffering")
        || name.starts_with("x-sendfile");
    if names_a_file {
        return Some("is for the server before an app, and never reaches clients; leave it out");
    }
    None
}

fn refused_in_requests(name: &str, operation: Operation) -> Option<&'static str> {
    if !name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        return Some(
            "has a sign that gateways fold into \"-\", so that it passes for another header; write letters, \
             digits and \"-\"",
        );
    }
    if WRITTEN_BY_THE_DOOR.contains(&name) || name.starts_with("grip-") {
        return Some("is written by Noren for each request; leave it out");
    }
    if operation != Operation::Remove && OF_ONE_REQUEST.contains(&name) {
        return Some(
            "is different for each request, so no fixed text is right; it can only be removed",
        );
    }
    if OF_THE_CLIENT.contains(&name) {
        return Some(
            "says who the client is, which X-Real-IP and certificate-header do; leave it out",
        );
    }
    if matches!(name, "authorization" | "cookie") {
        return Some(
            "is the visitor's own, and the app must see the one that was judged here; leave it out",
        );
    }
    let is_another = OF_ANOTHER_REQUEST.contains(&name)
        || name.starts_with("x-original-")
        || name.starts_with("x-rewrite-");
    if is_another {
        return Some("makes another request of the one that was judged here; leave it out");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(side: Side, name: &str, operation: Operation) -> bool {
        side.parse(name, operation).is_err()
    }

    #[test]
    fn a_response_may_have_any_header_but_those_of_the_connection_the_body_and_the_door() {
        use Operation::{Add, Default, Remove, Set};
        for name in [
            "Content-Security-Policy",
            "Referrer-Policy",
            "Permissions-Policy",
            "Cache-Control",
            "Content-Type",
            "Server",
            "X-Powered-By",
            "Strict-Transport-Security",
            "X-Accel-Buffering",
            "Vary",
        ] {
            for operation in [Add, Default, Remove, Set] {
                assert!(!is_refused(Side::Response, name, operation), "{name}");
            }
        }
        for name in [
            "Connection",
            "TRANSFER-ENCODING",
            "Content-Length",
            "Content-Encoding",
            "Sec-WebSocket-Accept",
            "Noren-Publish",
            "X-Accel-Redirect",
            "a b",
            "",
        ] {
            for operation in [Add, Default, Remove, Set] {
                assert!(is_refused(Side::Response, name, operation), "{name}");
            }
        }
        for (name, refused) in [
            ("ETag", [true, true, false, true]),
            ("WWW-Authenticate", [true, true, false, true]),
            ("Set-Cookie", [false, true, false, true]),
        ] {
            let found =
                [Add, Default, Remove, Set].map(|one| is_refused(Side::Response, name, one));
            assert_eq!(found, refused, "{name}");
        }
    }

    #[test]
    fn a_request_may_have_what_no_client_may_send_but_never_says_who_asks_for_what() {
        for name in [
            "X-Script-Name",
            "X-Forwarded-Prefix",
            "X-Forwarded-Ssl",
            "X-Accel-Mapping",
            "X-Sendfile-Type",
            "Front-End-Https",
            "Accept-Encoding",
            "X-Api-Key",
        ] {
            assert!(!is_refused(Side::Request, name, Operation::Set), "{name}");
        }
        for name in [
            "Host",
            "X-Forwarded-For",
            "x-forwarded-proto",
            "X-Real-IP",
            "Forwarded",
            "X-Request-ID",
            "traceparent",
            "Authorization",
            "Cookie",
            "True-Client-IP",
            "X-Original-URL",
            "X-HTTP-Method-Override",
            "Proxy",
            "X_Api_Key",
            "X.Real.IP",
            "Upgrade",
            "Expect",
            "Grip-Sig",
        ] {
            for operation in [Operation::Set, Operation::Remove] {
                assert!(is_refused(Side::Request, name, operation), "{name}");
            }
        }
        for name in ["Range", "If-None-Match"] {
            let found = [
                Operation::Set,
                Operation::Add,
                Operation::Default,
                Operation::Remove,
            ];
            let found = found.map(|one| is_refused(Side::Request, name, one));
            assert_eq!(found, [true, true, true, false], "{name}");
        }
    }
}
