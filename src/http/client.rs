//! Who the client is, where a trusted proxy stands between: the last of the addresses in `X-Forwarded-For` (or
//! `Forwarded`, RFC 7239) that is not a proxy's. What comes before it is the client's own claim.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

use crate::config::ForwardedHeader;
use crate::http::head::Scheme;
use crate::net::{Peer, Proxies};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What a trusted proxy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Who asks; none if it does not say.
    pub peer: Option<Peer>,
    /// How the client spoke to the proxy; none if it does not say.
    pub scheme: Option<Scheme>,
}

impl Claimed {
    /// Reads what a proxy says that is trusted itself. Only one header is read, the one this proxy sets: another
    /// one may be the client's.
    #[must_use]
    pub fn read(headers: &HeaderMap, proxies: &Proxies) -> Self {
        match proxies.header() {
            ForwardedHeader::XForwarded => Self {
                peer: client(from_last(headers, &FORWARDED_FOR), proxies),
                scheme: from_last(headers, &FORWARDED_PROTO).next().and_then(scheme),
            },
            ForwardedHeader::Forwarded => {
                let hops = || from_last(headers, &FORWARDED);
                Self {
                    peer: client(hops().map_while(|hop| parameter(hop, "for")), proxies),
                    scheme: hops()
                        .next()
                        .and_then(|hop| parameter(hop, "proto"))
                        .and_then(scheme),
                }
            }
        }
    }
}

/// The members of a list, of all its lines, the last one first.
fn from_last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines: Vec<&str> = headers
        .get_all(name)
        .iter()
        .map(|line| line.to_str().unwrap_or_default())
        .collect();
    lines
        .into_iter()
        .rev()
        .flat_map(|line| line.rsplit(','))
        .map(str::trim)
}

/// The first address, seen from here, that is not a proxy's; the farthest proxy, if all are. What cannot be read
/// ends the way: nobody knows who wrote what comes before it.
fn client<'a>(hops: impl Iterator<Item = &'a str>, proxies: &Proxies) -> Option<Peer> {
    let mut found = None;
    for hop in hops {
        let Some(address) = address(hop) else {
            return found;
        };
        let peer = Peer::named(address);
        found = Some(peer);
        if !proxies.trust(&peer) {
            return found;
        }
    }
    found
}

/// An address, perhaps with a port, perhaps in quotes and brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    if let Ok(address) = bare.parse() {
        return Some(address);
    }
    let with_port: SocketAddr = text.parse().ok()?;
    Some(with_port.ip())
}

/// The value of a parameter of one element of `Forwarded` (RFC 7239 §4). Quoted values hold no semicolon there.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    element.split(';').find_map(|pair| {
        let (own, value) = pair.trim().split_once('=')?;
        own.eq_ignore_ascii_case(name).then_some(value)
    })
}

fn scheme(text: &str) -> Option<Scheme> {
    if text.eq_ignore_ascii_case("https") {
        Some(Scheme::Https)
    } else if text.eq_ignore_ascii_case("http") {
        Some(Scheme::Http)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Listener, Network};
    use http::HeaderValue;

    fn claimed(header: ForwardedHeader, lines: &[(&'static str, &'static str)]) -> Claimed {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let network = |text| Network::parse(text).expect("a network");
        let proxies = Proxies::new(&Listener {
            trusted_proxies: vec![network("10.0.0.0/8"), network("2001:db8::/32")],
            forwarded_header: header,
            ..Listener::default()
        });
        Claimed::read(&headers, &proxies)
    }

    fn named(header: ForwardedHeader, lines: &[(&'static str, &'static str)]) -> Option<String> {
        claimed(header, lines).peer.map(|peer| peer.to_string())
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_proxy() {
        for (value, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("203.0.113.9, 192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1, 10.0.0.7,10.1.1.1", Some("192.0.2.1")),
            ("10.0.0.7", Some("10.0.0.7")),
            ("192.0.2.1:4711, [2001:db8::2]:80", Some("192.0.2.1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1, unknown", None),
            ("192.0.2.1, unknown, 10.0.0.7", Some("10.0.0.7")),
            ("", None),
        ] {
            let line = [("x-forwarded-for", value)];
            assert_eq!(
                named(ForwardedHeader::XForwarded, &line).as_deref(),
                expected,
                "{value}"
            );
        }
        let lines = [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        assert_eq!(
            named(ForwardedHeader::XForwarded, &lines).as_deref(),
            Some("192.0.2.1")
        );
    }

    #[test]
    fn only_the_header_that_the_proxy_sets_is_read() {
        let lines = [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "http"),
            (
                "forwarded",
                "for=203.0.113.8, For=\"[2001:db9::1]:4711\";proto=https;by=10.0.0.1",
            ),
        ];
        let own = claimed(ForwardedHeader::Forwarded, &lines);
        assert_eq!(
            own.peer.map(|peer| peer.to_string()).as_deref(),
            Some("2001:db9::1")
        );
        assert_eq!(own.scheme, Some(Scheme::Https));
        let other = claimed(ForwardedHeader::XForwarded, &lines);
        assert_eq!(
            other.peer.map(|peer| peer.to_string()).as_deref(),
            Some("203.0.113.9")
        );
        assert_eq!(other.scheme, Some(Scheme::Http));
        let hidden = [("forwarded", "for=192.0.2.1, for=_secret")];
        assert_eq!(named(ForwardedHeader::Forwarded, &hidden), None);
    }
}
