//! The address of the client behind trusted proxies: the last address in `X-Forwarded-For` (or `Forwarded`, RFC
//! 7239) that is not a proxy's. Entries before it are the client's own claims.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::FORWARDED;

use crate::config::ForwardedHeader;
use crate::http::head::Scheme;
use crate::net::{Peer, Proxies};

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// The client as a trusted proxy reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    /// The client; `None` if it is not reported.
    pub peer: Option<Peer>,
    /// The scheme between client and proxy; `None` if it is not reported.
    pub scheme: Option<Scheme>,
}

/// One hop as a proxy reports it: the address and scheme of its peer.
#[derive(Clone, Copy, Debug, Default)]
struct Hop {
    /// The address; `None` if it is hidden or cannot be parsed.
    address: Option<IpAddr>,
    /// The scheme; `None` if it is not reported.
    scheme: Option<Scheme>,
}

impl Claimed {
    /// Reads the report of a trusted proxy. Only the one header is read that this proxy sets: another one may come
    /// from the client.
    #[must_use]
    pub(crate) fn read(headers: &HeaderMap, proxies: &Proxies) -> Self {
        match proxies.header() {
            ForwardedHeader::XForwarded => Self::of(x_forwarded(headers), proxies),
            ForwardedHeader::Forwarded => Self::of(forwarded(headers), proxies),
        }
    }

    /// Finds the first hop, seen from here, that is not a proxy; the farthest proxy, if all are. Its scheme is the
    /// client's; that of a nearer hop is between two proxies. An unreadable hop ends the search, because the
    /// origin of hops before it is unknown.
    fn of(mut hops: impl Iterator<Item = Hop>, proxies: &Proxies) -> Self {
        let Some(nearest) = hops.next() else {
            return Self {
                peer: None,
                scheme: None,
            };
        };
        let peer = |hop: &Hop| hop.address.map(Peer::named);
        let mut found = Self {
            peer: peer(&nearest),
            scheme: nearest.scheme,
        };
        while found.peer.is_some_and(|peer| proxies.trust(&peer)) {
            let Some(hop) = hops.next().filter(|hop| hop.address.is_some()) else {
                break;
            };
            found = Self {
                peer: peer(&hop),
                // A proxy that only adds the address leaves the scheme to the others.
                scheme: hop.scheme.or(found.scheme),
            };
        }
        found
    }
}

/// The hops in `X-Forwarded-For` and `X-Forwarded-Proto`, nearest first. Each proxy appends to both lists, or
/// replaces the second one: then its single scheme applies to all.
fn x_forwarded(headers: &HeaderMap) -> impl Iterator<Item = Hop> {
    let mut schemes = from_last(headers, FORWARDED_PROTO).map(scheme).fuse();
    let mut addresses = from_last(headers, FORWARDED_FOR);
    let mut last = None;
    let mut is_first = true;
    std::iter::from_fn(move || {
        let address = addresses.next();
        // A proxy may report the scheme of the client without its address.
        if address.is_none() && !is_first {
            return None;
        }
        is_first = false;
        if let Some(scheme) = schemes.next() {
            last = scheme;
        }
        Some(Hop {
            address: address.and_then(self::address),
            scheme: last,
        })
    })
}

/// The elements of `Forwarded`, nearest first, up to an invalid line. Nothing in such a line can be trusted: an
/// unclosed quotation mark of the client would swallow what the proxy has appended.
fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Hop> {
    let lines = headers.get_all(FORWARDED).iter().rev();
    lines.flat_map(|line| {
        let hops = line.to_str().ok().and_then(elements);
        let mut hops = hops.unwrap_or_else(|| vec![Hop::default()]);
        hops.reverse();
        hops
    })
}

/// The members of a list header, over all its lines, last one first.
fn from_last<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().rev();
    lines
        .flat_map(|line| line.to_str().unwrap_or_default().rsplit(','))
        .map(str::trim)
}

/// The elements of one line (RFC 7239 §4): pairs separated by semicolons, values as tokens or quoted strings.
/// `None` if the line is invalid.
fn elements(line: &str) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    let mut hop = Hop::default();
    let mut is_empty = true;
    let mut rest = line.trim();
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix(',') {
            // A list may have empty elements (RFC 9110 §5.6.1.2).
            if !std::mem::replace(&mut is_empty, true) {
                hops.push(std::mem::take(&mut hop));
            }
            rest = behind.trim_start();
            continue;
        }
        let (name, behind) = rest.split_once('=')?;
        if !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        {
            return None;
        }
        let (value, behind) = value(behind)?;
        if name.eq_ignore_ascii_case("for") {
            hop.address = address(&value);
        } else if name.eq_ignore_ascii_case("proto") {
            hop.scheme = scheme(&value);
        }
        is_empty = false;
        rest = behind.trim_start();
        rest = match rest.strip_prefix(';') {
            Some(behind) => behind.trim_start(),
            None if rest.is_empty() || rest.starts_with(',') => rest,
            None => return None,
        };
    }
    if !is_empty {
        hops.push(hop);
    }
    Some(hops)
}

/// Parses a token or quoted string (RFC 9110 §5.6.4); returns it and the rest of the text. Some proxies omit the
/// quotation marks around addresses with colons and brackets.
fn value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t', '"']).unwrap_or(text.len());
        let (token, behind) = text.split_at(end);
        return (!behind.starts_with('"')).then_some((Cow::Borrowed(token), behind));
    };
    let end = quoted.find(['"', '\\'])?;
    if quoted.get(end..)?.starts_with('"') {
        return Some((Cow::Borrowed(quoted.get(..end)?), quoted.get(end + 1..)?));
    }
    let mut value = String::new();
    let mut signs = quoted.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '"' => return Some((Cow::Owned(value), quoted.get(at + 1..)?)),
            '\\' => value.push(signs.next()?.1),
            sign => value.push(sign),
        }
    }
    None
}

/// Parses an address, possibly with a port, possibly in brackets.
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

/// Parses the scheme of a request; some proxies have names of their own for WebSockets.
fn scheme(text: &str) -> Option<Scheme> {
    let is = |name: &str| text.eq_ignore_ascii_case(name);
    if is("https") || is("wss") {
        Some(Scheme::Https)
    } else if is("http") || is("ws") {
        Some(Scheme::Http)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
