use super::*;
use crate::config::{Listener, Network};
use http::{HeaderName, HeaderValue};

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

#[test]
fn the_scheme_is_that_of_the_same_hop_as_the_address() {
    let of = |header, lines: &[_]| claimed(header, lines).scheme;
    for (addresses, schemes, expected) in [
        ("192.0.2.1, 10.0.0.7", "https, http", Some(Scheme::Https)),
        ("192.0.2.1, 10.0.0.7", "http, https", Some(Scheme::Http)),
        ("192.0.2.1, 10.0.0.7", "https", Some(Scheme::Https)),
        // The last proxy is the only one: what comes before is the client's.
        ("203.0.113.9, 192.0.2.1", "https, http", Some(Scheme::Http)),
        ("192.0.2.1", "wss", Some(Scheme::Https)),
        ("192.0.2.1", "ws", Some(Scheme::Http)),
        ("192.0.2.1", "WSS", Some(Scheme::Https)),
        ("192.0.2.1", "gopher", None),
        ("192.0.2.1", "https, gopher", None),
    ] {
        let lines = [
            ("x-forwarded-for", addresses),
            ("x-forwarded-proto", schemes),
        ];
        let read = of(ForwardedHeader::XForwarded, &lines);
        assert_eq!(read, expected, "{addresses} {schemes}");
    }
    let alone = [("x-forwarded-proto", "https")];
    assert_eq!(of(ForwardedHeader::XForwarded, &alone), Some(Scheme::Https));
    for (value, expected) in [
        (
            "for=192.0.2.1;proto=https, for=10.0.0.1;proto=http",
            Some(Scheme::Https),
        ),
        (
            "for=192.0.2.1;proto=http, for=10.0.0.1;proto=https",
            Some(Scheme::Http),
        ),
        (
            "for=192.0.2.1, for=10.0.0.1;proto=https",
            Some(Scheme::Https),
        ),
        ("for=203.0.113.9;proto=https, for=192.0.2.1", None),
        ("proto=\"https\";for=192.0.2.1", Some(Scheme::Https)),
        ("proto=\"htt\\ps\";for=192.0.2.1", Some(Scheme::Https)),
        ("Proto=WSS", Some(Scheme::Https)),
    ] {
        let read = of(ForwardedHeader::Forwarded, &[("forwarded", value)]);
        assert_eq!(read, expected, "{value}");
    }
}

#[test]
fn a_line_of_forwarded_is_read_whole_or_not_at_all() {
    let of = |value| named(ForwardedHeader::Forwarded, &[("forwarded", value)]);
    for (value, expected) in [
        ("by=\"a,b;c\";for=192.0.2.1", Some("192.0.2.1")),
        (
            "by=\"a\\\"for=203.0.113.9\";for=192.0.2.1",
            Some("192.0.2.1"),
        ),
        ("for=\"[2001:db9::1]:4711\"", Some("2001:db9::1")),
        (
            "for=192.0.2.1 ; proto=http , for=10.0.0.1",
            Some("192.0.2.1"),
        ),
        (",for=192.0.2.1;,, for=10.0.0.1 ,", Some("192.0.2.1")),
        // A client that leaves a quotation mark open does not swallow what the proxy adds.
        ("for=203.0.113.9;by=\"x, for=192.0.2.1", None),
        ("for=203.0.113.9;by=\"x, for=\"[2001:db9::1]\"", None),
        ("for=203.0.113.9;by=x\", for=\"192.0.2.1\"", None),
        ("for=203.0.113.9;by=\"x\"y, for=192.0.2.1", None),
        ("for", None),
        ("", None),
    ] {
        assert_eq!(of(value).as_deref(), expected, "{value}");
    }
}
