//! A request head that means one thing only (RFC 9112 §3.2, RFC 9113 §8.3).
//!
//! hyper accepts heads that two programs could read differently; this is where they end. What passes has
//! one method, which no other one folds into, one authority, one path, and one framing of the body.

use std::fmt;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};

use crate::config::{LONGEST_METHOD, folds_into_a_method};
use crate::http::activity::Activity;
use crate::http::credentials::check_authorization;
use crate::http::fields;
use crate::http::interim::Interim;
use crate::http::path::{PathFault, RequestPath};
use crate::http::refusal::Refusal;
use crate::http::watch::Watch;
use crate::net::{Peer, Proxies};
use crate::telemetry::Inside;
use crate::tls::{ClientName, ServerName};

/// With or without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without.
    Http,
    /// With.
    Https,
}

impl Scheme {
    /// As it stands in a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What is known of a connection before its first request.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who is connected.
    pub peer: Peer,
    /// With or without TLS.
    pub scheme: Scheme,
    /// The name asked for in the TLS handshake; none without TLS.
    pub server: Option<ServerName>,
    /// Whose certificate the client has shown, if one was asked for and shown.
    pub client: Option<ClientName>,
    /// What is under way on it.
    pub activity: Activity,
    /// Where interim responses are sent, if it is an HTTP/1.1 connection.
    pub interim: Option<Interim>,
    /// Its answers, if it is an HTTP/2 connection.
    pub watch: Option<Watch>,
    /// The proxies it comes from, if it does: what they say of the client is believed.
    pub proxies: Option<Arc<Proxies>>,
    /// `limits.headers`: the most lines of a request head.
    pub header_lines: usize,
    /// Where what happens on it is counted.
    pub inside: Arc<Inside>,
}

/// `host[:port]`, checked, as the client wrote it.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    text: HeaderValue,
    host_end: usize,
}

/// What routing and the handlers need of a checked head.
#[derive(Clone, Debug)]
pub struct Head {
    /// The public name and port.
    pub authority: Authority,
    /// The path, and what the app may take it for.
    pub path: RequestPath,
    /// `OPTIONS *`: a question to this server, not to an app.
    pub asterisk: bool,
    /// Who has shown a password of the route, once that was asked for.
    pub user: Option<Arc<str>>,
}

impl Head {
    /// Checks a request head.
    ///
    /// # Errors
    /// The refusal to send; nothing of such a request may reach the app.
    pub fn check(parts: &Parts, connection: &Context) -> Result<Self, Refusal> {
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
        if connection.activity.take_fragment() {
            return Err(refused(PathFault::Fragment));
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
        Method::CONNECT if parts.extensions.get::<hyper::ext::Protocol>().is_some() => Ok(()),
        Method::CONNECT | Method::TRACE => Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{} is not allowed here", parts.method),
        )
        .allow("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")),
        _ => check_token(parts.method.as_str()),
    }
}

/// Any token is a method (RFC 9110 §9.1), and what it means is the app's to say: it counts as one that changes
/// something. Not a token that an app may take for another method.
fn check_token(method: &str) -> Result<(), Refusal> {
    let reason = if folds_into_a_method(method) {
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

/// hyper rejects lengths that differ or do not parse, but accepts a length beside a transfer coding, and
/// codings of which `chunked` is only the last.
fn check_framing(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return if headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
            Err(Refusal::bad_request(
                "there is more than one Content-Length",
            ))
        } else {
            Ok(())
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

/// The one authority of a request: from `Host`, from the request target, or from both if they agree.
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

/// The path of a target. `http` cuts a fragment off, so that `#x` is nothing; and `?x` is a whole path and query to it,
/// which it may be only behind an authority (RFC 3986 §3.3), and so never in HTTP/2 (RFC 9113 §8.3.1).
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
    /// Reads the value of a `Host` header.
    ///
    /// # Errors
    /// A refusal, for anything but a host and perhaps a port.
    pub fn parse(value: &HeaderValue) -> Result<Self, Refusal> {
        let text = value.to_str().map_err(|_| junk_host())?;
        let host_end = host_end(text).ok_or_else(junk_host)?;
        // An empty port is none (RFC 3986 §3.2.3, §6.2.3).
        let text = match text.strip_suffix(':') {
            Some(bare) => HeaderValue::from_str(bare).map_err(|_| junk_host())?,
            None => value.clone(),
        };
        Ok(Self { text, host_end })
    }

    /// The authority of a request that names none. An app of HTTP/1.1 needs a `Host`, and gets the one of Noren's own
    /// requests; nothing is chosen by it.
    fn unknown() -> Self {
        Self {
            text: HeaderValue::from_static("localhost"),
            host_end: 0,
        }
    }

    /// Whether the request names no host.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.host_end == 0
    }

    /// A known text, for tests.
    #[cfg(test)]
    pub(crate) fn from_static(text: &'static str) -> Self {
        Self::parse(&HeaderValue::from_static(text)).expect("an authority")
    }

    /// `host[:port]`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.to_str().unwrap_or_default()
    }

    /// The host without the port; an IPv6 address keeps its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.as_str().get(..self.host_end).unwrap_or_default()
    }

    /// The same text as a header value.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
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

/// Where the host of `host[:port]` ends; none if the text is anything else, userinfo included.
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

/// Letters, digits and the few signs of host names; an underscore occurs in the names of containers.
fn is_name(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && !host.starts_with('.')
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
            "a,b",
            "a.example:+1",
        ] {
            assert_eq!(host_end(text), None, "{text}");
        }
    }
}
