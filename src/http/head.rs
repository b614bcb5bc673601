//! Checks that a request head has a single meaning (RFC 9112 §3.2, RFC 9113 §8.3).
//!
//! hyper accepts heads that two programs could read differently; they are refused here. An accepted head has one
//! method, which no app folds into another one, one authority, one path, and one framing of the body.

use std::fmt;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};

use crate::config::{LONGEST_METHOD, is_method_in_other_case};
use crate::http::activity::Activity;
use crate::http::credentials::check_authorization;
use crate::http::fields;
use crate::http::interim::Interim;
use crate::http::path::{PathFault, RequestPath};
use crate::http::refusal::Refusal;
use crate::net::{Peer, Proxies};
use crate::telemetry::Telemetry;
use crate::tls::{ClientName, ServerName};

/// The scheme of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// The scheme as it is written in a URL.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Properties of a connection that are known before its first request.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The peer of the connection.
    pub peer: Peer,
    /// The scheme: with or without TLS.
    pub scheme: Scheme,
    /// The server name of the TLS handshake; `None` without TLS.
    pub server: Option<ServerName>,
    /// Names in the client's certificate, if one was requested and presented.
    pub client: Option<ClientName>,
    /// Requests in progress on the connection.
    pub activity: Activity,
    /// Channel for interim responses, on an HTTP/1.1 connection.
    pub interim: Option<Interim>,
    /// The trusted proxies, if the connection comes from one of them: then its headers about the client are believed.
    pub proxies: Option<Arc<Proxies>>,
    /// `limits.headers`: limit on lines of a request head.
    pub header_lines: usize,
    /// Telemetry of the server.
    pub telemetry: Arc<Telemetry>,
}

/// A checked `host[:port]`, as the client wrote it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    text: HeaderValue,
    host_end: usize,
}

/// The parts of a checked head that routing and the handlers need.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// The public name and port.
    pub authority: Authority,
    /// The path, and its other possible readings.
    pub path: RequestPath,
    /// True for `OPTIONS *`: a request to this server, not to an app.
    pub asterisk: bool,
    /// User name from a verified password, if the route requires one.
    pub user: Option<Arc<str>>,
}

impl Head {
    /// Checks a request head.
    ///
    /// # Errors
    /// The refusal to send; nothing of such a request may reach the app.
    pub(crate) fn check(parts: &Parts, connection: &Context) -> Result<Self, Refusal> {
        check_method(parts)?;
        fields::check(parts)?;
        check_framing(&parts.headers)?;
        check_expectation(&parts.headers)?;
        check_authorization(&parts.headers)?;
        let authority = authority(parts)?;
        if let Some(server) = &connection.server
            && !authority.is_unknown()
            && !server.permits(authority.host())
        {
            return Err(Refusal::new(
                StatusCode::MISDIRECTED_REQUEST,
                "this connection was opened for another host name",
            ));
        }
        if connection.activity.has_fragment() {
            return Err(refused(PathFault::Fragment));
        }
        if connection.activity.is_unread() {
            return Err(Refusal::bad_request(
                "the request was sent ahead, behind one with an upgrade or without a clear end",
            ));
        }
        let asterisk = parts.uri.path() == "*";
        if asterisk && parts.method != Method::OPTIONS {
            return Err(Refusal::bad_request("only OPTIONS may ask for *"));
        }
        let path = if asterisk {
            RequestPath::asterisk()
        } else {
            path(parts).map_err(refused)?
        };
        Ok(Self {
            authority,
            path,
            asterisk,
            user: None,
        })
    }
}

fn check_method(parts: &Parts) -> Result<(), Refusal> {
    match parts.method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::OPTIONS => Ok(()),
        // Extended CONNECT (RFC 8441) is a WebSocket handshake; a plain CONNECT asks for a forward proxy.
        Method::CONNECT if parts.extensions.get::<h2::ext::Protocol>().is_some() => Ok(()),
        // No resource has these two. The service says which methods this one has.
        Method::CONNECT | Method::TRACE => Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{} is not allowed here", parts.method),
        )),
        _ => check_token(parts.method.as_str()),
    }
}

