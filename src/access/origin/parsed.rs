//! An origin in comparable form: scheme, host and port (RFC 6454, section 4).
//!
//! Independent of the permitted origins.

use std::fmt;
use std::net::Ipv6Addr;

/// Length limit of an origin. A host name has at most 253 bytes; the text of a refusal repeats the origin.
const LONGEST: usize = 300;

/// Scheme, host and port, in normal form: lower case, and without the scheme's default port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: String,
    host: Host,
    /// The port; `None` for the default port of the scheme.
    port: Option<u16>,
}

/// A host in comparable form. An IPv6 address has many spellings, so it is compared as a number.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// No host, as in `file://`, which some web views send.
    None,
    Name(String),
    V6(Ipv6Addr),
}

impl Origin {
    /// Parses `scheme://host` or `scheme://host:port`, with nothing after it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        if text.len() > LONGEST {
            return None;
        }
        Self::new(scheme, authority)
    }

    /// The origin of a request for `scheme://authority`.
    pub(super) fn new(scheme: &str, authority: &str) -> Option<Self> {
        if scheme.is_empty() || !scheme.bytes().all(is_scheme_byte) {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = split_port(authority)?;
        let port = port.filter(|port| default_port(&scheme) != Some(*port));
        let host = if authority.is_empty() && default_port(&scheme).is_none() {
            Host::None
        } else {
            Host::parse(host)?
        };
        Some(Self { scheme, host, port })
    }
}

impl Host {
    fn parse(host: &str) -> Option<Self> {
        if let Some(inner) = host.strip_prefix('[') {
            let address = inner.strip_suffix(']')?.parse();
            return address.ok().map(Self::V6);
        }
        let is_name = !host.is_empty() && host.bytes().all(is_name_byte);
        is_name.then(|| Self::Name(host.to_ascii_lowercase()))
    }
}

/// Formats the origin as a browser sends it.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        match host {
            Host::Name(name) => write!(f, "{scheme}://{name}")?,
            Host::None => write!(f, "{scheme}://")?,
            Host::V6(address) => write!(f, "{scheme}://[{address}]")?,
        }
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Splits off the port. An empty one (`host:`) counts as missing (RFC 3986, section 3.2.3).
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    match authority.rsplit_once(':') {
        // The last colon is inside the brackets of an IPv6 address.
        Some((_, behind)) if behind.ends_with(']') => Some((authority, None)),
        Some((host, "")) => Some((host, None)),
        // `u16::from_str` would also read "+443".
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((host, Some(port.parse().ok()?)))
        }
        Some(_) => None,
        None => Some((authority, None)),
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// True for a byte of a scheme (RFC 3986, section 3.1). Schemes of browser extensions have hyphens.
fn is_scheme_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// True for a byte of a registered name as browsers send it (RFC 3986 unreserved, without escapes). User
/// information (`@`), a path (`/`, `\`), a query and a list of origins (a space) contain other bytes.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_shown_in_its_normal_form() {
        for (text, shown) in [
            ("HTTPS://A.Example:443", "https://a.example"),
            ("http://a.example:443", "http://a.example:443"),
            ("http://[0:0::1]:80", "http://[::1]"),
            ("app://a_b~c:00080", "app://a_b~c:80"),
            ("Capacitor://LocalHost", "capacitor://localhost"),
            ("file://", "file://"),
        ] {
            let origin = Origin::parse(text).expect("an origin");
            assert_eq!(origin.to_string(), shown);
            assert_eq!(Origin::parse(shown).as_ref(), Some(&origin));
        }
    }
}