/// Checks that the method is a token, and not one that an app may take for another method. Any token is a method (RFC
/// 9110 §9.1), and its meaning is up to the app; an unknown method counts as unsafe.
fn check_token(method: &str) -> Result<(), Refusal> {
    let reason = if is_method_in_other_case(method) {
        "methods are written in capitals"
    } else if method.len() > LONGEST_METHOD {
        "the name of this method is too long"
    } else if method == "PRI" {
        // RFC 9113 §11.7: no request has it.
        "PRI is the beginning of an HTTP/2 connection and no method of a request"
    } else {
        return Ok(());
    };
    Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, reason))
}

/// Checks the framing headers. hyper refuses lengths that differ or cannot be parsed, but accepts a length beside
/// a transfer coding, and codings of which `chunked` is only the last. h2 takes an empty length for 0.
fn check_framing(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
        let is_number = |length: &HeaderValue| {
            !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit)
        };
        return match (lengths.next(), lengths.next()) {
            (_, Some(_)) => Err(Refusal::bad_request(
                "there is more than one Content-Length",
            )),
            (Some(length), None) if !is_number(length) => {
                Err(Refusal::bad_request("Content-Length is not a number"))
            }
            _ => Ok(()),
        };
    };
    if headers.contains_key(CONTENT_LENGTH) {
        return Err(Refusal::bad_request(
            "both Content-Length and Transfer-Encoding are given",
        ));
    }
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "the only transfer coding known here is chunked",
        ));
    }
    Ok(())
}

fn check_expectation(headers: &HeaderMap) -> Result<(), Refusal> {
    let expected = headers.get_all(EXPECT).iter();
    for value in expected {
        if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
            return Err(Refusal::new(
                StatusCode::EXPECTATION_FAILED,
                "the only expectation known here is 100-continue",
            ));
        }
    }
    Ok(())
}

/// The authority of a request: from `Host`, from the request target, or from both if they agree.
fn authority(parts: &Parts) -> Result<Authority, Refusal> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::bad_request("there is more than one Host"));
    }
    let target = parts.uri.authority();
    if parts.version < Version::HTTP_2 && target.is_some() && parts.uri.scheme().is_none() {
        return Err(Refusal::bad_request(
            "the request target is neither a path nor a URL",
        ));
    }
    if let Some(scheme) = parts.uri.scheme_str()
        && !matches!(scheme, "http" | "https" | "ws" | "wss")
    {
        return Err(Refusal::bad_request(
            "the scheme of the request target is not known here",
        ));
    }
    let target = target.map(|target| {
        let target = HeaderValue::from_str(target.as_str()).map_err(|_| junk_host())?;
        Authority::parse(&target)
    });
    match (host, target) {
        (Some(host), None) => Authority::parse(host),
        (Some(host), Some(target)) => {
            let host = Authority::parse(host)?;
            if !host.as_str().eq_ignore_ascii_case(target?.as_str()) {
                return Err(Refusal::bad_request(
                    "Host and the request target name different hosts",
                ));
            }
            Ok(host)
        }
        (None, Some(target)) if parts.version != Version::HTTP_11 => target,
        // RFC 9112 §3.2 asks for Host in HTTP/1.1 only; load balancers and monitors have none.
        (None, None) if parts.version == Version::HTTP_10 => Ok(Authority::unknown()),
        (None, _) => Err(Refusal::bad_request("there is no Host")),
    }
}

/// The path of a target. The `http` crate removes a fragment, so that `#x` becomes empty; and it accepts `?x` as path
/// and query, which is only valid behind an authority (RFC 3986 §3.3), and so never in HTTP/2 (RFC 9113 §8.3.1).
fn path(parts: &Parts) -> Result<RequestPath, PathFault> {
    let sent = parts.uri.path_and_query().ok_or(PathFault::Missing)?;
    let is_absolute = parts.version < Version::HTTP_2 && parts.uri.scheme().is_some();
    let is_empty = Uri::from(sent.clone()).path().is_empty();
    if is_empty || (sent.as_str().starts_with('?') && !is_absolute) {
        return Err(PathFault::Missing);
    }
    RequestPath::of(&parts.uri)
}

fn refused(fault: PathFault) -> Refusal {
    Refusal::bad_request(fault.to_string())
}

fn junk_host() -> Refusal {
    Refusal::bad_request("Host is not a host name with an optional port")
}

impl Authority {
    /// Parses the value of a `Host` header.
    ///
    /// # Errors
    /// A refusal, for anything but a host and possibly a port.
    pub(crate) fn parse(value: &HeaderValue) -> Result<Self, Refusal> {
        let text = value.to_str().map_err(|_| junk_host())?;
        let host_end = host_end(text).ok_or_else(junk_host)?;
        // An empty port is none (RFC 3986 §3.2.3, §6.2.3).
        let text = match text.strip_suffix(':') {
            Some(bare) => HeaderValue::from_str(bare).map_err(|_| junk_host())?,
            None => value.clone(),
        };
        Ok(Self { text, host_end })
    }

    /// The authority of a request that names no host. An app needs a `Host` over HTTP/1.1, so it gets the host that
    /// Noren uses in its own requests; routing does not use it.
    fn unknown() -> Self {
        Self {
            text: HeaderValue::from_static("localhost"),
            host_end: 0,
        }
    }

    /// True if the request names no host.
    #[must_use]
    pub(crate) fn is_unknown(&self) -> bool {
        self.host_end == 0
    }

    /// Creates an authority from valid text, for tests.
    #[cfg(test)]
    pub(crate) fn from_static(text: &'static str) -> Self {
        Self::parse(&HeaderValue::from_static(text)).expect("an authority")
    }

    /// The text, `host[:port]`.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        self.text.to_str().unwrap_or_default()
    }

    /// The host without the port; an IPv6 address keeps its brackets.
    #[must_use]
    pub(crate) fn host(&self) -> &str {
        self.as_str().get(..self.host_end).unwrap_or_default()
    }

    /// The authority as a header value.
    #[must_use]
    pub(crate) fn to_header(&self) -> HeaderValue {
        self.text.clone()
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Position of the end of the host in `host[:port]`; `None` if the text is anything else, including userinfo.
fn host_end(text: &str) -> Option<usize> {
    let end = match text.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at_checked(end)?;
    let valid_host = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    let valid_port = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => {
            digits.is_empty()
                || (digits.bytes().all(|byte| byte.is_ascii_digit())
                    && digits.parse::<u16>().is_ok())
        }
    };
    (valid_host && valid_port).then_some(end)
}

/// True for a host name: letters, digits and a few special characters; an underscore occurs in names of
/// containers.
fn is_name(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host
            .strip_suffix('.')
            .unwrap_or(host)
            .split('.')
            .all(|label| !label.is_empty())
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for (text, host) in [
            ("a.example", "a.example"),
            ("a.example:8001", "a.example"),
            ("192.0.2.1:80", "192.0.2.1"),
            ("[::1]", "[::1]"),
            ("a.example:", "a.example"),
            ("[::1]:", "[::1]"),
            ("[2001:db8::1]:8001", "[2001:db8::1]"),
        ] {
            let end = host_end(text).expect(text);
            assert_eq!(&text[..end], host);
        }
    }

    #[test]
    fn an_empty_port_is_none() {
        for (text, bare) in [("a.example:", "a.example"), ("[::1]:", "[::1]")] {
            assert_eq!(Authority::from_static(text).as_str(), bare);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            ":80",
            "a b",
            "user@a.example",
            "a.example::",
            "a.example:80:",
            "::",
            ":",
            "a.example:x",
            "a.example:99999",
            "[::1",
            "[x]",
            "[::1]x",
            "a/b",
            "a.example:80:80",
            "::1",
            ".example",
            "a..example",
            "a.example..",
            ".",
            "a,b",
            "a.example:+1",
        ] {
            assert_eq!(host_end(text), None, "{text}");
        }
    }
}
